//! Each outcome that an order can have, from the request to the customer's last mail.

use e2e::{LONG, eventually, token};
use nix::sys::signal::Signal;

use super::{AMOUNT, APPROVED, DECLINED, Saga, staff};

const ASYNC: &str = "4000000000000101";
const CALLBACK_LOST: &str = "4000000000000069";
const TIMEOUT: &str = "4000000000000051";

/// How an order is to end, for everybody who knows of it.
struct End<'a> {
    /// The statuses of its history.
    steps: &'a [&'a str],
    reservation: &'a str,
    /// At the gateway: captured, and given back.
    money: (i64, i64),
    /// Every attempt: its state, and that of its refund.
    payments: &'a [&'a str],
    /// Of the last mail.
    subject: &'a str,
    words: &'a str,
}

const PAID: End = End {
    steps: &["pending", "awaiting_payment", "paid"],
    reservation: "confirmed",
    money: (AMOUNT, 0),
    payments: &["captured"],
    subject: "Your order is paid",
    words: "has been successfully paid: 35.25 USD",
};

const CANCELLED: End = End {
    steps: &["pending", "awaiting_payment", "cancelled"],
    reservation: "released",
    money: (0, 0),
    payments: &[],
    subject: "Your order is cancelled",
    words: "has been cancelled",
};

const REFUNDED: End = End {
    steps: &["pending", "awaiting_payment", "cancelled", "refunding", "refunded"],
    reservation: "released",
    money: (AMOUNT, AMOUNT),
    payments: &["captured refunded"],
    subject: "Your money is on its way back",
    words: "We have refunded 35.25 USD",
};

impl Saga {
    async fn ends(&self, id: &str, end: &End<'_>) {
        let order = self.until(id, end.steps.last().unwrap()).await;
        let history = order["history"].as_array().unwrap();
        let steps: Vec<&str> = history.iter().map(|step| step["status"].as_str().unwrap()).collect();
        assert_eq!(steps, end.steps, "{id}: {history:?}");
        let holder = format!("FROM inventory.reservations WHERE holder = 'order:{id}'");
        self.until_count(&format!("SELECT count(*) {holder} AND state = '{}'", end.reservation), 1).await;
        let charges = self.sandbox.charges_of(id).await;
        let captured = charges.iter().filter(|charge| charge.status == "captured");
        let money = captured.fold((0, 0), |sum, charge| (sum.0 + charge.amount, sum.1 + charge.refunded));
        assert_eq!(money, end.money, "{id}: {charges:?}");
        let sql = "SELECT concat_ws(' ', state, refund) FROM payments.payments WHERE holder = $1 ORDER BY attempt";
        let rows = self.line.database.connect().await.query(sql, &[&format!("order:{id}")]).await.unwrap();
        let payments: Vec<&str> = rows.iter().map(|row| row.get(0)).collect();
        assert_eq!(payments, end.payments, "{id}");
        self.until_told(id, end.subject, end.words).await;
    }
}

#[tokio::test]
async fn whatever_it_takes_an_order_that_is_paid_is_paid_once() {
    let saga = Saga::start(&[], &[]).await;
    saga.customer("stored", Some("approved")).await;
    saga.customer("poor", Some("insufficient_funds")).await;
    saga.customer("walker", None).await;

    let id = saga.place_one("stored").await;
    saga.ends(&id, &PAID).await;

    let id = saga.place_one("walker").await;
    assert_eq!(saga.pay("walker", &id, AMOUNT, APPROVED).await.status, 200);
    saga.ends(&id, &PAID).await;

    let id = saga.place_one("poor").await;
    saga.until_told(&id, "Your payment was declined", "(insufficient funds). Nothing was charged.").await;
    assert_eq!(saga.pay("poor", &id, AMOUNT, APPROVED).await.status, 200);
    let steps = &["pending", "awaiting_payment", "awaiting_payment", "paid"];
    saga.ends(&id, &End { steps, payments: &["declined", "captured"], ..PAID }).await;

    // Nobody was reminded of the others: they were paid. This one waits until it is nearly too late.
    let id = saga.place_one("walker").await;
    saga.until(&id, "awaiting_payment").await;
    saga.hurry(&id, 240.0).await;
    saga.until_told(&id, "Please pay for your order", "waits for its payment of 35.25 USD").await;
    assert_eq!(saga.pay("walker", &id, AMOUNT, APPROVED).await.status, 200);
    saga.ends(&id, &End { steps, ..PAID }).await;

    // What is never answered is asked for.
    for card in [CALLBACK_LOST, TIMEOUT, ASYNC] {
        let id = saga.place_one("walker").await;
        // Unless its outcome is there before the answer.
        let answer = saga.pay("walker", &id, AMOUNT, card).await;
        assert!([200, 202].contains(&answer.status.as_u16()), "{card}: {}", answer.text());
        saga.ends(&id, &PAID).await;
    }

    // Nothing is owed for what costs nothing.
    let id = saga.place("walker", &[("P004", 2)]).await;
    let free = End { steps: &["pending", "paid"], money: (0, 0), payments: &[], words: "0.00 USD", ..PAID };
    saga.ends(&id, &free).await;
    saga.assert_settled().await;
}

