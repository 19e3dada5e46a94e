//! How customers pay unless they say otherwise.

use common::{
    db::{Db, DbError},
    ids::UserId,
};

use crate::gateway::StoredMethod;

pub(crate) async fn put_method(db: &Db, user: &UserId, method: &StoredMethod) -> Result<(), DbError> {
    let StoredMethod { token, brand, last4, exp_month, exp_year } = method;
    let params: common::db::Params<'_> = &[&user.as_str(), token, brand, last4, exp_month, exp_year];
    db.execute(include_str!("put_method.sql"), params).await.map(|_| ())
}

pub(crate) async fn find_method(db: &Db, user: &UserId) -> Result<Option<StoredMethod>, DbError> {
    let rows = db.query(include_str!("find_method.sql"), &[&user.as_str()]).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    Ok(Some(StoredMethod {
        token: row.try_get(0)?,
        brand: row.try_get(1)?,
        last4: row.try_get(2)?,
        exp_month: row.try_get(3)?,
        exp_year: row.try_get(4)?,
    }))
}

/// Whether there was one.
pub(crate) async fn delete_method(db: &Db, user: &UserId) -> Result<bool, DbError> {
    db.execute("DELETE FROM methods WHERE user_id = $1", &[&user.as_str()]).await.map(|rows| rows > 0)
}
