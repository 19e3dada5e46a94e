//! Sessions: who is sitting at a browser.

use std::net::IpAddr;

use common::db::DbError;
use secrecy::{ExposeSecret as _, SecretString};
use time::OffsetDateTime;

use super::{AccountName, People, secret};
use crate::who::{By, Role, Who};

/// What CSRF tokens are derived for.
const CSRF: &str = "csrf";

/// A session that stands.
#[derive(Clone)]
pub struct Session {
    pub who: Who,
    token_hash: Vec<u8>,
    csrf: String,
}

/// Of what a session is shown to whom it belongs.
#[derive(Debug, Clone)]
pub struct Open {
    pub address: String,
    pub begun_at: OffsetDateTime,
    pub used_at: OffsetDateTime,
    pub is_this: bool,
}

/// Why nobody was let in.
#[derive(Debug)]
pub enum NoEntry {
    /// What of the two was wrong is nobody's business.
    WrongNameOrPassword,
    TooManyAttempts {
        seconds: u32,
    },
    Crowded,
    Db(DbError),
}

impl From<DbError> for NoEntry {
    fn from(error: DbError) -> Self {
        Self::Db(error)
    }
}

impl Session {
    /// What every form of this session carries, and no page of another site can know.
    #[must_use]
    pub fn csrf(&self) -> &str {
        &self.csrf
    }

    #[must_use]
    pub fn may_be_from(&self, csrf: &str) -> bool {
        secret::same(&self.csrf, csrf)
    }
}

impl People {
    /// Begins a session: its token, which only the browser keeps.
    pub async fn log_in(
        &self,
        name: &str,
        password: SecretString,
        address: IpAddr,
    ) -> Result<(AccountName, SecretString), NoEntry> {
        // What nobody can be called is looked for all the same, and takes as long.
        let given = name.trim().to_ascii_lowercase();
        if let Some(seconds) = self.count_attempt(&given, address).await? {
            tracing::warn!(client.address = %address, "too many attempts to log in");
            return Err(NoEntry::TooManyAttempts { seconds });
        }
        let name = given.parse::<AccountName>().ok();
        let sql = "SELECT password_hash FROM accounts WHERE name = $1 AND NOT disabled";
        let known = self.db.query(sql, &[&name.as_ref().map(AccountName::as_str)]).await?;
        let hash = known.first().and_then(|row| row.try_get::<_, Option<String>>(0).ok().flatten());
        let is_right = self.passwords.check(hash, password).await.map_err(|_| NoEntry::Crowded)?;
        let Some(name) = name.filter(|_| is_right) else {
            // No name here: it may be a password, typed into the wrong field.
            tracing::info!(client.address = %address, "an attempt to log in failed");
            return Err(NoEntry::WrongNameOrPassword);
        };
        self.forget_attempt(&given, address).await?;
        let token = secret::new("");
        let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 3] =
            [&secret::hash(token.expose_secret()), &name.as_str(), &address.to_string()];
        // Not if it was disabled meanwhile.
        let begun = self.db.execute(include_str!("sessions/begin.sql"), &parameters).await?;
        if begun == 0 {
            return Err(NoEntry::WrongNameOrPassword);
        }
        tracing::info!(account = %name, client.address = %address, "logged in");
        Ok((name, token))
    }

    /// The session of this token, if it still stands.
    pub async fn session(&self, token: &str) -> Result<Option<Session>, DbError> {
        let token_hash = secret::hash(token);
        let (idle, longest) = (self.idle().as_secs_f64(), self.longest().as_secs_f64());
        let rows = self.db.query(include_str!("sessions/find.sql"), &[&token_hash, &idle, &longest]).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let (account, role, is_stale): (String, String, bool) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        if is_stale {
            self.db.execute("UPDATE sessions SET used_at = now() WHERE token_hash = $1", &[&token_hash]).await?;
        }
        let role = role.parse::<Role>().map_err(DbError::unexpected)?;
        let who = Who { account, role, by: By::Page };
        Ok(Some(Session { who, token_hash, csrf: secret::derived(token, CSRF) }))
    }

    /// Ends it at once, wherever its token may be.
    pub async fn log_out(&self, session: &Session) -> Result<(), DbError> {
        let ended = self.db.execute(include_str!("sessions/end.sql"), &[&session.token_hash]).await?;
        if ended > 0 {
            tracing::info!(account = session.who.account, "logged out");
        }
        Ok(())
    }

    /// Ends all of an account's sessions but this one.
    pub async fn log_out_others(&self, session: &Session) -> Result<u64, DbError> {
        let sql = "DELETE FROM sessions WHERE account = $1 AND token_hash <> $2";
        self.db.execute(sql, &[&session.who.account, &session.token_hash]).await
    }

    /// Where else somebody is logged in.
    pub async fn open_sessions(&self, session: &Session) -> Result<Vec<Open>, DbError> {
        let sql = "SELECT address, begun_at, used_at, token_hash = $2 FROM sessions WHERE account = $1
                   ORDER BY used_at DESC LIMIT 50";
        let rows = self.db.query(sql, &[&session.who.account, &session.token_hash]).await?;
        rows.iter()
            .map(|row| {
                Ok(Open {
                    address: row.try_get(0)?,
                    begun_at: row.try_get(1)?,
                    used_at: row.try_get(2)?,
                    is_this: row.try_get(3)?,
                })
            })
            .collect()
    }

    /// A new password, which whoever sits at the browser may choose if they know the present one. Other sessions end.
    pub async fn change_password(
        &self,
        session: &Session,
        present: SecretString,
        new: &SecretString,
        address: IpAddr,
    ) -> Result<(), ChangeError> {
        let account = &session.who.account;
        if let Some(seconds) = self.count_attempt(account, address).await? {
            return Err(ChangeError::No(NoEntry::TooManyAttempts { seconds }));
        }
        let rows = self.db.query("SELECT password_hash FROM accounts WHERE name = $1", &[account]).await?;
        let hash = rows.first().and_then(|row| row.try_get::<_, Option<String>>(0).ok().flatten());
        let is_right = self.passwords.check(hash, present).await.map_err(|_| ChangeError::No(NoEntry::Crowded))?;
        if !is_right {
            return Err(ChangeError::No(NoEntry::WrongNameOrPassword));
        }
        self.forget_attempt(account, address).await?;
        let name: AccountName = account.parse()?;
        super::set_password(&self.db, account, &name, new, Some(&session.token_hash)).await?;
        Ok(())
    }
}

/// Why a password stays as it is.
#[derive(Debug)]
pub enum ChangeError {
    No(NoEntry),
    People(super::PeopleError),
}

impl From<DbError> for ChangeError {
    fn from(error: DbError) -> Self {
        Self::No(NoEntry::Db(error))
    }
}

impl From<super::PeopleError> for ChangeError {
    fn from(error: super::PeopleError) -> Self {
        Self::People(error)
    }
}
