//! Every documented code is given for what it is documented for.
//!
//! A new code fails here until it has a line in [`provocations`], or in a function like it.

use std::{collections::BTreeSet, pin::Pin};

use e2e::{
    Database, Process, Proxy, Vhost, eventually, http::Answer, in_seconds, service_settings, signed, token, token_with,
};
use futures_util::future::{join_all, select_all};
use hyper::Method;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::line::{USER, documented};

/// The user that the table of orders refuses, which no check in front can know of.
const REFUSED: &str = "refused";
const LIMIT: usize = 4_096;
const MOST_REQUESTS: usize = 2;
const CREATE: &str = "/api/orders/create";
const KEYS: &str = "/api/users/123456/signing-keys";
const SOME_ORDER: &str = "/api/orders/ORD00000000000070008000000000000000";

/// What is asked, and what was answered: its status and its body.
type Asking<'a> = Pin<Box<dyn Future<Output = (u16, Value)> + 'a>>;

/// An order-api that everything can be asked of, and one that has never reached its database, and bears little.
struct World {
    api: Process,
    lonely: Process,
    database: Database,
    _vhost: Vhost,
}

impl World {
    async fn start() -> Self {
        let (database, vhost) = (Database::create().await, Vhost::create().await);
        database.load_demo().await;
        database.register_key(REFUSED).await;
        let sql = format!("ALTER TABLE orders.orders ADD CONSTRAINT not_this_one CHECK (user_id <> '{REFUSED}')");
        database.connect().await.batch_execute(&sql).await.unwrap();
        let mut settings = service_settings("orders", &database, &vhost);
        settings.insert("CONVEYOR__HTTP__BODY_LIMIT_BYTES".to_owned(), LIMIT.to_string());
        settings.insert("CONVEYOR__HTTP__MOST_REQUESTS".to_owned(), MOST_REQUESTS.to_string());
        let mut api = Process::spawn("order-api", settings.clone()).await;
        let cut = Proxy::to(database.address()).await;
        cut.cut().await;
        settings.insert("CONVEYOR__DATABASE__URL".to_owned(), database.url_through(&cut.address(), "orders"));
        for (key, value) in [
            ("CONVEYOR__HTTP__RATE_PER_USER_PER_SECOND", "1"),
            ("CONVEYOR__HTTP__BURST_PER_USER", "1"),
            ("CONVEYOR__HTTP__BODY_TIMEOUT_MS", "100"),
        ] {
            settings.insert(key.to_owned(), value.to_owned());
        }
        let lonely = Process::spawn("order-api", settings).await;
        api.wait_ready().await;
        eventually(e2e::LONG, "it answers", async || lonely.http.get("/healthz").await.ok()).await;
        Self { api, lonely, database, _vhost: vhost }
    }

    /// The documented request, changed.
    fn order(&self, change: impl FnOnce(&mut Value)) -> Asking<'_> {
        let mut body = documented();
        change(&mut body);
        self.text(signed(body).to_string())
    }

    /// Something that only an admin may do.
    fn as_admin(&self, method: Method, path: &str, body: &Value) -> Asking<'_> {
        let admin = token_with(&json!({"sub": "ops", "scope": "admin", "exp": in_seconds(60)}));
        let headers = [("content-type", "application/json"), ("authorization", &*format!("Bearer {admin}"))];
        self.ask(method, path, &headers, body.to_string())
    }

    /// The documented request with one text in place of another.
    fn edited(&self, from: &str, to: &str) -> Asking<'_> {
        let body = documented().to_string();
        assert!(body.contains(from), "{body}");
        self.text(body.replace(from, to))
    }

    fn text(&self, body: String) -> Asking<'_> {
        self.ask(Method::POST, CREATE, &[("content-type", "application/json")], body)
    }

    fn read_with(&self, authorization: &str) -> Asking<'_> {
        self.ask(Method::GET, SOME_ORDER, &[("authorization", authorization)], String::new())
    }

    fn ask(&self, method: Method, path: &str, headers: &[(&str, &str)], body: String) -> Asking<'_> {
        let (path, headers) = (path.to_owned(), headers.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())));
        let headers: Vec<(String, String)> = headers.collect();
        Box::pin(async move {
            let headers: Vec<_> = headers.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
            said(&self.api.http.send(method, &path, &headers, body).await.unwrap())
        })
    }

    /// The documented request under a name.
    fn named(&self, key: &str, body: &Value) -> Asking<'_> {
        let headers = [("content-type", "application/json"), ("idempotency-key", key)];
        self.ask(Method::POST, CREATE, &headers, body.to_string())
    }

    /// What no well-behaved client sends.
    fn raw<'a>(&'a self, to: &'a Process, request: String) -> Asking<'a> {
        Box::pin(async move {
            let mut stream = TcpStream::connect(("127.0.0.1", to.port)).await.unwrap();
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut answer = Vec::new();
            let _ = stream.read_to_end(&mut answer).await;
            let answer = String::from_utf8_lossy(&answer).into_owned();
            let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
            let body = answer.split_once("\r\n\r\n").map(|(_, body)| body).unwrap_or_default();
            let json = serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {answer}"));
            (status.unwrap_or_else(|| panic!("{answer}")), json)
        })
    }
}

