//! What is measured: one load on one line, from the first request to the last notification.

use std::{
    path::PathBuf,
    time::{Duration, SystemTime},
};

use anyhow::{Result, bail};
use common::broker::topology::{INVENTORY_LOCK, is_signal};
use serde::Serialize;
use tokio::time::Instant;

use crate::{
    disk::{Disk, Probe},
    ledger::Ledger,
    line::{KINDS, Line, ORDER_API, Plan},
    load::{Load, Outcome, Pace, micros},
    measure::{self, Latency, Machine, Memory},
    overload::Refused,
    progress::Progress,
    servers::{Place, Servers},
};

/// One measured load.
#[derive(Serialize)]
pub struct Run {
    pub name: String,
    /// Orders a second that were due, if they came at a steady rate.
    pub rate: Option<f64>,
    pub orders: usize,
    pub failed: u64,
    pub first_failure: Option<String>,
    pub accepted_per_second: f64,
    /// First request to last notification recorded.
    pub end_to_end_per_second: f64,
    pub post: Latency,
    pub order_to_paid: Latency,
    /// CPU seconds per 1,000 orders.
    pub cpu: Vec<(&'static str, f64)>,
    /// How much of all processors' time was used, between the first request and the last notification. (What was used until
    /// that was seen is counted with it: hardly anything is left to do by then.)
    pub busy_percent: f64,
    /// And how much of it by programs that have nothing to do with this.
    pub others_percent: f64,
    pub memory: Vec<(&'static str, Memory)>,
    pub disk: Option<Disk>,
    /// Only where there was too much to do: those that were told so.
    pub refused: Option<Refused>,
    /// Only for a backlog: how the workers drained it.
    pub drained: Option<Drained>,
    /// What is not as it should be afterwards.
    pub wrong: Vec<String>,
}

#[derive(Serialize)]
pub struct Drained {
    pub seconds: f64,
    pub per_second: f64,
    /// Messages in the workers' first queue when they began, where that was looked at.
    pub waiting: Option<u32>,
}

impl Run {
    /// The most memory that the services had, all of them together; each at its own moment, so it was hardly ever as much.
    pub fn services_peak_mb(&self) -> f64 {
        self.memory.iter().filter(|(name, _)| *name != "RabbitMQ").map(|(_, memory)| memory.peak_mb).sum()
    }
}

pub struct Bench {
    pub servers: Servers,
    pub plan: Plan,
    pub progress: Progress,
    /// Processes that are not ours to start: PostgreSQL's and RabbitMQ's first.
    pub postgres: Option<i32>,
    pub rabbitmq: Option<i32>,
    pub connections: usize,
    /// A folder on the disk that the data are on.
    pub beside_data: Option<PathBuf>,
}

/// Orders that warm up caches and prepare statements, before anything is measured.
pub const WARM_UP: u64 = 500;

impl Bench {
    pub async fn place(&self, what: &str) -> Result<Place> {
        let name = format!("bench_{}_{what}", std::process::id());
        self.servers.make(&name).await
    }

    /// Flat out on a fresh line.
    pub async fn throughput(&self, name: &str, what: &str, orders: u64) -> Result<Run> {
        self.progress.step(&format!("{name}: {orders} orders over {} connections", self.connections));
        let place = self.place(what).await?;
        let mut line = Line::new(&self.plan, &place).await?;
        line.start_all()?;
        line.ready().await?;
        let mut ledger = Ledger::new(&place).await?;
        self.warm_up(&mut line, &mut ledger, WARM_UP.min(orders / 10)).await?;
        let run = self.measure(name.to_owned(), &mut line, &mut ledger, Pace::Flat, orders, self.connections).await?;
        self.finish(&place, line, &ledger, run).await
    }

    /// Steady arrivals, rate after rate, on one line.
    pub async fn rates(&self, rates: &[f64], seconds: f64) -> Result<Vec<Run>> {
        let place = self.place("rates").await?;
        let mut line = Line::new(&self.plan, &place).await?;
        line.start_all()?;
        line.ready().await?;
        let mut ledger = Ledger::new(&place).await?;
        self.warm_up(&mut line, &mut ledger, WARM_UP).await?;
        let mut runs = Vec::new();
        for rate in rates {
            let orders = (rate * seconds).round().max(1.0) as u64;
            // Enough that no order waits for a connection, unless the line falls far behind.
            let connections = self.connections.max((rate / 8.0) as usize).min(1_000);
            self.progress.step(&format!("{rate} orders/s for {seconds} s over {connections} connections"));
            let name = format!("{rate}/s");
            let pace = Pace::Steady(*rate);
            let run = self.measure(name, &mut line, &mut ledger, pace, orders, connections).await?;
            runs.push(Run { rate: Some(*rate), ..run });
        }
        if let Some(last) = runs.pop() {
            runs.push(self.finish(&place, line, &ledger, last).await?);
        }
        Ok(runs)
    }

    /// Orders pile up while the workers are stopped; then the workers start. Where each is to wait in a message of its
    /// own, order-api begins anew with them, for it is not to go on like this; and all customers have been told by then
    /// that their orders were received, or the first ones of a large backlog would be more work than those of a small one.
    pub async fn backlog(&self, orders: u64, one_by_one: bool) -> Result<Run> {
        self.progress.step(&format!("backlog: {orders} orders while the workers are stopped"));
        let place = self.place(&format!("backlog{orders}")).await?;
        let mut line = Line::new(&self.plan, &place).await?;
        let (api, workers): (Vec<_>, Vec<_>) = KINDS.iter().partition(|kind| kind.name == ORDER_API);
        let alone = [("CONVEYOR__OUTBOX__PARCEL_EVENTS", "1")];
        api.iter().try_for_each(|kind| line.start_with(kind, if one_by_one { &alone } else { &[] }))?;
        line.ready().await?;
        let mut ledger = Ledger::new(&place).await?;
        let disk = self.watch_disk()?;
        let (mut cpu, mut machine) = (self.cpu(&line, &ledger), Machine::now());
        let outcome = self.send(&mut line, Pace::Flat, orders, self.connections).await?;
        let mut waiting = None;
        if one_by_one {
            self.until_told(&mut line, &ledger).await?;
            line.stop().await?;
            let queued = self.servers.messages(&place).await?;
            waiting = queued.iter().find(|(queue, _)| queue == INVENTORY_LOCK.name).map(|(_, messages)| *messages);
            api.iter().try_for_each(|kind| line.start(kind))?;
            line.ready().await?;
            (cpu, machine) = (self.cpu(&line, &ledger), Machine::now());
        }
        self.progress.step("starting the workers");
        let mut from = micros(SystemTime::now());
        workers.iter().try_for_each(|kind| line.start(kind))?;
        self.until_notified(&mut line, &mut ledger, outcome.sent.len()).await?;
        let machine = (machine, Machine::now());
        let disk = disk.map(Probe::stop).transpose()?;
        self.until_settled(&mut line, &ledger).await?;
        let mut run = self.sum_up(format!("backlog of {orders}"), &line, &ledger, &outcome, &cpu, machine).await?;
        if one_by_one {
            // How soon the workers are there has nothing to do with how much waits for them.
            from = ledger.first_notified().await?;
        }
        let seconds = seconds_between(from, ledger.last_notified().await?);
        run.disk = disk;
        run.drained = Some(Drained { seconds, per_second: outcome.sent.len() as f64 / seconds, waiting });
        self.finish(&place, line, &ledger, run).await
    }

    pub async fn warm_up(&self, line: &mut Line<'_>, ledger: &mut Ledger, orders: u64) -> Result<()> {
        if orders > 0 {
            let warm = self.send(line, Pace::Flat, orders, self.connections).await?;
            if let Some(why) = warm.first_failure {
                bail!("the warm-up failed: {why}");
            }
            self.until_notified(line, ledger, warm.sent.len()).await?;
            self.until_settled(line, ledger).await?;
        }
        Ok(())
    }

    pub async fn measure(
        &self,
        name: String,
        line: &mut Line<'_>,
        ledger: &mut Ledger,
        pace: Pace,
        orders: u64,
        connections: usize,
    ) -> Result<Run> {
        let disk = self.watch_disk()?;
        let cpu = self.cpu(line, ledger);
        let machine = Machine::now();
        let outcome = self.send(line, pace, orders, connections).await?;
        self.until_notified(line, ledger, outcome.sent.len()).await?;
        let machine = (machine, Machine::now());
        let disk = disk.map(Probe::stop).transpose()?;
        self.until_settled(line, ledger).await?;
        let run = self.sum_up(name, line, ledger, &outcome, &cpu, machine).await?;
        Ok(Run { disk, ..run })
    }

    fn watch_disk(&self) -> Result<Option<Probe>> {
        self.beside_data.as_deref().map(Probe::start).transpose()
    }

    async fn send(&self, line: &mut Line<'_>, pace: Pace, orders: u64, connections: usize) -> Result<Outcome> {
        let address = line.address()?;
        let load = Load::new(&address, pace, orders)?;
        let outcome = load
            .run(connections, |load| self.progress.tick(&format!("{} of {orders} orders answered", load.answered())))
            .await?;
        line.check()?;
        if outcome.sent.is_empty() {
            bail!("no order was accepted: {}", outcome.first_failure.unwrap_or_default());
        }
        Ok(outcome)
    }

    /// Waits until so many more orders are notified of.
    async fn until_notified(&self, line: &mut Line<'_>, ledger: &mut Ledger, more: usize) -> Result<()> {
        ledger.expected += i64::try_from(more)?;
        let mut best = -1;
        let mut moved = Instant::now();
        loop {
            let asked = Instant::now();
            let notified = ledger.notified().await?;
            if notified.of_payment >= ledger.expected {
                return Ok(());
            }
            if notified.of_anything > best {
                best = notified.of_anything;
                moved = Instant::now();
            }
            if moved.elapsed() > Duration::from_secs(60) {
                bail!("nothing has moved for 60 s: {}", ledger.differences().await?.join("; "));
            }
            line.check()?;
            let of_payment = notified.of_payment;
            self.progress.tick(&format!("{of_payment} of {} notifications recorded", ledger.expected));
            // Counting costs what it counts: it gets a twentieth of one processor at most.
            tokio::time::sleep((asked.elapsed() * 20).clamp(Duration::from_millis(20), Duration::from_secs(2))).await;
        }
    }

    /// Waits until order-api has said all that it says of orders that wait.
    async fn until_told(&self, line: &mut Line<'_>, ledger: &Ledger) -> Result<()> {
        let (mut least, mut moved) = (i64::MAX, Instant::now());
        loop {
            let left = ledger.untold().await?;
            if left == 0 {
                return Ok(());
            }
            if left < least {
                (least, moved) = (left, Instant::now());
            }
            if moved.elapsed() > Duration::from_secs(60) {
                bail!("{left} groups of orders wait to be looked at, for 60 s now");
            }
            line.check()?;
            self.progress.tick(&format!("{left} groups of orders whose customers are to be told"));
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Stock is confirmed, and the outboxes are emptied, beside the path to the notification.
    async fn until_settled(&self, line: &mut Line<'_>, ledger: &Ledger) -> Result<()> {
        let end = Instant::now() + Duration::from_secs(20);
        while !ledger.differences().await?.is_empty() && Instant::now() < end {
            line.check()?;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(())
    }

    /// What everybody has used so far. What it takes PostgreSQL to say how far the orders are is for the load generator.
    fn cpu(&self, line: &Line<'_>, ledger: &Ledger) -> Vec<(&'static str, f64)> {
        let services = line.services.iter().map(|service| (service.name, Some(measure::cpu_seconds(service.pid))));
        let own = measure::cpu_seconds_alone(std::process::id().cast_signed());
        let asking = self.postgres.and_then(|_| measure::cpu_seconds_alone(ledger.backend)).unwrap_or_default();
        let others = [
            ("PostgreSQL", self.postgres.map(|pid| measure::cpu_seconds(pid) - asking)),
            ("RabbitMQ", self.rabbitmq.map(measure::cpu_seconds)),
            // By itself: the services are its children.
            ("load generator", own.map(|own| own + asking)),
        ];
        let mut sums: Vec<(&'static str, f64)> = Vec::new();
        for (name, seconds) in services.chain(others).filter_map(|(name, seconds)| Some((name, seconds?))) {
            // Several processes of one service count as one.
            match sums.iter_mut().find(|(n, _)| *n == name) {
                Some((_, sum)) => *sum += seconds,
                None => sums.push((name, seconds)),
            }
        }
        sums
    }

    async fn sum_up(
        &self,
        name: String,
        line: &Line<'_>,
        ledger: &Ledger,
        outcome: &Outcome,
        before: &[(&'static str, f64)],
        machine: (Machine, Machine),
    ) -> Result<Run> {
        let orders = outcome.sent.len();
        let per_thousand = |seconds: f64| seconds * 1_000.0 / orders as f64;
        let mut cpu: Vec<_> = self
            .cpu(line, ledger)
            .into_iter()
            // A service that was not there before had used nothing.
            .map(|(name, after)| {
                (name, after - before.iter().find(|(n, _)| *n == name).map_or(0.0, |(_, before)| *before))
            })
            .map(|(name, used)| (name, per_thousand(used)))
            .collect();
        let busy = machine.1.busy_seconds - machine.0.busy_seconds;
        let ours: f64 = cpu.iter().map(|(_, used)| used).sum();
        // What the system does for nobody in particular, such as flushing files, is in here too.
        let others = (per_thousand(busy) - ours).max(0.0);
        cpu.push(("everything else", others));
        // It is seen late that the last was notified: asking takes a while, and is not done all the time.
        let last = ledger.last_notified().await?;
        let [from, until] = [machine.0.at, machine.1.at].map(micros);
        let seen_after = seconds_between(from, until);
        let all =
            (machine.1.all_seconds - machine.0.all_seconds) * seconds_between(from, last).min(seen_after) / seen_after;
        let memory = line
            .services
            .iter()
            .map(|service| (service.name, service.pid))
            .chain(self.rabbitmq.map(|pid| ("RabbitMQ", pid)))
            .filter_map(|(name, pid)| Some((name, measure::memory(pid)?)))
            .collect();
        let refused = match outcome.refused {
            0 => None,
            orders => Some(Refused {
                orders,
                latency: outcome.refusals.sum_up(),
                lost: ledger.lost(&outcome.sent).await?,
                rss_before_mb: None,
            }),
        };
        Ok(Run {
            name,
            rate: None,
            orders,
            failed: outcome.failed,
            first_failure: outcome.first_failure.clone(),
            accepted_per_second: orders as f64 / outcome.took.as_secs_f64(),
            end_to_end_per_second: orders as f64 / seconds_between(outcome.began, last),
            post: outcome.post.sum_up(),
            order_to_paid: ledger.order_to_paid(&outcome.sent).await?,
            cpu,
            busy_percent: (100.0 * busy / all).min(100.0),
            others_percent: 100.0 * others * orders as f64 / 1_000.0 / all,
            memory,
            disk: None,
            refused,
            drained: None,
            wrong: Vec::new(),
        })
    }

    /// Stops the line in good order, says what is not as it should be, and cleans up.
    pub async fn finish(&self, place: &Place, line: Line<'_>, ledger: &Ledger, run: Run) -> Result<Run> {
        let run = self.stop(place, line, ledger, run).await?;
        self.servers.remove(&place.name).await?;
        Ok(run)
    }

    /// Stops the line in good order, and says what is not as it should be.
    pub async fn stop(&self, place: &Place, mut line: Line<'_>, ledger: &Ledger, mut run: Run) -> Result<Run> {
        self.progress.close();
        let stopped = line.stop().await;
        run.wrong.extend(ledger.differences().await?);
        run.wrong.extend(stopped.err().map(|error| format!("{error:#}")));
        // Nobody consumes any more, so the counts are exact.
        let left = self.servers.messages(place).await?;
        let left = left.into_iter().filter(|(queue, n)| *n > 0 && !is_signal(queue));
        run.wrong.extend(left.map(|(queue, n)| format!("{n} messages left in {queue}")));
        Ok(run)
    }
}

fn seconds_between(from: i64, to: i64) -> f64 {
    // A clock that was set back must not make a division by nothing.
    ((to - from) as f64 / 1e6).max(1e-6)
}
