//! Who may use the console: accounts with a role, sessions in a browser, tokens for programs.
//!
//! What was taken away is gone at once: every request looks in the table whether its session or token still stands, and
//! which role its account has now. No secret is kept as itself, and none is ever written into a log or an error.

mod accounts;
mod attempts;
mod passwords;
mod secret;
mod sessions;
mod tokens;

use std::{fmt, str::FromStr, time::Duration};

use common::{
    config::{ConfigError, bounded},
    db::{Db, DbError},
};
use serde::Deserialize;

pub(crate) use attempts::tidy_for_ever;

pub use accounts::{Account, create, disable, enable, list, set_password, set_role};
pub use passwords::{LONGEST_PASSWORD, SHORTEST_PASSWORD};
pub use sessions::{ChangeError, NoEntry, Open, Session};
pub use tokens::{Bearer, Token, mint_token, revoke_token, tokens};

use self::passwords::Passwords;

/// The keys `support.people.*`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// After so many minutes without a request a session is over.
    pub idle_minutes: u32,
    /// After so many minutes it is over in any case.
    pub longest_minutes: u32,
    /// How many attempts to log in may fail within a quarter of an hour: from one address at one account.
    pub attempts: u32,
    /// The same from one address, at whatever accounts.
    pub attempts_per_address: u32,
    /// The same at one account, from wherever.
    pub attempts_per_account: u32,
    /// How many passwords are checked at once: each takes 19 MiB and a processor for some hundredths of a second.
    pub checks_at_once: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            idle_minutes: 60,
            longest_minutes: 12 * 60,
            attempts: 5,
            attempts_per_address: 20,
            attempts_per_account: 100,
            checks_at_once: 2,
        }
    }
}

impl Settings {
    pub fn check(&self) -> Result<(), ConfigError> {
        bounded("support.people.idle_minutes", self.idle_minutes, 1, 7 * 24 * 60)?;
        bounded("support.people.longest_minutes", self.longest_minutes, 1, 30 * 24 * 60)?;
        bounded("support.people.attempts", self.attempts, 1, 1_000)?;
        bounded("support.people.attempts_per_address", self.attempts_per_address, 1, 100_000)?;
        bounded("support.people.attempts_per_account", self.attempts_per_account, 1, 100_000)?;
        bounded("support.people.checks_at_once", self.checks_at_once, 1, 64)
    }
}

/// Everything that recognises people.
pub struct People {
    db: Db,
    settings: Settings,
    passwords: Passwords,
}

impl People {
    pub fn new(db: Db, settings: Settings) -> Result<Self, ConfigError> {
        settings.check()?;
        let passwords = Passwords::new(settings.checks_at_once)
            .map_err(|why| ConfigError(format!("support.people: passwords cannot be hashed: {why}")))?;
        Ok(Self { db, settings, passwords })
    }

    fn idle(&self) -> Duration {
        Duration::from_secs(60 * u64::from(self.settings.idle_minutes))
    }

    fn longest(&self) -> Duration {
        Duration::from_secs(60 * u64::from(self.settings.longest_minutes))
    }
}

/// The name of an account: lower case, so that there is no second one that looks the same.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct AccountName(String);

impl AccountName {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AccountName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for AccountName {
    type Err = PeopleError;

    fn from_str(text: &str) -> Result<Self, PeopleError> {
        let rest_is_good = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b);
        let first_is_good = text.bytes().next().is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        if first_is_good && text.len() <= 63 && text.bytes().all(rest_is_good) {
            return Ok(Self(text.to_owned()));
        }
        Err(PeopleError::BadName)
    }
}

/// Why something about an account could not be done.
#[derive(Debug, thiserror::Error)]
pub enum PeopleError {
    #[error(
        "the name of an account is 1 to 63 lower-case letters, digits, dots, dashes and underscores, and begins with a letter or digit"
    )]
    BadName,
    #[error("a password has 12 to 256 characters")]
    BadPassword,
    #[error("the password is the name of the account")]
    PasswordIsName,
    #[error("a label has 1 to 100 characters, and a token is good for 1 to 3,650 days")]
    BadToken,
    #[error("there is an account of that name already")]
    Exists,
    #[error("there is no such account")]
    Unknown,
    #[error("there is no such token")]
    UnknownToken,
    #[error("the account is disabled")]
    Disabled,
    #[error("passwords cannot be hashed: {0}")]
    Hashing(String),
    #[error(transparent)]
    Db(#[from] DbError),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_one_way_to_be_written() {
        for good in ["a", "ann", "7of9", "ann.lee-2_x"] {
            assert_eq!(good.parse::<AccountName>().unwrap().as_str(), good);
        }
        for bad in ["", "Ann", "-ann", ".a", "an n", "änn", "ann\n", "a@b", &"a".repeat(64)] {
            assert!(bad.parse::<AccountName>().is_err(), "{bad:?}");
        }
    }
}
