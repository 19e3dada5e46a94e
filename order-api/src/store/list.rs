//! Pages of orders, the newest first.

use common::{
    db::{Db, DbError},
    ids::{OrderId, UserId},
};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::order::{Order, Status};

/// An order's id says when it was made, by the clock of the process that made it; the row says so by the database's. The
/// two may be so far apart.
const CLOCKS_DIFFER: Duration = Duration::minutes(1);

/// The most orders looked at for one page. No index knows the status of an order, for that changes; so where few have the
/// one that is wanted, a page ends here with those that were found, and the next goes on.
const MOST_LOOKED_AT: i64 = 2_000;

/// Which orders, and how many of them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wanted {
    pub user_id: Option<UserId>,
    pub status: Option<Status>,
    /// Made then or later.
    pub from: Option<OffsetDateTime>,
    /// Only what is older than this one.
    pub before: Option<OrderId>,
    pub limit: u16,
}

pub(crate) struct Page {
    pub orders: Vec<Listed>,
    /// Where the next page begins; `None` if there is no more.
    pub next: Option<OrderId>,
}

pub(crate) struct Listed {
    pub order: Order,
    pub created_at: OffsetDateTime,
}

const OF_ALL: &str = concat!(include_str!("look_at_all.sql"), include_str!("list_orders.sql"));
const OF_ONE_USER: &str = concat!(include_str!("look_at_one_users.sql"), include_str!("list_orders.sql"));

pub(crate) async fn list(db: &Db, wanted: &Wanted) -> Result<Page, DbError> {
    let limit = usize::from(wanted.limit);
    // One more than asked for shows whether there is another page.
    let one_more = i64::from(wanted.limit) + 1;
    let look_at = if wanted.status.is_some() { MOST_LOOKED_AT } else { one_more };
    let before = wanted.before.map_or(Uuid::max(), |id| id.0);
    let not_before = wanted.from.map_or(Uuid::nil(), |from| first_id_of(from.saturating_sub(CLOCKS_DIFFER)));
    let status = wanted.status.map(Status::as_str);
    let rows = match &wanted.user_id {
        None => db.query(OF_ALL, &[&before, &not_before, &look_at, &status, &wanted.from, &one_more]).await?,
        Some(user) => {
            let user = user.as_str();
            db.query(OF_ONE_USER, &[&before, &not_before, &look_at, &status, &wanted.from, &one_more, &user]).await?
        }
    };
    let mut orders = Vec::with_capacity(rows.len());
    let mut looked_to = None;
    for row in &rows {
        if row.try_get::<_, i64>("looked_at")? == look_at {
            looked_to = row.try_get::<_, Option<Uuid>>("last")?.map(OrderId);
        }
        if row.try_get::<_, Option<Uuid>>("id")?.is_some() {
            orders.push(Listed { order: super::order(row)?, created_at: row.try_get("created_at")? });
        }
    }
    let next = if orders.len() > limit {
        orders.truncate(limit);
        orders.last().map(|listed| listed.order.id)
    } else {
        looked_to
    };
    Ok(Page { orders, next })
}

/// No id made at that moment or later is less.
fn first_id_of(moment: OffsetDateTime) -> Uuid {
    let ms = moment.unix_timestamp_nanos() / 1_000_000;
    let ms = u64::try_from(ms.max(0)).unwrap_or(u64::MAX).min((1 << 48) - 1);
    Uuid::from_u128(u128::from(ms) << 80)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ids_of_a_moment_are_neither_before_it_nor_after_the_next() {
        let before = OffsetDateTime::now_utc();
        let id = OrderId::generate().0;
        assert!(first_id_of(before) <= id);
        assert!(first_id_of(before + Duration::minutes(1)) > id);
        assert_eq!(first_id_of(OffsetDateTime::UNIX_EPOCH - Duration::days(1)), Uuid::nil());
    }
}
