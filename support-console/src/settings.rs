//! The console's own section of the configuration.

use common::config::{ConfigError, bounded};
use serde::Deserialize;

use crate::{board, notices, outward, people, services};

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Support {
    /// How many messages are written in one transaction, and their bytes.
    pub ingest_messages: u16,
    pub ingest_bytes: usize,
    /// After so many seconds without word of a retry it may be taken back.
    pub no_word_after_s: u64,
    /// What was unroutable, was sent again and has not come back for so many seconds has arrived.
    pub unroutable_trial_s: u64,
    /// The most letters that one plan may take.
    pub most_planned: i64,
    /// The most letters of a run that are under way at once.
    pub most_under_way: i32,
    /// Plans that nobody has started are forgotten after so many seconds.
    pub plan_kept_s: u64,
    /// Where people reach the pages, for links in notices.
    pub public_url: String,
    pub services: services::Settings,
    pub board: board::Settings,
    pub notices: notices::Settings,
    /// Sessions, and attempts to log in.
    pub people: people::Settings,
}

impl Default for Support {
    fn default() -> Self {
        Self {
            ingest_messages: 1_000,
            ingest_bytes: 8 * 1024 * 1024,
            no_word_after_s: 600,
            unroutable_trial_s: 10,
            most_planned: 250_000,
            most_under_way: 5_000,
            plan_kept_s: 3_600,
            public_url: "http://127.0.0.1:8084".to_owned(),
            services: services::Settings::default(),
            board: board::Settings::default(),
            notices: notices::Settings::default(),
            people: people::Settings::default(),
        }
    }
}

impl Support {
    pub fn check(&self) -> Result<(), ConfigError> {
        outward::base_url("support.public_url", &self.public_url)?;
        self.board.check()?;
        self.notices.check()?;
        bounded("support.ingest_messages", self.ingest_messages, 1, 2_000)?;
        bounded("support.ingest_bytes", self.ingest_bytes, 64 * 1024, 256 * 1024 * 1024)?;
        bounded("support.no_word_after_s", self.no_word_after_s, 1, 7 * 24 * 3_600)?;
        bounded("support.unroutable_trial_s", self.unroutable_trial_s, 1, 3_600)?;
        bounded("support.most_planned", self.most_planned, 1, 1_000_000)?;
        bounded("support.most_under_way", self.most_under_way, 1, 100_000)?;
        bounded("support.plan_kept_s", self.plan_kept_s, 60, 30 * 24 * 3_600)?;
        self.people.check()
    }
}
