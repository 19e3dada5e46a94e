//! More than there is room for: a capped line, four times as many orders as it may take, and clients that only seem to
//! ask for something.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde::Serialize;
use tokio::{io::AsyncWriteExt as _, net::TcpStream, task::JoinSet};

use crate::{
    ledger::Ledger,
    line::{Line, Setting},
    load::Pace,
    measure::{self, Latency},
    scenario::{Bench, Run},
};

/// So many times what may be taken is sent.
const TIMES: f64 = 4.0;
/// Clients that send a head, a byte now and then, and never come to its end.
const DAWDLERS: usize = 1_000;
/// Beyond this, accepted orders and refusals come too late.
const ACCEPTED_MS: f64 = 250.0;
const REFUSED_MS: f64 = 50.0;

/// What came of those that there was no room for.
#[derive(Serialize)]
pub struct Refused {
    pub orders: u64,
    pub latency: Latency,
    /// Orders that were accepted, and are in no table.
    pub lost: i64,
    /// Order-api's memory before the load, in megabytes, where it was looked at.
    pub rss_before_mb: Option<f64>,
}

impl Bench {
    /// A line that takes no more than so many orders a second is sent far more.
    pub async fn overload(&mut self, cap: f64, seconds: f64) -> Result<Run> {
        let ours = self.plan.settings.len();
        let cap_setting: Setting =
            format!("CONVEYOR__ORDERS__MOST_PER_SECOND={cap:.0}").parse().map_err(anyhow::Error::msg)?;
        let wait_setting: Setting = "CONVEYOR__ORDERS__LONGEST_WAIT_MS=50".parse().map_err(anyhow::Error::msg)?;
        self.plan.settings.splice(0..0, [wait_setting, cap_setting]);
        let run = self.overloaded(cap * TIMES, seconds).await;
        self.plan.settings.drain(0..self.plan.settings.len() - ours);
        run
    }

    async fn overloaded(&self, rate: f64, seconds: f64) -> Result<Run> {
        more_files()?;
        let place = self.place("overload").await?;
        let mut line = Line::new(&self.plan, &place).await?;
        line.start_all()?;
        line.ready().await?;
        let mut ledger = Ledger::new(&place).await?;
        self.warm_up(&mut line, &mut ledger, 500).await?;
        let api = line.services.iter().find(|service| service.name == crate::line::ORDER_API);
        let api = api.context("order-api is not running")?.pid;
        let before = measure::memory(api).context("order-api is not running")?;

        self.progress.step(&format!("{DAWDLERS} connections that do not come to the point"));
        let dawdlers = dawdle(&line.address()?).await?;
        let orders = (rate * seconds).round().max(1.0) as u64;
        self.progress.step(&format!("{rate} orders/s for {seconds} s, a quarter of which may be taken"));
        let name = format!("{rate}/s");
        let mut run = self.measure(name, &mut line, &mut ledger, Pace::Steady(rate), orders, 1_000).await?;
        drop(dawdlers);
        let Some(refused) = &mut run.refused else { bail!("nothing was refused") };
        refused.rss_before_mb = Some(before.rss_mb);
        for (what, ms, most) in
            [("accepted orders", run.post.p99_ms, ACCEPTED_MS), ("refusals", refused.latency.p99_ms, REFUSED_MS)]
        {
            if ms > most {
                run.wrong.push(format!("{what} took {ms:.0} ms at the 99th percentile, not {most}"));
            }
        }
        if refused.lost > 0 {
            run.wrong.push(format!("{} orders were accepted and are in no table", refused.lost));
        }
        self.finish(&place, line, &ledger, run).await
    }
}

/// Opens connections that send one byte of a head now and then, until the set is dropped.
async fn dawdle(address: &str) -> Result<JoinSet<()>> {
    let mut set = JoinSet::new();
    for _ in 0..DAWDLERS {
        let mut stream = TcpStream::connect(address).await.context("cannot connect")?;
        stream.write_all(b"POST /api/orders/create HTTP/1.1\r\nhost: x\r\nx-slow: ").await?;
        let address = address.to_owned();
        set.spawn(async move {
            loop {
                tokio::time::sleep(Duration::from_secs(1)).await;
                if stream.write_all(b"x").await.is_err() {
                    // It was thrown out: it comes again.
                    match TcpStream::connect(&address).await {
                        Ok(next) => stream = next,
                        Err(_) => return,
                    }
                }
            }
        });
    }
    Ok(set)
}

/// As many open files as the system lets us have: each connection is one.
fn more_files() -> Result<()> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).context("cannot open enough files")
}
