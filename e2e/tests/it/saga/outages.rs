//! The gateway or the mail server is away, for a while or for too long, while orders go on coming.

use std::collections::BTreeSet;

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

#[tokio::test]
async fn a_gateway_that_is_away_for_a_while_costs_nobody_an_order_or_an_attempt() {
    let saga = Saga::start(&[], &[]).await;
    saga.customer("stored", Some("approved")).await;
    saga.sandbox.fault("gateway", "down").await;
    let orders = saga.place_many("stored").await;
    // It was tried again and again whether the gateway is back: through every pause that there is.
    saga.payments().until_metric(OPENED, |opened| opened >= 5.0).await;
    saga.payments().until_metric(BREAKER, |level| level == 2.0).await;
    saga.until_all_are("awaiting_payment").await;
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
    let orders = saga.place_many("stored").await;
    saga.until_all_are("expired").await;
    saga.payments().until_metric(BREAKER, |level| level > 0.0).await;
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
    let orders = saga.place_many("stored").await;
    saga.until_all_are("paid").await;
    saga.until_count("SELECT count(*) FROM inventory.reservations WHERE state = 'confirmed'", 30).await;
    let away = r#"conveyor_notifications_away{channel="email"}"#;
    saga.notifications().until_metric(away, |away| away == 1.0).await;
    // Mail has waited longer than there are attempts.
    let waits = r#"conveyor_events_total{queue="notification.send",verdict="wait"}"#;
    saga.notifications().until_metric(waits, |waits| waits >= (5 * ORDERS) as f64).await;
    assert!(saga.sandbox.mails().await.is_empty());
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
