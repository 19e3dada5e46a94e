//! Calling orders off, whoever else is about to take them further.

use std::time::Duration;

use e2e::{LONG, assert_clean, eventually, http::Answer, in_seconds, token, token_with};
use futures_util::future::{join, join_all};
use hyper::Method;
use nix::sys::signal::Signal;
use serde_json::json;

use crate::{
    alone::{Alone, until_count},
    line::{Line, USER},
};

async fn cancel(line: &Line, id: &str, token: &str) -> Answer {
    let headers = [("authorization", &*format!("Bearer {token}"))];
    line.api().http.send(Method::POST, &format!("/api/orders/{id}/cancel"), &headers, "").await.unwrap()
}

fn code(answer: &Answer) -> (u16, String) {
    (answer.status.as_u16(), answer.json()["errors"][0]["code"].as_str().unwrap_or_default().to_owned())
}

fn shop(scope: &str) -> String {
    token_with(&json!({"sub": "somebody-else", "scope": scope, "exp": in_seconds(600)}))
}

const RESERVED: &str = "SELECT sum(reserved)::bigint FROM inventory.products";

#[tokio::test]
async fn an_order_that_waits_for_stock_is_called_off_and_holds_none() {
    let line = Line::start().await;
    line.processes[1].signal(Signal::SIGSTOP);
    let (mine, by_the_shop) = (line.place().await, line.place().await);
    for somebody in ["customer", ""] {
        assert_eq!(code(&cancel(&line, &mine, &shop(somebody)).await), (404, "not_found".to_owned()), "{somebody}");
    }
    assert_eq!(code(&cancel(&line, &mine, &shop("service")).await), (403, "insufficient_scope".to_owned()));
    for unknown in ["ORD00000000000070008000000000000000", "ORD1", "%FF"] {
        assert_eq!(code(&cancel(&line, unknown, &token(USER)).await), (404, "not_found".to_owned()), "{unknown}");
    }

    // Two at the same moment, and one more: one step, and the same answer.
    let (first, second) = join(cancel(&line, &mine, &token(USER)), cancel(&line, &mine, &shop("staff"))).await;
    let third = cancel(&line, &mine, &token(USER)).await;
    let expected = json!({"code": 200, "message": "Order cancelled", "orderId": mine, "status": "cancelled"});
    for answer in [first, second, third] {
        assert_eq!((answer.status.as_u16(), answer.json()), (200, expected.clone()));
    }
    assert_eq!(cancel(&line, &by_the_shop, &shop("admin")).await.status, 200);
    let order = line.order(&by_the_shop).await;
    assert_eq!((&order["status"], &order["version"]), (&json!("cancelled"), &json!(2)));
    assert_eq!(order["history"][1]["cause"], "order.cancel_asked");
    assert_eq!(order["history"][1]["detail"], "by the shop", "who of the shop is not the customer's business");
    let seen = line.api().http.get_as(&format!("/api/orders/{by_the_shop}"), &shop("staff")).await.unwrap().json();
    assert_eq!(seen["history"][1]["detail"], "by the shop (somebody-else)");

    // Its creation and its end are both there by now, in different queues: in whichever order they are heard, the stock
    // is free, and an answer that comes late means nothing.
    line.processes[1].signal(Signal::SIGCONT);
    until_count(&line.database, "SELECT count(*) FROM inventory.reservations WHERE state = 'released'", 2).await;
    let told = "SELECT count(*) FROM notifications.notifications WHERE kind = 'order.cancelled' AND state = 'sent'";
    until_count(&line.database, told, 2).await;
    assert_clean(&line.database, &line.vhost).await;
    assert_eq!(line.database.count(RESERVED).await, 0);
    assert_eq!(line.database.count("SELECT count(*) FROM orders.orders WHERE status = 'cancelled'").await, 2);
    assert_eq!(line.database.count("SELECT count(*) FROM orders.history").await, 4);
    assert_eq!(line.database.count("SELECT count(*) FROM payments.payments").await, 0);
}

#[tokio::test]
async fn an_order_with_an_outcome_is_not_called_off() {
    let line = Line::start().await;
    let id = line.place().await;
    line.until_through(1, LONG).await;
    let refused = cancel(&line, &id, &token(USER)).await;
    assert_eq!(code(&refused), (409, "not_cancellable".to_owned()));
    assert_eq!(refused.json()["message"], "the order is paid, and can no longer be cancelled");
    line.reconcile(1).await;

    let alone = Alone::start(&[]).await;
    let order = alone.place().await;
    alone.end(&[order]).await;
    let path = format!("/api/orders/{order}");
    eventually(LONG, "it is rejected", async || (alone.show(&path).await["status"] == "rejected").then_some(())).await;
    for token in [token(USER), shop("admin")] {
        let refusal = alone.refusal(Method::POST, &format!("{path}/cancel"), &token, "").await;
        assert_eq!(refusal, (409, vec![["not_cancellable".to_owned(), String::new()]]));
    }
}

#[tokio::test]
async fn orders_called_off_in_the_middle_are_either_paid_or_cancelled_and_never_both() {
    const ORDERS: usize = 120;
    let line = Line::start().await;
    let answers = (0..ORDERS).map(|_| async {
        let id = line.place().await;
        tokio::time::sleep(Duration::from_millis(fastrand::u64(..40))).await;
        (cancel(&line, &id, &token(USER)).await, id)
    });
    let answers = join_all(answers).await;
    for (answer, id) in &answers {
        assert!([200, 409].contains(&answer.status.as_u16()), "{id}: {}", answer.text());
    }
    let off = answers.iter().filter(|(answer, _)| answer.status == 200).count();
    let wanted = |count: usize| i64::try_from(count).unwrap();
    let paid = wanted(ORDERS - off);
    // Money that was captured before the order's end was heard of goes back.
    let over = "SELECT count(*) FROM orders.orders WHERE status IN ('paid', 'cancelled', 'refunded')";
    until_count(&line.database, over, wanted(ORDERS)).await;
    until_count(&line.database, "SELECT count(*) FROM notifications.notifications WHERE state = 'pending'", 0).await;
    let settled = "SELECT count(*) FROM inventory.reservations WHERE state IN ('confirmed', 'released')";
    until_count(&line.database, settled, wanted(ORDERS)).await;
    assert_clean(&line.database, &line.vhost).await;
    // What was captured may be heard of last of all, and goes back while no message is on its way.
    until_count(&line.database, over, wanted(ORDERS)).await;
    assert_clean(&line.database, &line.vhost).await;
    for (answer, id) in &answers {
        let status = line.order(id).await["status"].take();
        let is_off = status == "cancelled" || status == "refunded";
        assert!(if answer.status == 200 { is_off } else { status == "paid" }, "{id}: {status}");
    }
    assert_eq!(line.database.count(RESERVED).await, 0);
    let refunded = line.database.count("SELECT count(*) FROM orders.orders WHERE status = 'refunded'").await;
    for (what, sql, expected) in [
        ("captured", "SELECT count(*) FROM payments.payments WHERE state = 'captured'", paid + refunded),
        ("given back", "SELECT count(*) FROM payments.payments WHERE refund = 'refunded'", refunded),
        ("sold", "SELECT 1000000000 - on_hand FROM inventory.products WHERE product_id = 'P002'", paid),
    ] {
        assert_eq!(line.database.count(sql).await, expected, "{what}");
    }
}
