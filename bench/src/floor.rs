//! The floor: what PostgreSQL and RabbitMQ take for the rows and messages of a measured run, with no application between
//! them: no HTTP, no JSON, no decisions.
//!
//! What the run did is counted from the real thing. Right after it the same rows are written once more, from memory, into
//! the same tables, emptied; as many are changed and deleted; and as many messages of the same size are published, confirmed,
//! consumed and acknowledged through the same exchange and queues. Both servers work at once, as they do in the line, each
//! in the best batches that were found.

mod broker;
mod counted;
mod door;
mod repeat;
mod words;

use anyhow::{Context as _, Result};
use serde::Serialize;

use self::{
    counted::{Published, Rows, Tap, Written},
    repeat::Work,
};
use crate::{
    ledger::Ledger,
    line::Line,
    load::Pace,
    measure::{self, median},
    scenario::{Bench, Run, WARM_UP},
    servers::{Place, connect},
};

/// Orders whose rows are written in one transaction, and connections to PostgreSQL: all pairs are tried.
const BATCHES: [usize; 3] = [256, 512, 1_024];
const CONNECTIONS: [usize; 3] = [1, 2, 4];

/// How often the floor is measured beside each run: it takes a moment only. The middle one counts.
const TIMES: usize = 3;

/// Nobody is asked who they are.
const UNAUTHENTICATED: [&str; 2] =
    ["CONVEYOR__ORDERS__REQUIRE_TOKEN=false", "CONVEYOR__ORDERS__REQUIRE_SIGNATURE=false"];

/// One time on the floor.
#[derive(Debug, Clone, Serialize)]
pub struct Floor {
    pub orders: usize,
    pub seconds: f64,
    pub orders_per_second: f64,
    /// CPU seconds per 1,000 orders.
    pub cpu: Vec<(&'static str, f64)>,
}

/// How it is done best.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Best {
    pub batch: usize,
    pub connections: usize,
}

/// What was counted of the run, and what of it was done again.
#[derive(Debug, Clone, Serialize)]
pub struct Counted {
    pub orders: usize,
    pub counted: Written,
    pub again: Written,
    pub published: Vec<Published>,
    pub messages: u64,
    pub deliveries: u64,
    pub bytes: u64,
}

/// The line and its floor, one right after the other, as often as was asked for.
#[derive(Serialize)]
pub struct Versus {
    pub name: String,
    pub connections: usize,
    /// Whether tokens and signatures are checked.
    pub authenticated: bool,
    pub runs: Vec<Run>,
    pub floors: Vec<Floor>,
    /// CPU seconds for 1,000 orders at the door alone; and to read, write and check what they say.
    pub doors: Vec<f64>,
    pub words: Vec<f64>,
    pub best: Option<Best>,
    /// Of the last run.
    pub counted: Option<Counted>,
}

impl Versus {
    /// Round by round, what the line carried as a share of what was possible in the same minute.
    pub fn shares(&self) -> Vec<f64> {
        let share = |(run, floor): (&Run, &Floor)| run.end_to_end_per_second / floor.orders_per_second;
        self.runs.iter().zip(&self.floors).map(share).collect()
    }

    pub fn share(&self) -> Option<f64> {
        median(&self.shares())
    }

    /// The most that anything could carry that is asked over HTTP, keeps the same rows and sends the same events, as a share
    /// of the floor: if all processors did nothing but what the floor, the door and the words take, and never waited.
    pub fn most_possible(&self) -> Option<f64> {
        let floors: Vec<f64> =
            self.floors.iter().map(|floor| floor.cpu.iter().map(|(_, seconds)| seconds).sum()).collect();
        let seconds = median(&floors)? + median(&self.doors)? + median(&self.words)?;
        let processors = std::thread::available_parallelism().ok()?.get() as f64;
        Some(processors * 1e3 / seconds / self.floor_per_second()?)
    }

