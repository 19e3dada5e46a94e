//! The real program, killed in the middle of what it does: nothing is lost, and nothing is done twice in effect.

mod editing;

use std::{
    collections::BTreeMap, os::unix::process::ExitStatusExt as _, panic::AssertUnwindSafe, process::ExitStatus,
    time::Duration,
};

use common::crash::Point;
use e2e::{
    LONG, Process, eventually,
    obedient::{self, Deed, many},
    service_settings,
};
use futures_util::FutureExt as _;
use nix::{libc::SIGABRT, sys::signal::Signal};
use support_console::{Action, RunState, Steps, Support};

use crate::engine::stage::{Stage, bury, operator, query};

/// In this process, the console only looks and asks.
const NOTHING: &[&str] = &["http"];

async fn console(stage: &Stage) -> Process {
    let mut settings: BTreeMap<String, String> = service_settings("support", &stage.database, &stage.vhost);
    settings.insert("CONVEYOR__CONSUMER__RETRY_DELAYS_MS".to_owned(), "200".to_owned());
    settings.insert("CONVEYOR__SUPPORT__INGEST_MESSAGES".to_owned(), "50".to_owned());
    settings.insert("CONVEYOR__LOG__FILTER".to_owned(), "warn".to_owned());
    let mut process = Process::spawn("support-console", settings).await;
    process.wait_ready().await;
    process
}

#[tokio::test]
async fn killed_while_it_takes_letters_in_it_loses_none_and_keeps_each_once() {
    const LETTERS: usize = 3_000;
    let stage = Stage::set_with(Support::default(), NOTHING).await;
    let events = many(LETTERS, Deed::Succeed);
    bury(&stage.vhost, &events, "no answer within 30 ms").await;
    let mut process = console(&stage).await;
    for _ in 0..3 {
        let so_far = stage.count("SELECT count(*) FROM support.letters").await;
        eventually(LONG, "some more are in", async || {
            let now = stage.count("SELECT count(*) FROM support.letters").await;
            (now > so_far || now == LETTERS as i64).then_some(())
        })
        .await;
        process.restart().await;
    }
    eventually(LONG, "all are in", async || {
        (stage.count("SELECT count(*) FROM support.letters").await == LETTERS as i64).then_some(())
    })
    .await;
    stage.vhost.until_ready("notification.send.dlq", 0).await;
    assert_eq!(stage.count("SELECT count(*) FROM support.deaths").await, LETTERS as i64);
    assert_eq!(stage.count("SELECT count(*) FROM support.contents").await, LETTERS as i64);
    assert_eq!(stage.count("SELECT sum(failed)::bigint FROM support.groups").await, LETTERS as i64);
    assert_eq!(stage.count("SELECT max(version)::bigint FROM support.letters").await, 1);
    assert!(process.terminate().await.success());
    stage.strike().await;
}

#[tokio::test]
async fn killed_in_the_middle_of_a_run_it_goes_on_with_it_and_each_letter_is_done_once_in_effect() {
    const LETTERS: i64 = 2_000;
    let mut stage = Stage::set_with(Support::default(), NOTHING).await;
    stage.work();
    let events = many(LETTERS as usize, Deed::Succeed);
    bury(&stage.vhost, &events, "no answer").await;
    let mut process = console(&stage).await;
    eventually(LONG, "all are in", async || {
        (stage.count("SELECT count(*) FROM support.letters").await == LETTERS).then_some(())
    })
    .await;
    let olga = operator("olga");
    let plan = stage.console.plan(&olga, &query(""), Action::Retry).await.unwrap();
    let steps = Steps { first: vec![1, 10], rate: 400, tolerate: 0 };
    let run = stage.console.start_run(&olga, plan.id, &steps).await.unwrap();
    for sent in [1, 300] {
        eventually(LONG, "some are sent", async || {
            (i64::from(stage.console.run(run).await.unwrap().run.sent) >= sent).then_some(())
        })
        .await;
        process.restart().await;
    }
    let run = stage.at_rest(run).await;
    assert_eq!((run.state, i64::from(run.done), run.failed), (RunState::Finished, LETTERS, 0), "{run:?}");
    assert_eq!(i64::from(run.sent), LETTERS);
    assert_eq!(obedient::effects(&stage.database).await.len(), events.len());
    assert_eq!(stage.count("SELECT count(*) FROM support.letters WHERE state = 'done'").await, LETTERS);
    assert_eq!(stage.count("SELECT sum(done)::bigint FROM support.groups").await, LETTERS);
    // What was published and could not be forgotten before the kill goes once more, and has no effect.
    eventually(LONG, "the outbox is empty", async || {
        (stage.count("SELECT count(*) FROM support.outbox").await == 0).then_some(())
    })
    .await;
    assert!(process.terminate().await.success());
    assert_eq!(stage.count("SELECT count(*) FROM support.letters WHERE state = 'done'").await, LETTERS);
    stage.strike().await;
}