fn said(answer: &Answer) -> (u16, Value) {
    (answer.status.as_u16(), answer.json())
}

/// For each code, what provokes it. Nothing is asked before it is awaited, one after the other.
fn provocations(world: &World) -> Vec<(&'static str, Asking<'_>)> {
    let expired = token_with(&json!({"sub": USER, "exp": 1}));
    let staff = token_with(&json!({"sub": USER, "scope": "staff", "exp": in_seconds(60)}));
    let cross_site = [("sec-fetch-site", "cross-site"), ("content-type", "application/json")];
    vec![
        ("malformed_json", world.text("{".to_owned())),
        (
            "unreadable_body",
            world.raw(
                &world.api,
                format!(
                    "POST {CREATE} HTTP/1.1\r\nhost: here\r\ncontent-type: application/json\r\n\
                     transfer-encoding: chunked\r\nconnection: close\r\n\r\nno number\r\n"
                ),
            ),
        ),
        ("invalid_field", world.order(|body| body["items"] = json!(5))),
        ("missing_field", world.order(|body| drop(body.as_object_mut().unwrap().remove("items")))),
        ("unknown_field", world.order(|body| body["coupon"] = json!("x"))),
        ("duplicate_field", world.edited("\"orderAmount\":", "\"orderAmount\":1,\"orderAmount\":")),
        ("missing_token", world.ask(Method::GET, SOME_ORDER, &[], String::new())),
        ("invalid_token", world.read_with("Bearer nonsense")),
        ("token_expired", world.read_with(&format!("Bearer {expired}"))),
        ("insufficient_scope", world.order(|body| body["token"] = json!(staff))),
        ("cross_site_request", world.ask(Method::POST, CREATE, &cross_site, documented().to_string())),
        ("not_found", world.read_with(&format!("Bearer {}", token(USER)))),
        ("method_not_allowed", world.ask(Method::DELETE, CREATE, &[], String::new())),
        ("body_too_large", world.order(|body| body["token"] = json!("x".repeat(LIMIT)))),
        ("unsupported_media_type", world.ask(Method::POST, CREATE, &[("content-type", "text/plain")], "{}".to_owned())),
        (
            "internal",
            world.order(|body| {
                body["userId"] = json!(REFUSED);
                body["token"] = json!(token(REFUSED));
            }),
        ),
        ("unavailable", Box::pin(async { said(&world.lonely.http.post_json(CREATE, &documented()).await.unwrap()) })),
        ("invalid_user", world.as_admin(Method::GET, "/api/users/a%20b/signing-keys", &json!({}))),
        ("invalid_amount", world.order(|body| body["orderAmount"] = json!(-1))),
        ("amount_mismatch", world.order(|body| body["orderAmount"] = json!(1))),
        ("invalid_items", world.order(|body| body["items"] = json!([]))),
        ("invalid_quantity", world.order(|body| body["items"][0]["quantity"] = json!(0))),
        ("unknown_product", world.order(|body| body["items"][0]["productId"] = json!("P999"))),
        ("wrong_user", world.order(|body| body["token"] = json!(token("somebody-else")))),
        ("invalid_signature", world.edited("\"signature\":\"tests:", "\"signature\":\"other:")),
        ("invalid_key", world.as_admin(Method::PUT, &format!("{KEYS}/new"), &json!({"publicKey": "x"}))),
        ("too_many_keys", Box::pin(too_many_keys(world))),
        ("invalid_idempotency_key", world.named("a b", &documented())),
        ("idempotency_key_reused", Box::pin(another_order_of_one_name(world))),
        ("not_cancellable", Box::pin(cancelled_too_late(world))),
        ("head_too_large", world.ask(Method::GET, SOME_ORDER, &[("cookie", &"x".repeat(20_000))], String::new())),
        (
            "request_timeout",
            world.raw(
                &world.lonely,
                format!(
                    "POST {CREATE} HTTP/1.1\r\nhost: here\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\
                     connection: close\r\n\r\n"
                ),
            ),
        ),
        ("rate_limited", Box::pin(too_often(world))),
        ("overloaded", Box::pin(too_many_at_once(world))),
    ]
}