    pub fn orders_per_second(&self) -> Option<f64> {
        median(&self.runs.iter().map(|run| run.end_to_end_per_second).collect::<Vec<_>>())
    }

    pub fn text(&self) -> String {
        let per_second = |of: Option<f64>| of.map_or("-".to_owned(), |number| format!("{number:.0}"));
        let shares: Vec<String> = self.shares().iter().map(|share| format!("{share:.2}")).collect();
        let mut text = format!(
            "\nBeside the floor: {}\n  orders/s             {}\n  floor orders/s       {}\n  share of the floor   {:.2} ({})\n",
            self.name,
            per_second(self.orders_per_second()),
            per_second(self.floor_per_second()),
            self.share().unwrap_or_default(),
            shares.join(", ")
        );
        if let (Some(most), Some(door), Some(words)) = (self.most_possible(), median(&self.doors), median(&self.words))
        {
            text.push_str(&format!(
                "  the most possible    {most:.2} of the floor: for 1,000 orders, being asked and answering takes {door:.3} CPU \
                 seconds, reading, writing and checking what they say {words:.3}\n"
            ));
        }
        if let (Some(counted), Some(best)) = (&self.counted, &self.best) {
            let per_order = |count: u64| count as f64 / counted.orders.max(1) as f64;
            let rows = |rows: &Written| {
                let [inserted, updated, deleted] = [rows.inserted, rows.updated, rows.deleted].map(per_order);
                format!("{inserted:.2} inserted, {updated:.2} updated, {deleted:.2} deleted")
            };
            text.push_str(&format!(
                "  rows for an order    {}; on the floor {}\n  messages             {} of {:.0} bytes on average, {} deliveries\n  \
                 the floor does best  in batches of {} over {} connections\n",
                rows(&counted.counted),
                rows(&counted.again),
                counted.messages,
                counted.bytes as f64 / counted.messages.max(1) as f64,
                counted.deliveries,
                best.batch,
                best.connections
            ));
        }
        text
    }

    pub fn floor_per_second(&self) -> Option<f64> {
        median(&self.floors.iter().map(|floor| floor.orders_per_second).collect::<Vec<_>>())
    }
}

impl Bench {
    /// Throughput beside its floor, alternating: the machine is not the same from one minute to the next.
    pub async fn versus(&mut self, authenticated: bool, orders: u64, rounds: u8) -> Result<Versus> {
        let how = if authenticated { "authentication on" } else { "authentication off" };
        let mut versus = Versus {
            name: format!("{} connections, {how}", self.connections),
            connections: self.connections,
            authenticated,
            runs: Vec::new(),
            floors: Vec::new(),
            doors: Vec::new(),
            words: Vec::new(),
            best: None,
            counted: None,
        };
        let settings = if authenticated { Vec::new() } else { UNAUTHENTICATED.map(str::to_owned).to_vec() };
        self.with_settings(settings, async |bench| {
            for round in 1..=rounds {
                let name = format!("{}, round {round}", versus.name);
                bench.beside_floor(&name, &format!("floor{round}"), orders, &mut versus).await?;
            }
            Ok(())
        })
        .await?;
        Ok(versus)
    }

