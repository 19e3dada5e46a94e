//! The `notifications` schema: each statement takes a whole batch.

use std::collections::HashSet;

use common::{
    db::{DbError, Tx},
    params,
};
use uuid::Uuid;

use crate::message::Message;

/// Notes what is about to be sent, and returns which of it was not sent before.
///
/// Fence first: the insert is a statement of its own, so the read that follows sees what others have committed.
pub(crate) async fn note(tx: &mut Tx, channel: &'static str, messages: &[&Message]) -> Result<HashSet<Uuid>, DbError> {
    let mut messages = messages.to_vec();
    messages.sort_unstable_by_key(|message| message.id);
    let ids: Vec<Uuid> = messages.iter().map(|message| message.id).collect();
    tx.write(
        include_str!("store/insert_notifications.sql"),
        params![
            channel,
            ids.clone(),
            messages.iter().map(|message| message.order_id.0).collect::<Vec<_>>(),
            messages.iter().map(|message| message.user_id.to_string()).collect::<Vec<_>>(),
            messages.iter().map(|message| message.kind.clone()).collect::<Vec<_>>(),
        ],
    )
    .await?;
    let rows = tx.query(include_str!("store/lock_unsent.sql"), &[&channel, &ids]).await?;
    rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

/// Notes that these were sent.
pub(crate) async fn record_sent(tx: &mut Tx, channel: &'static str, ids: Vec<Uuid>) -> Result<(), DbError> {
    if ids.is_empty() {
        return Ok(());
    }
    tx.write(include_str!("store/record_sent.sql"), params![channel, ids]).await
}
