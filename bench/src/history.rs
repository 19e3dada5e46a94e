//! Throughput with many orders in the tables already. They are real ones, multiplied in SQL: each copy gets ids of its own,
//! a little older than those of the copy before, in every table that holds rows of orders.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use futures_util::future::try_join_all;
use tokio_postgres::Client;

use crate::{
    curves::{Curve, Point},
    ledger::Ledger,
    line::Line,
    load::Pace,
    scenario::{Bench, Run, WARM_UP},
    servers::{Place, connect},
};

/// Orders that really went through the line, and are multiplied.
const SEED: u64 = 2_000;
/// Copies of all of them that one statement makes.
const COPIES: u64 = 50;
/// Sessions that write at once.
const WRITERS: usize = 2;

impl Bench {
    /// The first size is measured again beside every other, and in tables of its own each time: what was measured there would
    /// soon be more than it.
    pub async fn history(&self, sizes: &[u64], orders: u64, rounds: u8) -> Result<Curve> {
        let mut points: Vec<Point> = Vec::new();
        let place = self.place("history").await?;
        let mut past = Past::begin(self, &place).await?;
        let first = sizes.first().copied().unwrap_or(SEED);
        for size in sizes {
            let mut point = Point { at: *size as f64, runs: Vec::new(), beside: Vec::new() };
            if *size != first {
                past.grow(self, *size).await?;
            }
            for round in 1..=rounds {
                let reference = self.with_fresh_past(first, orders, &format!("{size}_{round}")).await?;
                if *size == first {
                    point.runs.push(reference);
                } else {
                    point.beside.push(reference);
                    point.runs.push(self.with_past(&place, &past, orders).await?);
                }
            }
            points.push(point);
        }
        drop(past);
        self.servers.remove(&place.name).await?;
        Ok(Curve { what: "the orders in the tables already", points })
    }

    async fn with_fresh_past(&self, size: u64, orders: u64, what: &str) -> Result<Run> {
        let place = self.place(&format!("history{what}")).await?;
        let mut past = Past::begin(self, &place).await?;
        past.grow(self, size).await?;
        let run = self.with_past(&place, &past, orders).await?;
        drop(past);
        self.servers.remove(&place.name).await?;
        Ok(run)
    }

    async fn with_past(&self, place: &Place, past: &Past, orders: u64) -> Result<Run> {
        let name = format!("{} orders in the tables", past.orders);
        self.progress.step(&format!("{name}: {orders} more over {} connections", self.connections));
        let mut line = Line::again(&self.plan, place);
        line.start_all()?;
        line.ready().await?;
        let mut ledger = Ledger::new(place).await?;
        self.warm_up(&mut line, &mut ledger, WARM_UP).await?;
        let run = self.measure(name, &mut line, &mut ledger, Pace::Flat, orders, self.connections).await?;
        self.stop(place, line, &ledger, run).await
    }
}

/// The orders of a place.
struct Past {
    clients: Vec<Client>,
    tables: Vec<Table>,
    /// How many there are, besides those that were measured.
    orders: u64,
    copies: u64,
    /// Before the first real order, in milliseconds.
    began: i64,
}

/// How a table's rows are copied.
struct Table {
    name: String,
    rows: u64,
    columns: String,
    values: String,
}

impl Past {
    /// With the real ones only.
    async fn begin(bench: &Bench, place: &Place) -> Result<Self> {
        let began = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?;
        bench.progress.step(&format!("{SEED} orders, to be multiplied"));
        let mut line = Line::new(&bench.plan, place).await?;
        line.start_all()?;
        line.ready().await?;
        let mut ledger = Ledger::new(place).await?;
        bench.warm_up(&mut line, &mut ledger, SEED).await?;
        line.stop().await?;
        let mut clients = Vec::new();
        for _ in 0..WRITERS {
            let client = connect(&place.database).await?;
            client.batch_execute("SET synchronous_commit = off").await?;
            clients.push(client);
        }
        let client = clients.first().context("no session")?;
        client.batch_execute("CREATE SCHEMA seed").await?;
        let tables = "SELECT schemaname || '.' || tablename FROM pg_tables
                      WHERE schemaname IN ('orders', 'inventory', 'payments', 'notifications') ORDER BY 1";
        let mut found = Vec::new();
        for row in client.query(tables, &[]).await? {
            found.extend(Table::of_orders(client, row.try_get(0)?).await?);
        }
        Ok(Self { clients, tables: found, orders: SEED, copies: 0, began })
    }

