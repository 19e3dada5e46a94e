//! The `payments` schema: each statement takes a whole batch.
//!
//! Fence first: an order's row in `dues` is inserted if it is missing, locked in a later statement, and only then is
//! anything decided. Locks are taken in one order everywhere: dues, then attempts, each sorted.

mod methods;
mod paid_back;

pub(crate) use methods::{delete_method, find_method, put_method};
pub(crate) use paid_back::{PaidBack, find_paid_back, pay_back};

use std::collections::{BTreeMap, BTreeSet, HashMap};

use common::{
    db::{Db, DbError, Tx},
    events::OrderPaymentDue,
    ids::{OrderId, TransactionId, UserId},
    money::Money,
    params,
};
use time::OffsetDateTime;
use tokio_postgres::Row;
use uuid::Uuid;

use crate::payment::{Account, Attempt, Due, Next, Owed, Refund, State};

fn holder(order_id: OrderId) -> String {
    format!("order:{order_id}")
}

fn order_of(holder: &str) -> Result<OrderId, DbError> {
    holder
        .strip_prefix("order:")
        .and_then(|id| id.parse().ok())
        .ok_or_else(|| DbError::unexpected("a holder that is no order"))
}

/// What there was when payments fell due.
pub(crate) enum Noted {
    /// Nothing: the first attempt has begun for those who have a stored method.
    Fresh(HashMap<OrderId, Attempt>),
    /// Something, of one of them at least. All are locked.
    Known(BTreeMap<OrderId, Account>),
}

/// Notes what is owed, and begins the first attempt of each order whose customer has a stored method.
///
/// On an ordinary day all are new, and the one statement says so by succeeding: nobody can have ended an order before it,
/// for that would have left a row. Where one is not, the fence comes first, and then a read, which so sees what others
/// have committed.
pub(crate) async fn note_dues(
    tx: &mut Tx,
    wanted: &BTreeMap<OrderId, &OrderPaymentDue>,
    attempts_left: i32,
    lease_ms: i64,
) -> Result<Noted, DbError> {
    let holders: Vec<String> = wanted.keys().map(|id| holder(*id)).collect();
    let ids: Vec<Uuid> = holders.iter().map(|_| TransactionId::generate().0).collect();
    let users: Vec<&str> = wanted.values().map(|due| due.user_id.as_str()).collect();
    let amounts: Vec<i64> = wanted.values().map(|due| due.amount.0).collect();
    let deadlines: Vec<OffsetDateTime> = wanted.values().map(|due| due.deadline).collect();
    let sql = include_str!("store/note_dues.sql");
    match tx.note_returning(sql, &[&ids, &holders, &users, &amounts, &deadlines, &attempts_left, &lease_ms]).await {
        Ok(begun) => {
            let orders: HashMap<Uuid, (&OrderId, &&OrderPaymentDue)> = ids.into_iter().zip(wanted).collect();
            let mut attempts = HashMap::with_capacity(begun.len());
            for row in &begun {
                let id = row.try_get(0)?;
                let Some((order_id, due)) = orders.get(&id) else { continue };
                let attempt = Attempt {
                    id: TransactionId(id),
                    order_id: **order_id,
                    number: 1,
                    state: State::Open,
                    amount: due.amount,
                    attempts_left,
                    token: row.try_get(1)?,
                    reference: None,
                    reason: None,
                    refund: None,
                    refused_event: None,
                };
                attempts.insert(**order_id, attempt);
            }
            return Ok(Noted::Fresh(attempts));
        }
        Err(DbError::Conflict(_)) => {}
        Err(error) => return Err(error),
    }
    let [_, dues, attempts] = tx
        .queries([
            (include_str!("store/insert_dues.sql"), &[&holders, &users, &amounts, &deadlines]),
            (include_str!("store/lock_dues.sql"), &[&holders]),
            (include_str!("store/lock_payments.sql"), &[&holders]),
        ])
        .await?;
    accounts(&dues, &attempts).map(Noted::Known)
}

/// Locks what is known of these orders' money. An order of which nothing is known is not among the answers.
pub(crate) async fn lock_accounts(tx: &mut Tx, orders: &[OrderId]) -> Result<BTreeMap<OrderId, Account>, DbError> {
    let mut holders: Vec<String> = orders.iter().map(|id| holder(*id)).collect();
    holders.sort_unstable();
    let [dues, attempts] = tx
        .queries([
            (include_str!("store/lock_dues.sql"), &[&holders]),
            (include_str!("store/lock_payments.sql"), &[&holders]),
        ])
        .await?;
    accounts(&dues, &attempts)
}

/// Sees to it that nothing begins for these orders any more, and returns their accounts, locked.
pub(crate) async fn call_off(tx: &mut Tx, orders: &BTreeSet<OrderId>) -> Result<BTreeMap<OrderId, Account>, DbError> {
    if orders.is_empty() {
        return Ok(BTreeMap::new());
    }
    let holders: Vec<String> = orders.iter().map(|id| holder(*id)).collect();
    let [_, dues, attempts] = tx
        .queries([
            (include_str!("store/insert_tombstones.sql"), &[&holders]),
            (include_str!("store/lock_dues.sql"), &[&holders]),
            (include_str!("store/lock_payments.sql"), &[&holders]),
        ])
        .await?;
    tx.write(include_str!("store/call_off.sql"), params![holders]);
    accounts(&dues, &attempts)
}

