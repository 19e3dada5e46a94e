//! What a command comes to: what it prints, and a code that a script can go by.

use std::ops::Deref;

use serde_json::Value;

pub(super) const DONE: u8 = 0;
pub(super) const FAILED: u8 = 1;
pub(super) const USAGE: u8 = 2;
pub(super) const NOT_FOUND: u8 = 3;
pub(super) const NOT_ALLOWED: u8 = 4;
pub(super) const AWAY: u8 = 5;

pub(super) struct Outcome {
    pub text: String,
    pub code: u8,
}

/// What the console answered: to be looked into, and its text to be passed on, for a number there has all its digits.
pub(super) struct Answer {
    value: Value,
    pub text: String,
}

impl Answer {
    pub(super) fn read(text: &[u8]) -> Option<Self> {
        let value = serde_json::from_slice(text).ok()?;
        Some(Self { value, text: String::from_utf8_lossy(text).into_owned() })
    }
}

impl Deref for Answer {
    type Target = Value;

    fn deref(&self) -> &Value {
        &self.value
    }
}

impl From<Value> for Answer {
    fn from(value: Value) -> Self {
        Self { text: value.to_string(), value }
    }
}

impl Outcome {
    pub(super) fn done(answer: &Answer, show: fn(&Answer) -> String, json: bool) -> Self {
        let text = if json { format!("{}\n", answer.text) } else { show(answer) };
        Self { text, code: DONE }
    }

    pub(super) fn with(self, code: u8) -> Self {
        Self { code, ..self }
    }
}

/// Why it came to nothing.
#[derive(Debug)]
pub(super) struct Trouble {
    pub message: String,
    pub code: u8,
    /// The console's own words, for `--json`.
    pub said: Option<Value>,
}

impl Trouble {
    fn new(message: &str, code: u8) -> Self {
        Self { message: message.to_owned(), code, said: None }
    }

    pub(super) fn failed(message: &str) -> Self {
        Self::new(message, FAILED)
    }

    pub(super) fn usage(message: &str) -> Self {
        Self::new(message, USAGE)
    }

    pub(super) fn not_found(message: &str) -> Self {
        Self::new(message, NOT_FOUND)
    }

    pub(super) fn away(message: &str) -> Self {
        Self::new(message, AWAY)
    }

    /// From the console's refusal.
    pub(super) fn refused(status: u16, said: Option<Value>) -> Self {
        let message = said.as_ref().and_then(|said| said["message"].as_str());
        let message =
            message.map_or_else(|| format!("the console answered {status}"), |text| crate::plain::plain(text, 500));
        let code = match status {
            400 => USAGE,
            401 | 403 => NOT_ALLOWED,
            404 => NOT_FOUND,
            408 | 429 | 502..=504 => AWAY,
            _ => FAILED,
        };
        Self { message, code, said }
    }
}
