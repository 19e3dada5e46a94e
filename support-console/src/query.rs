//! What staff search for, as a text that can be typed, shared in a URL, and printed again in one canonical form:
//! `queue:payment.charge AND (reason:"timeout" OR user:123456) AND after:2026-11-01`.

use std::{fmt, str::FromStr};

/// A search. The empty one finds everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query(());

/// What is wrong with a search, and where: the position counts characters from 0.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("at character {}: {message}", position + 1)]
pub struct BadQuery {
    pub position: usize,
    pub message: String,
}

impl FromStr for Query {
    type Err = BadQuery;

    fn from_str(text: &str) -> Result<Self, BadQuery> {
        todo!("{text}")
    }
}

impl fmt::Display for Query {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        todo!()
    }
}
