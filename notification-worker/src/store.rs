//! The `notifications` schema: what the queue brings is written by the batch.

mod contacts;
mod requested;

pub(crate) use contacts::{delete_contact, find_contact, find_contacts, put_contact};
pub(crate) use requested::{Begun, Request, begin, end};

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    time::Duration,
};

use common::{
    db::{DbError, Tx},
    ids::OrderId,
    params,
};
use tokio_postgres::Row;
use uuid::Uuid;

use crate::{
    contact::Channel,
    message::Message,
    truth::{Holder, Noted, State},
};

const INSERT: &str = include_str!("store/insert_notifications.sql");
const CLAIM: &str =
    concat!(include_str!("store/insert_notifications.sql"), include_str!("store/claim_notifications.sql"));

/// Who tells a batch, and for how long nobody else may.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Claim {
    pub id: i64,
    pub lasts: Duration,
}

/// Notes what is to be told and claims it, all but what is overtaken. It is committed when this returns.
///
/// On an ordinary day all are new, and the insert says so by succeeding. Where one is not, what was not told yet and is
/// in nobody's hands is claimed.
pub(crate) async fn claim(
    tx: &mut Tx,
    messages: &[&Message],
    overtaken: &HashSet<Uuid>,
    claim: Claim,
) -> Result<(), DbError> {
    // Sorted, so that no two workers wait for each other.
    let messages: BTreeMap<(OrderId, Uuid), &Message> =
        messages.iter().map(|message| ((message.order_id, message.id), *message)).collect();
    let (orders, ids): (Vec<Uuid>, Vec<Uuid>) = messages.keys().map(|(order, id)| (order.0, id)).unzip();
    let users: Vec<&str> = messages.values().map(|message| message.user_id.as_str()).collect();
    let kinds: Vec<&str> = messages.values().map(|message| message.kind.as_str()).collect();
    let versions: Vec<i32> = messages.values().map(|message| message.version).collect();
    let are_overtaken: Vec<bool> = ids.iter().map(|id| overtaken.contains(id)).collect();
    let lasts = claim.lasts.as_secs_f64();
    match tx.note(INSERT, &[&orders, &ids, &users, &kinds, &versions, &are_overtaken, &claim.id, &lasts]).await {
        Err(DbError::Conflict(_)) => {}
        done => return done,
    }
    tx.note(CLAIM, &[&orders, &ids, &users, &kinds, &versions, &are_overtaken, &claim.id, &lasts]).await
}

/// All that is noted of these orders. It must come after the claim, in a statement of its own.
pub(crate) async fn noted(
    tx: &mut Tx,
    messages: &[&Message],
    claim: Claim,
) -> Result<HashMap<OrderId, Vec<Noted>>, DbError> {
    let orders: Vec<Uuid> =
        messages.iter().map(|message| message.order_id.0).collect::<HashSet<_>>().into_iter().collect();
    let mut noted: HashMap<OrderId, Vec<Noted>> = HashMap::new();
    for row in tx.query(include_str!("store/read_notifications.sql"), &[&orders, &claim.id]).await? {
        noted.entry(OrderId(row.try_get(0)?)).or_default().push(notice(&row)?);
    }
    Ok(noted)
}

fn notice(row: &Row) -> Result<Noted, DbError> {
    let state: &str = row.try_get(4)?;
    let (is_ours, is_held): (bool, bool) = (row.try_get(5)?, row.try_get(6)?);
    Ok(Noted {
        event_id: row.try_get(1)?,
        version: row.try_get(2)?,
        kind: row.try_get(3)?,
        state: State::named(state).ok_or_else(|| DbError::unexpected(format!("state {state}")))?,
        holder: match (is_ours, is_held) {
            (true, _) => Holder::Us,
            (false, true) => Holder::Another,
            (false, false) => Holder::Nobody,
        },
    })
}

/// What became of a notice that we had claimed.
#[derive(Debug)]
pub(crate) struct Settled {
    pub order_id: OrderId,
    pub event_id: Uuid,
    pub claim: i64,
    /// `Pending` to let go of it.
    pub state: State,
    /// By which it was sent, or was to be.
    pub channel: Option<Channel>,
    pub reason: Option<String>,
}

/// Notes what became of them, with the commit.
pub(crate) fn settle(tx: &mut Tx, mut settled: Vec<Settled>) {
    if settled.is_empty() {
        return;
    }
    settled.sort_by_key(|it| (it.order_id, it.event_id));
    tx.write(
        include_str!("store/settle_notifications.sql"),
        params![
            settled.iter().map(|it| it.order_id.0).collect::<Vec<_>>(),
            settled.iter().map(|it| it.event_id).collect::<Vec<_>>(),
            settled.iter().map(|it| it.claim).collect::<Vec<_>>(),
            settled.iter().map(|it| it.state.as_str()).collect::<Vec<_>>(),
            settled.iter().map(|it| it.channel.map(Channel::as_str)).collect::<Vec<_>>(),
            settled.into_iter().map(|it| it.reason).collect::<Vec<_>>(),
        ],
    );
}
