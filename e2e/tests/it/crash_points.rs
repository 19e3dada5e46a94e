//! Every process dies at every point that it comes by, and nothing is lost or doubled; and whoever looks would see it if
//! it were.

use std::{collections::BTreeMap, os::unix::process::ExitStatusExt as _, time::Duration};

use common::crash::{MISTAKES, Mistake, Point};
use e2e::{Database, LONG, Process, Vhost};
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
}

impl Crashing {
    async fn start(index: usize) -> Self {
        let (database, vhost) = tokio::join!(Database::create(), Vhost::create());
        let often = BTreeMap::from([("CONVEYOR__OUTBOX__SWEEP_MS".to_owned(), "200".to_owned())]);
        Self { line: Line::start_with(database, vhost, &often).await, index }
    }

    /// Lets the process die at a point while orders come in, and starts it again.
    async fn die(&mut self, point: Point, passing: u32, mistake: Option<Mistake>) {
        if let Some(mistake) = mistake {
            let name = MISTAKES.iter().find(|(its, _)| *its == mistake).unwrap().1;
            self.process().set("CONVEYOR_MISTAKE", name);
        }
        self.process().set("CONVEYOR_CRASH", &format!("{}:{passing}", point.name()));
        self.restart().await;
        // Of any other point it may die before it is ready: there is work at once.
        let is_at_stop = matches!(point, Point::StopBegun | Point::StopDrained);
        if is_at_stop {
            self.process().wait_ready().await;
        }
        let load = Load::begin(&self.line, ORDERS, 8);
        if is_at_stop {
            self.process().signal(Signal::SIGTERM);
        }
        self.until_dead(point).await;
        self.revive().await;
        load.finish().await;
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
        let written = usize::try_from(self.line.database.count("SELECT count(*) FROM orders.orders").await).unwrap();
        self.line.until_through(written, within).await;
        self.line.reconcile(written).await;
    }
}

async fn dies_everywhere(index: usize, points: impl IntoIterator<Item = Point>) {
    let mut crashing = Crashing::start(index).await;
    let mut matrix = Vec::new();
    for (i, point) in points.into_iter().enumerate() {
        matrix.push(format!("{} × {}: reconciled", point.name(), crashing.process().name()));
        // Not always at its first batch, with nothing else in hand. A consumer that has just started takes one parcel
        // first and then what there is, so there is a second batch at any rate.
        crashing.die(point, [1, 2][i % 2].min(most(point)), None).await;
    }
    crashing.reconcile(AFTER_A_CRASH).await;
    println!("{}", matrix.join("\n"));
}

/// How often it may have to come by: some things happen once in the life of a process, others gather for as long as all
/// these orders take.
fn most(point: Point) -> u32 {
    use Point::{BatchAcknowledged, LookCommitted, LookWritten, OutboxDeleted, StopBegun, StopDrained};
    let is_rare =
        matches!(point, OutboxDeleted | BatchAcknowledged | LookWritten | LookCommitted | StopBegun | StopDrained);
    if is_rare { 1 } else { u32::MAX }
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
            crashing.process().set("CONVEYOR_CRASH", &format!("{}:1", point.name()));
            crashing.restart().await;
        }
        let load = Load::begin(&crashing.line, ORDERS, 8);
        // Whoever is dead keeps those behind it from their work, so each comes back when all before it have died.
        for (index, point) in round.into_iter().enumerate() {
            crashing.index = index;
            crashing.until_dead(point).await;
            crashing.revive().await;
        }
        load.finish().await;
    }
    crashing.reconcile(AFTER_A_CRASH).await;
}

/// What one death leaves in the outbox is swept by the next process, which dies of that.
#[tokio::test]
async fn a_sweeper_may_die_of_what_it_sweeps() {
    for index in [API, INVENTORY, PAYMENT] {
        let mut crashing = Crashing::start(index).await;
        for point in [Point::SweepClaimed, Point::SweepPublished] {
            crashing.process().set("CONVEYOR_CRASH", &format!("{}:1", Point::OutboxCommitted.name()));
            crashing.restart().await;
            let load = Load::begin(&crashing.line, ORDERS, 8);
            crashing.until_dead(Point::OutboxCommitted).await;
            crashing.let_leases_end().await;
            crashing.process().set("CONVEYOR_CRASH", &format!("{}:1", point.name()));
            crashing.process().start().await;
            crashing.until_dead(point).await;
            crashing.revive().await;
            load.finish().await;
        }
        crashing.reconcile(AFTER_A_CRASH).await;
    }
}

/// As long as its table takes nothing, a worker splits its batches, and hands over what was in them to be tried later.
#[tokio::test]
async fn a_worker_may_die_while_it_splits_a_batch_or_hands_it_over() {
    let mut crashing = Crashing::start(INVENTORY).await;
    let database = crashing.line.database.connect().await;
    let refuse = "CREATE FUNCTION inventory.refuse() RETURNS trigger LANGUAGE plpgsql AS
                  $$ BEGIN RAISE EXCEPTION 'not now'; END $$";
    database.batch_execute(refuse).await.unwrap();
    for (point, passing) in [(Point::BatchSplit, 1), (Point::BatchSplit, 2), (Point::BatchHandedOver, 1)] {
        crashing.process().set("CONVEYOR_CRASH", &format!("{}:{passing}", point.name()));
        crashing.restart().await;
        let trigger = "CREATE TRIGGER refuses BEFORE INSERT ON inventory.reservations
                       FOR EACH ROW EXECUTE FUNCTION inventory.refuse()";
        database.batch_execute(trigger).await.unwrap();
        let load = Load::begin(&crashing.line, ORDERS, 8);
        crashing.until_dead(point).await;
        database.batch_execute("DROP TRIGGER refuses ON inventory.reservations").await.unwrap();
        crashing.revive().await;
        load.finish().await;
    }
    crashing.reconcile(AFTER_A_CRASH).await;
}

/// The same with a process that does what the invariants forbid: then it must be seen that something is wrong, and
/// without the mistake all must be well within the same time.
async fn is_seen(index: usize, mistake: Mistake, point: Point) {
    const WITHIN: Duration = Duration::from_secs(15);
    let mut crashing = Crashing::start(index).await;
    crashing.die(point, most(point).min(2), None).await;
    crashing.reconcile(WITHIN).await;
    let mut crashing = Crashing::start(index).await;
    crashing.die(point, most(point).min(2), Some(mistake)).await;
    let looked = tokio::spawn(crashing.reconcile(WITHIN)).await;
    assert!(looked.is_err_and(|error| error.is_panic()), "nobody has seen that {mistake:?} was wrong");
}

#[tokio::test]
async fn an_acknowledgement_before_the_commit_would_be_seen() {
    is_seen(INVENTORY, Mistake::AckBeforeCommit, Point::OutboxWritten).await;
}

#[tokio::test]
async fn a_deletion_before_the_confirm_would_be_seen() {
    is_seen(INVENTORY, Mistake::DeleteBeforeConfirm, Point::OutboxDeleted).await;
}

#[tokio::test]
async fn an_event_before_its_commit_would_be_seen() {
    is_seen(API, Mistake::PublishBeforeCommit, Point::OutboxWritten).await;
}

#[tokio::test]
async fn an_outcome_after_the_acknowledgement_would_be_seen() {
    is_seen(NOTIFICATION, Mistake::RecordAfterAck, Point::EffectPerformed).await;
}
