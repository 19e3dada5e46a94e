//! Accounts, as whoever runs the console makes and changes them: at a shell, with the database at hand. Every change is
//! in the audit log, in the same statement.

use common::db::{Db, DbError};
use secrecy::SecretString;
use time::OffsetDateTime;

use super::{AccountName, PeopleError, passwords};
use crate::who::Role;

#[derive(Debug, Clone)]
pub struct Account {
    pub name: String,
    pub role: Role,
    pub disabled: bool,
    /// Whether it can log in: without a password it is used by programs only.
    pub has_password: bool,
    pub created_at: OffsetDateTime,
    /// When a session or a token of it was used last, as far as those are still there.
    pub used_at: Option<OffsetDateTime>,
    pub sessions: i64,
    pub tokens: i64,
}

/// Makes an account. `by` is whoever does it.
pub async fn create(
    db: &Db,
    by: &str,
    name: &AccountName,
    role: Role,
    password: Option<&SecretString>,
) -> Result<(), PeopleError> {
    let hash = match password {
        Some(password) => Some(passwords::hash(name, password).await?),
        None => None,
    };
    let sql = include_str!("accounts/create.sql");
    let made = db.execute(sql, &[&name.as_str(), &role.name(), &hash, &by]).await?;
    if made == 0 { Err(PeopleError::Exists) } else { Ok(()) }
}

/// A new password; every session ends but the one that is kept, if any.
pub async fn set_password(
    db: &Db,
    by: &str,
    name: &AccountName,
    password: &SecretString,
    keep: Option<&[u8]>,
) -> Result<(), PeopleError> {
    let hash = passwords::hash(name, password).await?;
    let sql = include_str!("accounts/set_password.sql");
    known(db.execute(sql, &[&name.as_str(), &hash, &by, &keep]).await?)
}

/// Counts from the next request on.
pub async fn set_role(db: &Db, by: &str, name: &AccountName, role: Role) -> Result<(), PeopleError> {
    let sql = include_str!("accounts/set_role.sql");
    known(db.execute(sql, &[&name.as_str(), &role.name(), &by]).await?)
}

/// Ends its sessions and tokens at once, and for good.
pub async fn disable(db: &Db, by: &str, name: &AccountName) -> Result<(), PeopleError> {
    known(db.execute(include_str!("accounts/disable.sql"), &[&name.as_str(), &by]).await?)
}

pub async fn enable(db: &Db, by: &str, name: &AccountName) -> Result<(), PeopleError> {
    known(db.execute(include_str!("accounts/enable.sql"), &[&name.as_str(), &by]).await?)
}

/// All accounts, by name.
pub async fn list(db: &Db) -> Result<Vec<Account>, PeopleError> {
    let rows = db.query(include_str!("accounts/list.sql"), &[]).await?;
    let account = |row: &tokio_postgres::Row| {
        let role: String = row.try_get(1)?;
        Ok(Account {
            name: row.try_get(0)?,
            role: role.parse().map_err(DbError::unexpected)?,
            disabled: row.try_get(2)?,
            has_password: row.try_get(3)?,
            created_at: row.try_get(4)?,
            used_at: row.try_get(5)?,
            sessions: row.try_get(6)?,
            tokens: row.try_get(7)?,
        })
    };
    Ok(rows.iter().map(account).collect::<Result<_, DbError>>()?)
}

fn known(changed: u64) -> Result<(), PeopleError> {
    if changed == 0 { Err(PeopleError::Unknown) } else { Ok(()) }
}