    /// Until there are so many.
    async fn grow(&mut self, bench: &Bench, orders: u64) -> Result<()> {
        let copies = orders.saturating_sub(self.orders).div_ceil(SEED);
        let all = copies * self.tables.iter().map(|table| table.rows).sum::<u64>();
        bench.progress.step(&format!("{orders} orders in the tables: {all} rows in {} tables", self.tables.len()));
        let written = std::cell::Cell::new(0);
        let wanted = self.copies + copies;
        let statements: Vec<(&Table, u64)> = (self.copies..wanted)
            .step_by(usize::try_from(COPIES)?)
            .flat_map(|from| self.tables.iter().map(move |table| (table, from)))
            .collect();
        let next = std::cell::Cell::new(0);
        try_join_all(self.clients.iter().map(|client| async {
            while let Some((table, from)) = statements.get(next.replace(next.get() + 1)) {
                let to = wanted.min(from + COPIES) - 1;
                let rows = table.copy(client, *from, to, self.began).await?;
                written.set(written.get() + rows);
                bench.progress.tick(&format!("{} of {all} rows written", written.get()));
            }
            anyhow::Ok(())
        }))
        .await?;
        bench
            .progress
            .step(&format!("  {} rows written; tidying up, as would have been done by the way", written.get()));
        // What was written as slowly as orders come would have been vacuumed and flushed long ago.
        let next = std::cell::Cell::new(0);
        try_join_all(self.clients.iter().map(|client| async {
            while let Some(table) = self.tables.get(next.replace(next.get() + 1)) {
                client.batch_execute(&format!("VACUUM (ANALYZE) {}", table.name)).await?;
            }
            anyhow::Ok(())
        }))
        .await?;
        self.clients.first().context("no session")?.batch_execute("CHECKPOINT").await?;
        self.copies = wanted;
        self.orders += copies * SEED;
        bench.progress.close();
        Ok(())
    }
}

impl Table {
    /// None, if it does not grow with every order.
    async fn of_orders(client: &Client, name: String) -> Result<Option<Self>> {
        let rows: i64 = client.query_one(&format!("SELECT count(*) FROM {name}"), &[]).await?.try_get(0)?;
        let rows = u64::try_from(rows)?;
        if rows < SEED {
            return Ok(None);
        }
        let seed = name.replace('.', "_");
        client.batch_execute(&format!("CREATE TABLE seed.{seed} AS TABLE {name}")).await?;
        let columns = "SELECT quote_ident(attname), format_type(atttypid, NULL) FROM pg_attribute
                       WHERE attrelid = $1::text::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum";
        let (mut names, mut values) = (Vec::new(), Vec::new());
        for column in client.query(columns, &[&name]).await? {
            let (column, kind): (String, String) = (column.try_get(0)?, column.try_get(1)?);
            values.push(match kind.as_str() {
                "uuid" => format!("encode(p.prefix || substr(uuid_send(s.{column}), 7), 'hex')::uuid"),
                "text" => match id_within(client, &seed, &column).await? {
                    Some(place) => format!("overlay(s.{column} placing p.digits from {place})"),
                    None => format!("s.{column}"),
                },
                _ => format!("s.{column}"),
            });
            names.push(column);
        }
        Ok(Some(Self { name, rows, columns: names.join(", "), values: values.join(", ") }))
    }

    /// Makes copies `from` to `to`. The first six bytes of an id are its time, and those alone are exchanged.
    async fn copy(&self, client: &Client, from: u64, to: u64, began: i64) -> Result<u64> {
        let Self { name, columns, values, .. } = self;
        let sql = format!(
            "INSERT INTO {name} ({columns}) OVERRIDING SYSTEM VALUE
             SELECT {values}
             FROM (SELECT prefix, upper(encode(prefix, 'hex')) AS digits
                   FROM (SELECT substr(int8send($1::bigint - 1000 * copy), 3) AS prefix
                         FROM generate_series($2::bigint, $3::bigint) AS copy OFFSET 0) AS prefixes OFFSET 0) AS p
             CROSS JOIN seed.{} AS s",
            name.replace('.', "_")
        );
        let (from, to) = (i64::try_from(from)? + 1, i64::try_from(to)? + 1);
        client.execute(&sql, &[&began, &from, &to]).await.with_context(|| format!("{name} could not be multiplied"))
    }
}

/// Where in a text an id stands, as it is shown to people: 32 digits.
async fn id_within(client: &Client, seed: &str, column: &str) -> Result<Option<i32>> {
    let sql = format!(
        "SELECT position(substring({column} FROM '[0-9A-F]{{32}}') IN {column}) FROM seed.{seed}
         WHERE {column} ~ '[0-9A-F]{{32}}' LIMIT 1"
    );
    client.query_opt(&sql, &[]).await?.map(|row| Ok(row.try_get(0)?)).transpose()
}
