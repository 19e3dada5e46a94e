//! The `notifications` schema: each statement takes a whole batch.

use std::collections::{BTreeMap, HashSet};

use common::{
    db::{DbError, Tx},
    params,
};
use uuid::Uuid;

use crate::message::Message;

const INSERT: &str = include_str!("store/insert_notifications.sql");
const INSERT_MISSING: &str =
    concat!(include_str!("store/insert_notifications.sql"), "ON CONFLICT DO NOTHING RETURNING event_id");

/// Notes what is about to be sent, and returns which of it was not sent before.
///
/// On an ordinary day all are new, and the insert says so by succeeding. Where one is not, the fence comes first: an
/// insert of what is missing, and only then a read, which so sees what others have committed.
pub(crate) async fn note(tx: &mut Tx, channel: &'static str, messages: &[&Message]) -> Result<HashSet<Uuid>, DbError> {
    let messages: BTreeMap<Uuid, &Message> = messages.iter().map(|message| (message.id, *message)).collect();
    let ids: Vec<Uuid> = messages.keys().copied().collect();
    let orders: Vec<Uuid> = messages.values().map(|message| message.order_id.0).collect();
    let users: Vec<&str> = messages.values().map(|message| message.user_id.as_str()).collect();
    let kinds: Vec<&str> = messages.values().map(|message| message.kind.as_str()).collect();
    match tx.note(INSERT, &[&channel, &ids, &orders, &users, &kinds]).await {
        Ok(()) => return Ok(ids.into_iter().collect()),
        Err(DbError::Conflict(_)) => {}
        Err(error) => return Err(error),
    }
    let rows = tx.query(INSERT_MISSING, &[&channel, &ids, &orders, &users, &kinds]).await?;
    let mut unsent: HashSet<Uuid> = rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
    if unsent.len() < ids.len() {
        let others: Vec<Uuid> = ids.into_iter().filter(|id| !unsent.contains(id)).collect();
        for row in tx.query(include_str!("store/lock_unsent.sql"), &[&channel, &others]).await? {
            unsent.insert(row.try_get(0)?);
        }
    }
    Ok(unsent)
}

/// Notes that these were sent.
pub(crate) fn record_sent(tx: &mut Tx, channel: &'static str, ids: Vec<Uuid>) {
    if !ids.is_empty() {
        tx.write(include_str!("store/record_sent.sql"), params![channel, ids]);
    }
}
