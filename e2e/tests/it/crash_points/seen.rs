//! Whoever looks would see it: every point once more, with the mistake that a death there brings to light. What belongs
//! to one service alone is seen in that one's tests: `payments::crashes`, and the console's.

use std::time::Duration;

use common::crash::{Mistake, Point};
use e2e::{LONG, Pass, Proxy, eventually};
use nix::sys::signal::Signal;

use super::{API, Crashing, INVENTORY, NOTIFICATION, PAYMENT};

/// Channels over which each process publishes.
const PUBLISHING: usize = 2;

/// What is wrong.
#[derive(Debug, Clone, Copy)]
enum Wrong {
    /// The process that dies does what the invariants forbid.
    Makes(Mistake),
    /// Notices lack the key by which one that comes again is known.
    TakesTwice,
}

use Wrong::{Makes, TakesTwice};

const TAKES_TWICE: &str = "
    CREATE FUNCTION notifications.forgets() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF EXISTS (SELECT FROM notifications.notifications AS n
                   WHERE n.order_id = NEW.order_id AND n.event_id = NEW.event_id) THEN
            NEW.event_id := gen_random_uuid();
        END IF;
        RETURN NEW;
    END $$;
    CREATE TRIGGER forgets BEFORE INSERT ON notifications.notifications
        FOR EACH ROW EXECUTE FUNCTION notifications.forgets()";

/// Lets a process die as it should be, and all must be well; and again with what is wrong, and within the same time it
/// must not be.
async fn is_seen(index: usize, wrong: Wrong, dies: impl AsyncFn(&mut Crashing)) {
    const WITHIN: Duration = Duration::from_secs(15);
    let mut crashing = Crashing::start(index).await;
    dies(&mut crashing).await;
    crashing.reconcile(WITHIN).await;
    let mut crashing = Crashing::start(index).await;
    match wrong {
        Makes(mistake) => crashing.mistake = Some(mistake),
        TakesTwice => crashing.line.database.connect().await.batch_execute(TAKES_TWICE).await.unwrap(),
    }
    dies(&mut crashing).await;
    let looked = tokio::spawn(crashing.reconcile(WITHIN)).await;
    assert!(looked.is_err_and(|error| error.is_panic()), "nobody has seen what was wrong: {wrong:?}");
}

macro_rules! is_seen {
    ($($test:ident: $index:expr, $wrong:expr, $dies:expr;)*) => {
        $(
            #[tokio::test]
            async fn $test() {
                is_seen($index, $wrong, $dies).await;
            }
        )*
    };
}

is_seen! {
    promised_and_not_committed:
        API, Makes(Mistake::AckBeforeCommit), async |it| it.die(Point::OutboxWritten, 1).await;
    written_and_acknowledged:
        INVENTORY, Makes(Mistake::AckBeforeCommit), async |it| it.die(Point::OutboxWritten, 2).await;
    written_and_published:
        API, Makes(Mistake::PublishBeforeCommit), async |it| it.die(Point::OutboxWritten, 2).await;
    committed_and_deleted:
        API, Makes(Mistake::DeleteBeforeConfirm), async |it| it.die(Point::OutboxCommitted, 2).await;
    published_deleted_and_not_heard:
        API, Makes(Mistake::DeleteBeforeConfirm), async |it| it.die_unheard().await;
    confirmed_and_taken_twice:
        API, TakesTwice, async |it| it.die_with_news(Point::OutboxConfirmed).await;
    deleted_and_not_published:
        API, Makes(Mistake::DeleteBeforeConfirm), async |it| it.die(Point::OutboxDeleted, 1).await;
    swept_and_deleted:
        API, Makes(Mistake::DeleteBeforeConfirm), async |it| it.die_sweeping(Point::SweepClaimed).await;
    swept_and_taken_twice:
        API, TakesTwice, async |it| it.die_sweeping_news().await;
    taken_and_acknowledged:
        INVENTORY, Makes(Mistake::AckBeforeCommit), async |it| it.die(Point::BatchTaken, 2).await;
    charged_by_nobody_and_acknowledged:
        PAYMENT, Makes(Mistake::AckBeforeCommit), async |it| it.die(Point::BatchTaken, 2).await;
    split_and_acknowledged:
        INVENTORY, Makes(Mistake::AckBeforeCommit),
        async |it| it.die_refused("inventory.reservations", Point::BatchSplit, 1).await;
    handled_and_taken_twice:
        NOTIFICATION, TakesTwice, async |it| it.die(Point::BatchHandled, 1).await;
    handed_over_and_taken_twice:
        NOTIFICATION, TakesTwice,
        async |it| it.die_refused("notifications.notifications", Point::BatchHandedOver, 1).await;
    acknowledged_and_not_committed:
        INVENTORY, Makes(Mistake::AckBeforeCommit), async |it| it.die(Point::BatchAcknowledged, 1).await;
    acknowledged_and_deleted:
        PAYMENT, Makes(Mistake::DeleteBeforeConfirm), async |it| it.die(Point::BatchAcknowledged, 1).await;
    prepared_and_acknowledged:
        NOTIFICATION, Makes(Mistake::RecordAfterAck), async |it| it.die(Point::EffectPrepared, 2).await;
    performed_and_acknowledged:
        NOTIFICATION, Makes(Mistake::RecordAfterAck), async |it| it.die(Point::EffectPerformed, 2).await;
    recorded_and_taken_twice:
        NOTIFICATION, TakesTwice, async |it| it.die(Point::EffectRecorded, 1).await;
    looked_at_and_published:
        API, Makes(Mistake::PublishBeforeCommit), async |it| it.die_looking_and_tell(Point::LookWritten).await;
    looked_at_and_deleted:
        API, Makes(Mistake::DeleteBeforeConfirm), async |it| it.die_looking_and_tell(Point::LookCommitted).await;
    told_to_stop_and_acknowledged:
        INVENTORY, Makes(Mistake::AckBeforeCommit),
        async |it| it.die_at_work(Point::StopBegun).await;
    stopped_and_not_done:
        INVENTORY, Makes(Mistake::StopBeforeDone),
        async |it| it.die_at_work(Point::StopDrained).await;
}

