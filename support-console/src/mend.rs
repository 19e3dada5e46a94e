//! What is done to one letter by hand: its body or headers are edited, or it is taken back from a retry of which there is
//! no word.

use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use crate::{Console, DiffLine, Refusal, Who};

/// What an edit has changed. The original is kept.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Edited {
    pub edit: Uuid,
    /// The letter's version now.
    pub version: i32,
    pub diff: Vec<DiffLine>,
    /// Whether it can be retried now.
    pub readable: bool,
}

impl Console {
    /// Changes what would be sent again, if the letter is still as it was at `version`. The body is a parcel of one event
    /// (or that event by itself); headers are a JSON object of those that are not protected.
    pub async fn edit(
        &self,
        who: &Who,
        letter: Uuid,
        version: i32,
        body: Option<&[u8]>,
        headers: Option<&Value>,
    ) -> Result<Edited, Refusal> {
        todo!("{who:?} {letter:?} {version:?} {body:?} {headers:?}")
    }

    /// Ends a retry of which there has been no word for too long. Should it succeed after all, that counts.
    pub async fn take_back(&self, who: &Who, letter: Uuid) -> Result<(), Refusal> {
        todo!("{who:?} {letter:?}")
    }
}
