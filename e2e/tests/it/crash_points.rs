//! Every process dies at every point that it comes by, and nothing is lost or doubled.

mod seen;

use std::{collections::BTreeMap, os::unix::process::ExitStatusExt as _, time::Duration};

use common::{
    crash::{MISTAKES, Mistake, Point},
    ids::OrderId,
};
use e2e::{Database, LONG, Process, Vhost, eventually};
use nix::{libc::SIGABRT, sys::signal::Signal};
use tokio_postgres::error::SqlState;

use crate::line::{AFTER_A_CRASH, Line, Load};

const ORDERS: usize = 40;
const API: usize = 0;
const INVENTORY: usize = 1;
const PAYMENT: usize = 2;
const NOTIFICATION: usize = 3;
/// What a process comes by that has consumers.
const ALWAYS: [Point; 9] = [
    Point::OutboxWritten,
    Point::OutboxCommitted,
    Point::OutboxPublished,
    Point::OutboxConfirmed,
    Point::OutboxDeleted,
    Point::BatchTaken,
    Point::BatchHandled,
    Point::BatchAcknowledged,
    Point::StopBegun,
];
const EFFECTS: [Point; 3] = [Point::EffectPrepared, Point::EffectPerformed, Point::EffectRecorded];

struct Crashing {
    line: Line,
    /// Which process dies.
    index: usize,
    /// What it does wrong until then.
    mistake: Option<Mistake>,
    /// What customers were told is theirs.
    promised: Vec<OrderId>,
    /// Whether every customer must have heard that their order was received.
    are_received: bool,
}

impl Crashing {
    async fn start(index: usize) -> Self {
        let (database, vhost) = tokio::join!(Database::create(), Vhost::create());
        // What is lost stays lost: an order that gets no further is not announced again while anybody looks.
        let settings = [("CONVEYOR__OUTBOX__SWEEP_MS", "200"), ("CONVEYOR__ORDERS__TIMES__STUCK_MS", "3600000")];
        let settings: BTreeMap<_, _> = settings.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        let line = Line::start_with(database, vhost, &settings).await;
        Self { line, index, mistake: None, promised: Vec::new(), are_received: false }
    }

    fn load(&self) -> Load {
        Load::begin(&self.line, ORDERS, 8)
    }

    /// Waits until all of them are promised, and remembers which they are.
    async fn finish(&mut self, load: Load) {
        self.promised.extend(load.promised().await);
    }

    /// Lets the process die at a point while orders come in, and starts it again.
    async fn die(&mut self, point: Point, passing: u32) {
        self.arm(point, passing).await;
        let load = self.load();
        self.until_dead(point).await;
        self.revive().await;
        self.finish(load).await;
    }

    /// The same at its stop.
    async fn die_stopping(&mut self, point: Point) {
        self.arm(point, 1).await;
        self.process().wait_ready().await;
        let load = self.load();
        self.process().signal(Signal::SIGTERM);
        self.until_dead(point).await;
        self.revive().await;
        self.finish(load).await;
    }

    /// What one death leaves in the outbox is swept by the next process, which dies of that.
    async fn die_sweeping(&mut self, point: Point) {
        // It is wrong when it sweeps, and not before.
        let mistake = self.mistake.take();
        self.arm(Point::OutboxCommitted, 1).await;
        let load = self.load();
        self.until_dead(Point::OutboxCommitted).await;
        self.mistake = mistake;
        self.start_to_die_sweeping(point).await;
        self.finish(load).await;
    }

    async fn start_to_die_sweeping(&mut self, point: Point) {
        self.let_leases_end().await;
        self.process().set("CONVEYOR_CRASH", &format!("{}:1", point.name()));
        self.set_mistake();
        self.process().start().await;
        self.until_dead(point).await;
        self.revive().await;
    }

    /// As long as its table takes nothing, a worker splits its batches, and hands over what was in them to be tried later.
    async fn die_refused(&mut self, table: &str, point: Point, passing: u32) {
        self.arm(point, passing).await;
        let refuse = format!(
            "CREATE FUNCTION {table}_refuse() RETURNS trigger LANGUAGE plpgsql AS
             $$ BEGIN RAISE EXCEPTION 'not now'; END $$;
             CREATE TRIGGER refuses BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION {table}_refuse()"
        );
        let database = self.line.database.connect().await;
        database.batch_execute(&refuse).await.unwrap();
        let load = self.load();
        self.until_dead(point).await;
        database.batch_execute(&format!("DROP FUNCTION {table}_refuse CASCADE")).await.unwrap();
        self.revive().await;
        self.finish(load).await;
    }