impl Crashing {
    /// Dies with its first parcels on a way on which nothing gets through any more.
    async fn die_unheard(&mut self) {
        let vhost = &self.line.vhost;
        let (way, direct) = (Proxy::to(vhost.address()).await, vhost.url());
        let through = vhost.url_through(&way.address());
        self.process().set("CONVEYOR__BROKER__URL", &through);
        self.arm(Point::OutboxPublished, 1).await;
        // A connection is not all that it needs.
        let channels = self.line.processes.len() * PUBLISHING;
        eventually(LONG, "it may publish", async || {
            let ready = self.process().http.get("/readyz").await.ok()?.json();
            let is_connected = ready["checks"]["broker, publishing"]["ok"] == true;
            (is_connected && self.line.vhost.confirming().await == channels).then_some(())
        })
        .await;
        way.pass(Pass::Never);
        let load = self.load();
        self.until_dead(Point::OutboxPublished).await;
        // What it has taken in goes no further.
        way.cut().await;
        self.process().set("CONVEYOR__BROKER__URL", &direct);
        self.revive().await;
        self.finish(load).await;
    }

    /// Dies at its stop, with orders in hand: it waits for a table.
    async fn die_at_work(&mut self, point: Point) {
        self.arm(point, 1).await;
        self.process().wait_ready().await;
        let mut database = self.line.database.connect().await;
        let held = database.transaction().await.unwrap();
        held.batch_execute("LOCK TABLE inventory.reservations").await.unwrap();
        let load = self.load();
        let waits = "SELECT count(*) FROM pg_locks AS l JOIN pg_database AS d ON d.oid = l.database
                     WHERE datname = current_database() AND NOT granted";
        eventually(LONG, waits, async || (self.line.database.count(waits).await > 0).then_some(())).await;
        self.process().signal(Signal::SIGTERM);
        if point == Point::StopDrained && self.mistake.is_none() {
            // Until then it finishes what it has.
            held.rollback().await.unwrap();
            self.until_dead(point).await;
        } else {
            self.until_dead(point).await;
            held.rollback().await.unwrap();
        }
        self.revive().await;
        self.finish(load).await;
    }

    /// Dies when it says what customers are told of, and of nothing else.
    async fn die_with_news(&mut self, point: Point) {
        self.until_payment_is_due().await;
        self.arm(point, 1).await;
        self.begin(PAYMENT).await;
        self.until_dead(point).await;
        self.revive().await;
    }

    async fn die_sweeping_news(&mut self) {
        self.until_payment_is_due().await;
        self.arm(Point::OutboxCommitted, 1).await;
        self.begin(PAYMENT).await;
        self.until_dead(Point::OutboxCommitted).await;
        self.start_to_die_sweeping(Point::SweepPublished).await;
    }

    /// Later all customers must have heard that their orders were received.
    async fn die_looking_and_tell(&mut self, point: Point) {
        self.are_received = true;
        self.die_looking(point).await;
    }

    /// All orders wait for payment, and nobody takes any.
    async fn until_payment_is_due(&mut self) {
        self.end(PAYMENT).await;
        let load = self.load();
        self.finish(load).await;
        let sql = "SELECT (SELECT count(*) FROM orders.outbox)
                        + (SELECT count(*) FROM orders.orders WHERE status <> 'awaiting_payment')";
        self.until_none(sql).await;
    }
}
