//! Finding letters.

use std::{fmt, str::FromStr};

use common::db::{DbError, Tx};
use serde::Serialize;
use time::OffsetDateTime;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use crate::{
    Console, LetterLine, Query, Refusal,
    letter::line_columns,
    query::{Condition, Node, Test},
};

/// Where a page ends and the next one begins. It prints to, and is read from, a text for URLs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    pub died_at: OffsetDateTime,
    pub id: Uuid,
}

/// One page of what was found, the newest first.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Page {
    pub letters: Vec<LetterLine>,
    /// How many there are in all, where that is quick to tell.
    pub total: Option<i64>,
    /// Where the next page begins, as a text; none after the last. A page can be short, or empty, with another after it:
    /// then so many letters were looked at that it is better to say so than to let somebody wait.
    pub next: Option<String>,
}

/// So many are found by index and sorted; if there are more, it is quicker to go through the letters in their order.
const SORTED_MOST: i64 = 2_000;
/// So many letters are looked at for one page.
pub(crate) const LOOKED_AT_MOST: i64 = 20_000;
const PAGE_MOST: usize = 200;

impl Console {
    /// One page of the letters that `query` finds, of at most `limit` (1 to 200).
    pub async fn search(&self, query: &Query, after: Option<Cursor>, limit: usize) -> Result<Page, Refusal> {
        let limit = limit.clamp(1, PAGE_MOST);
        if let Some(page) = self.search_by_index(query, after, limit).await? {
            return Ok(page);
        }
        self.search_in_order(query, after, limit).await
    }

    /// What few letters have is found in an index at once, and that there is nothing as well. `None` if it cannot be, or
    /// where that leads to many letters, whatever else must be met by them.
    async fn search_by_index(
        &self,
        query: &Query,
        after: Option<Cursor>,
        limit: usize,
    ) -> Result<Option<Page>, Refusal> {
        let condition = Condition::new(query, 4);
        let Some((way, more)) = condition.with_way() else { return Ok(None) };
        let sql = format!(
            "WITH near AS MATERIALIZED (
                SELECT * FROM letters AS l WHERE {way} LIMIT {}
             ), found AS MATERIALIZED (
                SELECT {} FROM near AS l WHERE {}
             )
             SELECT page.*, (SELECT count(*) FROM found), (SELECT count(*) FROM near)
             FROM (SELECT) AS one LEFT JOIN LATERAL (
                SELECT * FROM found WHERE $2::timestamptz IS NULL OR (died_at, id) < ($2, $3::uuid)
                ORDER BY died_at DESC, id DESC LIMIT $4
             ) AS page ON true",
            SORTED_MOST + 1,
            line_columns!(),
            condition.sql,
        );
        let (late, page) = (self.late(), rows_for(limit));
        let (died_at, id) = after.map(|cursor| (cursor.died_at, cursor.id)).unzip();
        let mut params: Vec<&(dyn ToSql + Sync)> = vec![&late, &died_at, &id, &page];
        params.extend(more.map(|param| param.as_ref() as &(dyn ToSql + Sync)));
        let mut tx = self.db().begin().await?;
        let [_, rows] = tx.queries([(BY_INDEX, &[]), (&sql, &params)]).await?;
        tx.commit().await?;
        let count = |column| rows.first().map_or(Ok(0), |row| row.try_get::<_, i64>(column));
        let (total, near) = (count(22)?, count(23)?);
        if near > SORTED_MOST {
            return Ok(None);
        }
        let lines = rows.iter().filter(|row| row.try_get::<_, Option<Uuid>>(0).is_ok_and(|id| id.is_some()));
        let letters = lines.map(LetterLine::read).collect::<Result<Vec<_>, _>>()?;
        Ok(Some(Page::new(letters, limit, Some(total))))
    }

    /// From the newest on, for as long as one may wait.
    async fn search_in_order(&self, query: &Query, after: Option<Cursor>, limit: usize) -> Result<Page, Refusal> {
        let condition = Condition::new(query, 2);
        let earlier = condition.before.map(|died_at| Cursor { died_at, id: Uuid::nil() });
        let after = [after, earlier].into_iter().flatten().min_by_key(|cursor| (cursor.died_at, cursor.id));
        let mut more: Vec<&(dyn ToSql + Sync)> = Vec::new();
        let mut bounds = Vec::new();
        let place = |more: &[&(dyn ToSql + Sync)]| 2 + condition.params.len() + more.len();
        if let Some(cursor) = &after {
            more.extend([&cursor.died_at as &(dyn ToSql + Sync), &cursor.id]);
            bounds.push(format!("(died_at, id) < (${}, ${})", place(&more) - 1, place(&more)));
        }
        if let Some(key) = &condition.group {
            more.push(key);
            bounds.push(format!("group_key = ${}", place(&more)));
        }
        let bounds = if bounds.is_empty() { "true".to_owned() } else { bounds.join(" AND ") };
        let sql = format!(
            "SELECT {} FROM (
                SELECT * FROM letters WHERE {bounds} ORDER BY died_at DESC, id DESC LIMIT {LOOKED_AT_MOST}
             ) AS l WHERE {} LIMIT $2",
            line_columns!(),
            condition.sql
        );
        let (late, page) = (self.late(), rows_for(limit));
        let mut params: Vec<&(dyn ToSql + Sync)> = vec![&late, &page];
        params.extend(condition.params.iter().map(|param| param.as_ref() as &(dyn ToSql + Sync)));
        params.extend(more);
        let mut tx = self.db().begin().await?;
        let [_, rows] = tx.queries([(IN_ORDER, &[]), (&sql, &params)]).await?;
        let letters = rows.iter().map(LetterLine::read).collect::<Result<Vec<_>, _>>()?;
        let mut page = Page::new(letters, limit, None);
        if page.next.is_none() {
            page.next = last_looked_at(&mut tx, after, condition.group).await?.map(|cursor| cursor.to_string());
        }
        tx.commit().await?;
        if let Some(Node::Is(Test::Group(key))) = query.0 {
            page.total = self.group(key).await.ok().map(|g| g.failed + g.retrying + g.done + g.discarded);
        }
        Ok(page)
    }
}

