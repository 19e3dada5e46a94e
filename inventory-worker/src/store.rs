//! The `inventory` schema: each statement takes a whole batch.
//!
//! Fence first: a row that may be missing is inserted, and whoever was there before is read only then, in a later
//! statement, under lock if it is to change. To take a row that is not there for one that nobody else makes, or to do
//! both in one statement, would miss a release that commits in between. Locks are taken in one order everywhere:
//! reservations, then products, each sorted.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use common::{
    db::{DbError, Params, Tx},
    events::Shortage,
    ids::{OrderId, ProductId},
    params,
};
use serde::{Deserialize, Serialize};
use tokio_postgres::Row;

use crate::reservation::{Quantities, State};

/// Who may decide about an order's reservation.
fn holder(order_id: OrderId) -> String {
    format!("order:{order_id}")
}

/// A reservation as it stands.
#[derive(Debug, Clone)]
pub(crate) struct Reservation {
    pub state: State,
    pub held: Quantities,
    pub shortages: Vec<Shortage>,
}

impl Reservation {
    pub(crate) fn new(state: State) -> Self {
        Self { state, held: Quantities::new(), shortages: Vec::new() }
    }
}

/// One line of a reservation, as it is stored.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Held<Id> {
    product_id: Id,
    quantity: i64,
}

/// What there was before an order's stock was reserved.
pub(crate) struct Before {
    /// The orders that had a reservation, and how it stands.
    pub reservations: HashMap<OrderId, Reservation>,
    /// What can be had of each product. The products are locked.
    pub available: BTreeMap<ProductId, i64>,
}

const INSERT: &str = include_str!("store/insert_reservations.sql");
const INSERT_MISSING: &str =
    concat!(include_str!("store/insert_reservations.sql"), "ON CONFLICT DO NOTHING RETURNING holder");

