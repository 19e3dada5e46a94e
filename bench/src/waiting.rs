//! Orders that nobody pays, all waiting for their deadlines at once.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde::Serialize;
use tokio::time::Instant;

use crate::{
    line::{KINDS, Line, ORDER_API, Setting},
    load::{Load, Pace},
    measure::Latency,
    scenario::Bench,
    servers::{Place, connect},
};

/// How late an order may expire, and how many must in a second.
const LATE_MS: f64 = 2_000.0;
const LEAST_PER_SECOND: f64 = 2_000.0;

/// What became of them.
#[derive(Serialize)]
pub struct Waiting {
    pub orders: usize,
    pub deadline_s: u32,
    /// Whether the broker lost everything while they waited.
    pub wiped: bool,
    /// How long after its deadline an order expired.
    pub late: Latency,
    /// Between the first and the last that expired.
    pub per_second: f64,
    /// What waited in the delay line, while all orders waited.
    pub signals: u64,
    pub signals_bytes: u64,
    pub wrong: Vec<String>,
}

impl Bench {
    /// So many orders, accepted as fast as they are taken, with a deadline that none of them reaches before all are there.
    pub async fn waiting(&mut self, orders: u64, wiped: bool) -> Result<Waiting> {
        let deadline_s = 30 + u32::try_from(orders / 1_000)?;
        let ours = self.plan.settings.len();
        for setting in [
            format!("DEADLINE_MS={}", deadline_s * 1_000),
            "REMIND_BEFORE_MS=0".to_owned(),
            "STUCK_MS=3600000".to_owned(),
        ] {
            let setting = format!("CONVEYOR__ORDERS__TIMES__{setting}");
            self.plan.settings.insert(0, setting.parse::<Setting>().map_err(anyhow::Error::msg)?);
        }
        let waited = self.wait(orders, deadline_s, wiped).await;
        self.plan.settings.drain(0..self.plan.settings.len() - ours);
        waited
    }

    async fn wait(&self, orders: u64, deadline_s: u32, wiped: bool) -> Result<Waiting> {
        let place = self.place(if wiped { "wiped" } else { "waiting" }).await?;
        let mut line = Line::new(&self.plan, &place).await?;
        // Nobody charges them.
        for kind in KINDS.iter().filter(|kind| [ORDER_API, "inventory-worker"].contains(&kind.name)) {
            line.start(kind)?;
        }
        line.ready().await?;
        self.progress
            .step(&format!("{orders} orders with {deadline_s} s to pay, over {} connections", self.connections));
        let address = line.address()?;
        let load = Load::new(&address, Pace::Flat, orders)?;
        let outcome = load
            .run(self.connections, |load| {
                self.progress.tick(&format!("{} of {orders} orders answered", load.answered()));
            })
            .await?;
        let sent = i64::try_from(outcome.sent.len())?;
        let client = connect(&place.database).await?;
        let count = async |status: &str| -> Result<i64> {
            let sql = "SELECT count(*) FROM orders.orders WHERE status = $1";
            Ok(client.query_one(sql, &[&status]).await?.try_get(0)?)
        };
        let end = Instant::now() + Duration::from_secs(60);
        while count("awaiting_payment").await? < sent {
            ensure!(Instant::now() < end, "not all of them wait for payment, after a minute");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        let expired_early = count("expired").await?;
        // Its figures are some seconds old.
        tokio::time::sleep(Duration::from_secs(6)).await;
        let (signals, signals_bytes) = self.signals(&place, deadline_s).await?;
        if wiped {
            self.progress.step("the broker loses everything");
            self.servers.wipe(&place).await?;
        }
        let end = Instant::now() + Duration::from_secs(u64::from(deadline_s) + 120);
        loop {
            let expired = count("expired").await?;
            if expired >= sent {
                break;
            }
            line.check()?;
            ensure!(Instant::now() < end, "only {expired} of {sent} orders have expired");
            self.progress.tick(&format!("{expired} of {sent} orders expired"));
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        self.progress.close();
        line.stop().await?;
        let sql = "SELECT percentile_disc(ARRAY[0.5, 0.99, 1]) WITHIN GROUP (ORDER BY extract(epoch FROM h.at - o.deadline)::float8 * 1000),
                          extract(epoch FROM max(h.at) - min(h.at))::float8
                   FROM orders.history h JOIN orders.orders o ON o.id = h.order_id WHERE h.status = 'expired'";
        let row = client.query_one(sql, &[]).await?;
        let late: Vec<f64> = row.try_get(0)?;
        let [p50_ms, p99_ms, max_ms] = late.try_into().ok().context("three quantiles")?;
        let seconds: f64 = row.try_get(1)?;
        drop(client);
        self.servers.remove(&place.name).await?;

        let late = Latency { p50_ms, p99_ms, max_ms };
        let per_second = sent as f64 / seconds.max(1e-3);
        let mut wrong = Vec::new();
        if outcome.failed > 0 || expired_early > 0 {
            wrong.push(format!("{} orders failed, {expired_early} expired before all were there", outcome.failed));
        }
        // Whoever is woken by the timer alone may be so much later.
        if max_ms > if wiped { LATE_MS + 5_000.0 } else { LATE_MS } {
            wrong.push(format!("an order expired {max_ms:.0} ms late"));
        }
        if per_second < LEAST_PER_SECOND {
            wrong.push(format!("{per_second:.0} orders expired in a second, not {LEAST_PER_SECOND}"));
        }
        Ok(Waiting { orders: outcome.sent.len(), deadline_s, wiped, late, per_second, signals, signals_bytes, wrong })
    }

    /// What the delay line holds, and the memory that the broker gives it.
    async fn signals(&self, place: &Place, deadline_s: u32) -> Result<(u64, u64)> {
        let queue = self.servers.queue(place, &format!("delay.{}", u64::from(deadline_s) * 1_000)).await?;
        let figure = |name: &str| queue.get(name).and_then(serde_json::Value::as_u64).unwrap_or(0);
        Ok((figure("messages"), figure("memory")))
    }
}

impl Waiting {
    pub fn text(&self) -> String {
        format!(
            "\nWaiting for the deadline{}\n  {} orders with {} s to pay; signals in the delay line meanwhile: {}, for which the broker held {:.2} MB\n  \
             expired after their deadline: p50 {:.0} ms, p99 {:.0} ms, the last {:.0} ms; {:.0} a second\n",
            if self.wiped { ", and the broker lost everything" } else { "" },
            self.orders,
            self.deadline_s,
            self.signals,
            self.signals_bytes as f64 / 1e6,
            self.late.p50_ms,
            self.late.p99_ms,
            self.late.max_ms,
            self.per_second
        )
    }
}
