//! What is told of what customers were told.

use common::{events::OrderCancelled, ids::OrderId};
use e2e::token;
use hyper::Method;
use serde_json::{Value, json};

use super::{ADDRESS, CUSTOMER, Post, event, paid, received, scoped};

#[tokio::test]
async fn what_was_told_of_an_order_and_what_was_not_is_shown() {
    let post = Post::start(&[]).await;
    post.contact("gone", &json!({"email": "bounce@example.test", "phone": "+15551234567", "channel": "email"})).await;
    let (order, gone, stranger) = (OrderId::generate(), OrderId::generate(), OrderId::generate());
    let told = paid(order, CUSTOMER);
    post.say(std::slice::from_ref(&told)).await;
    post.until_noted("sent", 1).await;
    // What comes late is not told any more.
    post.say(&[received(order, CUSTOMER)]).await;
    post.until_noted("superseded", 1).await;
    post.say(&[received(gone, "gone"), event::<OrderCancelled>(stranger, "stranger", 2, json!({}))]).await;
    post.until_noted("refused", 1).await;
    post.until_noted("no_contact", 1).await;

    let ask = async |order: OrderId, token: &str| {
        post.ask(Method::GET, &format!("/api/notification/orders/{order}"), token, &Value::Null).await
    };
    let shown = ask(order, &token(CUSTOMER)).await;
    assert_eq!(shown.status, 200, "{}", shown.text());
    let shown = shown.json();
    assert_eq!(shown["contact"], json!({"channel": "email", "email": ADDRESS}));
    let [first, second] = shown["notifications"].as_array().unwrap().as_slice() else { panic!("{shown}") };
    assert_eq!((&first["type"], &first["status"]), (&json!("order.received"), &json!("superseded")));
    assert_eq!(
        (&second["type"], &second["status"], &second["version"]),
        (&json!("order.paid"), &json!("sent"), &json!(3))
    );
    assert_eq!((&second["channel"], &second["eventId"]), (&json!("email"), &json!(told.id)));
    assert!(second["sentAt"].as_str().is_some());

    // Staff recognise an address, and do not get it: not from what the mail server said either.
    for (scope, address, number) in
        [("staff", "b…@example.test", "+15…67"), ("admin", "bounce@example.test", "+15551234567")]
    {
        let answer = ask(gone, &scoped(scope)).await;
        let refused = answer.json();
        assert_eq!((&refused["contact"]["email"], &refused["contact"]["phone"]), (&json!(address), &json!(number)));
        assert_eq!(refused["notifications"][0]["status"], "refused");
        assert!(refused["notifications"][0]["reason"].as_str().is_some(), "{refused}");
        assert_eq!(answer.text().contains("bounce@"), scope == "admin", "{refused}");
    }
    let unreached = ask(stranger, &scoped("service")).await.json();
    assert_eq!((&unreached["notifications"][0]["status"], &unreached["contact"]), (&json!("no_contact"), &Value::Null));

    for (order, who) in [(gone, token(CUSTOMER)), (order, scoped("")), (OrderId::generate(), scoped("staff"))] {
        let answer = ask(order, &who).await;
        assert_eq!((answer.status.as_u16(), &answer.json()["errors"][0]["code"]), (404, &json!("not_found")));
    }
    let odd = post.ask(Method::GET, "/api/notification/orders/ORD1", &scoped("staff"), &Value::Null).await;
    assert_eq!(odd.status, 404);
    post.end().await;
}
