//! What goes wrong, and when. Pure: the same seed gives the same plan.

use std::{fmt, time::Duration};

use fastrand::Rng;

/// The services, by their place in the world.
pub const SERVICES: [&str; 5] =
    ["order-api", "inventory-worker", "payment-worker", "notification-worker", "support-console"];
/// Processes of each; the console is one.
pub const INSTANCES: usize = 2;
/// Nodes of the broker.
pub const NODES: usize = 3;

/// Which of the two servers a way leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum To {
    Database,
    Broker,
}

/// One process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    pub service: usize,
    pub instance: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    DatabaseRestarts,
    DatabaseCrashes,
    /// Somebody holds a lock on a table that everybody writes to.
    TableLocked(&'static str),
    NodeCrashes(usize),
    NodeStalls(usize),
    BrokerRestarts,
    BrokerCrashes,
    WayCut(usize, To),
    WaySlow(usize, To, Duration),
    WayStalls(usize, To),
    Killed(Member),
    SeveralKilled(Vec<Member>),
    Stalled(Member),
    /// As when a new version is put in place.
    Restarted(Member),
    QueueFilled(usize),
    EventsRepeated,
    Gateway(&'static str),
    Mail(&'static str),
    OutsideCut,
    OutsideStalls,
}

/// A fault, how long after the one before it begins, and how long it lasts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    pub after: Duration,
    pub lasts: Duration,
    pub fault: Fault,
}

/// Two things may be wrong at once: one with the servers and the ways to them, one with the processes and the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    Servers,
    Processes,
}

/// Makes a fault of one kind, and says how long it lasts.
type Kind = fn(&mut Rng) -> (Fault, Duration);

const OF_SERVERS: [Kind; 10] = [
    |rng| (Fault::DatabaseRestarts, seconds(rng, 0, 3)),
    |rng| (Fault::DatabaseCrashes, seconds(rng, 0, 8)),
    |rng| (Fault::TableLocked(one_of(rng, &TABLES)), seconds(rng, 2, 8)),
    |rng| (Fault::NodeCrashes(rng.usize(..NODES)), seconds(rng, 1, 12)),
    |rng| (Fault::NodeStalls(rng.usize(..NODES)), seconds(rng, 5, 30)),
    |rng| (Fault::BrokerRestarts, seconds(rng, 0, 2)),
    |rng| (Fault::BrokerCrashes, seconds(rng, 0, 8)),
    |rng| (Fault::WayCut(service(rng), to(rng)), seconds(rng, 2, 15)),
    |rng| (Fault::WaySlow(service(rng), to(rng), Duration::from_millis(rng.u64(20..300))), seconds(rng, 5, 15)),
    |rng| (Fault::WayStalls(service(rng), to(rng)), seconds(rng, 2, 25)),
];

const OF_PROCESSES: [Kind; 10] = [
    |rng| (Fault::Killed(member(rng)), seconds(rng, 0, 4)),
    |rng| (Fault::SeveralKilled(several(rng)), seconds(rng, 0, 4)),
    |rng| (Fault::Stalled(member(rng)), seconds(rng, 1, 40)),
    |rng| (Fault::Restarted(member(rng)), Duration::ZERO),
    |rng| (Fault::QueueFilled(rng.usize(500..3_000)), Duration::ZERO),
    |rng| (Fault::EventsRepeated, seconds(rng, 5, 15)),
    |rng| (Fault::Gateway(one_of(rng, &["down", "slow", "throttled"])), seconds(rng, 3, 15)),
    |rng| (Fault::Mail(one_of(rng, &["down", "silent", "tempfail"])), seconds(rng, 3, 15)),
    |rng| (Fault::OutsideCut, seconds(rng, 2, 12)),
    |rng| (Fault::OutsideStalls, seconds(rng, 2, 20)),
];

const TABLES: [&str; 4] = ["orders.orders", "inventory.products", "payments.payments", "notifications.notifications"];

fn seconds(rng: &mut Rng, from: u64, most: u64) -> Duration {
    Duration::from_millis(rng.u64(from * 1_000..=most * 1_000))
}

