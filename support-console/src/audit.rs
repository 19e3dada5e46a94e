//! Who did what, when, to which letters. It can be added to and read, and nothing else.

use common::{
    db::{DbError, Tx},
    params,
};
use serde::Serialize;
use serde_json::Value;
use time::OffsetDateTime;
use tokio_postgres::Row;
use uuid::Uuid;

use crate::{Console, Refusal, Who, letter::json};

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Audited {
    pub id: Uuid,
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    pub account: String,
    /// `page`, `cli` or `system`.
    pub by: String,
    pub action: String,
    pub letter: Option<Uuid>,
    pub run: Option<Uuid>,
    pub details: Value,
}

#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    pub account: Option<String>,
    pub letter: Option<Uuid>,
    pub run: Option<Uuid>,
    /// Before this line, the last of the page before.
    pub before: Option<(OffsetDateTime, Uuid)>,
    /// At most so many, and never more than 500.
    pub limit: Option<i64>,
}

const ADD: &str = include_str!("audit/add.sql");

impl Console {
    /// The newest first.
    pub async fn audit(&self, filter: &AuditFilter) -> Result<Vec<Audited>, Refusal> {
        let limit = filter.limit.unwrap_or(100).clamp(1, 500);
        let (before, id) = filter.before.unzip();
        let rows = self
            .db()
            .query(
                include_str!("audit/list.sql"),
                &[&filter.account, &filter.letter, &filter.run, &before, &id, &limit],
            )
            .await?;
        Ok(rows.iter().map(Audited::read).collect::<Result<_, _>>()?)
    }

    /// Notes something that was done outside of the engine (a login, an order cancelled …). Never a secret in `details`.
    pub async fn note(
        &self,
        account: &str,
        by: &str,
        action: &str,
        letter: Option<Uuid>,
        details: &Value,
    ) -> Result<(), Refusal> {
        let run: Option<Uuid> = None;
        let id = Uuid::now_v7();
        self.db().execute(ADD, &[&id, &account, &by, &action, &letter, &run, &plain(details)]).await?;
        Ok(())
    }
}

/// Notes, in the transaction that does it, what somebody does.
pub(crate) fn add(tx: &mut Tx, who: &Who, action: &'static str, on: On, details: &Value) {
    let (letter, run) = match on {
        On::Letter(id) => (Some(id), None),
        On::Run(id) => (None, Some(id)),
    };
    tx.write(ADD, params![Uuid::now_v7(), who.account.clone(), who.by.name(), action, letter, run, plain(details)]);
}

/// What somebody does something to.
#[derive(Debug, Clone, Copy)]
pub(crate) enum On {
    Letter(Uuid),
    Run(Uuid),
}

/// PostgreSQL's JSON holds every text but one with a NUL in it.
fn plain(details: &Value) -> String {
    details.to_string().replace("\\u0000", "\\ufffd")
}

impl Audited {
    pub(crate) fn read(row: &Row) -> Result<Self, DbError> {
        Ok(Self {
            id: row.try_get(0)?,
            at: row.try_get(1)?,
            account: row.try_get(2)?,
            by: row.try_get(3)?,
            action: row.try_get(4)?,
            letter: row.try_get(5)?,
            run: row.try_get(6)?,
            details: json(row, 7)?,
        })
    }
}