    /// The same when it looks at orders for the first time, all of which wait for stock.
    async fn die_looking(&mut self, point: Point) {
        self.process().set("CONVEYOR__ORDERS__TIMES__RECEIVED_MS", "600000");
        self.restart().await;
        self.process().wait_ready().await;
        self.end(INVENTORY).await;
        let load = self.load();
        self.finish(load).await;
        self.until_none("SELECT count(*) FROM orders.outbox").await;
        self.arm(point, 1).await;
        let look = "UPDATE orders.wakeups SET due = now()";
        self.line.database.connect().await.batch_execute(look).await.unwrap();
        self.until_dead(point).await;
        self.revive().await;
        self.until_none("SELECT count(*) FROM orders.wakeups WHERE looks = 0").await;
        self.begin(INVENTORY).await;
    }

    async fn end(&mut self, index: usize) {
        assert!(self.line.processes[index].terminate().await.success());
    }

    async fn begin(&mut self, index: usize) {
        self.line.processes[index].start().await;
        self.line.processes[index].wait_ready().await;
    }

    async fn until_none(&self, sql: &str) {
        eventually(LONG, sql, async || (self.line.database.count(sql).await == 0).then_some(())).await;
    }

    /// Starts it anew, to die at this passing of a point. It may do so before it is ready: there is work at once.
    async fn arm(&mut self, point: Point, passing: u32) {
        self.process().set("CONVEYOR_CRASH", &format!("{}:{passing}", point.name()));
        self.set_mistake();
        self.restart().await;
    }

    fn set_mistake(&mut self) {
        let named = |mistake| MISTAKES.iter().find(|(its, _)| *its == mistake).map_or("", |(_, name)| name);
        let name = self.mistake.map_or("", named);
        self.process().set("CONVEYOR_MISTAKE", name);
    }

    fn process(&mut self) -> &mut Process {
        &mut self.line.processes[self.index]
    }

    async fn restart(&mut self) {
        let process = self.process();
        assert!(process.terminate().await.success(), "{} does not stop in good order", process.name());
        process.start().await;
    }

    async fn until_dead(&mut self, point: Point) {
        let process = self.process();
        let what = format!("{} dies at {}", process.name(), point.name());
        let pid = process.pid();
        println!("{what}");
        let ended = tokio::time::timeout(LONG, process.wait()).await.unwrap_or_else(|_| panic!("{what} ({pid:?})"));
        assert_eq!(ended.signal(), Some(SIGABRT), "{what}: {ended:?}");
    }

    /// Starts it as it should be.
    async fn revive(&mut self) {
        let process = self.process();
        process.set("CONVEYOR_CRASH", "");
        process.set("CONVEYOR_MISTAKE", "");
        process.start().await;
        process.wait_ready().await;
        self.let_leases_end().await;
    }

    /// What it had in hand is nobody's now.
    async fn let_leases_end(&self) {
        let sql = "UPDATE orders.outbox SET locked_until = now(); UPDATE inventory.outbox SET locked_until = now();
                   UPDATE payments.outbox SET locked_until = now(); UPDATE notifications.outbox SET locked_until = now();
                   UPDATE payments.follow_ups SET due_at = now();
                   UPDATE payments.payments SET leased_until = now() WHERE state = 'open'";
        let client = self.line.database.connect().await;
        // The living take their rows in an order of their own.
        while let Err(error) = client.batch_execute(sql).await {
            assert_eq!(error.code(), Some(&SqlState::T_R_DEADLOCK_DETECTED), "{error:?}");
        }
    }

    /// Fails unless all that was promised, and all that came to be without a promise, is there and whole.
    async fn reconcile(self, within: Duration) {
        self.line.keeps(&self.promised).await;
        let written = usize::try_from(self.line.database.count("SELECT count(*) FROM orders.orders").await).unwrap();
        self.line.until_through(written, within).await;
        self.line.reconcile(written).await;
        if self.are_received {
            let received = "SELECT count(*) FROM notifications.notifications WHERE kind = 'order.received'";
            assert_eq!(usize::try_from(self.line.database.count(received).await).unwrap(), written, "{received}");
        }
    }
}

