//! The `inventory` schema: each statement takes a whole batch.
//!
//! Fence first: a row that may be missing is inserted, and whoever was there before is read only then, in a later
//! statement, under lock. To take a row that is not there for one that nobody else makes, or to do both in one statement,
//! would miss a release that commits in between. Locks are taken in one order everywhere: reservations, then products,
//! each sorted.

pub(crate) mod products;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use common::{
    db::{DbError, Params, Tx},
    events::Shortage,
    ids::{OrderId, ProductId},
    params,
};
use serde::{Deserialize, Serialize};
use tokio_postgres::Row;

use crate::reservation::{Move, Quantities, Standing};

/// Who may decide about an order's reservation.
fn holder(order_id: OrderId) -> String {
    format!("order:{order_id}")
}

/// A reservation as it stands.
#[derive(Debug, Clone)]
pub(crate) struct Reservation {
    pub standing: Standing,
    pub held: Quantities,
    pub shortages: Vec<Shortage>,
}

impl Reservation {
    pub(crate) fn new(standing: Standing) -> Self {
        Self { standing, held: Quantities::new(), shortages: Vec::new() }
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
    /// The orders that had a reservation, and how it stands. They are locked.
    pub reservations: HashMap<OrderId, Reservation>,
    /// What can be had of each product that is wanted, or held provisionally. The products are locked.
    pub available: BTreeMap<ProductId, i64>,
}

const INSERT: &str = include_str!("store/insert_reservations.sql");
const INSERT_MISSING: &str =
    concat!(include_str!("store/insert_reservations.sql"), "ON CONFLICT DO NOTHING RETURNING holder");
const LOCK: &str = include_str!("store/lock_reservations.sql");
const LOCK_PRODUCTS: &str = include_str!("store/lock_products.sql");

/// Reserves for each order what it wants, as if there were enough of everything, and then asks what there is. Whoever is
/// new and must do without is to be [rejected](reject). On an ordinary day all are new, and the insert says so by
/// succeeding. Where the orders may not exist, their holds are provisional, for so long.
pub(crate) async fn reserve(
    tx: &mut Tx,
    wanted: &BTreeMap<OrderId, &Quantities>,
    expires_ms: Option<i64>,
) -> Result<Before, DbError> {
    let holders: Vec<String> = wanted.keys().map(|order| holder(*order)).collect();
    let lines = wanted.values().map(|quantities| lines(quantities)).collect::<Result<Vec<_>, _>>()?;
    let mut products: BTreeSet<&str> = wanted.values().flat_map(|quantities| names(quantities)).collect();
    let reservations: Params<'_> = &[&holders, &lines, &expires_ms];
    match tx.queries([(INSERT, reservations), (LOCK_PRODUCTS, &[&Vec::from_iter(products.iter().copied())])]).await {
        Ok([_, available]) => {
            return Ok(Before { reservations: HashMap::new(), available: quantities_of(&available)? });
        }
        Err(DbError::Conflict(_)) => tx.start_over().await?,
        Err(error) => return Err(error),
    }
    let [new, all] = tx.queries([(INSERT_MISSING, reservations), (LOCK, &[&holders])]).await?;
    let mut reservations = read(wanted.keys().copied(), &all)?;
    if reservations.len() < wanted.len() {
        return Err(DbError::Conflict("a reservation expired meanwhile".to_owned()));
    }
    let others: HashSet<OrderId> = without(wanted.keys().copied(), &new)?.into_iter().collect();
    reservations.retain(|order, _| others.contains(order));
    let provisional = reservations.values().filter(|reservation| reservation.standing.is_provisional);
    products.extend(provisional.flat_map(|reservation| names(&reservation.held)));
    let available = tx.query(LOCK_PRODUCTS, &[&Vec::from_iter(products.iter().copied())]).await?;
    Ok(Before { available: quantities_of(&available)?, reservations })
}

fn names(quantities: &Quantities) -> impl Iterator<Item = &str> {
    quantities.keys().map(ProductId::as_str)
}

fn quantities_of(rows: &[Row]) -> Result<BTreeMap<ProductId, i64>, DbError> {
    let one = |row: &Row| {
        let id: String = row.try_get(0)?;
        Ok((ProductId::try_from(id).map_err(DbError::unexpected)?, row.try_get(1)?))
    };
    rows.iter().map(one).collect()
}

/// Leaves a released reservation behind for each order that has none yet, and locks those that were there before.
pub(crate) async fn lock_or_release(
    tx: &mut Tx,
    fences: &BTreeMap<OrderId, Standing>,
) -> Result<HashMap<OrderId, Reservation>, DbError> {
    if fences.is_empty() {
        return Ok(HashMap::new());
    }
    let holders: Vec<String> = fences.keys().map(|order| holder(*order)).collect();
    let versions: Vec<i32> = fences.values().map(|fence| fence.version).collect();
    let new = tx.query(include_str!("store/insert_released.sql"), &[&holders, &versions]).await?;
    let others = without(fences.keys().copied(), &new)?;
    let mut reservations = lock(tx, &others).await?;
    if reservations.len() < others.len() {
        return Err(DbError::Conflict("a reservation expired meanwhile".to_owned()));
    }
    for (order, fence) in fences {
        reservations.entry(*order).or_insert_with(|| Reservation::new(*fence));
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
    if orders.is_empty() {
        return Ok(HashMap::new());
    }
    let holders: Vec<String> = orders.iter().map(|order| holder(*order)).collect();
    let rows = tx.query(LOCK, &[&holders]).await?;
    read(orders.iter().copied(), &rows)
}

fn read(orders: impl Iterator<Item = OrderId>, rows: &[Row]) -> Result<HashMap<OrderId, Reservation>, DbError> {
    let holders: HashMap<String, OrderId> = orders.map(|order| (holder(order), order)).collect();
    let mut reservations = HashMap::with_capacity(rows.len());
    for row in rows {
        if let Some(order) = holders.get(row.try_get::<_, &str>(0)?) {
            reservations.insert(*order, reservation(row)?);
        }
    }
    Ok(reservations)
}

fn reservation(row: &Row) -> Result<Reservation, DbError> {
    let state: &str = row.try_get(1)?;
    let shortages =
        row.try_get::<_, Option<&str>>(3)?.map(serde_json::from_str).transpose().map_err(DbError::unexpected)?;
    Ok(Reservation {
        standing: Standing {
            state: state.parse().map_err(DbError::unexpected)?,
            version: row.try_get(4)?,
            is_provisional: row.try_get(5)?,
        },
        held: held(row.try_get(2)?)?,
        shortages: shortages.unwrap_or_default(),
    })
}

fn held(lines: &str) -> Result<Quantities, DbError> {
    let held: Vec<Held<ProductId>> = serde_json::from_str(lines).map_err(DbError::unexpected)?;
    Ok(held.into_iter().map(|held| (held.product_id, held.quantity)).collect())
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

/// Makes provisional holds the orders' own, which hold what they want.
pub(crate) fn adopt(tx: &mut Tx, adopted: &[(OrderId, &Quantities)]) -> Result<(), DbError> {
    if adopted.is_empty() {
        return Ok(());
    }
    let lines = adopted.iter().map(|(_, quantities)| lines(quantities)).collect::<Result<Vec<_>, _>>()?;
    let holders: Vec<String> = adopted.iter().map(|(order, _)| holder(*order)).collect();
    tx.write(include_str!("store/adopt_reservations.sql"), params![holders, lines]);
    Ok(())
}

/// Lets a provisional hold, if it is one, last for so long from now.
pub(crate) fn renew(tx: &mut Tx, order_id: OrderId, expires_ms: i64) {
    let sql = "UPDATE reservations SET expires_at = now() + $2::bigint * interval '1 millisecond'
               WHERE holder = $1 AND expires_at IS NOT NULL";
    tx.write(sql, params![holder(order_id), expires_ms]);
}

/// Takes away up to so many provisional holds that no order has adopted in time. What each of them held is to be given
/// back.
pub(crate) async fn take_expired(tx: &mut Tx, most: i64) -> Result<Vec<Quantities>, DbError> {
    let rows = tx.query(include_str!("store/take_expired.sql"), &[&most]).await?;
    rows.iter().map(|row| held(row.try_get(0)?)).collect()
}

/// Writes what has become of reservations.
pub(crate) fn settle(tx: &mut Tx, changed: &BTreeMap<OrderId, Standing>) {
    if changed.is_empty() {
        return;
    }
    tx.write(
        include_str!("store/settle_reservations.sql"),
        params![
            changed.keys().map(|order| holder(*order)).collect::<Vec<_>>(),
            changed.values().map(|standing| standing.state.as_str()).collect::<Vec<_>>(),
            changed.values().map(|standing| standing.version).collect::<Vec<_>>(),
        ],
    );
}

/// Moves stock: so much more (or less) on hand and reserved, per product.
pub(crate) fn move_stock(tx: &mut Tx, mut moves: BTreeMap<ProductId, Move>) {
    moves.retain(|_, product| *product != Move::default());
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
