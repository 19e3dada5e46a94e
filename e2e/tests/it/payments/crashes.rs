//! payment-worker dies wherever it asks about what nobody answered, and wherever the gateway calls it back: money moves
//! once all the same, and whoever waits for it hears of it.

use std::os::unix::process::ExitStatusExt as _;

use common::{crash::Point, ids::OrderId};
use e2e::{LONG, eventually};
use nix::libc::SIGABRT;

use super::{AMOUNT, Till};

const ASK_AFTER: &str = "CONVEYOR__PAYMENTS__ASK_AFTER_MS";
const ASK_AFTER_MOST: &str = "CONVEYOR__PAYMENTS__ASK_AFTER_MOST_MS";

/// Lets the worker die at a point that it comes by when this user is charged, and starts it again.
async fn dies(till: &mut Till, point: Point, user: &str, ask_after: &str) {
    let worker = &mut till.workers[0];
    assert!(worker.terminate().await.success());
    worker.set("CONVEYOR_CRASH", &format!("{}:1", point.name()));
    worker.set(ASK_AFTER, ask_after);
    worker.start().await;
    worker.wait_ready().await;
    let order = OrderId::generate();
    till.fall_due(order, user).await;
    let worker = &mut till.workers[0];
    let ended = worker.wait().await;
    assert_eq!(ended.signal(), Some(SIGABRT), "{}: {ended:?}", point.name());
    worker.set("CONVEYOR_CRASH", "");
    worker.set(ASK_AFTER, "300");
    worker.start().await;
    worker.wait_ready().await;
    // What it had in hand is nobody's now.
    let sql = "UPDATE payments.outbox SET locked_until = now(); UPDATE payments.follow_ups SET due_at = now();
               UPDATE payments.payments SET leased_until = now() WHERE state = 'open'";
    till.database.connect().await.batch_execute(sql).await.unwrap();
    let paid = format!("SELECT count(*) FROM payments.payments WHERE holder = 'order:{order}' AND state = 'captured'");
    till.until(&paid, 1).await;
    // It may be said again, after a death between saying it and forgetting it; but nothing else is.
    let heard = eventually(LONG, &format!("somebody hears that {order} is paid"), async || {
        Some(till.heard(order).await).filter(|heard| !heard.is_empty())
    })
    .await;
    assert!(heard.iter().all(|(kind, _)| kind == "payment.completed"), "{heard:?}");
    assert_eq!(till.charged(order).await, ("captured".to_owned(), 0));
    println!("{} × payment-worker: reconciled", point.name());
}

#[tokio::test]
async fn it_may_die_wherever_it_asks_what_nobody_has_answered() {
    let mut till = Till::open().await;
    till.store_method("patient", "callback_lost").await;
    let points = [Point::AskTaken, Point::AskAnswered, Point::AskRecorded];
    for point in points {
        dies(&mut till, point, "patient", "300").await;
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
        dies(&mut till, point, "async", "600000").await;
    }
    let captured = till.sandbox.ledger().await.totals.captured_amount;
    assert_eq!(captured, AMOUNT.0 * i64::try_from(points.len()).unwrap());
    till.assert_settled().await;
}
