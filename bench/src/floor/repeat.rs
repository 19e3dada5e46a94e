//! The same rows and messages again, as fast as PostgreSQL and RabbitMQ take them, both at once.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    error::Error,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use bytes::BytesMut;
use common::{
    broker::topology::EVENTS,
    db::{Param, SESSION},
    params,
};
use futures_util::{
    FutureExt as _,
    future::{LocalBoxFuture, try_join, try_join_all},
};
use tokio_postgres::{
    Client, NoTls, Statement,
    types::{FromSql, IsNull, ToSql, Type, to_sql_checked},
};
use uuid::Uuid;

use super::{
    broker::Broker,
    counted::{Published, Rows, Sample, Written, bodies},
};
use crate::servers::Place;

/// Its type and its body.
pub type Message = (String, Vec<u8>);

/// Changes of rows that all orders share, in one transaction.
const SHARED: u64 = 16;

/// What is to be done once more.
pub struct Work {
    statements: Vec<(Kind, String)>,
    batches: Vec<Batch>,
    /// Changes of rows that were there before, such as the stock of a product.
    shared: Vec<Batch>,
    emptied: Vec<String>,
    messages: Vec<Message>,
    pub rows: Written,
    pub bytes: u64,
    pub deliveries: u64,
}

#[derive(Clone, Copy)]
enum Kind {
    Insert,
    Update,
    Delete,
}

/// Two transactions: rows are written, and then changed and deleted.
#[derive(Default)]
struct Batch {
    write: Vec<Step>,
    change: Vec<Step>,
}

struct Step {
    statement: usize,
    rows: u64,
    params: Vec<Param>,
}

/// A value as PostgreSQL wrote it: it takes it back the same way.
#[derive(Debug, Clone)]
struct Raw(Vec<u8>);

impl<'a> FromSql<'a> for Raw {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(raw.to_vec()))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

impl ToSql for Raw {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        out.extend_from_slice(&self.0);
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

/// Some rows of a table: themselves, and the columns of their key, each as one array.
struct Slice {
    rows: u64,
    whole: Raw,
    keys: Vec<Raw>,
}

impl Work {
    /// Real rows, of the tables that the run has written to, and real events in as many messages; cut into `parts`.
    pub async fn gather(
        client: &Client,
        rows: &Rows,
        sample: &Sample,
        published: &[Published],
        parts: usize,
    ) -> Result<Self> {
        let mut work = Self {
            statements: Vec::new(),
            batches: std::iter::repeat_with(Batch::default).take(parts).collect(),
            shared: Vec::new(),
            emptied: Vec::new(),
            messages: Vec::new(),
            rows: Written::default(),
            bytes: 0,
            deliveries: 0,
        };
        for (table, written) in &rows.0 {
            if table.ends_with(".outbox") {
                work.emptied.push(table.clone());
            } else {
                work.add_table(client, table, *written).await?;
            }
        }
        for published in published {
            let events = sample.get(&published.kind).map(Vec::as_slice).unwrap_or_default();
            let bodies = bodies(events, published);
            work.bytes += bodies.iter().map(|body| body.len() as u64).sum::<u64>();
            work.deliveries += published.messages * published.queues;
            work.add_outbox(&published.kind, &bodies);
            work.messages.extend(bodies.into_iter().map(|body| (published.kind.clone(), body)));
        }
        // They were gathered type by type, and come in every order.
        let count = work.messages.len();
        let order = |i: usize| i * 7_919 % count.max(1);
        let mut places: Vec<usize> = (0..count).collect();
        places.sort_by_key(|i| order(*i));
        let mut messages: Vec<_> = work.messages.drain(..).map(Some).collect();
        work.messages.extend(places.into_iter().filter_map(|i| messages.get_mut(i)?.take()));
        Ok(work)
    }