    async fn beside_floor(&self, name: &str, what: &str, orders: u64, versus: &mut Versus) -> Result<()> {
        self.progress.step(&format!("{name}: {orders} orders over {} connections", self.connections));
        let place = self.place(what).await?;
        let mut line = Line::new(&self.plan, &place).await?;
        line.start_all()?;
        line.ready().await?;
        let mut ledger = Ledger::new(&place).await?;
        let client = connect(&place.database).await?;
        let before = Rows::now(&client).await?;
        let tap = Tap::open(&place).await?;
        self.warm_up(&mut line, &mut ledger, WARM_UP.min(orders / 10).max(1)).await?;
        let sample = tap.close().await?;
        let run = self.measure(name.to_owned(), &mut line, &mut ledger, Pace::Flat, orders, self.connections).await?;
        let given = counted::given(&self.servers, &place, &line).await?;
        let run = self.stop(&place, line, &ledger, run).await?;

        let all = usize::try_from(ledger.expected)?;
        let rows = Rows::settled(&client).await?.since(&before);
        let published = counted::published(&sample, &given);
        let best = match versus.best {
            Some(best) => best,
            None => {
                let mut fastest = None;
                for batch in BATCHES {
                    let parts = all.div_ceil(batch);
                    let work = Work::gather(&client, &rows, &sample, &published, parts).await?;
                    for connections in CONNECTIONS {
                        let floor = self.floor(&work, &place, all, connections).await?;
                        self.progress.step(&format!(
                            "  floor: {:.0} orders/s in batches of {batch} over {connections} connections",
                            floor.orders_per_second
                        ));
                        let best = Best { batch, connections };
                        if fastest.is_none_or(|(_, speed)| floor.orders_per_second > speed) {
                            fastest = Some((best, floor.orders_per_second));
                        }
                    }
                }
                fastest.context("nothing was tried")?.0
            }
        };
        let work = Work::gather(&client, &rows, &sample, &published, all.div_ceil(best.batch)).await?;
        let mut floors = Vec::new();
        for _ in 0..TIMES {
            floors.push(self.floor(&work, &place, all, best.connections).await?);
        }
        let floor = middle(floors).context("nothing was done again")?;
        self.progress.step(&format!(
            "  {:.0} orders/s, floor {:.0}: {:.2}",
            run.end_to_end_per_second,
            floor.orders_per_second,
            run.end_to_end_per_second / floor.orders_per_second
        ));
        let words = words::words(&sample, &published, all, versus.authenticated)?;
        versus.best = Some(best);
        versus.counted = Some(Counted {
            orders: all,
            counted: rows.sum(),
            again: work.rows,
            messages: published.iter().map(|published| published.messages).sum(),
            published,
            deliveries: work.deliveries,
            bytes: work.bytes,
        });
        versus.runs.push(run);
        versus.floors.push(floor);
        versus.doors.push(door::door(orders, self.connections).await?);
        versus.words.push(words);
        drop(client);
        self.servers.remove(&place.name).await
    }

    async fn floor(&self, work: &Work, place: &Place, orders: usize, connections: usize) -> Result<Floor> {
        let cpu = || {
            let others = [
                ("PostgreSQL", self.postgres.map(measure::cpu_seconds)),
                ("RabbitMQ", self.rabbitmq.map(measure::cpu_seconds)),
                ("load generator", measure::cpu_seconds_alone(std::process::id().cast_signed())),
            ];
            others.into_iter().filter_map(|(name, seconds)| Some((name, seconds?)))
        };
        let before: Vec<_> = cpu().collect();
        let seconds = work.run(place, connections).await?.as_secs_f64();
        let used = cpu().zip(before).map(|((name, after), (_, before))| (name, (after - before) * 1e3 / orders as f64));
        Ok(Floor { orders, seconds, orders_per_second: orders as f64 / seconds, cpu: used.collect() })
    }
}

/// Neither the fastest nor the slowest.
fn middle(mut floors: Vec<Floor>) -> Option<Floor> {
    floors.sort_by(|a, b| a.orders_per_second.total_cmp(&b.orders_per_second));
    let half = floors.len() / 2;
    floors.into_iter().nth(half)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn floor(orders_per_second: f64) -> Floor {
        Floor { orders: 1, seconds: 1.0, orders_per_second, cpu: Vec::new() }
    }

    #[test]
    fn the_middle_one_counts() {
        let it = middle([9.0, 1.0, 4.0].map(floor).into()).unwrap();
        assert!((it.orders_per_second - 4.0).abs() < 1e-9 && middle(Vec::new()).is_none());
    }
}
