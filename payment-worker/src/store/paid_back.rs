//! What was paid back by hand: noted once, and never changed.

use common::{
    db::{DbError, Tx},
    ids::{TransactionId, UserId},
    params,
};
use time::OffsetDateTime;
use tokio_postgres::Row;

/// Who has paid it back, when, and by which reference it can be found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PaidBack {
    pub account: String,
    pub note: String,
    pub at: OffsetDateTime,
}

impl PaidBack {
    fn read(row: &Row) -> Result<Self, DbError> {
        Ok(Self { account: row.try_get(0)?, note: row.try_get(1)?, at: row.try_get(2)? })
    }
}

pub(crate) async fn find_paid_back(tx: &mut Tx, id: TransactionId) -> Result<Option<PaidBack>, DbError> {
    let rows = tx.query(include_str!("find_paid_back.sql"), &[&id.0]).await?;
    rows.first().map(PaidBack::read).transpose()
}

/// Of a payment that is locked, and for which there is no such note yet.
pub(crate) async fn pay_back(
    tx: &mut Tx,
    id: TransactionId,
    account: &UserId,
    note: &str,
) -> Result<PaidBack, DbError> {
    let rows = tx.query(include_str!("note_paid_back.sql"), &[&id.0, &account.as_str(), &note]).await?;
    tx.write(include_str!("pay_back.sql"), params![id.0]);
    rows.first().map(PaidBack::read).transpose()?.ok_or_else(|| DbError::unexpected("a note that was not returned"))
}