#[tokio::test]
async fn an_order_that_is_not_paid_gives_back_what_it_held() {
    let saga = Saga::start(&[], &[]).await;
    saga.customer("poor", Some("insufficient_funds")).await;
    saga.customer("walker", None).await;

    let id = saga.place_one("poor").await;
    saga.until_told(&id, "Your payment was declined", "2 attempts are left").await;
    for _ in 0..2 {
        assert_eq!(saga.pay("poor", &id, AMOUNT, DECLINED).await.status, 400);
    }
    let failed = End {
        steps: &["pending", "awaiting_payment", "awaiting_payment", "awaiting_payment", "payment_failed"],
        reservation: "released",
        money: (0, 0),
        payments: &["declined", "declined", "declined"],
        subject: "Your payment failed",
        words: "(card declined), and no attempt is left",
    };
    saga.ends(&id, &failed).await;
    assert_eq!(saga.pay("poor", &id, AMOUNT, APPROVED).await.status, 409);

    let id = saga.place("walker", &[("P001", 1), ("P003", 101)]).await;
    let rejected = End {
        steps: &["pending", "rejected"],
        reservation: "rejected",
        subject: "Your order is out of stock",
        words: "P003 (you ordered 101, we have 100)",
        ..CANCELLED
    };
    saga.ends(&id, &rejected).await;

    let id = saga.place_one("walker").await;
    saga.until(&id, "awaiting_payment").await;
    assert_eq!(saga.cancel(&id, &token("walker")).await.status, 200);
    saga.ends(&id, &CANCELLED).await;
    eventually(LONG, "payment-worker knows", async || {
        let answer = saga.try_to_pay("walker", &id, AMOUNT, APPROVED).await;
        (answer.json()["errors"][0]["code"] == "not_payable").then_some(())
    })
    .await;
    saga.assert_settled().await;
    assert_eq!(saga.sandbox.ledger().await.totals.captured, 0);
}

#[tokio::test]
async fn an_order_that_nobody_pays_is_reminded_of_and_expires() {
    let times = [("ORDERS__TIMES__DEADLINE_MS", "6000"), ("ORDERS__TIMES__REMIND_BEFORE_MS", "4000")];
    let saga = Saga::start(&times, &[]).await;
    saga.customer("walker", None).await;
    let id = saga.place_one("walker").await;
    let expired = End {
        steps: &["pending", "awaiting_payment", "awaiting_payment", "expired"],
        subject: "Your order has expired",
        words: "was not paid in time and has expired",
        ..CANCELLED
    };
    saga.ends(&id, &expired).await;
    let noted = "SELECT count(*) FROM notifications.notifications WHERE kind = 'order.payment_reminder'";
    assert_eq!(saga.line.database.count(noted).await, 1);
    assert_eq!(saga.try_to_pay("walker", &id, AMOUNT, APPROVED).await.status, 409);
    saga.assert_settled().await;
}

#[tokio::test]
async fn money_for_an_order_that_is_off_goes_back() {
    let saga = Saga::start(&[], &["--processing-ms", "4000"]).await;
    saga.customer("stored", Some("approved")).await;
    saga.customer("walker", None).await;

    // While payment-worker does not listen, the order ends and the gateway captures.
    for end in ["cancelled", "expired"] {
        let id = saga.place_one("walker").await;
        assert_eq!(saga.pay("walker", &id, AMOUNT, ASYNC).await.status, 202);
        eventually(LONG, "the gateway is at it", async || {
            (saga.sandbox.charges_of(&id).await.first()?.status == "processing").then_some(())
        })
        .await;
        saga.payments().signal(Signal::SIGSTOP);
        match end {
            "cancelled" => assert_eq!(saga.cancel(&id, &token("walker")).await.status, 200),
            _ => saga.hurry(&id, 0.0).await,
        }
        saga.until(&id, end).await;
        eventually(LONG, "the gateway has captured", async || {
            (saga.sandbox.charges_of(&id).await[0].status == "captured").then_some(())
        })
        .await;
        saga.payments().signal(Signal::SIGCONT);
        let steps = ["pending", "awaiting_payment", end, "refunding", "refunded"];
        saga.ends(&id, &End { steps: &steps, ..REFUNDED }).await;
    }

    // What is still being processed when the order is called off is never captured.
    let id = saga.place_one("walker").await;
    assert_eq!(saga.pay("walker", &id, AMOUNT, ASYNC).await.status, 202);
    assert_eq!(saga.cancel(&id, &token("walker")).await.status, 200);
    saga.until_count("SELECT count(*) FROM payments.payments WHERE state = 'open'", 0).await;
    match saga.sandbox.charges_of(&id).await[0].status.as_str() {
        "captured" => saga.ends(&id, &REFUNDED).await,
        _ => saga.ends(&id, &End { payments: &["voided"], ..CANCELLED }).await,
    }

    // The shop calls off what is paid: the money goes back, and so do the goods.
    let id = saga.place_one("stored").await;
    saga.ends(&id, &PAID).await;
    assert_eq!(saga.cancel(&id, &token("stored")).await.status, 409);
    assert_eq!(saga.cancel(&id, &staff()).await.status, 200);
    let steps = &["pending", "awaiting_payment", "paid", "refunding", "refunded"];
    saga.ends(&id, &End { steps, reservation: "restocked", ..REFUNDED }).await;
    saga.assert_settled().await;
}
