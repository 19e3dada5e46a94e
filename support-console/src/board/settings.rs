//! The `[support.board]` section.

use common::config::{ConfigError, bounded};
use secrecy::SecretString;
use serde::Deserialize;

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// RabbitMQ's management, `http://user:password@host:15672`. Without it the board says that it knows of no queue.
    pub management_url: SecretString,
    /// How often everybody is asked.
    pub every_ms: u64,
    /// How many minutes are remembered.
    pub minutes: u64,
    /// How long the broker, or a service, may take to answer.
    pub timeout_ms: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { management_url: SecretString::default(), every_ms: 2_000, minutes: 15, timeout_ms: 2_000 }
    }
}

impl Settings {
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        bounded("support.board.every_ms", self.every_ms, 100, 60_000)?;
        bounded("support.board.minutes", self.minutes, 1, 120)?;
        bounded("support.board.timeout_ms", self.timeout_ms, 10, 60_000)
    }
}