async fn too_many_keys(world: &World) -> (u16, Value) {
    let (_, listed) = world.as_admin(Method::GET, KEYS, &json!({})).await;
    let key = json!({"publicKey": listed["keys"][0]["publicKey"]});
    let mut last = (0, Value::Null);
    for number in 0..16 {
        last = world.as_admin(Method::PUT, &format!("{KEYS}/{number}"), &key).await;
    }
    last
}

async fn another_order_of_one_name(world: &World) -> (u16, Value) {
    assert_eq!(world.named("one", &documented()).await.0, 200);
    let mut other = documented();
    other["items"] = json!([{"productId": "P002", "quantity": 1}]);
    other["orderAmount"] = json!(30);
    world.named("one", &signed(other)).await
}

async fn cancelled_too_late(world: &World) -> (u16, Value) {
    let (_, order) = world.text(documented().to_string()).await;
    let moved = "UPDATE orders.orders SET status = 'rejected'";
    world.database.connect().await.batch_execute(moved).await.unwrap();
    let path = format!("/api/orders/{}/cancel", order["orderId"].as_str().unwrap());
    world.as_admin(Method::POST, &path, &json!({})).await
}

async fn too_often(world: &World) -> (u16, Value) {
    let ask = async || said(&world.lonely.http.get_as(SOME_ORDER, &token("greedy")).await.unwrap());
    ask().await;
    ask().await
}

/// Two wait for what somebody else has locked, and there is no room for a third.
async fn too_many_at_once(world: &World) -> (u16, Value) {
    let holder = world.database.connect().await;
    holder.batch_execute("BEGIN; LOCK TABLE orders.orders").await.unwrap();
    let authorization = format!("Bearer {}", token(USER));
    let (refused, _, held) = select_all((0..=MOST_REQUESTS).map(|_| world.read_with(&authorization))).await;
    holder.batch_execute("ROLLBACK").await.unwrap();
    join_all(held).await;
    refused
}

#[tokio::test]
async fn every_documented_code_is_given_for_what_it_is_documented_for() {
    let world = World::start().await;
    let document = world.api.http.get("/openapi.json").await.unwrap().json();
    let entries = document["x-error-codes"].as_array().unwrap();
    let documented: BTreeSet<&str> = entries.iter().map(|entry| entry["code"].as_str().unwrap()).collect();
    let mut provoked = BTreeSet::new();
    for (code, asking) in provocations(&world) {
        let (status, envelope) = asking.await;
        assert_eq!(envelope["errors"][0]["code"], code, "{envelope}");
        let entry = entries.iter().find(|entry| entry["code"] == code).unwrap_or_else(|| panic!("{code} is unknown"));
        assert_eq!((&json!(status), &envelope["code"]), (&entry["status"], &entry["status"]), "{envelope}");
        provoked.insert(code);
    }
    let forgotten: Vec<_> = documented.difference(&provoked).collect();
    assert!(forgotten.is_empty(), "{forgotten:?}: no line of `provocations` provokes them");
}

#[tokio::test]
async fn the_documents_need_no_token_and_are_sent_once() {
    let (database, vhost) = (Database::create().await, Vhost::create().await);
    let api = Process::spawn("order-api", service_settings("orders", &database, &vhost)).await;
    eventually(e2e::LONG, "it answers", async || api.http.get("/healthz").await.ok()).await;
    for (path, content_type) in [
        ("/openapi.json", "application/json"),
        ("/docs", "text/html; charset=utf-8"),
        ("/docs/style.css", "text/css; charset=utf-8"),
    ] {
        let first = api.http.get(path).await.unwrap();
        assert_eq!((first.status.as_u16(), &first.headers["content-type"]), (200, &content_type.parse().unwrap()));
        assert!(first.headers["cache-control"].to_str().unwrap().contains("max-age"));
        let policy = first.headers["content-security-policy"].to_str().unwrap();
        assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        let tag = first.headers["etag"].to_str().unwrap();
        for known in [tag.to_owned(), format!("W/{tag}"), format!("\"other\", {tag}")] {
            let again = api.http.send(Method::GET, path, &[("if-none-match", &known)], "").await.unwrap();
            assert_eq!((again.status.as_u16(), again.body.len()), (304, 0), "{path} {known}");
        }
        let other = api.http.send(Method::GET, path, &[("if-none-match", "\"other\"")], "").await.unwrap();
        assert_eq!(other.status, 200);
    }
}