async fn dies_everywhere(index: usize, points: impl IntoIterator<Item = Point>) {
    let mut crashing = Crashing::start(index).await;
    let mut matrix = Vec::new();
    for (i, point) in points.into_iter().enumerate() {
        matrix.push(format!("{} × {}: reconciled", point.name(), crashing.process().name()));
        // Not always at its first batch, with nothing else in hand. A consumer that has just started takes one parcel
        // first and then what there is, so there is a second batch at any rate.
        match point {
            Point::StopBegun | Point::StopDrained => crashing.die_stopping(point).await,
            Point::LookWritten | Point::LookCommitted => crashing.die_looking(point).await,
            _ => crashing.die(point, [1, 2][i % 2].min(most(point))).await,
        }
    }
    crashing.reconcile(AFTER_A_CRASH).await;
    println!("{}", matrix.join("\n"));
}

/// How often it may have to come by: some things happen once in the life of a process, others gather for as long as all
/// these orders take.
fn most(point: Point) -> u32 {
    if matches!(point, Point::OutboxDeleted | Point::BatchAcknowledged) { 1 } else { u32::MAX }
}

#[tokio::test]
async fn order_api_may_die_anywhere() {
    let own = [Point::LookWritten, Point::LookCommitted, Point::StopDrained];
    dies_everywhere(API, ALWAYS.into_iter().chain(own)).await;
}

#[tokio::test]
async fn inventory_worker_may_die_anywhere() {
    dies_everywhere(INVENTORY, ALWAYS.into_iter().chain([Point::StopDrained])).await;
}

#[tokio::test]
async fn payment_worker_may_die_anywhere() {
    dies_everywhere(PAYMENT, ALWAYS.into_iter().chain(EFFECTS).chain([Point::StopDrained])).await;
}

#[tokio::test]
async fn notification_worker_may_die_anywhere() {
    // It announces nothing.
    let own = [Point::BatchTaken, Point::BatchHandled, Point::BatchAcknowledged, Point::StopBegun, Point::StopDrained];
    dies_everywhere(NOTIFICATION, EFFECTS.into_iter().chain(own)).await;
}

/// Each at another point in every round, and all of them within the same orders.
#[tokio::test]
async fn all_processes_may_die_at_once() {
    use Point::{
        BatchAcknowledged, BatchHandled, BatchTaken, EffectPerformed, EffectPrepared, EffectRecorded, OutboxCommitted,
        OutboxConfirmed, OutboxPublished, OutboxWritten,
    };
    let mut crashing = Crashing::start(API).await;
    for round in [
        [OutboxCommitted, OutboxWritten, EffectPerformed, EffectPrepared],
        [OutboxConfirmed, BatchHandled, EffectRecorded, EffectPerformed],
        [BatchTaken, OutboxPublished, OutboxCommitted, EffectRecorded],
        [OutboxPublished, BatchAcknowledged, EffectPrepared, BatchHandled],
    ] {
        for (index, point) in round.into_iter().enumerate() {
            crashing.index = index;
            crashing.arm(point, 1).await;
        }
        let load = crashing.load();
        // Whoever is dead keeps those behind it from their work, so each comes back when all before it have died.
        for (index, point) in round.into_iter().enumerate() {
            crashing.index = index;
            crashing.until_dead(point).await;
            crashing.revive().await;
        }
        crashing.finish(load).await;
    }
    crashing.reconcile(AFTER_A_CRASH).await;
}

#[tokio::test]
async fn a_sweeper_may_die_of_what_it_sweeps() {
    for index in [API, INVENTORY, PAYMENT] {
        let mut crashing = Crashing::start(index).await;
        for point in [Point::SweepClaimed, Point::SweepPublished] {
            crashing.die_sweeping(point).await;
        }
        crashing.reconcile(AFTER_A_CRASH).await;
    }
}

#[tokio::test]
async fn a_worker_may_die_while_it_splits_a_batch_or_hands_it_over() {
    let mut crashing = Crashing::start(INVENTORY).await;
    for (point, passing) in [(Point::BatchSplit, 1), (Point::BatchSplit, 2), (Point::BatchHandedOver, 1)] {
        crashing.die_refused("inventory.reservations", point, passing).await;
    }
    // What is refused again and again is tried ever later.
    crashing.reconcile(AFTER_A_CRASH).await;
}
