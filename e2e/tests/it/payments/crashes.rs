//! payment-worker dies wherever it asks about what nobody answered, and wherever the gateway calls it back: money moves
//! once all the same, and whoever waits for it hears of it; and whoever looks would see it if it were otherwise.

use std::{os::unix::process::ExitStatusExt as _, time::Duration};

use common::{
    crash::{MISTAKES, Mistake, Point},
    ids::OrderId,
};
use e2e::{LONG, eventually};
use nix::libc::SIGABRT;

use super::{AMOUNT, Till};

const ASK_AFTER: &str = "CONVEYOR__PAYMENTS__ASK_AFTER_MS";
const ASK_AFTER_MOST: &str = "CONVEYOR__PAYMENTS__ASK_AFTER_MOST_MS";

/// What is wrong with a worker until it dies.
#[derive(Debug, Clone, Copy)]
enum Wrong {
    /// It does what the invariants forbid.
    Makes(Mistake),
    /// It takes what it is to look after out of the table, not for a while.
    TakesOut,
}

const TAKES_OUT: &str = "
    CREATE FUNCTION payments.takes_out() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        DELETE FROM payments.follow_ups WHERE id = NEW.id;
        RETURN NULL;
    END $$;
    CREATE TRIGGER takes_out AFTER UPDATE ON payments.follow_ups
        FOR EACH ROW EXECUTE FUNCTION payments.takes_out()";

/// Lets the worker die at a point that it comes by when this user is charged, and starts it again as it should be. Returns
/// what the user is charged for.
async fn dies(till: &mut Till, point: Point, user: &str, ask_after: &str, wrong: Option<Wrong>) -> OrderId {
    let worker = &mut till.workers[0];
    assert!(worker.terminate().await.success());
    worker.set("CONVEYOR_CRASH", &format!("{}:1", point.name()));
    worker.set(ASK_AFTER, ask_after);
    let database = till.database.connect().await;
    match wrong {
        Some(Wrong::Makes(wrong)) => {
            let (_, name) = MISTAKES.iter().find(|(mistake, _)| *mistake == wrong).unwrap();
            worker.set("CONVEYOR_MISTAKE", name);
        }
        Some(Wrong::TakesOut) => database.batch_execute(TAKES_OUT).await.unwrap(),
        None => {}
    }
    worker.start().await;
    worker.wait_ready().await;
    let order = OrderId::generate();
    till.fall_due(order, user).await;
    let worker = &mut till.workers[0];
    let ended = worker.wait().await;
    assert_eq!(ended.signal(), Some(SIGABRT), "{}: {ended:?}", point.name());
    worker.set("CONVEYOR_CRASH", "");
    worker.set("CONVEYOR_MISTAKE", "");
    if let Some(Wrong::TakesOut) = wrong {
        database.batch_execute("DROP FUNCTION payments.takes_out CASCADE").await.unwrap();
    }
    // Nor does it ask what it has not asked yet.
    worker.set(ASK_AFTER, ask_after);
    worker.start().await;
    worker.wait_ready().await;
    // What it had in hand is nobody's now.
    let sql = "UPDATE payments.outbox SET locked_until = now();
               UPDATE payments.follow_ups SET due_at = now() WHERE due_at < now() + interval '5 minutes';
               UPDATE payments.payments SET leased_until = now() WHERE state = 'open'";
    database.batch_execute(sql).await.unwrap();
    order
}

/// Fails unless this order is paid once, and whoever waits for that has heard of it.
async fn is_paid(till: &Till, order: OrderId) {
    let paid = format!("SELECT count(*) FROM payments.payments WHERE holder = 'order:{order}' AND state = 'captured'");
    till.until(&paid, 1).await;
    // It may be said again, after a death between saying it and forgetting it; but nothing else is.
    let heard = eventually(LONG, &format!("somebody hears that {order} is paid"), async || {
        Some(till.heard(order).await).filter(|heard| !heard.is_empty())
    })
    .await;
    assert!(heard.iter().all(|(kind, _)| kind == "payment.completed"), "{heard:?}");
    assert_eq!(till.charged(order).await, ("captured".to_owned(), 0));
}

async fn may_die(till: &mut Till, point: Point, user: &str, ask_after: &str) {
    let order = dies(till, point, user, ask_after, None).await;
    is_paid(till, order).await;
    println!("{} × payment-worker: reconciled", point.name());
}

#[tokio::test]
async fn it_may_die_wherever_it_asks_what_nobody_has_answered() {
    let mut till = Till::open().await;
    till.store_method("patient", "callback_lost").await;
    let points = [Point::AskTaken, Point::AskAnswered, Point::AskRecorded];
    for point in points {
        may_die(&mut till, point, "patient", "300").await;
    }
    let captured = till.sandbox.ledger().await.totals.captured_amount;
    assert_eq!(captured, AMOUNT.0 * i64::try_from(points.len()).unwrap());
    till.assert_settled().await;
}

#[tokio::test]
async fn it_may_die_wherever_the_gateway_calls_it_back() {
    let mut till = Till::open_with(1, &[(ASK_AFTER_MOST, "600000")], &[]).await;
    till.store_method("async", "async").await;
    let points = [Point::CallbackWritten, Point::CallbackRecorded];
    for point in points {
        // Nobody asks before it is called back.
        may_die(&mut till, point, "async", "600000").await;
    }
    let captured = till.sandbox.ledger().await.totals.captured_amount;
    assert_eq!(captured, AMOUNT.0 * i64::try_from(points.len()).unwrap());
    till.assert_settled().await;
}

/// The worker dies, and all must be well; and it dies with what is wrong with it, and then not all is well within the same
/// time. That it dies, and comes back, is not what is looked at.
async fn is_seen(wrong: Wrong, point: Point, user: &str, ask_after: &str) {
    const WITHIN: Duration = Duration::from_secs(15);
    let mut till = Till::open_with(1, &[(ASK_AFTER_MOST, "600000")], &[]).await;
    till.store_method("patient", "callback_lost").await;
    till.store_method("async", "async").await;
    let order = dies(&mut till, point, user, ask_after, None).await;
    let well = tokio::time::timeout(WITHIN, is_paid(&till, order)).await;
    assert!(well.is_ok(), "{} took too long", point.name());
    let order = dies(&mut till, point, user, ask_after, Some(wrong)).await;
    let is_wrong = tokio::time::timeout(WITHIN, is_paid(&till, order)).await;
    assert!(is_wrong.is_err(), "nobody has seen that {wrong:?} was wrong");
}

#[tokio::test]
async fn what_is_taken_out_before_it_is_answered_would_be_missed() {
    is_seen(Wrong::TakesOut, Point::AskTaken, "patient", "300").await;
    is_seen(Wrong::TakesOut, Point::AskAnswered, "patient", "300").await;
}

#[tokio::test]
async fn what_is_deleted_before_the_confirm_would_be_missed() {
    is_seen(Wrong::Makes(Mistake::DeleteBeforeConfirm), Point::AskRecorded, "patient", "300").await;
    is_seen(Wrong::Makes(Mistake::DeleteBeforeConfirm), Point::CallbackRecorded, "async", "600000").await;
}

#[tokio::test]
async fn a_callback_that_is_acknowledged_before_the_commit_would_be_missed() {
    is_seen(Wrong::Makes(Mistake::AckBeforeCommit), Point::CallbackWritten, "async", "600000").await;
}
