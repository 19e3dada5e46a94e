//! What the tables say of the orders that were sent: how far they are, when they were paid, and whether all is well.

use std::{collections::HashMap, time::SystemTime};

use anyhow::{Context as _, Result};
use tokio_postgres::Client;
use uuid::Uuid;

use crate::{
    load::{Sent, micros},
    measure::{Latencies, Latency},
    servers::{Place, connect},
};

pub struct Ledger {
    client: Client,
    /// The process that answers it, where PostgreSQL is on this machine: what it uses is not the line's.
    pub backend: i32,
    /// How many orders must have gone the whole way.
    pub expected: i64,
    /// Older orders do not count: however many there are, none of them is looked at. (Ids grow with time.)
    since: Uuid,
    /// The same, as other services write down whom a row is for.
    since_holder: String,
}

/// Notices that are settled.
pub struct Notified {
    pub of_payment: i64,
    /// Those that stand in a queue before them are told first.
    pub of_anything: i64,
}

/// Everything that must add up to the number of orders, or to nothing.
const TOTALS: &str = "
    SELECT (SELECT count(*) FROM orders.orders WHERE id > $1),
           (SELECT count(*) FROM orders.orders WHERE id > $1 AND status = 'paid'),
           (SELECT count(*) FROM inventory.reservations WHERE holder > $2 AND state = 'confirmed'),
           (SELECT count(*) FROM payments.payments WHERE holder > $2 AND state = 'captured'),
           (SELECT count(*) FROM notifications.notifications WHERE order_id > $1 AND kind = 'order.paid'),
           (SELECT count(*) FROM notifications.notifications
            WHERE order_id > $1 AND kind = 'order.paid' AND state = 'sent'),
           (SELECT count(*) FROM notifications.notifications
            WHERE order_id > $1 AND state NOT IN ('sent', 'superseded')),
           (SELECT count(*) FROM orders.outbox),
           (SELECT count(*) FROM inventory.outbox),
           (SELECT count(*) FROM payments.outbox),
           (SELECT count(*) FROM notifications.outbox)";

const NAMES: [&str; 11] = [
    "orders",
    "orders paid",
    "reservations confirmed",
    "payments captured",
    "notices of payment",
    "notices of payment sent",
    "notices that are not settled",
    "events in the outbox of orders",
    "events in the outbox of inventory",
    "events in the outbox of payments",
    "events in the outbox of notifications",
];
/// So many of them count orders; the rest must be empty.
const OF_ORDERS: usize = 6;

impl Ledger {
    pub async fn new(place: &Place) -> Result<Self> {
        let since = Uuid::now_v7();
        let since_holder = format!("order:ORD{}", since.simple().encode_upper(&mut Uuid::encode_buffer()));
        let client = connect(&place.database).await?;
        let backend = client.query_one("SELECT pg_backend_pid()", &[]).await?.try_get(0)?;
        Ok(Self { client, backend, expected: 0, since, since_holder })
    }

    pub async fn notified(&self) -> Result<Notified> {
        let count = "SELECT count(*) FILTER (WHERE kind = 'order.paid' AND state = 'sent'), count(*)
                     FROM notifications.notifications WHERE order_id > $1 AND state <> 'pending'";
        let row = self.client.query_one(count, &[&self.since]).await?;
        Ok(Notified { of_payment: row.try_get(0)?, of_anything: row.try_get(1)? })
    }

    /// When the last notification was recorded, in microseconds since 1970.
    pub async fn last_notified(&self) -> Result<i64> {
        self.notified_at("max").await
    }

    pub async fn first_notified(&self) -> Result<i64> {
        self.notified_at("min").await
    }

    async fn notified_at(&self, which: &str) -> Result<i64> {
        let at = format!("SELECT {which}(sent_at) FROM notifications.notifications WHERE order_id > $1");
        let at: Option<SystemTime> = self.client.query_one(&at, &[&self.since]).await?.try_get(0)?;
        Ok(micros(at.context("no notification was recorded")?))
    }

    /// How many groups of orders, and parcels about them, are left of which nothing was said yet to those who wait.
    pub async fn untold(&self) -> Result<i64> {
        let count =
            "SELECT (SELECT count(*) FROM orders.wakeups WHERE looks = 0) + (SELECT count(*) FROM orders.outbox)";
        Ok(self.client.query_one(count, &[]).await?.try_get(0)?)
    }

    /// What does not add up.
    pub async fn differences(&self) -> Result<Vec<String>> {
        let row = self.client.query_one(TOTALS, &[&self.since, &self.since_holder]).await?;
        let mut differences = Vec::new();
        for (i, name) in NAMES.iter().enumerate() {
            let count: i64 = row.try_get(i)?;
            let expected = if i < OF_ORDERS { self.expected } else { 0 };
            if count != expected {
                differences.push(format!("{count} {name}, not {expected}"));
            }
        }
        Ok(differences)
    }

    /// How many of these orders are in no table.
    pub async fn lost(&self, sent: &[Sent]) -> Result<i64> {
        let ids: Vec<Uuid> = sent.iter().map(|sent| sent.id).collect();
        let lost = "SELECT count(*) FROM unnest($1::uuid[]) AS sent(id)
                    WHERE NOT EXISTS (SELECT FROM orders.orders o WHERE o.id = sent.id)";
        Ok(self.client.query_one(lost, &[&ids]).await?.try_get(0)?)
    }

    /// From the sending of each order to the row in its timeline that says it is paid.
    pub async fn order_to_paid(&self, sent: &[Sent]) -> Result<Latency> {
        let paid = "SELECT order_id, at FROM orders.history WHERE order_id > $1 AND status = 'paid'";
        let rows = self.client.query(paid, &[&self.since]).await?;
        let mut paid = HashMap::with_capacity(rows.len());
        for row in rows {
            let (id, at): (Uuid, SystemTime) = (row.try_get(0)?, row.try_get(1)?);
            paid.insert(id, micros(at));
        }
        let mut latencies = Latencies::new()?;
        for Sent { id, at } in sent {
            if let Some(paid) = paid.get(id) {
                latencies.record(paid - at);
            }
        }
        Ok(latencies.sum_up())
    }
}
