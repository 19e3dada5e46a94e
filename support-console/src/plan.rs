//! Plans: exactly the letters that are on somebody's screen, taken down before anything is done with them.

use serde::Serialize;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use crate::{Action, Console, Query, Refusal, Role, State, Who, letter::state, query::Condition, search::BY_INDEX};

/// Which letters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// One, as it was at that version; whatever it is now, where nobody says which they have seen.
    Letter {
        id: Uuid,
        seen: Option<i32>,
    },
    Group(Uuid),
    Query(Query),
}

/// The letters as they were when they were looked at. What comes later is not in it, and what changes later is skipped.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Snapshot {
    /// Also the id of the run, once it is started.
    pub id: Uuid,
    pub action: Action,
    pub count: i64,
    /// Those of them that cannot be retried as they are, and would be skipped.
    pub unreadable: i64,
}

impl Console {
    /// Takes down which letters there are that `action` can be done with.
    pub async fn plan(&self, who: &Who, scope: &Scope, action: Action) -> Result<Snapshot, Refusal> {
        who.must_be(Role::Operator)?;
        let id = Uuid::now_v7();
        let limit = self.settings.most_planned + 1;
        let state = action.needs().name();
        let mut params: Vec<&(dyn ToSql + Sync)> = vec![&id, &state, &limit];
        let (name, query) = match scope {
            Scope::Letter { id, .. } => (format!("letter:{id}"), Query::default()),
            Scope::Group(key) => (format!("group:{key}"), Query::group(*key)),
            Scope::Query(query) => (query.to_string(), query.clone()),
        };
        let condition = Condition::new(&query, params.len());
        let (bounds, by) = match (scope, condition.with_way()) {
            (Scope::Letter { id, seen }, _) => {
                params.extend([id as &(dyn ToSql + Sync), seen]);
                ("l.id = $4 AND l.version = coalesce($5, l.version)".to_owned(), "SELECT")
            }
            (_, Some((way, all))) => {
                params.extend(all.map(|param| param.as_ref() as &(dyn ToSql + Sync)));
                (format!("{way} AND {}", condition.sql), BY_INDEX)
            }
            (_, None) => {
                params.extend(condition.params.iter().map(|param| param.as_ref() as &(dyn ToSql + Sync)));
                (condition.sql.clone(), "SELECT")
            }
        };
        let sql = format!(
            "WITH picked AS MATERIALIZED (
                SELECT l.id, l.version, l.readable, l.died_at FROM letters AS l WHERE {bounds} AND l.state = $2 LIMIT $3
             ), placed AS (
                INSERT INTO run_letters (run, position, letter, version)
                SELECT $1, row_number() OVER (ORDER BY died_at, id) - 1, id, version FROM picked
             )
             SELECT count(*), count(*) FILTER (WHERE NOT readable) FROM picked"
        );
        let mut tx = self.db().begin().await?;
        let [_, rows] = tx.queries([(by, &[]), (&sql, &params)]).await?;
        let row = rows.first().ok_or(Refusal::Nothing)?;
        let (count, unreadable): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
        let most = self.settings.most_planned;
        if count > most {
            return Err(Refusal::TooMany { found: count, most });
        }
        if count == 0 {
            return Err(match scope {
                Scope::Letter { id, seen } => self.why_not(*id, *seen, action).await?,
                Scope::Group(_) | Scope::Query(_) => Refusal::Nothing,
            });
        }
        let total = i32::try_from(count).unwrap_or(i32::MAX);
        tx.query(include_str!("plan/note.sql"), &[&id, &name, &who.account, &total, &action.name()]).await?;
        tx.commit().await?;
        Ok(Snapshot { id, action, count, unreadable })
    }

    /// Why nothing can be done with one letter.
    async fn why_not(&self, letter: Uuid, seen: Option<i32>, action: Action) -> Result<Refusal, Refusal> {
        let rows = self.db().query("SELECT state, version FROM letters WHERE id = $1", &[&letter]).await?;
        let Some(row) = rows.first() else { return Ok(Refusal::NotFound("letter")) };
        let (is, now) = (state(row, 0)?, row.try_get(1)?);
        Ok(match (seen, is) {
            (Some(seen), _) if seen != now => Refusal::ChangedSince { seen, now },
            (_, State::Retrying) => Refusal::InRetry,
            (_, is) => Refusal::WrongState { is, needs: action.needs() },
        })
    }
}