/// Whatever the planner believes of the table: only what is looked for is looked at.
/// Alone, for to call others to help takes longer than all of it.
pub(crate) const BY_INDEX: &str = "SELECT set_config('enable_indexscan', 'off', true), \
     set_config('enable_indexonlyscan', 'off', true), set_config('max_parallel_workers_per_gather', '0', true)";
const IN_ORDER: &str = "SELECT set_config('enable_bitmapscan', 'off', true), set_config('enable_sort', 'off', true), \
     set_config('max_parallel_workers_per_gather', '0', true)";

/// One more than the page takes says whether there is another.
fn rows_for(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX - 1) + 1
}

/// Where a page that found too little stopped looking; none if it has looked at all there are.
async fn last_looked_at(tx: &mut Tx, after: Option<Cursor>, group: Option<Uuid>) -> Result<Option<Cursor>, DbError> {
    let (died_at, id) = after.map(|cursor| (cursor.died_at, cursor.id)).unzip();
    let most = LOOKED_AT_MOST - 1;
    let rows = match group {
        None => tx.query(include_str!("search/last.sql"), &[&died_at, &id, &most]).await?,
        Some(key) => tx.query(include_str!("search/last_of_group.sql"), &[&died_at, &id, &most, &key]).await?,
    };
    rows.first().map(|row| Ok(Cursor { died_at: row.try_get(0)?, id: row.try_get(1)? })).transpose()
}

impl Page {
    fn new(mut letters: Vec<LetterLine>, limit: usize, total: Option<i64>) -> Self {
        let has_more = letters.len() > limit;
        letters.truncate(limit);
        let end = letters.last().filter(|_| has_more);
        let next = end.map(|line| Cursor { died_at: line.died_at, id: line.id }.to_string());
        Self { letters, total, next }
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.died_at.unix_timestamp_nanos() / 1_000, self.id.simple())
    }
}

impl FromStr for Cursor {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        let read = || {
            let (micros, id) = text.rsplit_once('-')?;
            let nanos = micros.parse::<i128>().ok()?.checked_mul(1_000)?;
            let died_at = OffsetDateTime::from_unix_timestamp_nanos(nanos).ok()?;
            Some(Self { died_at, id: Uuid::try_parse(id).ok()? })
        };
        read().ok_or(Refusal::Invalid { field: "after", message: "is not where a page ended".to_owned() })
    }
}
