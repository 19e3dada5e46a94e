//! The gateway or the mail server is away, for a while or for too long, while orders go on coming.

use std::{
    collections::BTreeSet,
    time::{Duration, SystemTime},
};

use e2e::{LONG, eventually, sandbox::Call};
use tokio::time::Instant;

use super::Saga;

const ORDERS: usize = 30;
const BREAKER: &str = "conveyor_gateway_breaker";
const OPENED: &str = "conveyor_gateway_breaker_opened_total";

impl Saga {
    async fn place_many(&self, user: &str) -> Vec<String> {
        let mut orders = Vec::new();
        for _ in 0..ORDERS {
            orders.push(self.place_one(user).await);
        }
        orders
    }

    async fn until_all_are(&self, status: &str) {
        let sql = format!("SELECT count(*) FROM orders.orders WHERE status = '{status}'");
        self.until_count(&sql, i64::try_from(ORDERS).unwrap()).await;
    }

    async fn count(&self, sql: &str) -> i64 {
        self.line.database.count(sql).await
    }
}

/// By itself an outage here is as long as it takes to see what it does; `CONVEYOR_OUTAGE_S` makes it as long as it may be.
async fn away_for(since: Instant) {
    if let Ok(seconds) = std::env::var("CONVEYOR_OUTAGE_S") {
        let seconds = seconds.parse().expect("CONVEYOR_OUTAGE_S is a number of seconds");
        tokio::time::sleep_until(since + Duration::from_secs(seconds)).await;
    }
}

#[tokio::test]
async fn a_gateway_that_is_away_for_a_while_costs_nobody_an_order_or_an_attempt() {
    let saga = Saga::start(&[], &[]).await;
    saga.customer("stored", Some("approved")).await;
    saga.sandbox.fault("gateway", "down").await;
    let since = Instant::now();
    let orders = saga.place_many("stored").await;
    // It was tried again and again whether the gateway is back: through every pause that there is.
    saga.payments().until_metric(OPENED, |opened| opened >= 5.0).await;
    saga.payments().until_metric(BREAKER, |level| level == 2.0).await;
    saga.until_all_are("awaiting_payment").await;
    away_for(since).await;
    saga.sandbox.fault("gateway", "up").await;

    saga.until_all_are("paid").await;
    saga.payments().until_metric(BREAKER, |level| level == 0.0).await;
    saga.assert_settled().await;
    let wrong = "SELECT count(*) FROM payments.payments WHERE (state, attempt, attempts_left) <> ('captured', 1, 2)";
    assert_eq!(saga.count(wrong).await, 0, "an attempt was spent");
    assert_eq!(saga.count("SELECT count(*) FROM orders.history WHERE version > 3").await, 0);
    let totals = saga.sandbox.ledger().await.totals;
    assert_eq!((totals.charges, totals.captured), (30, 30));
    for id in orders {
        saga.until_told(&id, "Your order is paid", "35.25 USD").await;
    }
}

#[tokio::test]
async fn a_gateway_that_is_away_for_too_long_lets_orders_expire_and_nothing_else() {
    let times = [("ORDERS__TIMES__DEADLINE_MS", "5000"), ("ORDERS__TIMES__REMIND_BEFORE_MS", "0")];
    let saga = Saga::start(&times, &[]).await;
    saga.customer("stored", Some("approved")).await;
    saga.sandbox.fault("gateway", "down").await;
    let since = Instant::now();
    let orders = saga.place_many("stored").await;
    saga.until_all_are("expired").await;
    saga.payments().until_metric(BREAKER, |level| level > 0.0).await;
    away_for(since).await;
    saga.sandbox.fault("gateway", "up").await;

    saga.assert_settled().await;
    let failed = "SELECT count(*) FROM orders.history WHERE cause LIKE 'payment.%'";
    assert_eq!(saga.count(failed).await, 0, "a payment has failed, or worse");
    assert_eq!(saga.count("SELECT count(*) FROM payments.payments WHERE state <> 'voided'").await, 0);
    assert_eq!(saga.sandbox.ledger().await.totals.captured, 0);
    for id in orders {
        saga.until_told(&id, "Your order has expired", "").await;
    }
}

#[tokio::test]
async fn while_no_mail_can_be_sent_orders_are_paid_and_later_everybody_is_told_once() {
    let saga = Saga::start(&[], &[]).await;
    saga.customer("stored", Some("approved")).await;
    saga.sandbox.fault("smtp", "down").await;
    let since = Instant::now();
    let orders = saga.place_many("stored").await;
    saga.until_all_are("paid").await;
    saga.until_count("SELECT count(*) FROM inventory.reservations WHERE state = 'confirmed'", 30).await;
    let away = r#"conveyor_notifications_away{channel="email"}"#;
    saga.notifications().until_metric(away, |away| away == 1.0).await;
    // Mail has waited longer than there are attempts.
    let waits = r#"conveyor_events_total{queue="notification.send",verdict="wait"}"#;
    saga.notifications().until_metric(waits, |waits| waits >= (5 * ORDERS) as f64).await;
    assert!(saga.sandbox.mails().await.is_empty());
    away_for(since).await;
    saga.sandbox.fault("smtp", "up").await;

    saga.assert_settled().await;
    let mails = saga.sandbox.mails().await;
    let ids: BTreeSet<&str> = mails.iter().map(|mail| mail.message_id.as_str()).collect();
    assert_eq!(ids.len(), mails.len(), "a mail was sent twice");
    for id in &orders {
        saga.until_told(id, "Your order is paid", "35.25 USD").await;
        let told = mails.iter().filter(|mail| mail.text.contains(id) && mail.subject == "Your order is paid").count();
        assert_eq!(told, 1, "{id}");
    }
    saga.notifications().until_metric(away, |away| away == 0.0).await;
}

