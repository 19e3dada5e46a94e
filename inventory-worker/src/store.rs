//! The `inventory` schema: each statement takes a whole batch.
//!
//! Fence first: the rows of a batch are inserted (or found) and only then, in a later statement, read under lock.
//! Reading first, or doing both in one statement, would miss a release that commits in between. Locks are taken in one
//! order everywhere: reservations, then products, each sorted.

use std::collections::{BTreeMap, HashMap};

use common::{
    db::{DbError, Tx},
    events::Shortage,
    ids::{OrderId, ProductId},
    params,
};
use serde::{Deserialize, Serialize};

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

/// Makes sure that each holder has a reservation, and locks them all. `holders` must be sorted. Rows that are new are
/// ours already.
pub(crate) async fn fence(tx: &Tx, holders: &[String]) -> Result<HashMap<String, Reservation>, DbError> {
    let new = tx.query(include_str!("store/insert_reservations.sql"), &[&holders]).await?;
    let mut reservations = HashMap::with_capacity(holders.len());
    for row in &new {
        let reservation = Reservation { state: State::Requested, held: Quantities::new(), shortages: Vec::new() };
        reservations.insert(row.try_get(0)?, reservation);
    }
    let others: Vec<&String> = holders.iter().filter(|holder| !reservations.contains_key(*holder)).collect();
    if others.is_empty() {
        return Ok(reservations);
    }
    for row in tx.query(include_str!("store/lock_reservations.sql"), &[&others]).await? {
        let state: &str = row.try_get(1)?;
        let held: Vec<Held> = serde_json::from_str(row.try_get(2)?).map_err(DbError::unexpected)?;
        let shortages =
            row.try_get::<_, Option<&str>>(3)?.map(serde_json::from_str).transpose().map_err(DbError::unexpected)?;
        reservations.insert(
            row.try_get(0)?,
            Reservation {
                state: state.parse().map_err(DbError::unexpected)?,
                held: held.into_iter().map(|held| (held.product_id, held.quantity)).collect(),
                shortages: shortages.unwrap_or_default(),
            },
        );
    }
    Ok(reservations)
}

/// Locks the products and says what is available of each. `products` must be sorted.
pub(crate) async fn available(tx: &Tx, products: &[String]) -> Result<BTreeMap<ProductId, i64>, DbError> {
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

/// Writes what the reservations of a batch have become.
pub(crate) async fn record(tx: &mut Tx, changed: &HashMap<String, Reservation>) -> Result<(), DbError> {
    if changed.is_empty() {
        return Ok(());
    }
    let mut lines = Vec::with_capacity(changed.len());
    let mut shortages = Vec::with_capacity(changed.len());
    for reservation in changed.values() {
        let held: Vec<Held> = reservation
            .held
            .iter()
            .map(|(product_id, quantity)| Held { product_id: product_id.clone(), quantity: *quantity })
            .collect();
        lines.push(serde_json::to_string(&held).map_err(DbError::unexpected)?);
        let short = (!reservation.shortages.is_empty()).then(|| serde_json::to_string(&reservation.shortages));
        shortages.push(short.transpose().map_err(DbError::unexpected)?);
    }
    tx.write(
        include_str!("store/update_reservations.sql"),
        params![
            changed.keys().cloned().collect::<Vec<_>>(),
            changed.values().map(|reservation| reservation.state.as_str()).collect::<Vec<_>>(),
            lines,
            shortages,
        ],
    )
    .await
}

/// Moves stock: so much more (or less) on hand and reserved, per product.
pub(crate) async fn move_stock(tx: &mut Tx, moves: &BTreeMap<ProductId, Move>) -> Result<(), DbError> {
    if moves.is_empty() {
        return Ok(());
    }
    tx.write(
        include_str!("store/move_stock.sql"),
        params![
            moves.keys().map(ToString::to_string).collect::<Vec<_>>(),
            moves.values().map(|m| m.on_hand).collect::<Vec<_>>(),
            moves.values().map(|m| m.reserved).collect::<Vec<_>>(),
        ],
    )
    .await
}

/// By how much a product's stock changes.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Move {
    pub on_hand: i64,
    pub reserved: i64,
}
