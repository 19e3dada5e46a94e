//! All behaviours of the gateway at once, orders called off at any moment, callbacks doubled and in any order: in the end
//! the gateway's books and ours say the same of every order, to the cent.

use std::collections::{HashMap, HashSet};

use common::ids::OrderId;
use e2e::{LONG, eventually};

use super::Till;

const BEHAVIOURS: [&str; 14] = [
    "approved",
    "declined",
    "insufficient_funds",
    "expired_card",
    "slow",
    "timeout",
    "callback_lost",
    "callback_twice",
    "callback_first",
    "error",
    "async",
    "async_declined",
    "approved",
    "refund_async",
];
const ORDERS: usize = 280;

/// What an order hears, as order-api would take it.
#[derive(Default)]
struct Told {
    completed: HashSet<String>,
    refunded: HashSet<String>,
    failed: bool,
    asked_back: bool,
}

#[tokio::test]
async fn the_gateways_books_and_ours_agree_about_every_order() {
    let settings = [("CONVEYOR__LOG__FILTER", "warn"), ("CONVEYOR__PAYMENTS__CALL_TIMEOUT_MS", "2500")];
    let chance = ["--duplicate-callbacks", "0.3", "--reorder-callbacks", "0.3"];
    let till = Till::open_with(2, &settings, &chance).await;
    for behaviour in BEHAVIOURS.iter().collect::<HashSet<_>>() {
        till.store_method(behaviour, behaviour).await;
    }
    let orders: Vec<(OrderId, &str, bool)> =
        (0..ORDERS).map(|i| (OrderId::generate(), BEHAVIOURS[i % BEHAVIOURS.len()], fastrand::u8(..3) == 0)).collect();
    for (order, user, is_off) in &orders {
        // The two are heard in any order; and some things are said twice.
        if *is_off && fastrand::bool() {
            till.call_off(*order).await;
        }
        till.fall_due(*order, user).await;
        if fastrand::bool() {
            till.fall_due(*order, user).await;
        }
        if *is_off {
            till.call_off(*order).await;
        }
    }
    // Whoever is off gives back what it hears of.
    let told = eventually(LONG * 3, "every order has its outcome", async || {
        let mut all = till.told().await;
        for (order, _, is_off) in &orders {
            let told = all.entry(*order).or_default();
            for transaction in told.completed.iter().filter(|_| *is_off) {
                if !told.refunded.contains(transaction) {
                    till.ask_back(*order, transaction).await;
                    told.asked_back = true;
                }
            }
        }
        let is_answered = |(order, _, is_off): &(OrderId, &str, bool)| {
            let told = &all[order];
            let is_balanced = !told.asked_back;
            is_balanced && (*is_off || told.failed || !told.completed.is_empty())
        };
        (orders.iter().all(is_answered) && till.is_quiet().await).then_some(all)
    })
    .await;
    till.assert_settled().await;

    let mut books: HashMap<String, (i64, usize)> = HashMap::new();
    for charge in till.sandbox.ledger().await.charges {
        let (net, captures) = books.entry(charge.order_id).or_default();
        if charge.status == "captured" {
            *net += charge.amount - charge.refunded;
            *captures += 1;
        }
    }
    let ours = "SELECT substr(holder, 7), coalesce(sum(amount) FILTER (WHERE state = 'captured' AND refund IS NULL), 0)::bigint
                FROM payments.payments GROUP BY holder";
    let rows = till.database.connect().await.query(ours, &[]).await.unwrap();
    let ours: HashMap<String, i64> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    for (order, behaviour, is_off) in &orders {
        let name = order.to_string();
        let (net, captures) = books.get(&name).copied().unwrap_or_default();
        assert_eq!(net, ours.get(&name).copied().unwrap_or_default(), "{name} {behaviour}");
        assert!(captures <= 1, "{name} {behaviour}: captured {captures} times");
        let told = &told[order];
        let expected = if *is_off || told.failed { 0 } else { 10_050 };
        assert_eq!(net, expected, "{name} {behaviour}, off: {is_off}");
        assert_eq!(told.completed.len() + usize::from(told.failed), usize::from(captures == 1 || told.failed));
    }
}

impl Till {
    /// Everything that was said so far, by order.
    async fn told(&self) -> HashMap<OrderId, Told> {
        let mut heard = self.heard.lock().await;
        for message in self.vhost.drain("test.ear").await {
            heard.extend(message.events());
        }
        let mut all: HashMap<OrderId, Told> = HashMap::new();
        for event in heard.iter() {
            let data = &event["data"];
            let told = all.entry(data["orderId"].as_str().unwrap().parse().unwrap()).or_default();
            let transaction = data["transactionId"].as_str().unwrap().to_owned();
            match event["type"].as_str().unwrap() {
                "payment.completed" => drop(told.completed.insert(transaction)),
                "payment.refunded" => drop(told.refunded.insert(transaction)),
                _ => told.failed = true,
            }
        }
        all
    }

    /// Nothing is open, on its way, or still to be looked after.
    async fn is_quiet(&self) -> bool {
        let sql = "SELECT (SELECT count(*) FROM payments.payments WHERE state = 'open' OR refund = 'due')
                        + (SELECT count(*) FROM payments.follow_ups) + (SELECT count(*) FROM payments.outbox)";
        for queue in ["payment.charge", "payment.settle", "test.ear"] {
            if self.vhost.ready(queue).await != Some(0) {
                return false;
            }
        }
        let depths = self.vhost.depths().await;
        let is_handled = |queue: &str| depths.get(queue).is_none_or(|(_, unacknowledged)| *unacknowledged == 0);
        self.database.count(sql).await == 0 && is_handled("payment.charge") && is_handled("payment.settle")
    }
}
