//! Single products: what there is of them, and who has changed that.

use common::{
    db::{Db, DbError, Tx},
    ids::{ProductId, UserId},
    params,
};
use tokio_postgres::Row;

use crate::stock::Counted;

/// What there is of a product, if there is such a product.
pub(crate) async fn find(db: &Db, id: &ProductId) -> Result<Option<Counted>, DbError> {
    let sql = "SELECT on_hand, reserved FROM products WHERE product_id = $1";
    db.query(sql, &[&id.as_str()]).await?.first().map(counted).transpose()
}

/// What there is of a product, which is then locked.
pub(crate) async fn lock(tx: &mut Tx, id: &ProductId) -> Result<Option<Counted>, DbError> {
    tx.query(LOCK, &[&id.as_str()]).await?.first().map(counted).transpose()
}

/// The same, but that a product that was unknown is known from now on. Says whether it was known.
pub(crate) async fn lock_or_add(tx: &mut Tx, id: &ProductId) -> Result<(Counted, bool), DbError> {
    let add = "INSERT INTO products (product_id, on_hand) VALUES ($1, 0) ON CONFLICT DO NOTHING RETURNING product_id";
    let [new, there] = tx.queries([(add, &[&id.as_str()]), (LOCK, &[&id.as_str()])]).await?;
    let there = there.first().ok_or_else(|| DbError::unexpected("a product is not there that was just added"))?;
    Ok((counted(there)?, new.is_empty()))
}

const LOCK: &str = "SELECT on_hand, reserved FROM products WHERE product_id = $1 FOR UPDATE";

fn counted(row: &Row) -> Result<Counted, DbError> {
    Ok(Counted { on_hand: row.try_get(0)?, reserved: row.try_get(1)? })
}

/// A change of stock, as it is remembered.
pub(crate) struct Audit<'a> {
    pub id: &'a ProductId,
    /// None if there was no such product.
    pub before: Option<i64>,
    pub after: i64,
    pub by: &'a UserId,
    pub reason: String,
}

/// Writes what there is of a product from now on, and who says so and why.
pub(crate) fn set(tx: &mut Tx, Audit { id, before, after, by, reason }: Audit<'_>) {
    tx.write("UPDATE products SET on_hand = $2 WHERE product_id = $1", params![id.to_string(), after]);
    tx.write(
        "INSERT INTO stock_audit (product_id, by_user, before, after, reason) VALUES ($1, $2, $3, $4, $5)",
        params![id.to_string(), by.to_string(), before, after, reason],
    );
}
