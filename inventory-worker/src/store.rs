//! The `inventory` schema: each statement takes a whole batch.
//!
//! Fence first: a row that may be missing is inserted, and whoever was there before is read under lock only then, in a
//! later statement. To take a row that is not there for one that nobody else makes, or to do both in one statement,
//! would miss a release that commits in between. Locks are taken in one order everywhere: reservations, then products,
//! each sorted.

use std::collections::{BTreeMap, HashMap, HashSet};

use common::{
    db::{DbError, Tx},
    events::Shortage,
    ids::{OrderId, ProductId},
    params,
};
use serde::{Deserialize, Serialize};
use tokio_postgres::Row;

use crate::reservation::{Quantities, State};

/// Who may decide about an order's reservation.
pub(crate) fn holder(order_id: OrderId) -> String {
    format!("order:{order_id}")
}

/// A reservation as it stands.
#[derive(Debug, Clone)]
pub(crate) struct Reservation {
    pub state: State,
    pub held: Quantities,
    pub shortages: Vec<Shortage>,
}

/// One line of a reservation, as it is stored.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Held {
    product_id: ProductId,
    quantity: i64,
}

/// Reserves for each holder what it wants, as if there were enough of everything. Returns the holders for whom that is
/// new, of which those that must do without are to be [rejected](reject), and the others' reservations as they stand.
pub(crate) async fn lock_or_insert(
    tx: &mut Tx,
    wanted: &BTreeMap<String, &Quantities>,
) -> Result<(HashSet<String>, HashMap<String, Reservation>), DbError> {
    let lines = wanted.values().map(|quantities| lines(quantities)).collect::<Result<Vec<_>, _>>()?;
    let new = insert(tx, &wanted.keys().collect::<Vec<_>>(), State::Locked, &lines).await?;
    let others: Vec<&String> = wanted.keys().filter(|holder| !new.contains(*holder)).collect();
    let reservations = lock(tx, &others).await?;
    Ok((new, reservations))
}

/// Leaves a released reservation behind for each holder that has none yet, and locks those that were there before.
/// `holders` must be sorted.
pub(crate) async fn lock_or_release(tx: &mut Tx, holders: &[String]) -> Result<HashMap<String, Reservation>, DbError> {
    if holders.is_empty() {
        return Ok(HashMap::new());
    }
    let nothing = vec!["[]".to_owned(); holders.len()];
    let new = insert(tx, &holders.iter().collect::<Vec<_>>(), State::Released, &nothing).await?;
    let others: Vec<&String> = holders.iter().filter(|holder| !new.contains(*holder)).collect();
    let mut reservations = lock(tx, &others).await?;
    let released = || Reservation { state: State::Released, held: Quantities::new(), shortages: Vec::new() };
    reservations.extend(new.into_iter().map(|holder| (holder, released())));
    Ok(reservations)
}

/// Inserts what is not there yet, and says for which holders. Rows that are new are ours already.
async fn insert(tx: &mut Tx, holders: &[&String], state: State, lines: &[String]) -> Result<HashSet<String>, DbError> {
    let states = vec![state.as_str(); holders.len()];
    let new = tx.query(include_str!("store/insert_reservations.sql"), &[&holders, &states, &lines]).await?;
    Ok(new.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?)
}

/// Locks and reads the reservations that there are. `holders` must be sorted.
pub(crate) async fn lock(tx: &mut Tx, holders: &[&String]) -> Result<HashMap<String, Reservation>, DbError> {
    if holders.is_empty() {
        return Ok(HashMap::new());
    }
    let rows = tx.query(include_str!("store/lock_reservations.sql"), &[&holders]).await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, reservation(row)?))).collect()
}

fn reservation(row: &Row) -> Result<Reservation, DbError> {
    let state: &str = row.try_get(1)?;
    let held: Vec<Held> = serde_json::from_str(row.try_get(2)?).map_err(DbError::unexpected)?;
    let shortages =
        row.try_get::<_, Option<&str>>(3)?.map(serde_json::from_str).transpose().map_err(DbError::unexpected)?;
    Ok(Reservation {
        state: state.parse().map_err(DbError::unexpected)?,
        held: held.into_iter().map(|held| (held.product_id, held.quantity)).collect(),
        shortages: shortages.unwrap_or_default(),
    })
}

fn lines(quantities: &Quantities) -> Result<String, DbError> {
    let held =
        quantities.iter().map(|(product_id, quantity)| Held { product_id: product_id.clone(), quantity: *quantity });
    serde_json::to_string(&held.collect::<Vec<_>>()).map_err(DbError::unexpected)
}

/// Locks the products and says what is available of each. `products` must be sorted.
pub(crate) async fn available(tx: &mut Tx, products: &[String]) -> Result<BTreeMap<ProductId, i64>, DbError> {
    let rows = tx
        .query(
            "SELECT product_id, on_hand - reserved FROM products WHERE product_id = ANY ($1) ORDER BY product_id FOR UPDATE",
            &[&products],
        )
        .await?;
    rows.iter()
        .map(|row| {
            let id: String = row.try_get(0)?;
            Ok((ProductId::try_from(id).map_err(DbError::unexpected)?, row.try_get(1)?))
        })
        .collect()
}

/// Takes back what [`lock_or_insert`] has reserved for those for whom there was not enough.
pub(crate) fn reject(tx: &mut Tx, rejected: &[(String, Vec<Shortage>)]) -> Result<(), DbError> {
    if rejected.is_empty() {
        return Ok(());
    }
    let shortages: Vec<String> = rejected
        .iter()
        .map(|(_, shortages)| serde_json::to_string(shortages))
        .collect::<Result<_, _>>()
        .map_err(DbError::unexpected)?;
    let holders: Vec<String> = rejected.iter().map(|(holder, _)| holder.clone()).collect();
    tx.write(include_str!("store/reject_reservations.sql"), params![holders, shortages]);
    Ok(())
}

/// Writes what has become of reservations.
pub(crate) fn settle(tx: &mut Tx, changed: &BTreeMap<String, State>) {
    if changed.is_empty() {
        return;
    }
    tx.write(
        include_str!("store/settle_reservations.sql"),
        params![
            changed.keys().cloned().collect::<Vec<_>>(),
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
