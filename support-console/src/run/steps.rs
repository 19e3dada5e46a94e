//! In which steps letters are sent again.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Refusal;

/// How a retry goes about it: a step begins only when all of the step before have been reported done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Steps {
    /// How many letters each of the first steps takes, such as 1 and 10; the last step takes the rest.
    pub first: Vec<u32>,
    /// Letters a second in the last step; 0 for as fast as it goes.
    pub rate: u32,
    /// How many may fail in a step before the run stops by itself.
    pub tolerate: u32,
}

/// However many fail: as large as the table's numbers are.
const NO_LIMIT: u32 = i32::MAX.unsigned_abs();
/// A step is for looking; whoever wants more of them wants a rate.
const STEPS_MOST: usize = 10;
const RATE_MOST: u32 = 100_000;

impl Default for Steps {
    /// One, then ten, then the rest.
    fn default() -> Self {
        Self { first: vec![1, 10], rate: 0, tolerate: 0 }
    }
}

impl Steps {
    /// All of them at once, however many fail.
    #[must_use]
    pub fn at_once() -> Self {
        Self { first: Vec::new(), rate: 0, tolerate: NO_LIMIT }
    }

    pub(super) fn check(&self) -> Result<(), Refusal> {
        let invalid = |field, message: String| Err(Refusal::Invalid { field, message });
        if self.first.len() > STEPS_MOST {
            return invalid("first", format!("must be at most {STEPS_MOST} steps"));
        }
        if self.first.contains(&0) {
            return invalid("first", "a step takes at least one letter".to_owned());
        }
        if self.rate > RATE_MOST {
            return invalid("rate", format!("must be at most {RATE_MOST} a second"));
        }
        Ok(())
    }
}

/// As somebody would say it.
impl fmt::Display for Steps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for size in &self.first {
            write!(f, "{size}, then ")?;
        }
        f.write_str(if self.first.is_empty() { "all at once" } else { "the rest" })?;
        if self.rate > 0 {
            write!(f, ", at most {} a second", self.rate)?;
        }
        match self.tolerate {
            0 => f.write_str(", stopping at the first failure"),
            NO_LIMIT.. => f.write_str(", however many fail"),
            some => write!(f, ", stopping when more than {some} of a step fail"),
        }
    }
}