fn accounts(dues: &[Row], attempts: &[Row]) -> Result<BTreeMap<OrderId, Account>, DbError> {
    let mut accounts = BTreeMap::new();
    for row in dues {
        let user: Option<String> = row.try_get("user_id")?;
        let amount: Option<i64> = row.try_get("amount")?;
        let owed = match (user, amount) {
            (Some(user), Some(amount)) => Some(Owed {
                user_id: UserId::try_from(user).map_err(DbError::unexpected)?,
                amount: Money(amount),
                token: row.try_get("token")?,
            }),
            _ => None,
        };
        let due = Due { owed, off: row.try_get("off")?, late: row.try_get("late")? };
        accounts.insert(order_of(row.try_get("holder")?)?, Account { due, attempts: Vec::new() });
    }
    // They come oldest first.
    for row in attempts {
        let attempt = attempt(row)?;
        if let Some(account) = accounts.get_mut(&attempt.order_id) {
            account.attempts.push(attempt);
        }
    }
    Ok(accounts)
}

fn attempt(row: &Row) -> Result<Attempt, DbError> {
    let refund: Option<&str> = row.try_get("refund")?;
    Ok(Attempt {
        id: TransactionId(row.try_get("id")?),
        order_id: order_of(row.try_get("holder")?)?,
        number: row.try_get("attempt")?,
        state: row.try_get::<_, &str>("state")?.parse().map_err(DbError::unexpected)?,
        amount: Money(row.try_get("amount")?),
        attempts_left: row.try_get("attempts_left")?,
        token: row.try_get("token")?,
        reference: row.try_get("gateway_reference")?,
        reason: row.try_get("reason")?,
        refund: refund.map(str::parse).transpose().map_err(DbError::unexpected)?,
        refused_event: row.try_get("refused_event")?,
    })
}

/// Locks these attempts.
pub(crate) async fn lock_attempts(
    tx: &mut Tx,
    ids: impl IntoIterator<Item = TransactionId>,
) -> Result<HashMap<TransactionId, Attempt>, DbError> {
    let ids: Vec<Uuid> = ids.into_iter().map(|id| id.0).collect();
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let rows = tx.query(include_str!("store/lock_attempts.sql"), &[&ids]).await?;
    rows.iter().map(|row| attempt(row).map(|attempt| (attempt.id, attempt))).collect()
}

pub(crate) async fn find_attempt(db: &Db, order_id: OrderId, number: i32) -> Result<Option<Attempt>, DbError> {
    let rows = db.query(include_str!("store/find_attempt.sql"), &[&holder(order_id), &number]).await?;
    rows.first().map(attempt).transpose()
}

pub(crate) async fn read_attempt(db: &Db, id: TransactionId) -> Result<Option<Attempt>, DbError> {
    let rows = db.query(include_str!("store/read_attempt.sql"), &[&id.0]).await?;
    rows.first().map(attempt).transpose()
}

/// How an order stands now, as far as its money goes.
pub(crate) async fn find_due(db: &Db, order_id: OrderId) -> Result<Due, DbError> {
    let rows = db.query(include_str!("store/find_due.sql"), &[&holder(order_id)]).await?;
    match rows.first() {
        Some(row) => Ok(Due { owed: None, off: row.try_get(0)?, late: row.try_get(1)? }),
        // An attempt of the time before there were dues.
        None => Ok(Due { owed: None, off: false, late: true }),
    }
}

/// A new attempt, whose account is locked.
pub(crate) fn new_attempt(order_id: OrderId, amount: Money, token: Option<String>, next: Next) -> Attempt {
    Attempt {
        id: TransactionId::generate(),
        order_id,
        number: next.number,
        state: State::Open,
        amount,
        attempts_left: next.attempts_left,
        token,
        reference: None,
        reason: None,
        refund: None,
        refused_event: None,
    }
}

/// Begins attempts, each with how it is paid.
pub(crate) fn open(tx: &mut Tx, begun: &[(&Attempt, String)], lease_ms: i64) {
    if begun.is_empty() {
        return;
    }
    tx.write(
        include_str!("store/open_payments.sql"),
        params![
            begun.iter().map(|(attempt, _)| attempt.id.0).collect::<Vec<_>>(),
            begun.iter().map(|(attempt, _)| holder(attempt.order_id)).collect::<Vec<_>>(),
            begun.iter().map(|(attempt, _)| attempt.number).collect::<Vec<_>>(),
            begun.iter().map(|(attempt, _)| attempt.amount.0).collect::<Vec<_>>(),
            begun.iter().map(|(attempt, _)| attempt.attempts_left).collect::<Vec<_>>(),
            begun.iter().map(|(_, method)| method.clone()).collect::<Vec<_>>(),
            begun.iter().map(|(attempt, _)| attempt.token.clone()).collect::<Vec<_>>(),
            lease_ms,
        ],
    );
}

