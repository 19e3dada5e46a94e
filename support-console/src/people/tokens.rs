//! Tokens for programs, the console's own command line above all. Each is shown once, when it is made.

use axum::{extract::FromRequestParts, http::request::Parts};
use common::{
    auth,
    db::{Db, DbError},
    http::{Problem, codes},
};
use secrecy::{ExposeSecret as _, SecretString};
use std::sync::Arc;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{AccountName, People, PeopleError, secret};
use crate::who::{By, Role, Who};

/// By which people, and whoever searches for secrets that were left lying about, know what it is.
const PREFIX: &str = "cvt_";
/// The longest that is looked at.
const LONGEST: usize = 100;

/// What is known of a token besides itself.
#[derive(Debug, Clone)]
pub struct Token {
    pub id: Uuid,
    pub label: String,
    pub created_at: OffsetDateTime,
    pub used_at: Option<OffsetDateTime>,
    pub expires_at: OffsetDateTime,
}

/// Makes a token, which nobody can read again.
pub async fn mint_token(
    db: &Db,
    (by, through): (&str, By),
    name: &AccountName,
    label: &str,
    days: u32,
) -> Result<SecretString, PeopleError> {
    let label = label.trim();
    if !(1..=100).contains(&label.chars().count())
        || label.chars().any(char::is_control)
        || !(1..=3_650).contains(&days)
    {
        return Err(PeopleError::BadToken);
    }
    let token = secret::new(PREFIX);
    let days = i32::try_from(days).unwrap_or(1);
    let hash = secret::hash(token.expose_secret());
    let sql = include_str!("tokens/mint.sql");
    let made = db.execute(sql, &[&Uuid::now_v7(), &hash, &name.as_str(), &label, &days, &by, &through.name()]).await?;
    if made == 0 {
        let known = db.query("SELECT 1 FROM accounts WHERE name = $1", &[&name.as_str()]).await?;
        return Err(if known.is_empty() { PeopleError::Unknown } else { PeopleError::Disabled });
    }
    Ok(token)
}

/// Ends it at once.
pub async fn revoke_token(db: &Db, (by, through): (&str, By), name: &AccountName, id: Uuid) -> Result<(), PeopleError> {
    let sql = include_str!("tokens/revoke.sql");
    let gone = db.execute(sql, &[&id, &name.as_str(), &by, &through.name()]).await?;
    if gone == 0 { Err(PeopleError::UnknownToken) } else { Ok(()) }
}

/// An account's tokens, the newest first.
pub async fn tokens(db: &Db, name: &AccountName) -> Result<Vec<Token>, PeopleError> {
    let sql = "SELECT id, label, created_at, used_at, expires_at FROM tokens WHERE account = $1 ORDER BY id DESC";
    let rows = db.query(sql, &[&name.as_str()]).await?;
    let token = |row: &tokio_postgres::Row| {
        Ok(Token {
            id: row.try_get(0)?,
            label: row.try_get(1)?,
            created_at: row.try_get(2)?,
            used_at: row.try_get(3)?,
            expires_at: row.try_get(4)?,
        })
    };
    Ok(rows.iter().map(token).collect::<Result<_, DbError>>()?)
}

impl People {
    /// Whoever this token is good for, with the role they have now.
    pub async fn bearer(&self, token: &str) -> Result<Option<Who>, DbError> {
        if !token.starts_with(PREFIX) || token.len() > LONGEST {
            return Ok(None);
        }
        let hash = secret::hash(token);
        let rows = self.db.query(include_str!("tokens/find.sql"), &[&hash]).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let (account, role, is_stale): (String, String, bool) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        if is_stale {
            self.db.execute("UPDATE tokens SET used_at = now() WHERE token_hash = $1", &[&hash]).await?;
        }
        Ok(Some(Who { account, role: role.parse::<Role>().map_err(DbError::unexpected)?, by: By::Cli }))
    }
}

/// Whoever calls with `Authorization: Bearer cvt_…`. The routes need an [`Extension`](axum::Extension) with the
/// [`People`].
#[derive(Debug)]
pub struct Bearer(pub Who);

impl<S: Send + Sync> FromRequestParts<S> for Bearer {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let Some(people) = parts.extensions.get::<Arc<People>>() else { return Err(Problem::internal()) };
        match people.bearer(auth::bearer(&parts.headers)?).await {
            Ok(Some(who)) => Ok(Self(who)),
            Ok(None) => {
                let message = "the token is not known, or has expired, or its account is disabled";
                Err(Problem::new(codes::INVALID_TOKEN, message))
            }
            Err(error) => {
                tracing::warn!(%error, "a token cannot be looked up");
                Err(Problem::unavailable("whose token it is cannot be looked up now"))
            }
        }
    }
}
