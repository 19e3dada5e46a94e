//! inventory-worker by itself: what an order would say, a test says.

use std::collections::BTreeMap;

use common::{
    events::{Event, Line, OrderCancelled, OrderCreated, OrderExpired, OrderPaid, OrderPaymentFailed, Payload},
    ids::{OrderId, ProductId, UserId},
    money::Money,
};
use e2e::{Database, LONG, Process, Vhost, eventually, http::Answer, in_seconds, service_settings, token_with};
use futures_util::future::join_all;
use hyper::Method;
use serde_json::{Value, json};

use crate::alone::until_count;

pub(crate) struct Warehouse {
    // First, so that they end before what they use is taken away.
    pub workers: Vec<Process>,
    pub database: Database,
    pub vhost: Vhost,
}

pub(crate) fn scoped(scope: &str) -> String {
    token_with(&json!({"sub": "the-shop", "scope": scope, "exp": in_seconds(3_600)}))
}

fn user() -> UserId {
    UserId::try_from("123456".to_owned()).unwrap()
}

pub(crate) fn created(order_id: OrderId, items: &[(&str, i64)]) -> OrderCreated {
    let line = |(product, quantity): &(&str, i64)| Line {
        product_id: ProductId::try_from((*product).to_owned()).unwrap(),
        quantity: *quantity,
        unit_price: Money(1),
    };
    OrderCreated { order_id, user_id: user(), version: 1, amount: Money(1), items: items.iter().map(line).collect() }
}

fn paid(order_id: OrderId, version: i32) -> OrderPaid {
    OrderPaid { order_id, user_id: user(), version, amount: Money(1), transaction_id: None }
}

pub(crate) fn cancelled(order_id: OrderId, version: i32) -> OrderCancelled {
    OrderCancelled { order_id, user_id: user(), version }
}

/// An event as it travels.
pub(crate) fn event<P: Payload>(order_id: OrderId, payload: &P) -> String {
    serde_json::to_string(&Event::new("test", order_id.to_string(), None, payload).unwrap()).unwrap()
}