/// Writes the gateway's answers. An attempt that was settled before stays as it is, unless its money is there after all.
pub(crate) fn settle(tx: &mut Tx, attempts: &[Attempt]) {
    if attempts.is_empty() {
        return;
    }
    tx.write(
        include_str!("store/settle_payments.sql"),
        params![
            attempts.iter().map(|attempt| attempt.id.0).collect::<Vec<_>>(),
            attempts.iter().map(|attempt| attempt.state.as_str()).collect::<Vec<_>>(),
            attempts.iter().map(|attempt| attempt.reference.clone()).collect::<Vec<_>>(),
            attempts.iter().map(|attempt| attempt.reason.clone()).collect::<Vec<_>>(),
        ],
    );
}

/// What has become of captured money.
pub(crate) struct Settled {
    pub id: TransactionId,
    pub refund: Refund,
    pub why: Option<String>,
    /// By which event people are told that it is refused.
    pub refused_event: Option<Uuid>,
}

pub(crate) fn settle_refunds(tx: &mut Tx, refunds: Vec<Settled>) {
    if refunds.is_empty() {
        return;
    }
    tx.write(
        include_str!("store/settle_refunds.sql"),
        params![
            refunds.iter().map(|settled| settled.id.0).collect::<Vec<_>>(),
            refunds.iter().map(|settled| settled.refund.as_str()).collect::<Vec<_>>(),
            refunds.iter().map(|settled| settled.refused_event).collect::<Vec<_>>(),
            refunds.into_iter().map(|settled| settled.why).collect::<Vec<_>>(),
        ],
    );
}

/// Whether a callback of this signature was not taken before. That it is taken counts with the commit.
pub(crate) async fn take_callback(tx: &mut Tx, signature: &[u8], keep_s: i64) -> Result<bool, DbError> {
    let taken = tx.query(include_str!("store/take_callback.sql"), &[&signature, &keep_s]).await?;
    Ok(!taken.is_empty())
}

/// Something that must be come back to, after so many milliseconds.
pub(crate) struct FollowUp {
    pub id: TransactionId,
    pub after_ms: i64,
    pub traceparent: Option<String>,
}

pub(crate) fn follow(tx: &mut Tx, follow_ups: Vec<FollowUp>) {
    if follow_ups.is_empty() {
        return;
    }
    let ids: Vec<Uuid> = follow_ups.iter().map(|follow_up| follow_up.id.0).collect();
    let after: Vec<i64> = follow_ups.iter().map(|follow_up| follow_up.after_ms).collect();
    let traces: Vec<Option<String>> = follow_ups.into_iter().map(|follow_up| follow_up.traceparent).collect();
    tx.write(include_str!("store/follow.sql"), params![ids, after, traces]);
}

/// The same for attempts that somebody else has begun, once their time is over.
pub(crate) fn follow_abandoned(tx: &mut Tx, attempts: Vec<(TransactionId, Option<String>)>) {
    if attempts.is_empty() {
        return;
    }
    let (ids, traces): (Vec<Uuid>, Vec<Option<String>>) = attempts.into_iter().map(|(id, trace)| (id.0, trace)).unzip();
    tx.write(include_str!("store/follow_abandoned.sql"), params![ids, traces]);
}

pub(crate) fn unfollow(tx: &mut Tx, ids: Vec<TransactionId>) {
    if !ids.is_empty() {
        tx.write(include_str!("store/unfollow.sql"), params![ids.into_iter().map(|id| id.0).collect::<Vec<_>>()]);
    }
}

/// Something that nobody else looks after while the lease lasts.
pub(crate) struct Claimed {
    pub attempt: Attempt,
    pub tries: i32,
    pub traceparent: Option<String>,
}

/// Takes what is to be looked after now, for so long.
pub(crate) async fn claim(db: &Db, most: i64, lease_ms: i64) -> Result<Vec<Claimed>, DbError> {
    let taken = db.query(include_str!("store/claim.sql"), &[&most, &lease_ms]).await?;
    if taken.is_empty() {
        return Ok(Vec::new());
    }
    let mut follow_ups: HashMap<Uuid, &Row> = HashMap::with_capacity(taken.len());
    for row in &taken {
        follow_ups.insert(row.try_get(0)?, row);
    }
    let ids: Vec<Uuid> = follow_ups.keys().copied().collect();
    let rows = db.query(include_str!("store/read_attempts.sql"), &[&ids]).await?;
    let mut claimed = Vec::with_capacity(rows.len());
    for row in &rows {
        let attempt = attempt(row)?;
        let Some(follow_up) = follow_ups.get(&attempt.id.0) else { continue };
        claimed.push(Claimed { attempt, tries: follow_up.try_get(1)?, traceparent: follow_up.try_get(2)? });
    }
    Ok(claimed)
}