    async fn add_table(&mut self, client: &Client, table: &str, written: Written) -> Result<()> {
        let keys = client
            .query(
                "SELECT quote_ident(a.attname), format_type(a.atttypid, NULL)
                 FROM pg_index i, unnest(i.indkey) WITH ORDINALITY AS k (attnum, place), pg_attribute a
                 WHERE i.indrelid = $1::text::regclass AND i.indisprimary
                   AND a.attrelid = i.indrelid AND a.attnum = k.attnum
                 ORDER BY k.place",
                &[&table],
            )
            .await?;
        let keys: Vec<(String, String)> =
            keys.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect::<Result<_>>()?;
        let slices = slices(client, table, &keys, if written.inserted > 0 { self.batches.len() } else { 1 }).await?;
        let there: u64 = slices.values().map(|slice| slice.rows).sum();
        if there == 0 {
            return Ok(());
        }
        let updates = executions(written.updated, there, slices.len());
        let update = if updates > 0 { Some(self.update(client, table, &keys).await?) } else { None };
        if written.inserted == 0 {
            let Some(slice) = slices.into_values().next() else { return Ok(()) };
            for first in (0..updates).step_by(usize::try_from(SHARED)?) {
                let steps = (first..updates.min(first + SHARED)).filter_map(|_| Some(slice.change(update?)));
                self.shared.push(Batch { write: Vec::new(), change: steps.collect() });
            }
            self.rows.updated += updates * slice.rows;
            return Ok(());
        }
        // Not in the select list, which is faster for columns: there, each column of a whole row is searched for in it.
        let sql = format!("INSERT INTO {table} OVERRIDING SYSTEM VALUE SELECT * FROM unnest($1::{table}[])");
        self.statements.push((Kind::Insert, sql));
        let insert = self.statements.len() - 1;
        self.emptied.push(table.to_owned());
        let count = slices.len() as u64;
        for (number, (part, slice)) in (0..).zip(slices) {
            let times = updates * (number + 1) / count - updates * number / count;
            let Some(batch) = self.batches.get_mut(part) else { continue };
            batch.change.extend((0..times).filter_map(|_| Some(slice.change(update?))));
            self.rows.inserted += slice.rows;
            self.rows.updated += slice.rows * times;
            batch.write.push(Step { statement: insert, rows: slice.rows, params: params![slice.whole] });
        }
        Ok(())
    }

    /// Writes a row again as it is: PostgreSQL does not look whether anything is new about it.
    async fn update(&mut self, client: &Client, table: &str, keys: &[(String, String)]) -> Result<usize> {
        let column: String = client
            .query_one(
                "SELECT quote_ident(attname) FROM pg_attribute
                 WHERE attrelid = $1::text::regclass AND attnum > 0 AND NOT attisdropped
                   AND NOT EXISTS (SELECT FROM pg_index WHERE indrelid = attrelid AND attnum = ANY (indkey))
                 ORDER BY attnum LIMIT 1",
                &[&table],
            )
            .await?
            .try_get(0)?;
        let numbered = || keys.iter().enumerate().map(|(i, (name, of))| (i + 1, name, of));
        let arrays: Vec<String> = numbered().map(|(i, _, of)| format!("unnest(${i}::{of}[]) AS k{i}")).collect();
        let equal: Vec<String> = numbered().map(|(i, name, _)| format!("t.{name} = u.k{i}")).collect();
        let sql = format!(
            "UPDATE {table} AS t SET {column} = t.{column} FROM (SELECT {}) AS u WHERE {}",
            arrays.join(", "),
            equal.join(" AND ")
        );
        self.statements.push((Kind::Update, sql));
        Ok(self.statements.len() - 1)
    }

    /// A row for each message, written and deleted.
    fn add_outbox(&mut self, kind: &str, bodies: &[Vec<u8>]) {
        let schema = match kind.split('.').next() {
            Some("order") => "orders",
            Some("inventory") => "inventory",
            Some("payment") => "payments",
            _ => return,
        };
        self.statements.push((
            Kind::Insert,
            format!(
                "INSERT INTO {schema}.outbox (id, exchange, routing_key, kind, body, locked_until)
                 SELECT unnest($1::uuid[]), unnest($2::text[]), unnest($3::text[]), unnest($4::text[]), unnest($5::bytea[]),
                        clock_timestamp() + interval '30 seconds'"
            ),
        ));
        self.statements.push((Kind::Delete, format!("DELETE FROM {schema}.outbox WHERE id = ANY ($1)")));
        let delete = self.statements.len() - 1;
        let parts = self.batches.len();
        for (part, batch) in self.batches.iter_mut().enumerate() {
            let [from, to] = [part, part + 1].map(|part| bodies.len() * part / parts);
            let bodies = bodies.get(from..to).unwrap_or_default();
            if bodies.is_empty() {
                continue;
            }
            let (count, rows) = (bodies.len(), bodies.len() as u64);
            let ids: Vec<Uuid> = std::iter::repeat_with(Uuid::now_v7).take(count).collect();
            let same = |text: &str| vec![text.to_owned(); count];
            batch.change.push(Step { statement: delete, rows, params: params![ids.clone()] });
            let params = params![ids, same(EVENTS), same(kind), same(kind), bodies.to_vec()];
            batch.write.push(Step { statement: delete - 1, rows, params });
            self.rows.inserted += rows;
            self.rows.deleted += rows;
        }
    }