/// What the console comes by while it takes letters in, sends them again, and hears that they are done.
const POINTS: [Point; 11] = [
    Point::LettersTaken,
    Point::LettersKept,
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

#[tokio::test]
async fn wherever_it_dies_no_letter_is_lost_and_each_is_done_once_in_effect() {
    let mut dying = Dying::start("").await;
    for point in POINTS {
        dying.arm(point, "").await;
        dying.bury().await;
        dying.send_again(point).await;
        // What nobody waits for may come late.
        dying.until_dead().await;
        println!("{} × support-console: reconciled", point.name());
    }
    dying.adds_up().await;
}

/// Whoever looks would see it: a death where letters are taken in, with a mistake or without the key by which a death
/// that comes again is known. That the console dies, and comes back, is not what is looked at.
#[tokio::test]
async fn letters_that_are_lost_or_kept_twice_would_be_seen() {
    const WITHIN: Duration = Duration::from_secs(20);
    const TAKES_TWICE: &str = "
        CREATE FUNCTION support.forgets() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF EXISTS (SELECT FROM support.deaths AS d WHERE d.letter = NEW.letter AND d.id = NEW.id) THEN
                NEW.id := gen_random_uuid();
            END IF;
            RETURN NEW;
        END $$;
        CREATE TRIGGER forgets BEFORE INSERT ON support.deaths FOR EACH ROW EXECUTE FUNCTION support.forgets()";
    async fn dies(point: Point, mistake: &str, sql: &str) -> Dying {
        let mut dying = Dying::start(sql).await;
        dying.arm(point, mistake).await;
        dying.bury().await;
        dying.until_dead().await;
        dying
    }
    async fn is_well(mut dying: Dying, point: Point) {
        dying.send_again(point).await;
        dying.adds_up().await;
    }
    for (point, mistake, sql) in [(Point::LettersTaken, "ack before commit", ""), (Point::LettersKept, "", TAKES_TWICE)]
    {
        let well = tokio::time::timeout(WITHIN, is_well(dies(point, "", "").await, point)).await;
        assert!(well.is_ok(), "{} took too long", point.name());
        let looks = AssertUnwindSafe(is_well(dies(point, mistake, sql).await, point)).catch_unwind();
        let looked = tokio::time::timeout(WITHIN, looks).await;
        assert!(!matches!(looked, Ok(Ok(()))), "nobody has seen what was wrong at {}", point.name());
    }
}

/// A console that is to die once for each time that it is armed.
struct Dying {
    // First, so that it ends before what it uses is taken away.
    process: Process,
    stage: Stage,
    has_died: bool,
    /// How many letters there must be.
    letters: usize,
}

impl Dying {
    async fn start(sql: &str) -> Self {
        let mut stage = Stage::set_with(Support::default(), NOTHING).await;
        stage.work();
        stage.database.connect().await.batch_execute(sql).await.unwrap();
        Self { process: console(&stage).await, stage, has_died: false, letters: 0 }
    }

    async fn arm(&mut self, point: Point, mistake: &str) {
        assert!(self.process.terminate().await.success());
        self.process.set("CONVEYOR_CRASH", &format!("{}:1", point.name()));
        self.process.set("CONVEYOR_MISTAKE", mistake);
        self.process.start().await;
        if point == Point::StopBegun {
            self.process.wait_ready().await;
        }
        self.has_died = false;
    }

    async fn bury(&mut self) {
        const LETTERS: usize = 40;
        bury(&self.stage.vhost, &many(LETTERS, Deed::Succeed), "no answer").await;
        self.letters += LETTERS;
    }

    async fn send_again(&mut self, point: Point) {
        let kept = format!("SELECT count(*) - {} FROM support.letters", self.letters);
        self.until(&kept).await;
        let olga = operator("olga");
        let plan = self.stage.console.plan(&olga, &query("state:failed"), Action::Retry).await.unwrap();
        let run = self.stage.console.start_run(&olga, plan.id, &Steps::default()).await.unwrap();
        if point == Point::StopBegun {
            self.process.signal(Signal::SIGTERM);
        }
        let open = format!("SELECT count(*) FROM support.runs WHERE id = '{run}' AND state <> 'finished'");
        self.until(&open).await;
        self.until("SELECT count(*) FROM support.letters WHERE state <> 'done'").await;
    }

    /// Waits until this counts nothing any more; should the console die of what it was told to, it comes back.
    async fn until(&mut self, nothing: &str) {
        loop {
            let what = format!("{nothing} is 0");
            let died = eventually(LONG, &what, async || {
                let ended = self.process.exited();
                (ended.is_some() || self.stage.count(nothing).await == 0).then_some(ended)
            });
            let Some(ended) = died.await else { return };
            self.revive(ended).await;
        }
    }

    /// Waits for its death, unless that is over.
    async fn until_dead(&mut self) {
        if !self.has_died {
            let ended = self.process.wait().await;
            self.revive(ended).await;
        }
    }

    /// What it had in hand is nobody's now.
    async fn revive(&mut self, ended: ExitStatus) {
        assert!(!std::mem::replace(&mut self.has_died, true), "it dies once");
        assert_eq!(ended.signal(), Some(SIGABRT), "{ended:?}");
        self.process.set("CONVEYOR_CRASH", "");
        self.process.set("CONVEYOR_MISTAKE", "");
        self.process.start().await;
        self.process.wait_ready().await;
        let free = "UPDATE support.outbox SET locked_until = now(); UPDATE support.runs SET leased_until = now()";
        self.stage.database.connect().await.batch_execute(free).await.unwrap();
    }

    /// Fails unless each letter is kept once, and was done once in effect.
    async fn adds_up(mut self) {
        let Self { stage, letters, .. } = &self;
        assert_eq!(obedient::effects(&stage.database).await.len(), *letters);
        for table in ["letters", "deaths", "contents"] {
            assert_eq!(stage.count(&format!("SELECT count(*) FROM support.{table}")).await, *letters as i64, "{table}");
        }
        assert_eq!(stage.count("SELECT count(*) FROM support.letters WHERE tries <> 1").await, 0);
        assert!(self.process.terminate().await.success());
        self.stage.strike().await;
    }
}