/// Reserves for each order what it wants, as if there were enough of everything, and then asks what there is. Whoever is
/// new and must do without is to be [rejected](reject). On an ordinary day all are new, and the insert says so by
/// succeeding.
pub(crate) async fn reserve(tx: &mut Tx, wanted: &BTreeMap<OrderId, &Quantities>) -> Result<Before, DbError> {
    let holders: Vec<String> = wanted.keys().map(|order| holder(*order)).collect();
    let lines = wanted.values().map(|quantities| lines(quantities)).collect::<Result<Vec<_>, _>>()?;
    let products: BTreeSet<&str> =
        wanted.values().flat_map(|quantities| quantities.keys().map(ProductId::as_str)).collect();
    let products: Vec<&str> = products.into_iter().collect();
    let products: (&str, Params<'_>) = (include_str!("store/lock_products.sql"), &[&products]);
    let reservations: Params<'_> = &[&holders, &State::Locked.as_str(), &lines];
    let (available, others) = match tx.queries([(INSERT, reservations), products]).await {
        Ok([_, available]) => (available, Vec::new()),
        Err(DbError::Conflict(_)) => {
            tx.start_over().await?;
            let [new, available] = tx.queries([(INSERT_MISSING, reservations), products]).await?;
            (available, without(wanted.keys().copied(), &new)?)
        }
        Err(error) => return Err(error),
    };
    // Read without a lock, for nothing will change them here; and a reservation is never locked after a product.
    let reservations = read(tx, include_str!("store/read_reservations.sql"), &others).await?;
    if reservations.len() < others.len() {
        return Err(DbError::Conflict("a reservation was deleted meanwhile".to_owned()));
    }
    let available = available
        .iter()
        .map(|row| {
            let id: String = row.try_get(0)?;
            Ok((ProductId::try_from(id).map_err(DbError::unexpected)?, row.try_get(1)?))
        })
        .collect::<Result<_, DbError>>()?;
    Ok(Before { reservations, available })
}

/// Leaves a released reservation behind for each order that has none yet, and locks those that were there before.
pub(crate) async fn lock_or_release(
    tx: &mut Tx,
    orders: &BTreeSet<OrderId>,
) -> Result<HashMap<OrderId, Reservation>, DbError> {
    if orders.is_empty() {
        return Ok(HashMap::new());
    }
    let holders: Vec<String> = orders.iter().map(|order| holder(*order)).collect();
    let nothing = vec!["[]"; orders.len()];
    let new = tx.query(INSERT_MISSING, &[&holders, &State::Released.as_str(), &nothing]).await?;
    let others = without(orders.iter().copied(), &new)?;
    let mut reservations = lock(tx, &others).await?;
    for order in orders {
        reservations.entry(*order).or_insert_with(|| Reservation::new(State::Released));
    }
    Ok(reservations)
}

/// The orders whose holder is not among the rows.
fn without(orders: impl ExactSizeIterator<Item = OrderId>, rows: &[Row]) -> Result<Vec<OrderId>, DbError> {
    if rows.len() == orders.len() {
        return Ok(Vec::new());
    }
    let holders: HashSet<&str> = rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
    Ok(orders.filter(|order| !holders.contains(holder(*order).as_str())).collect())
}

/// Locks and reads the reservations that there are of these orders.
pub(crate) async fn lock(tx: &mut Tx, orders: &[OrderId]) -> Result<HashMap<OrderId, Reservation>, DbError> {
    read(tx, include_str!("store/lock_reservations.sql"), orders).await
}

async fn read(tx: &mut Tx, sql: &str, orders: &[OrderId]) -> Result<HashMap<OrderId, Reservation>, DbError> {
    if orders.is_empty() {
        return Ok(HashMap::new());
    }
    let holders: HashMap<String, OrderId> = orders.iter().map(|order| (holder(*order), *order)).collect();
    let rows = tx.query(sql, &[&holders.keys().collect::<Vec<_>>()]).await?;
    let mut reservations = HashMap::with_capacity(rows.len());
    for row in &rows {
        if let Some(order) = holders.get(row.try_get::<_, &str>(0)?) {
            reservations.insert(*order, reservation(row)?);
        }
    }
    Ok(reservations)
}

fn reservation(row: &Row) -> Result<Reservation, DbError> {
    let state: &str = row.try_get(1)?;
    let held: Vec<Held<ProductId>> = serde_json::from_str(row.try_get(2)?).map_err(DbError::unexpected)?;
    let shortages =
        row.try_get::<_, Option<&str>>(3)?.map(serde_json::from_str).transpose().map_err(DbError::unexpected)?;
    Ok(Reservation {
        state: state.parse().map_err(DbError::unexpected)?,
        held: held.into_iter().map(|held| (held.product_id, held.quantity)).collect(),
        shortages: shortages.unwrap_or_default(),
    })
}

fn lines(quantities: &Quantities) -> Result<String, DbError> {
    let held = quantities.iter().map(|(product_id, quantity)| Held { product_id, quantity: *quantity });
    serde_json::to_string(&held.collect::<Vec<_>>()).map_err(DbError::unexpected)
}

/// Takes back what [`reserve`] has reserved for those for whom there was not enough.
pub(crate) fn reject(tx: &mut Tx, rejected: &[(OrderId, Vec<Shortage>)]) -> Result<(), DbError> {
    if rejected.is_empty() {
        return Ok(());
    }
    let shortages: Vec<String> = rejected
        .iter()
        .map(|(_, shortages)| serde_json::to_string(shortages))
        .collect::<Result<_, _>>()
        .map_err(DbError::unexpected)?;
    let holders: Vec<String> = rejected.iter().map(|(order, _)| holder(*order)).collect();
    tx.write(include_str!("store/reject_reservations.sql"), params![holders, shortages]);
    Ok(())
}

/// Writes what has become of reservations.
pub(crate) fn settle(tx: &mut Tx, changed: &BTreeMap<OrderId, State>) {
    if changed.is_empty() {
        return;
    }
    tx.write(
        include_str!("store/settle_reservations.sql"),
        params![
            changed.keys().map(|order| holder(*order)).collect::<Vec<_>>(),
            changed.values().map(|state| state.as_str()).collect::<Vec<_>>(),
        ],
    );
}

/// Moves stock: so much more (or less) on hand and reserved, per product.
pub(crate) fn move_stock(tx: &mut Tx, moves: &BTreeMap<ProductId, Move>) {
    if moves.is_empty() {
        return;
    }
    tx.write(
        include_str!("store/move_stock.sql"),
        params![
            moves.keys().map(ToString::to_string).collect::<Vec<_>>(),
            moves.values().map(|m| m.on_hand).collect::<Vec<_>>(),
            moves.values().map(|m| m.reserved).collect::<Vec<_>>(),
        ],
    );
}

/// By how much a product's stock changes.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Move {
    pub on_hand: i64,
    pub reserved: i64,
}
