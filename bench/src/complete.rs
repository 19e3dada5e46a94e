//! Everything that can be measured, one part after the other: `--report`. A part that fails does not take the others along.

use std::time::Instant;

use anyhow::Result;

use crate::{
    report::{Part, Report},
    scenario::Bench,
};

/// How much of everything.
pub struct Extent {
    orders: u64,
    rounds: u8,
    rates: &'static [f64],
    seconds: f64,
    batches: &'static [u64],
    workers: &'static [usize],
    history: &'static [u64],
    backlogs: &'static [u64],
    waiting: u64,
}

pub const WHOLE: Extent = Extent {
    orders: 20_000,
    rounds: 3,
    rates: &[20.0, 100.0, 500.0, 1_000.0, 2_000.0, 3_000.0, 4_000.0, 5_000.0, 6_000.0, 8_000.0, 9_000.0],
    seconds: 15.0,
    batches: &[1, 4, 16, 64, 256],
    workers: &[1, 2, 3],
    history: &[10_000, 1_000_000, 5_000_000],
    backlogs: &[20_000, 100_000, 500_000],
    waiting: 50_000,
};

/// To see that it works.
pub const QUICK: Extent = Extent {
    orders: 2_000,
    rounds: 1,
    rates: &[20.0, 500.0, 1_000.0],
    seconds: 3.0,
    batches: &[1, 16, 256],
    workers: &[1, 3],
    history: &[4_000, 50_000],
    backlogs: &[1_000, 5_000],
    waiting: 2_000,
};

/// Order to paid beyond this, and more load only means a longer queue.
pub const SATURATED_MS: f64 = 2_000.0;

impl Bench {
    /// One part after the other.
    pub async fn everything(&mut self, extent: &Extent, report: &mut Report) -> Result<()> {
        let Extent { orders, rounds, rates, seconds, .. } = *extent;
        for (name, connections, authenticated) in [
            ("the floor, 64 connections", 64, true),
            ("the floor, 256 connections", 256, true),
            ("the floor, 64 connections, authentication off", 64, false),
            ("the floor, 256 connections, authentication off", 256, false),
        ] {
            let before = std::mem::replace(&mut self.connections, connections);
            self.part(name, report, async |bench, report| {
                // Of few, what the first and the very last one take would be a part of it, which is no throughput.
                report.versus.push(bench.versus(authenticated, 2 * orders, rounds).await?);
                Ok(())
            })
            .await?;
            self.connections = before;
        }
        self.part("latency against load", report, async |bench, report| {
            for rate in rates {
                let runs = bench.rates(&[*rate], seconds).await?;
                let is_saturated = runs.iter().any(|run| run.order_to_paid.p99_ms > SATURATED_MS);
                report.rates.extend(runs);
                if is_saturated {
                    break;
                }
            }
            Ok(())
        })
        .await?;
        self.part("batches", report, async |bench, report| {
            report.curves.push(bench.batches(extent.batches, orders).await?);
            Ok(())
        })
        .await?;
        self.part("workers", report, async |bench, report| {
            // The longer, the less of it is what the very last order takes, which is no throughput.
            report.curves.push(bench.workers(extent.workers, 5 * orders, rounds).await?);
            Ok(())
        })
        .await?;
        self.part("history", report, async |bench, report| {
            report.curves.push(bench.history(extent.history, orders, rounds).await?);
            Ok(())
        })
        .await?;
        self.part("backlog", report, async |bench, report| {
            report.curves.push(bench.backlogs(extent.backlogs, rounds).await?);
            Ok(())
        })
        .await?;
        self.part("flash sale", report, async |bench, report| {
            report.flash = bench.flashes(rounds).await?;
            Ok(())
        })
        .await?;
        self.part("waiting for the deadline", report, async |bench, report| {
            for wiped in [false, true] {
                report.waiting.push(bench.waiting(extent.waiting, wiped).await?);
            }
            Ok(())
        })
        .await?;
        self.part("overload", report, async |bench, report| {
            report.overload = Some(bench.overload(1_250.0, seconds).await?);
            Ok(())
        })
        .await?;
        self.part("idle", report, async |bench, report| {
            report.idle = Some(bench.idle().await?);
            Ok(())
        })
        .await
    }

    /// What went wrong is noted; only servers that cannot be cleaned up end the whole.
    async fn part(
        &mut self,
        name: &'static str,
        report: &mut Report,
        measure: impl AsyncFnOnce(&mut Self, &mut Report) -> Result<()>,
    ) -> Result<()> {
        self.progress.step(&format!("── {name}"));
        let began = Instant::now();
        let measured = measure(self, report).await;
        let failure = measured.err().map(|error| format!("{error:#}"));
        if let Some(failure) = &failure {
            self.progress.step(&format!("  failed: {failure}"));
        }
        self.plan.processes = 1;
        self.servers.remove_all().await?;
        report.parts.push(Part { name, seconds: began.elapsed().as_secs_f64(), failure });
        Ok(())
    }
}
