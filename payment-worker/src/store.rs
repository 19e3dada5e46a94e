//! The `payments` schema: each statement takes a whole batch.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    str::FromStr,
};

use common::{
    db::{DbError, Tx},
    events::OrderPaymentDue,
    ids::{OrderId, TransactionId},
    money::Money,
    params,
};
use uuid::Uuid;

/// How an attempt stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// The gateway has been or is about to be asked.
    Open,
    Captured,
    Declined,
}

impl State {
    fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Captured => "captured",
            Self::Declined => "declined",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for State {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        [Self::Open, Self::Captured, Self::Declined]
            .into_iter()
            .find(|state| state.as_str() == name)
            .ok_or_else(|| format!("{name:?} is not the state of a payment"))
    }
}

/// One attempt to capture the money for an order.
#[derive(Debug, Clone)]
pub(crate) struct Payment {
    pub id: TransactionId,
    pub attempt: i32,
    pub state: State,
    pub amount: Money,
    pub reference: Option<String>,
    pub reason: Option<String>,
}

fn holder(order_id: OrderId) -> String {
    format!("order:{order_id}")
}

/// Opens the first attempt of each order that has none, and locks and returns the latest attempt of every one.
///
/// Fence first: the insert is a statement of its own, so the read that follows sees what others have committed. Rows
/// that are new are ours already, and on an ordinary day there are no others.
pub(crate) async fn open_first_attempts(
    tx: &mut Tx,
    wanted: &HashMap<OrderId, &OrderPaymentDue>,
) -> Result<HashMap<OrderId, Payment>, DbError> {
    let mut orders: Vec<(String, OrderId, Money)> =
        wanted.iter().map(|(id, due)| (holder(*id), *id, due.amount)).collect();
    orders.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    let ids: Vec<Uuid> = orders.iter().map(|_| TransactionId::generate().0).collect();
    let holders: Vec<&str> = orders.iter().map(|(holder, ..)| holder.as_str()).collect();
    let amounts: Vec<i64> = orders.iter().map(|(_, _, amount)| amount.0).collect();
    let mut rows = tx.query(include_str!("store/open_payments.sql"), &[&ids, &holders, &amounts]).await?;
    if rows.len() < orders.len() {
        let new: HashSet<&str> = rows.iter().map(|row| row.try_get("holder")).collect::<Result<_, _>>()?;
        let others: Vec<&str> = holders.iter().copied().filter(|holder| !new.contains(holder)).collect();
        let found = tx.query(include_str!("store/lock_payments.sql"), &[&others]).await?;
        rows.extend(found);
    }
    let ids: HashMap<&str, OrderId> = orders.iter().map(|(holder, id, _)| (holder.as_str(), *id)).collect();
    let mut payments = HashMap::with_capacity(rows.len());
    for row in &rows {
        let holder: &str = row.try_get("holder")?;
        let state: &str = row.try_get("state")?;
        let payment = Payment {
            id: TransactionId(row.try_get("id")?),
            attempt: row.try_get("attempt")?,
            state: state.parse().map_err(DbError::unexpected)?,
            amount: Money(row.try_get("amount")?),
            reference: row.try_get("gateway_reference")?,
            reason: row.try_get("reason")?,
        };
        if let Some(id) = ids.get(holder) {
            // The rows come oldest attempt first: the latest one stays.
            payments.insert(*id, payment);
        }
    }
    Ok(payments)
}

/// Writes the gateway's answers. An attempt that was settled before stays as it is.
pub(crate) fn settle(tx: &mut Tx, payments: &[Payment]) {
    if payments.is_empty() {
        return;
    }
    tx.write(
        include_str!("store/settle_payments.sql"),
        params![
            payments.iter().map(|payment| payment.id.0).collect::<Vec<_>>(),
            payments.iter().map(|payment| payment.state.as_str()).collect::<Vec<_>>(),
            payments.iter().map(|payment| payment.reference.clone()).collect::<Vec<_>>(),
            payments.iter().map(|payment| payment.reason.clone()).collect::<Vec<_>>(),
        ],
    );
}