impl Warehouse {
    /// So many processes, and so many of the products A and B.
    pub(crate) async fn start(processes: usize, stock: i64, settings: &[(&str, &str)]) -> Self {
        let (database, vhost) = (Database::create().await, Vhost::create().await);
        let products = format!("INSERT INTO inventory.products VALUES ('A', {stock}), ('B', {stock})");
        database.connect().await.batch_execute(&products).await.unwrap();
        vhost.declare_line().await;
        let mut all: BTreeMap<String, String> = service_settings("inventory", &database, &vhost);
        all.extend(settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
        let mut workers = Vec::new();
        for _ in 0..processes {
            workers.push(Process::spawn("inventory-worker", all.clone()).await);
        }
        for worker in &mut workers {
            worker.wait_ready().await;
        }
        Self { workers, database, vhost }
    }

    pub(crate) async fn ask(&self, method: Method, path: &str, scope: &str, body: &Value) -> Answer {
        let authorization = format!("Bearer {}", scoped(scope));
        let headers = [("authorization", authorization.as_str()), ("content-type", "application/json")];
        self.workers[0].http.send(method, path, &headers, body.to_string()).await.unwrap()
    }

    pub(crate) async fn lock(&self, order_id: OrderId, items: &[(&str, i64)]) -> Answer {
        let items: Vec<Value> = items.iter().map(|(id, n)| json!({"productId": id, "quantity": n})).collect();
        let body = json!({"orderId": order_id.to_string(), "items": items});
        self.ask(Method::POST, "/api/inventory/lock", "service", &body).await
    }

    pub(crate) async fn say<P: Payload>(&self, order_id: OrderId, payload: &P) {
        let parcel = format!("[{}]", event(order_id, payload));
        assert!(self.vhost.publish("events", P::TYPE, parcel.as_bytes()).await);
    }

    /// On hand, and reserved.
    pub(crate) async fn counted(&self, product: &str) -> (i64, i64) {
        let sql = "SELECT on_hand, reserved FROM inventory.products WHERE product_id = $1";
        let row = self.database.connect().await.query_one(sql, &[&product]).await.unwrap();
        (row.get(0), row.get(1))
    }

    pub(crate) async fn until(&self, order_id: OrderId, state: &str) {
        let holder = format!("order:{order_id}");
        let sql = format!(
            "SELECT count(*) FROM inventory.reservations \
             WHERE holder = '{holder}' AND state = '{state}' AND expires_at IS NULL"
        );
        until_count(&self.database, &sql, 1).await;
    }

    async fn until_settled(&self, verdict: &str, events: f64) {
        let metric = format!(r#"conveyor_events_total{{queue="inventory.settle",verdict="{verdict}"}}"#);
        self.workers[0].until_metric(&metric, |count| count == events).await;
    }

    /// What order-api would hear, by type.
    pub(crate) async fn answers(&self, count: usize) -> BTreeMap<String, usize> {
        let mut answers = BTreeMap::new();
        eventually(LONG, &format!("{count} answers"), async || {
            for message in self.vhost.drain("orders.progress").await {
                *answers.entry(message.routing_key.clone()).or_default() += message.events().len();
            }
            (answers.values().sum::<usize>() >= count).then_some(())
        })
        .await;
        answers
    }

    /// What is reserved is what is held, and never more than there is.
    pub(crate) async fn reconcile(&self) {
        let wrong =
            "SELECT count(*) FROM inventory.products p WHERE reserved NOT BETWEEN 0 AND on_hand OR reserved <> (
                SELECT coalesce(sum((line->>'quantity')::bigint), 0)
                FROM inventory.reservations r, json_array_elements(r.lines) line
                WHERE r.state = 'locked' AND line->>'productId' = p.product_id)";
        assert_eq!(self.database.count(wrong).await, 0);
    }
}

#[tokio::test]
async fn many_orders_for_all_different_products_go_through_together() {
    const ORDERS: usize = 256;
    // As many as an order may have.
    const LINES: usize = 100;
    let warehouse = Warehouse::start(1, 1, &[]).await;
    let products =
        format!("INSERT INTO inventory.products SELECT 'P' || i, 1 FROM generate_series(1, {}) AS i", ORDERS * LINES);
    warehouse.database.connect().await.batch_execute(&products).await.unwrap();
    let orders: Vec<OrderId> = (0..ORDERS).map(|_| OrderId::generate()).collect();
    let events: Vec<String> = (0..ORDERS)
        .map(|i| {
            let names: Vec<String> = (1..=LINES).map(|line| format!("P{}", i * LINES + line)).collect();
            let items: Vec<(&str, i64)> = names.iter().map(|name| (name.as_str(), 1)).collect();
            event(orders[i], &created(orders[i], &items))
        })
        .collect();
    let parcel = format!("[{}]", events.join(","));
    assert!(warehouse.vhost.publish("events", OrderCreated::TYPE, parcel.as_bytes()).await);
    assert_eq!(warehouse.answers(ORDERS).await, BTreeMap::from([("inventory.locked".to_owned(), ORDERS)]));
    let events: Vec<String> = orders.iter().map(|order| event(*order, &paid(*order, 3))).collect();
    let parcel = format!("[{}]", events.join(","));
    assert!(warehouse.vhost.publish("events", OrderPaid::TYPE, parcel.as_bytes()).await);
    let gone = "SELECT count(*) FROM inventory.products WHERE (on_hand, reserved) = (0, 0)";
    until_count(&warehouse.database, gone, i64::try_from(ORDERS * LINES).unwrap()).await;
    let returned = warehouse.workers[0].metric(r#"conveyor_redelivered_total{queue="inventory.lock"}"#).await;
    assert_eq!(returned, None, "it was too much at once");
}

#[tokio::test]
async fn the_documented_request_is_answered_as_documented_however_often_it_is_sent() {
    let warehouse = Warehouse::start(2, 10, &[]).await;
    let order = OrderId::generate();
    let items = [("A", 2), ("B", 1)];
    let first = warehouse.lock(order, &items).await;
    let locked = json!({"code": 200, "message": "Inventory locked successfully", "locked": true});
    assert_eq!((first.status.as_u16(), first.json()), (200, locked.clone()));
    assert_eq!(warehouse.answers(1).await, [("inventory.locked".to_owned(), 1)].into());

    let path = "/api/inventory/lock";
    let body = json!({"orderId": order.to_string(), "items": [
        {"productId": "B", "quantity": 1}, {"productId": "A", "quantity": 1}, {"productId": "A", "quantity": 1}]});
    let authorization = format!("Bearer {}", scoped("service"));
    let headers = [("authorization", authorization.as_str()), ("content-type", "application/json")];
    let again = (0..20).map(|i| warehouse.workers[i % 2].http.send(Method::POST, path, &headers, body.to_string()));
    for again in join_all(again).await {
        let again = again.unwrap();
        assert_eq!((again.status.as_u16(), again.json()), (200, locked.clone()));
    }
    let other = warehouse.lock(order, &[("A", 2)]).await;
    assert_eq!((other.status.as_u16(), other.json()["errors"][0]["code"].clone()), (409, json!("other_items")));
    assert_eq!((warehouse.counted("A").await, warehouse.counted("B").await), ((10, 2), (10, 1)));
    assert_eq!(warehouse.database.count("SELECT count(*) FROM inventory.reservations").await, 1);
    warehouse.reconcile().await;
}

#[tokio::test]
async fn requests_for_one_order_at_the_same_time_make_one_lock() {
    let warehouse = Warehouse::start(2, 10, &[]).await;
    let order = OrderId::generate();
    let body = json!({"orderId": order.to_string(), "items": [{"productId": "A", "quantity": 3}]}).to_string();
    let authorization = format!("Bearer {}", scoped("service"));
    let headers = [("authorization", authorization.as_str()), ("content-type", "application/json")];
    let at_once = (0..20)
        .map(|i| warehouse.workers[i % 2].http.send(Method::POST, "/api/inventory/lock", &headers, body.clone()));
    for answer in join_all(at_once).await {
        let answer = answer.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    assert_eq!(warehouse.counted("A").await, (10, 3));
    warehouse.reconcile().await;
}

#[tokio::test]
async fn a_shortage_says_what_is_short_and_leaves_the_order_free_to_try_again() {
    let warehouse = Warehouse::start(1, 10, &[]).await;
    let order = OrderId::generate();
    let short = warehouse.lock(order, &[("A", 11), ("B", 1)]).await;
    let expected = json!({
        "code": 400, "message": "Insufficient inventory", "locked": false,
        "errors": [{
            "code": "insufficient_inventory", "field": "items[0].productId",
            "message": "11 of A are asked for, and 10 available",
            "productId": "A", "asked": 11, "available": 10,
        }],
    });
    assert_eq!((short.status.as_u16(), short.json()), (400, expected));
    let unknown = warehouse.lock(order, &[("A", 1), ("C", 1)]).await;
    let error = &unknown.json()["errors"][0];
    assert_eq!(
        (unknown.status.as_u16(), &error["code"], &error["field"]),
        (400, &json!("unknown_product"), &json!("items[1].productId"))
    );
    assert_eq!(warehouse.database.count("SELECT count(*) FROM inventory.reservations").await, 0);
    assert_eq!(warehouse.lock(order, &[("A", 10), ("B", 1)]).await.status, 200);
    assert_eq!(warehouse.answers(1).await, [("inventory.locked".to_owned(), 1)].into());
    // An order that is off has no stock any more, and one that was told so already is told the same.
    warehouse.say(order, &cancelled(order, 2)).await;
    warehouse.until(order, "released").await;
    let off = warehouse.lock(order, &[("A", 10), ("B", 1)]).await;
    assert_eq!((off.status.as_u16(), off.json()["errors"][0]["code"].clone()), (409, json!("order_is_off")));
    let rejected = OrderId::generate();
    warehouse.say(rejected, &created(rejected, &[("A", 11)])).await;
    warehouse.until(rejected, "rejected").await;
    let short = warehouse.lock(rejected, &[("A", 11)]).await;
    assert_eq!((short.status.as_u16(), short.json()["errors"][0]["available"].clone()), (400, json!(10)));
    warehouse.reconcile().await;
}

#[tokio::test]
async fn only_those_who_may_and_only_good_requests() {
    let warehouse = Warehouse::start(1, 10, &[]).await;
    let order = OrderId::generate().to_string();
    let lock = json!({"orderId": order, "items": [{"productId": "A", "quantity": 1}]});
    let put = json!({"onHand": 5, "reason": "counted"});
    let one = "/api/inventory/A";
    let asked = [
        (Method::POST, "/api/inventory/lock", &lock, &["customer", "staff", "admin", ""][..]),
        (Method::GET, one, &Value::Null, &["customer", ""]),
        (Method::PUT, one, &put, &["customer", "service", "staff", ""]),
    ];
    for (method, path, body, scopes) in asked {
        let headers = [("content-type", "application/json")];
        let nobody = warehouse.workers[0].http.send(method.clone(), path, &headers, body.to_string()).await.unwrap();
        assert_eq!((nobody.status.as_u16(), nobody.json()["errors"][0]["code"].clone()), (401, json!("missing_token")));
        for scope in scopes {
            let answer = warehouse.ask(method.clone(), path, scope, body).await;
            assert_eq!(answer.status, 403, "{method} {path} {scope}");
            assert_eq!(answer.json()["errors"][0]["code"], "insufficient_scope");
        }
    }
    for (body, code, field) in [
        (json!({"orderId": "ORD1", "items": [{"productId": "A", "quantity": 1}]}), "invalid_field", "orderId"),
        (json!({"orderId": order, "items": []}), "invalid_items", "items"),
        (
            json!({"orderId": order, "items": [{"productId": "A", "quantity": 0}]}),
            "invalid_quantity",
            "items[0].quantity",
        ),
        (json!({"orderId": order, "items": [{"productId": "A"}]}), "missing_field", "items[0].quantity"),
        (json!({"orderId": order, "items": [], "more": 1}), "unknown_field", "more"),
    ] {
        let answer = warehouse.ask(Method::POST, "/api/inventory/lock", "service", &body).await;
        let error = answer.json()["errors"][0].clone();
        assert_eq!((answer.status.as_u16(), &error["code"], &error["field"]), (400, &json!(code), &json!(field)));
    }
    for (body, code, field) in [
        (json!({"reason": "x"}), "missing_field", "onHand"),
        (json!({"onHand": 1, "adjust": 1, "reason": "x"}), "invalid_field", "adjust"),
        (json!({"onHand": -1, "reason": "x"}), "invalid_field", "onHand"),
        (json!({"onHand": 1.5, "reason": "x"}), "invalid_field", "onHand"),
        (json!({"adjust": 0, "reason": "x"}), "invalid_field", "adjust"),
        (json!({"adjust": 1}), "missing_field", "reason"),
        (json!({"adjust": 1, "reason": ""}), "invalid_field", "reason"),
        (json!({"adjust": 1, "reason": "x".repeat(201)}), "invalid_field", "reason"),
        (json!({"adjust": 1, "reason": "a\u{0}b"}), "invalid_field", "reason"),
    ] {
        let answer = warehouse.ask(Method::PUT, one, "admin", &body).await;
        let error = answer.json()["errors"][0].clone();
        assert_eq!(
            (answer.status.as_u16(), &error["code"], &error["field"]),
            (400, &json!(code), &json!(field)),
            "{body}"
        );
    }
    assert_eq!(warehouse.counted("A").await, (10, 0));
}

#[tokio::test]
async fn stock_is_set_adjusted_and_shown_and_who_did_it_is_kept() {
    let warehouse = Warehouse::start(1, 10, &[]).await;
    let put = async |product: &str, body: Value| {
        let answer = warehouse.ask(Method::PUT, &format!("/api/inventory/{product}"), "admin", &body).await;
        let error = answer.json()["errors"][0]["code"].as_str().unwrap_or_default().to_owned();
        (answer.status.as_u16(), error)
    };
    let shown = async |product: &str| {
        warehouse.ask(Method::GET, &format!("/api/inventory/{product}"), "staff", &Value::Null).await
    };
    let order = OrderId::generate();
    assert_eq!(warehouse.lock(order, &[("A", 4)]).await.status, 200);
    let expected = json!({
        "code": 200, "message": "Product found", "productId": "A", "onHand": 10, "reserved": 4, "available": 6,
    });
    assert_eq!(shown("A").await.json(), expected);
    assert_eq!(shown("C").await.status, 404);
    let fine = (200, String::new());
    assert_eq!(put("A", json!({"onHand": 3, "reason": "stolen"})).await, (409, "below_reserved".to_owned()));
    assert_eq!(put("A", json!({"adjust": -7, "reason": "stolen"})).await, (409, "below_reserved".to_owned()));
    assert_eq!(put("A", json!({"adjust": -6, "reason": "broken"})).await, fine);
    assert_eq!(put("A", json!({"onHand": 20, "reason": "counted"})).await, fine);
    assert_eq!(
        put("A", json!({"adjust": 1_000_000_000_000_i64, "reason": "x"})).await,
        (409, "too_much_stock".to_owned())
    );
    assert_eq!(put("C", json!({"adjust": 1, "reason": "x"})).await, (404, "not_found".to_owned()));
    assert_eq!(put("C", json!({"onHand": 0, "reason": "new"})).await, fine);
    assert_eq!((warehouse.counted("A").await, warehouse.counted("C").await), ((20, 4), (0, 0)));
    let audit =
        "SELECT string_agg(concat_ws(' ', product_id, by_user, coalesce(before::text, '-'), after, reason), ', '
                                   ORDER BY id) FROM inventory.stock_audit";
    let audit: String = warehouse.database.connect().await.query_one(audit, &[]).await.unwrap().get(0);
    assert_eq!(audit, "A the-shop 10 4 broken, A the-shop 4 20 counted, C the-shop - 0 new");
    warehouse.reconcile().await;
}

#[tokio::test]
async fn a_lock_that_no_order_adopts_is_given_back_and_one_that_is_adopted_stays() {
    let settings = [("CONVEYOR__INVENTORY__LOCK_EXPIRES_MS", "700"), ("CONVEYOR__INVENTORY__EXPIRE_EVERY_MS", "20")];
    let warehouse = Warehouse::start(2, 10, &settings).await;
    let (adopted, lonely) = (OrderId::generate(), OrderId::generate());
    assert_eq!(warehouse.lock(adopted, &[("A", 2)]).await.status, 200);
    warehouse.say(adopted, &created(adopted, &[("A", 1), ("A", 1)])).await;
    warehouse.until(adopted, "locked").await;
    // It began later, so when its time is up, that of the other would be too.
    assert_eq!(warehouse.lock(lonely, &[("A", 5), ("B", 5)]).await.status, 200);
    let gone = format!("SELECT count(*) FROM inventory.reservations WHERE holder = 'order:{lonely}'");
    until_count(&warehouse.database, &gone, 0).await;
    assert_eq!((warehouse.counted("A").await, warehouse.counted("B").await), ((10, 2), (10, 0)));
    warehouse.until(adopted, "locked").await;
    // It left nothing behind that would stop the order.
    warehouse.say(lonely, &created(lonely, &[("A", 6)])).await;
    warehouse.until(lonely, "locked").await;
    assert_eq!(warehouse.counted("A").await, (10, 8));
    warehouse.reconcile().await;
}

#[tokio::test]
async fn an_order_with_other_items_than_were_locked_for_it_decides_anew() {
    let warehouse = Warehouse::start(1, 10, &[]).await;
    let (more, too_many) = (OrderId::generate(), OrderId::generate());
    assert_eq!(warehouse.lock(more, &[("A", 6)]).await.status, 200);
    assert_eq!(warehouse.lock(too_many, &[("B", 3)]).await.status, 200);
    // What was held for it counts as available to it.
    warehouse.say(more, &created(more, &[("A", 9), ("B", 1)])).await;
    warehouse.until(more, "locked").await;
    warehouse.say(too_many, &created(too_many, &[("A", 2)])).await;
    warehouse.until(too_many, "rejected").await;
    assert_eq!((warehouse.counted("A").await, warehouse.counted("B").await), ((10, 9), (10, 1)));
    let answers = [("inventory.locked".to_owned(), 3), ("inventory.rejected".to_owned(), 1)];
    assert_eq!(warehouse.answers(4).await, answers.into());
    warehouse.reconcile().await;
}

#[tokio::test]
async fn stock_of_a_paid_order_that_is_called_off_comes_back_in_whatever_order_that_is_heard() {
    let warehouse = Warehouse::start(1, 10, &[]).await;
    let orders = [(); 4].map(|()| OrderId::generate());
    let [in_turn, reversed, expired, failed] = orders;
    for order in orders {
        warehouse.say(order, &created(order, &[("A", 2)])).await;
        warehouse.until(order, "locked").await;
    }
    assert_eq!(warehouse.counted("A").await, (10, 8));
    warehouse.say(in_turn, &paid(in_turn, 3)).await;
    warehouse.until(in_turn, "confirmed").await;
    assert_eq!(warehouse.counted("A").await, (8, 6));
    warehouse.say(in_turn, &cancelled(in_turn, 4)).await;
    warehouse.until(in_turn, "restocked").await;
    warehouse.say(reversed, &cancelled(reversed, 4)).await;
    warehouse.until(reversed, "released").await;
    warehouse.say(expired, &OrderExpired { order_id: expired, user_id: user(), version: 3 }).await;
    let reason = "declined".to_owned();
    warehouse.say(failed, &OrderPaymentFailed { order_id: failed, user_id: user(), version: 3, reason }).await;
    for order in [expired, failed] {
        warehouse.until(order, "released").await;
    }
    assert_eq!(warehouse.counted("A").await, (10, 0));
    // Late, and twice: all of it is absorbed.
    for order in [in_turn, reversed] {
        warehouse.say(order, &paid(order, 3)).await;
        warehouse.say(order, &cancelled(order, 4)).await;
    }
    warehouse.until_settled("done", 9.0).await;
    assert_eq!(warehouse.counted("A").await, (10, 0));
    // Nothing else says that an order was paid after it was off: somebody must see that.
    warehouse.say(expired, &paid(expired, 5)).await;
    warehouse.until_settled("retry", 1.0).await;
    assert_eq!(warehouse.counted("A").await, (10, 0));
    warehouse.reconcile().await;
}

#[tokio::test]
async fn an_order_that_is_paid_before_its_stock_is_locked_waits_for_that() {
    let warehouse = Warehouse::start(1, 10, &[]).await;
    let (order, ahead) = (OrderId::generate(), OrderId::generate());
    assert_eq!(warehouse.lock(ahead, &[("A", 3)]).await.status, 200);
    for order in [order, ahead] {
        warehouse.say(order, &paid(order, 3)).await;
    }
    warehouse.until_settled("retry", 2.0).await;
    for order in [order, ahead] {
        warehouse.say(order, &created(order, &[("A", 3)])).await;
    }
    for order in [order, ahead] {
        warehouse.until(order, "confirmed").await;
    }
    assert_eq!(warehouse.counted("A").await, (4, 0));
}