    /// Does all of it, and says how long it took.
    pub async fn run(&self, place: &Place, connections: usize) -> Result<Duration> {
        let empty = format!("TRUNCATE {} CASCADE", self.emptied.join(", "));
        let mut clients = Vec::new();
        for _ in 0..=connections {
            let client = session(place).await?;
            let prepared = try_join_all(self.statements.iter().map(|(_, sql)| client.prepare(sql))).await?;
            clients.push((client, prepared));
        }
        let Some(((shared, shared_statements), clients)) = clients.split_first() else { return Ok(Duration::ZERO) };
        shared.batch_execute(&empty).await?;
        let broker = Broker::open(place, &self.messages).await?;

        let began = Instant::now();
        let done = RefCell::new(Written::default());
        let next = Cell::new(0);
        let rows = try_join_all(clients.iter().map(|(client, statements)| async {
            while let Some(batch) = self.batches.get(next.replace(next.get() + 1)) {
                self.transaction(client, statements, &batch.write, &done).await?;
                self.transaction(client, statements, &batch.change, &done).await?;
            }
            anyhow::Ok(())
        }));
        let of_all = async {
            for batch in &self.shared {
                self.transaction(shared, shared_statements, &batch.change, &done).await?;
            }
            anyhow::Ok(())
        };
        try_join(try_join(rows, of_all), broker.run(&self.messages)).await?;
        let took = began.elapsed();
        broker.close().await?;
        let done = done.into_inner();
        ensure!(done == self.rows, "the floor wrote {done:?}, not {:?}", self.rows);
        Ok(took)
    }

    /// All steps and both ends of the transaction travel together.
    async fn transaction(
        &self,
        client: &Client,
        statements: &[Statement],
        steps: &[Step],
        done: &RefCell<Written>,
    ) -> Result<()> {
        if steps.is_empty() {
            return Ok(());
        }
        let mut all: Vec<LocalBoxFuture<'_, Result<()>>> = Vec::with_capacity(steps.len() + 2);
        all.push(client.batch_execute("BEGIN").map(|begun| Ok(begun?)).boxed_local());
        for step in steps {
            let statement = statements.get(step.statement).context("a statement that was not prepared")?;
            let (kind, _) = self.statements.get(step.statement).context("a statement that is not there")?;
            all.push(
                async move {
                    let params: Vec<&(dyn ToSql + Sync)> = step.params.iter().map(|param| &**param as _).collect();
                    let rows = client.execute(statement, &params).await?;
                    ensure!(rows == step.rows, "a statement of the floor touched {rows} rows, not {}", step.rows);
                    let mut done = done.borrow_mut();
                    match kind {
                        Kind::Insert => done.inserted += rows,
                        Kind::Update => done.updated += rows,
                        Kind::Delete => done.deleted += rows,
                    }
                    Ok(())
                }
                .boxed_local(),
            );
        }
        all.push(client.batch_execute("COMMIT").map(|ended| Ok(ended?)).boxed_local());
        try_join_all(all).await?;
        Ok(())
    }
}

impl Slice {
    fn change(&self, statement: usize) -> Step {
        let params = self.keys.iter().map(|key| Box::new(key.clone()) as Param).collect();
        Step { statement, rows: self.rows, params }
    }
}

/// How often a slice must be changed, so that about as many rows are changed in all.
fn executions(updated: u64, there: u64, slices: usize) -> u64 {
    (updated as f64 * slices as f64 / there.max(1) as f64).round() as u64
}

/// A table's rows, cut into parts. Where there are fewer rows than parts, some are missing.
async fn slices(
    client: &Client,
    table: &str,
    keys: &[(String, String)],
    parts: usize,
) -> Result<BTreeMap<usize, Slice>> {
    let columns: String = keys.iter().map(|(name, _)| format!(", array_agg((whole).{name})")).collect();
    let sql = format!(
        "WITH cut AS (SELECT t AS whole, (row_number() OVER (ORDER BY t.ctid) - 1) * {parts} / count(*) OVER () AS part
                      FROM {table} AS t)
         SELECT part, count(*), array_agg(whole){columns} FROM cut GROUP BY part"
    );
    let rows = client.query(&sql, &[]).await?;
    rows.iter()
        .map(|row| {
            let part = usize::try_from(row.try_get::<_, i64>(0)?)?;
            let rows = u64::try_from(row.try_get::<_, i64>(1)?)?;
            let keys = (3..3 + keys.len()).map(|i| Ok(row.try_get(i)?)).collect::<Result<_>>()?;
            Ok((part, Slice { rows, whole: row.try_get(2)?, keys }))
        })
        .collect()
}

/// A session like those of the services.
async fn session(place: &Place) -> Result<Client> {
    let mut options: tokio_postgres::Config = place.database.parse()?;
    let (client, connection) = options.options(SESSION).connect(NoTls).await?;
    // It ends with its client; what went wrong, the statement that was under way says.
    tokio::spawn(connection);
    Ok(client)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_rows_are_changed_as_were() {
        // 20 slices of 256 rows each, twice each.
        assert_eq!(executions(2 * 5_120, 5_120, 20), 40);
        // A row that all share: once for each time that it was changed.
        assert_eq!(executions(530, 2, 1), 265);
        assert_eq!(executions(0, 5_120, 20), 0);
    }
}