fn one_of(rng: &mut Rng, all: &[&'static str]) -> &'static str {
    all[rng.usize(..all.len())]
}

fn service(rng: &mut Rng) -> usize {
    rng.usize(..SERVICES.len())
}

fn to(rng: &mut Rng) -> To {
    if rng.bool() { To::Database } else { To::Broker }
}

fn member(rng: &mut Rng) -> Member {
    let all: Vec<Member> = members().collect();
    all[rng.usize(..all.len())]
}

fn several(rng: &mut Rng) -> Vec<Member> {
    let mut all: Vec<Member> = members().collect();
    rng.shuffle(&mut all);
    all.truncate(rng.usize(2..=5));
    all
}

/// So many faults of a lane that no run comes to the end of them.
const MOST: usize = 2_000;

/// The faults of a lane, in their order. All kinds are dealt before one comes again.
pub fn plan(seed: u64, lane: Lane) -> Vec<Planned> {
    let mut rng = Rng::with_seed(seed.wrapping_mul(2).wrapping_add((lane == Lane::Processes).into()));
    let mut deck = match lane {
        Lane::Servers => OF_SERVERS,
        Lane::Processes => OF_PROCESSES,
    };
    let mut planned = Vec::with_capacity(MOST);
    while planned.len() < MOST {
        rng.shuffle(&mut deck);
        for kind in deck {
            let after = Duration::from_millis(rng.u64(1_000..6_000));
            let (fault, lasts) = kind(&mut rng);
            planned.push(Planned { after, lasts, fault });
        }
    }
    planned
}

/// Every process there is.
pub fn members() -> impl Iterator<Item = Member> {
    let console = SERVICES.len() - 1;
    let all = (0..console).flat_map(|service| (0..INSTANCES).map(move |instance| Member { service, instance }));
    all.chain([Member { service: console, instance: 0 }])
}

impl Fault {
    /// What it counts as.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::DatabaseRestarts => "database restarts",
            Self::DatabaseCrashes => "database crashes",
            Self::TableLocked(_) => "table locked",
            Self::NodeCrashes(_) => "broker node crashes",
            Self::NodeStalls(_) => "broker node stalls",
            Self::BrokerRestarts => "broker restarts",
            Self::BrokerCrashes => "broker crashes",
            Self::WayCut(..) => "way cut",
            Self::WaySlow(..) => "way slow",
            Self::WayStalls(..) => "way stalls",
            Self::Killed(_) => "process killed",
            Self::SeveralKilled(_) => "processes killed at once",
            Self::Stalled(_) => "process stalled",
            Self::Restarted(_) => "process replaced",
            Self::QueueFilled(_) => "queue filled",
            Self::EventsRepeated => "events repeated",
            Self::Gateway(_) => "gateway troubled",
            Self::Mail(_) => "mail troubled",
            Self::OutsideCut => "outside cut off",
            Self::OutsideStalls => "outside stalls",
        }
    }
}

impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", SERVICES[self.service], self.instance + 1)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let way = |to: &To| if *to == To::Database { "PostgreSQL" } else { "RabbitMQ" };
        f.write_str(self.kind())?;
        match self {
            Self::TableLocked(table) => write!(f, ": {table}"),
            Self::NodeCrashes(node) | Self::NodeStalls(node) => write!(f, ": node {}", node + 1),
            Self::WayCut(service, to) | Self::WayStalls(service, to) => {
                write!(f, ": {} to {}", SERVICES[*service], way(to))
            }
            Self::WaySlow(service, to, by) => {
                write!(f, ": {} to {}, by {} ms", SERVICES[*service], way(to), by.as_millis())
            }
            Self::Killed(member) | Self::Stalled(member) | Self::Restarted(member) => write!(f, ": {member}"),
            Self::SeveralKilled(members) => {
                let names: Vec<String> = members.iter().map(ToString::to_string).collect();
                write!(f, ": {}", names.join(", "))
            }
            Self::QueueFilled(messages) => write!(f, ": {messages} old messages"),
            Self::Gateway(how) | Self::Mail(how) => write!(f, ": {how}"),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_plan_and_another_gives_another() {
        for lane in [Lane::Servers, Lane::Processes] {
            assert_eq!(plan(7, lane), plan(7, lane));
            assert_ne!(plan(7, lane), plan(8, lane));
        }
    }

    #[test]
    fn every_kind_comes_before_one_comes_again() {
        for lane in [Lane::Servers, Lane::Processes] {
            for round in plan(1, lane).chunks_exact(10) {
                let kinds: BTreeSet<&str> = round.iter().map(|planned| planned.fault.kind()).collect();
                assert_eq!(kinds.len(), 10);
            }
        }
    }
}
