//! Who acts, and what they may do. The engine asks this of every action itself, whatever face it came through.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::Refusal;

/// A member of staff, as a face of the console knows them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Who {
    pub account: String,
    pub role: Role,
    pub by: By,
}

/// What a member of staff may do: each may do what those before may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Looks.
    Reader,
    /// Retries, edits, discards, restores.
    Operator,
    /// Sees to accounts.
    Admin,
}

/// Which face somebody uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum By {
    Page,
    Cli,
}

impl Who {
    /// Refuses what takes a higher role.
    pub fn must_be(&self, role: Role) -> Result<(), Refusal> {
        if self.role >= role { Ok(()) } else { Err(Refusal::Forbidden { needs: role }) }
    }
}

impl Role {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Reader => "reader",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "reader" => Ok(Self::Reader),
            "operator" => Ok(Self::Operator),
            "admin" => Ok(Self::Admin),
            _ => Err(format!("there is no role {text:?}; there are reader, operator and admin")),
        }
    }
}

impl By {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Page => "page",
            Self::Cli => "cli",
        }
    }
}
