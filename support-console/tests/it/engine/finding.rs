//! Letters are found by what they are about.

use common::{
    events::{Event, OrderPaid},
    ids::{OrderId, UserId},
    money::Money,
};
use support_console::{Cursor, Query};

use crate::engine::stage::Stage;

fn paid(user: &str) -> Event {
    let order_id = OrderId::generate();
    let user_id = UserId::try_from(user.to_owned()).unwrap();
    let paid = OrderPaid { order_id, user_id, version: 3, amount: Money(10_050), transaction_id: None };
    Event::new("order-api", order_id.to_string(), None, &paid).unwrap()
}

#[tokio::test]
async fn a_search_finds_what_it_says_by_index_and_in_order_alike() {
    let stage = Stage::set().await;
    let ann: Vec<Event> = (0..3).map(|_| paid("ann")).collect();
    let bob: Vec<Event> = (0..2).map(|_| paid("bob")).collect();
    stage.bury(&ann, "no answer within 3000 ms").await;
    stage.bury(&bob, "100% of the \"mail_box\" is full").await;
    stage.until_found("", 5).await;
    for (query, expected) in [
        ("user:ann", 3),
        ("user:ann OR user:bob", 5),
        ("user:an", 0),
        ("reason:\"no answer\"", 3),
        ("reason:\"answer no\"", 0),
        ("answer", 3),
        ("NOT answer", 2),
        (r#"reason:"100% of the \"mail_box\"""#, 2),
        ("reason:\"mailxbox\"", 0),
        (&ann[0].subject, 1),
        (&format!("{} OR event:{}", ann[0].subject, bob[0].id), 2),
        ("user:ann queue:notification.send type:order.* attempts:>=6", 3),
        ("queue:payment.* OR user:bob", 2),
        ("after:2026-01-31 before:2026-02-01", 5),
        ("before:2026-01-31", 0),
        ("state:failed tries:0 readable:yes death:exhausted service:notification-worker", 5),
        ("state:done", 0),
        // A word by itself is looked for everywhere.
        ("ann", 3),
        ("bob OR ann", 5),
        ("ann state:failed", 3),
        (&bob[0].subject.to_lowercase(), 1),
        (&bob[0].id.to_string(), 1),
        ("notification.send", 5),
        ("notification", 5),
        ("order.paid", 5),
        ("Order_Paid", 5),
        ("notif*", 5),
        ("payment.charge", 0),
        ("mail_box", 2),
        ("\"no answer\" ann", 3),
        ("nobody", 0),
        ("%", 0),
        ("ann NOT notification", 0),
        ("queue:none", 0),
        ("type:none OR death:none", 0),
        ("type:none OR user:ann", 3),
        ("readable:no", 0),
        ("attempts:>=7 user:ann", 0),
        ("before:1990-01-01 OR after:2100-01-01", 0),
    ] {
        let page = stage.console.search(&query.parse().unwrap(), None, 50).await.unwrap();
        assert_eq!(page.letters.len(), expected, "{query}");
        assert_eq!(page.next, None, "{query}");
    }

    // Pages follow each other without a gap, whichever way they are found.
    for query in ["user:ann OR user:bob", "state:failed", ""] {
        let query: Query = query.parse().unwrap();
        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            let page = stage.console.search(&query, after, 2).await.unwrap();
            assert!(page.letters.len() <= 2);
            seen.extend(page.letters.iter().map(|line| (line.died_at, line.id)));
            match page.next {
                Some(next) => after = Some(next.parse::<Cursor>().unwrap()),
                None => break,
            }
        }
        assert_eq!(seen.len(), 5, "{query}");
        assert!(seen.is_sorted_by(|one, other| one > other), "{query}: {seen:?}");
    }
    stage.strike().await;
}
