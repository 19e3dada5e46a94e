//! Who did what, when, to which letters. It can be added to and read, and nothing else.

use serde::Serialize;
use serde_json::Value;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{Console, Refusal};

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Audited {
    pub id: Uuid,
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    pub account: String,
    /// `page`, `cli` or `system`.
    pub by: String,
    pub action: String,
    pub letter: Option<Uuid>,
    pub run: Option<Uuid>,
    pub details: Value,
}

#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    pub account: Option<String>,
    pub letter: Option<Uuid>,
    pub run: Option<Uuid>,
    /// Before this line, the last of the page before.
    pub before: Option<(OffsetDateTime, Uuid)>,
    /// At most so many, and never more than 500.
    pub limit: Option<i64>,
}

impl Console {
    /// The newest first.
    pub async fn audit(&self, filter: &AuditFilter) -> Result<Vec<Audited>, Refusal> {
        todo!("{filter:?}")
    }

    /// Notes something that was done outside of the engine (a login, an order cancelled …). Never a secret in `details`.
    pub async fn note(
        &self,
        account: &str,
        by: &str,
        action: &str,
        letter: Option<Uuid>,
        details: &Value,
    ) -> Result<(), Refusal> {
        todo!("{account:?} {by:?} {action:?} {letter:?} {details:?}")
    }
}