const AT_ONCE: usize = 8;
const PER_SECOND: usize = 50;
/// A tenth of a second's worth, as payment-worker allows.
const BURST: usize = PER_SECOND / 10;
/// A queue that has nothing to do with what is away may be slowed by a noisy machine, but not by more than this.
const NO_WORSE: u32 = 5;
const AND: Duration = Duration::from_secs(1);

impl Saga {
    /// How long orders take, one after the other, until they have this status and their customer was told so by these
    /// words (of an empty subject: until they have the status). The one in the middle.
    async fn takes(&self, user: &str, status: &str, subject: &str) -> Duration {
        let mut took = Vec::new();
        for _ in 0..9 {
            let began = Instant::now();
            let id = self.place_one(user).await;
            self.until(&id, status).await;
            if !subject.is_empty() {
                eventually(LONG, "its customer is told", async || {
                    self.told(&id).await.iter().any(|mail| mail.subject == subject).then_some(())
                })
                .await;
            }
            took.push(began.elapsed());
        }
        took.sort();
        took[took.len() / 2]
    }
}

fn unix_ms() -> i64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    i64::try_from(now.as_millis()).unwrap()
}

/// The most calls that began within so many milliseconds.
fn most_within(calls: &[Call], ms: i64) -> usize {
    let from = |first: &Call| calls.iter().filter(|call| (0..ms).contains(&(call.at - first.at))).count();
    calls.iter().map(from).max().unwrap_or(0)
}

#[tokio::test]
async fn who_comes_back_is_not_run_over_and_nobody_else_is_held_up_meanwhile() {
    const WAITING: usize = 80;
    let (at_once, per_second) = (AT_ONCE.to_string(), PER_SECOND.to_string());
    let limits = [
        ("PAYMENTS__AT_ONCE", at_once.as_str()),
        ("PAYMENTS__CALLS_PER_SECOND", per_second.as_str()),
        ("ORDERS__TIMES__RECEIVED_MS", "100"),
    ];
    let saga = Saga::start(&limits, &[]).await;
    saga.customer("stored", Some("approved")).await;
    saga.customer("walker", None).await;
    const RECEIVED: &str = "We have received your order";
    let without_gateway = saga.takes("walker", "awaiting_payment", RECEIVED).await;
    let until_paid = saga.takes("stored", "paid", "").await;

    saga.sandbox.fault("gateway", "down").await;
    for _ in 0..WAITING {
        saga.place_one("stored").await;
    }
    saga.payments().until_metric(BREAKER, |level| level == 2.0).await;
    let open = format!("SELECT (count(*) = {WAITING})::int::bigint FROM payments.follow_ups");
    saga.until_count(&open, 1).await;
    let beside_the_outage = saga.takes("walker", "awaiting_payment", RECEIVED).await;

    let back = unix_ms();
    saga.sandbox.fault("gateway", "up").await;
    saga.until_count("SELECT count(*) FROM orders.orders WHERE status = 'paid'", 9 + WAITING as i64).await;
    saga.payments().until_metric(BREAKER, |level| level == 0.0).await;
    // What was under way when it came back was a look as well.
    let calls = saga.sandbox.calls(back).await;
    let mut per_100_ms = vec![0; usize::try_from((calls.last().unwrap().at - back) / 100).unwrap() + 1];
    for call in &calls {
        per_100_ms[usize::try_from((call.at - back) / 100).unwrap()] += 1;
    }
    let peak = calls.iter().map(|call| call.at_once).max().unwrap();
    let (within_a_second, within_a_tenth) = (most_within(&calls, 1_000), most_within(&calls, 100));
    println!("calls per 100 ms after the return: {per_100_ms:?}");
    println!("{} calls, {peak} at once, {within_a_second} within 1 s, {within_a_tenth} within 100 ms", calls.len());
    assert!(calls.len() >= WAITING);
    assert!(calls.iter().take(2).all(|call| call.at_once == 1), "one looks, and then all: {:?}", &calls[..2]);
    assert!(peak <= AT_ONCE, "{peak} at once");
    // When a call began is seen where it arrives, and as many as may be under way may have been late.
    assert!(within_a_second <= PER_SECOND + BURST + AT_ONCE, "{within_a_second} within a second");
    assert!(within_a_tenth <= PER_SECOND / 10 + BURST + AT_ONCE, "{within_a_tenth} within 100 ms");

    saga.sandbox.fault("smtp", "down").await;
    let untold = saga.takes("stored", "paid", "").await;
    saga.sandbox.fault("smtp", "silent").await;
    let unheard = saga.takes("stored", "paid", "").await;
    saga.sandbox.fault("smtp", "up").await;
    println!("until locked and told: {without_gateway:?}, while the gateway is away: {beside_the_outage:?}");
    println!("until paid: {until_paid:?}, while mail is down: {untold:?}, while it is silent: {unheard:?}");
    assert!(beside_the_outage < without_gateway * NO_WORSE + AND);
    assert!(untold < until_paid * NO_WORSE + AND && unheard < until_paid * NO_WORSE + AND);
}
