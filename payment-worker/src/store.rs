//! The `payments` schema: each statement takes a whole batch.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
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

impl Payment {
    /// A first attempt, of which nothing is known yet.
    fn opened(id: TransactionId, amount: Money) -> Self {
        Self { id, attempt: 1, state: State::Open, amount, reference: None, reason: None }
    }
}

fn holder(order_id: OrderId) -> String {
    format!("order:{order_id}")
}

const OPEN: &str = include_str!("store/open_payments.sql");
/// Whatever attempt there is, there is a first one: that key decides, and the others need not be searched.
const OPEN_MISSING: &str =
    concat!(include_str!("store/open_payments.sql"), "ON CONFLICT (holder, attempt) DO NOTHING RETURNING id");

/// Opens the first attempt of each order that has none, and returns the latest attempt of every one. An attempt that is
/// new stands, whatever becomes of the transaction; the others are locked.
///
/// On an ordinary day all are new, and the insert says so by succeeding. Where one is not, the fence comes first: an
/// insert of what is missing, and only then a read, which so sees what others have committed.
pub(crate) async fn open_first_attempts(
    tx: &mut Tx,
    wanted: &BTreeMap<OrderId, &OrderPaymentDue>,
) -> Result<HashMap<OrderId, Payment>, DbError> {
    let holders: Vec<String> = wanted.keys().map(|id| holder(*id)).collect();
    let ids: Vec<Uuid> = holders.iter().map(|_| TransactionId::generate().0).collect();
    let amounts: Vec<i64> = wanted.values().map(|due| due.amount.0).collect();
    let noted = tx.note(OPEN, &[&ids, &holders, &amounts]).await;
    let mut payments: HashMap<OrderId, Payment> = wanted
        .iter()
        .zip(&ids)
        .map(|((id, due), own)| (*id, Payment::opened(TransactionId(*own), due.amount)))
        .collect();
    match noted {
        Ok(()) => return Ok(payments),
        Err(DbError::Conflict(_)) => {}
        Err(error) => return Err(error),
    }
    let new = tx.query(OPEN_MISSING, &[&ids, &holders, &amounts]).await?;
    let new: HashSet<Uuid> = new.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
    payments.retain(|_, payment| new.contains(&payment.id.0));
    let others: HashMap<&str, OrderId> = wanted
        .keys()
        .zip(&holders)
        .filter(|(id, _)| !payments.contains_key(id))
        .map(|(id, holder)| (holder.as_str(), *id))
        .collect();
    if others.is_empty() {
        return Ok(payments);
    }
    for row in &tx.query(include_str!("store/lock_payments.sql"), &[&others.keys().collect::<Vec<_>>()]).await? {
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
        if let Some(id) = others.get(holder) {
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
