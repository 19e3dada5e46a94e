//! How throughput goes with what changes: the size of batches, the number of workers, what waits in a queue. (What lies in
//! the tables already: `history`.)

use anyhow::Result;
use serde::Serialize;

use crate::{
    line::Setting,
    measure::median,
    scenario::{Bench, Run},
};

/// Throughput against one thing.
#[derive(Serialize)]
pub struct Curve {
    pub what: &'static str,
    pub points: Vec<Point>,
}

#[derive(Serialize)]
pub struct Point {
    pub at: f64,
    pub runs: Vec<Run>,
    /// What the first point carried right before each of the runs: the machine is not the same from one minute to the next.
    pub beside: Vec<Run>,
}

impl Point {
    /// The median of its runs.
    pub fn per_second(&self) -> Option<f64> {
        median(&self.runs.iter().map(per_second).collect::<Vec<_>>())
    }

    /// As a share of the first point, in the same minutes.
    pub fn share(&self) -> Option<f64> {
        let shares = self.runs.iter().zip(&self.beside).map(|(run, beside)| per_second(run) / per_second(beside));
        median(&shares.collect::<Vec<_>>())
    }
}

fn per_second(run: &Run) -> f64 {
    run.drained.as_ref().map_or(run.end_to_end_per_second, |drained| drained.per_second)
}

impl Curve {
    pub fn runs(&self) -> impl Iterator<Item = &Run> {
        self.points.iter().flat_map(|point| point.beside.iter().chain(&point.runs))
    }

    pub fn text(&self) -> String {
        let mut text = format!("\nThroughput against {}\n", self.what);
        for point in &self.points {
            let share = point.share().map_or(String::new(), |share| format!(", {share:.2} of the first"));
            text.push_str(&format!("  {:>9}: {:.0} orders/s{share}\n", point.at, point.per_second().unwrap_or(0.0)));
        }
        text
    }
}

/// So many events in a transaction and in a parcel, and orders in a commit.
pub fn batches_of(size: u64) -> [String; 3] {
    ["CONSUMER__MAX_EVENTS", "OUTBOX__PARCEL_EVENTS", "ORDERS__GROUP_COMMIT"]
        .map(|name| format!("CONVEYOR__{name}={size}"))
}

impl Bench {
    /// Events in a transaction, in a parcel, and orders in a commit, all of them at once.
    pub async fn batches(&mut self, sizes: &[u64], orders: u64) -> Result<Curve> {
        let mut points = Vec::new();
        for size in sizes {
            // The smallest take long; what they carry shows soon.
            let orders = orders.min(3_000 * size).max(1);
            let name = format!("batches of {size}");
            let run = self.with_settings(batches_of(*size), async |bench| {
                bench.throughput(&name, &format!("batch{size}"), orders).await
            });
            points.push(Point { at: *size as f64, runs: vec![run.await?], beside: Vec::new() });
        }
        Ok(Curve { what: "the largest batch", points })
    }

    /// So many processes of each service.
    pub async fn workers(&mut self, counts: &[usize], orders: u64, rounds: u8) -> Result<Curve> {
        let mut points: Vec<Point> = Vec::new();
        for count in counts {
            let mut point = Point { at: *count as f64, runs: Vec::new(), beside: Vec::new() };
            for round in 1..=rounds {
                if let Some(first) = counts.first().filter(|first| *first != count) {
                    point.beside.push(self.with_processes(*first, orders, &format!("{count}_{round}a")).await?);
                }
                point.runs.push(self.with_processes(*count, orders, &format!("{count}_{round}b")).await?);
            }
            points.push(point);
        }
        Ok(Curve { what: "the number of processes of each worker", points })
    }

    async fn with_processes(&mut self, processes: usize, orders: u64, what: &str) -> Result<Run> {
        self.plan.processes = processes;
        let run = self.throughput(&format!("{processes} of each worker"), &format!("workers{what}"), orders).await;
        self.plan.processes = 1;
        run
    }

    /// Messages that wait for the workers when these begin: each holds one order.
    pub async fn backlogs(&self, sizes: &[u64], rounds: u8) -> Result<Curve> {
        let mut points: Vec<Point> = Vec::new();
        for size in sizes {
            let mut point = Point { at: *size as f64, runs: Vec::new(), beside: Vec::new() };
            for _ in 0..rounds {
                if let Some(first) = sizes.first().filter(|first| *first != size) {
                    point.beside.push(self.backlog(*first, true).await?);
                }
                point.runs.push(self.backlog(*size, true).await?);
            }
            points.push(point);
        }
        Ok(Curve { what: "the messages that wait", points })
    }

    /// Measures with some settings more, and takes them away again.
    pub async fn with_settings<T>(
        &mut self,
        settings: impl IntoIterator<Item = String>,
        measure: impl AsyncFnOnce(&mut Self) -> Result<T>,
    ) -> Result<T> {
        let ours = self.plan.settings.len();
        for setting in settings {
            self.plan.settings.push(setting.parse::<Setting>().map_err(anyhow::Error::msg)?);
        }
        let measured = measure(self).await;
        self.plan.settings.truncate(ours);
        measured
    }
}
