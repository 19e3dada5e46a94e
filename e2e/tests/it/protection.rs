//! Too many, too much, too slow: whoever overdoes it is refused by name, and everybody else is served.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use e2e::{Database, LONG, Process, Vhost, eventually, http::Answer, http::Client, service_settings, signed, token};
use futures_util::future::{join_all, select_all};
use hyper::Method;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
    task::JoinSet,
    time::Instant,
};

use crate::line::{Line, USER, documented};

struct Api {
    process: Process,
    database: Database,
    _vhost: Vhost,
}

const UNKNOWN: &str = "/api/orders/ORD00000000000070008000000000000000";

impl Api {
    async fn start(own: &[(&str, &str)]) -> Self {
        let (database, vhost) = (Database::create().await, Vhost::create().await);
        database.load_demo().await;
        let mut settings: BTreeMap<String, String> = service_settings("orders", &database, &vhost);
        settings.extend(own.iter().map(|(key, value)| (format!("CONVEYOR__{key}"), (*value).to_owned())));
        let mut process = Process::spawn("order-api", settings).await;
        process.wait_ready().await;
        Self { process, database, _vhost: vhost }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(("127.0.0.1", self.process.port)).await.unwrap()
    }

    async fn get(&self, user: &str) -> Answer {
        self.process.http.get_as(UNKNOWN, &token(user)).await.unwrap()
    }
}

fn code(answer: &Answer) -> String {
    answer.json()["errors"][0]["code"].as_str().unwrap_or_default().to_owned()
}

fn number(answer: &Answer, header: &str) -> u32 {
    let value = answer.headers.get(header).unwrap_or_else(|| panic!("no {header}: {answer:?}"));
    value.to_str().unwrap().parse().unwrap()
}

/// The status line and everything after it, until the other side has nothing more to say or so much was read.
async fn read_until(stream: &mut TcpStream, enough: impl Fn(&str) -> bool) -> String {
    let mut read = Vec::new();
    let reading = async {
        while !enough(&String::from_utf8_lossy(&read)) && stream.read_buf(&mut read).await.is_ok_and(|n| n > 0) {}
    };
    assert!(tokio::time::timeout(LONG, reading).await.is_ok(), "no end of {:?}", String::from_utf8_lossy(&read));
    String::from_utf8_lossy(&read).into_owned()
}

async fn read_all(stream: &mut TcpStream) -> String {
    read_until(stream, |_| false).await
}

#[tokio::test]
async fn a_user_who_asks_too_often_is_told_when_to_come_back_and_nobody_else_is() {
    let api = Api::start(&[("HTTP__RATE_PER_USER_PER_SECOND", "1"), ("HTTP__BURST_PER_USER", "3")]).await;
    let began = Instant::now();
    let answers = join_all((0..30).map(|_| api.get("greedy"))).await;
    let (refused, answered): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 429);
    let most = 3 + began.elapsed().as_secs() as usize + 1;
    assert!((3..=most).contains(&answered.len()), "{} answered", answered.len());
    for answer in &answered {
        assert!(answer.status == 404 && number(answer, "ratelimit-remaining") < 3, "{answer:?}");
    }
    for answer in &refused {
        assert_eq!((code(answer), number(answer, "ratelimit-limit")), ("rate_limited".to_owned(), 3));
        assert_eq!((number(answer, "ratelimit-remaining"), number(answer, "ratelimit-reset")), (0, 3));
        assert_eq!(number(answer, "retry-after"), 1);
        assert!(answer.headers.contains_key("x-request-id"));
    }
    // Orders count too, and another user's is another bucket.
    let order = documented();
    let orders = join_all((0..30).map(|_| api.process.http.post_json("/api/orders/create", &order))).await;
    let refused = orders.into_iter().filter(|answer| answer.as_ref().unwrap().status == 429).count();
    assert!(refused > 0 && refused <= 27, "{refused}");
    // Whoever cannot say who they are, and operators, spend nobody's.
    let stranger = api.process.http.get_as(UNKNOWN, "x").await.unwrap();
    assert!(stranger.status == 401 && !stranger.headers.contains_key("ratelimit-limit"), "{stranger:?}");
    for _ in 0..10 {
        let page = api.process.http.get("/healthz").await.unwrap();
        assert!(page.status == 200 && !page.headers.contains_key("ratelimit-limit"), "it counts for nobody: {page:?}");
    }
    let wait = Duration::from_secs(1);
    eventually(LONG, "the bucket fills again", async || (api.get("greedy").await.status == 404).then_some(())).await;
    assert!(began.elapsed() > wait);
}

#[tokio::test]
async fn an_address_that_asks_too_often_is_refused_before_anything_is_read() {
    let api = Api::start(&[
        ("HTTP__RATE_PER_ADDRESS_PER_SECOND", "1"),
        ("HTTP__BURST_PER_ADDRESS", "2"),
        ("HTTP__TRUSTED_PROXIES", "127.0.0.1"),
    ])
    .await;
    let from = |address: &'static str| {
        let http = &api.process.http;
        async move { http.send(Method::GET, "/nowhere", &[("x-forwarded-for", address)], "").await.unwrap() }
    };
    let answers = join_all((0..20).map(|_| from("1.1.1.1, 192.0.2.1"))).await;
    let refused: Vec<_> = answers.iter().filter(|answer| answer.status == 429).collect();
    assert!(refused.iter().all(|answer| code(answer) == "rate_limited") && refused.len() >= 10, "{}", refused.len());
    assert_eq!(from("192.0.2.2").await.status, 404);
    // A network of IPv6 is one.
    let answers = join_all((0..10).map(|_| from("2001:db8::1")).chain((0..10).map(|_| from("2001:db8::2")))).await;
    assert!(answers.iter().filter(|answer| answer.status == 429).count() >= 10);

    // However its parts arrive, a refused order leaves its connection as good as it was.
    join_all((0..20).map(|_| from("192.0.2.3"))).await;
    let mut stream = api.connect().await;
    let body = "x".repeat(5_000);
    let mut refused = 0;
    while refused < 2 {
        let head = format!(
            "POST /api/orders/create HTTP/1.1\r\nhost: x\r\nx-forwarded-for: 192.0.2.3\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        tokio::task::yield_now().await;
        stream.write_all(body.as_bytes()).await.unwrap();
        let answer = read_until(&mut stream, |read| read.ends_with("]}")).await;
        refused += usize::from(answer.starts_with("HTTP/1.1 429"));
        assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
    }
}

#[tokio::test]
async fn a_client_that_takes_its_time_to_ask_is_not_waited_for() {
    let api = Api::start(&[("HTTP__BODY_TIMEOUT_MS", "300"), ("HTTP__HEAD_TIMEOUT_MS", "700")]).await;
    let mut body = api.connect().await;
    let head = "POST /api/orders/create HTTP/1.1\r\nhost: x\r\nx-request-id: slow-1\r\n\
                content-type: application/json\r\ncontent-length: 500\r\n\r\n{\"userId\":";
    body.write_all(head.as_bytes()).await.unwrap();
    let answer = read_all(&mut body).await;
    assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("\"code\":\"request_timeout\""), "{answer}");
    assert!(answer.contains("x-request-id: slow-1\r\n") && answer.contains("connection: close\r\n"), "{answer}");

    // That it is too large is known before it has come, and whoever asks first need not send it at all.
    for (header, begun) in [
        ("content-length: 70000\r\n", ""),
        ("content-length: 70000\r\nexpect: 100-continue\r\n", ""),
        ("transfer-encoding: chunked\r\n", &*format!("11170\r\n{}\r\n", "x".repeat(70_000))),
    ] {
        let mut large = api.connect().await;
        let head = format!(
            "POST /api/orders/create HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n{header}\r\n{begun}"
        );
        large.write_all(head.as_bytes()).await.unwrap();
        let answer = read_all(&mut large).await;
        assert!(answer.starts_with("HTTP/1.1 413") && answer.contains("\"code\":\"body_too_large\""), "{answer}");
    }

    let mut head = api.connect().await;
    head.write_all(b"GET /healthz HTTP/1.1\r\nhost: ").await.unwrap();
    assert_eq!(read_all(&mut head).await, "");
}

#[tokio::test]
async fn what_is_too_large_is_refused_by_name() {
    let api = Api::start(&[]).await;
    let get =
        async |header: &str| api.process.http.send(Method::GET, UNKNOWN, &[("x-much", header)], "").await.unwrap();
    assert_eq!(get(&"x".repeat(12_000)).await.status, 401);
    let answer = get(&"x".repeat(20_000)).await;
    assert_eq!((answer.status.as_u16(), code(&answer)), (431, "head_too_large".to_owned()));
    assert!(answer.headers.contains_key("x-request-id"));

    // Even one that sends far more than is read of it hears why, and then the end.
    let (mut read, mut write) = api.connect().await.into_split();
    let sender = tokio::spawn(async move {
        let head = "POST /api/orders/create HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
                    content-length: 100000000\r\n\r\n";
        write.write_all(head.as_bytes()).await.unwrap();
        let chunk = vec![b'x'; 64 * 1024];
        let mut sent = 0;
        while sent < 9 * 1024 * 1024 {
            write.write_all(&chunk).await.unwrap();
            sent += chunk.len();
        }
        write
    });
    let mut answer = String::new();
    tokio::time::timeout(LONG, read.read_to_string(&mut answer)).await.unwrap().unwrap();
    assert!(answer.starts_with("HTTP/1.1 413") && answer.contains("\"code\":\"body_too_large\""), "{answer}");
    assert!(answer.contains("connection: close\r\n"), "{answer}");
    drop(sender.await.unwrap());
}

#[tokio::test]
async fn a_client_that_does_not_read_its_answers_is_dropped() {
    let api = Api::start(&[("HTTP__WRITE_TIMEOUT_MS", "300")]).await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    let mut stream = socket.connect(([127, 0, 0, 1], api.process.port).into()).await.unwrap();
    let requests = "GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n".repeat(1_000);
    let flood = async { while stream.write_all(requests.as_bytes()).await.is_ok() {} };
    assert!(tokio::time::timeout(LONG, flood).await.is_ok(), "it is still being served");
    api.process.until_metric("conveyor_http_dropped_total{why=\"does not read\"}", |dropped| dropped == 1.0).await;
}

#[tokio::test]
async fn a_thousand_connections_that_do_not_come_to_the_point_stop_nobody() {
    let api = Api::start(&[("HTTP__MOST_CONNECTIONS", "300")]).await;
    let regular = Client::new(&format!("http://127.0.0.1:{}", api.process.port));
    let mut dawdlers = Vec::new();
    for i in 0..1_000 {
        let mut stream = api.connect().await;
        // Some do not come to the end of a head, others of a body.
        let beginning: &[u8] = if i % 2 == 0 {
            b"GET /healthz HTTP/1.1\r\nx-slow: "
        } else {
            b"POST /api/orders/create HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{"
        };
        // It may have been thrown out already.
        let _ = stream.write_all(beginning).await;
        dawdlers.push(stream);
        if i % 100 == 99 {
            let answer = regular.post_json("/api/orders/create", &documented()).await.unwrap();
            assert_eq!(answer.status, 200, "after {i}: {}", answer.text());
            let newcomer = Client::new(&format!("http://127.0.0.1:{}", api.process.port));
            let answer = newcomer.post_json("/api/orders/create", &documented()).await.unwrap();
            assert_eq!(answer.status, 200, "after {i}: {}", answer.text());
        }
    }
    let made_room = api.process.metric("conveyor_http_dropped_total{why=\"made room\"}").await;
    assert!(made_room.is_some_and(|dropped| dropped >= 600.0), "{made_room:?}");
    assert!(api.process.metric("conveyor_http_connections").await.is_some_and(|open| open <= 300.0));
}

#[tokio::test]
async fn one_address_has_only_so_many_connections() {
    let api = Api::start(&[("HTTP__MOST_CONNECTIONS_PER_ADDRESS", "3")]).await;
    // The client that waited for it to be ready keeps one.
    let mut held = [api.connect().await, api.connect().await];
    for stream in &mut held {
        stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        assert!(read_until(stream, |read| read.ends_with('}')).await.starts_with("HTTP/1.1 200"));
    }
    let mut fourth = api.connect().await;
    assert_eq!(read_all(&mut fourth).await, "");
    drop(held);
    eventually(LONG, "there is room again", async || {
        let mut stream = api.connect().await;
        stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.ok()?;
        read_all(&mut stream).await.starts_with("HTTP/1.1 200").then_some(())
    })
    .await;
}

#[tokio::test]
async fn more_requests_than_are_answered_at_once_are_refused_at_once() {
    let api = Api::start(&[("HTTP__MOST_REQUESTS", "2")]).await;
    let holder = api.database.connect().await;
    holder.batch_execute("BEGIN; LOCK TABLE orders.orders").await.unwrap();
    let (refused, _, held) = select_all((0..3).map(|_| Box::pin(api.get(USER)))).await;
    assert_eq!((refused.status.as_u16(), code(&refused)), (503, "overloaded".to_owned()), "{}", refused.text());
    assert_eq!(number(&refused, "retry-after"), 1);
    // Operators still see it.
    assert_eq!(api.process.http.get("/healthz").await.unwrap().status, 200);
    holder.batch_execute("ROLLBACK").await.unwrap();
    for answer in join_all(held).await {
        assert_eq!(answer.status, 404, "{}", answer.text());
    }
}

#[tokio::test]
async fn readers_who_would_wait_too_long_are_refused_at_once_and_orders_are_taken() {
    let api = Api::start(&[("ORDERS__REQUIRE_SIGNATURE", "false"), ("DATABASE__POOL_SIZE", "4")]).await;
    // What they want to read cannot be read, and orders do not need it.
    let holder = api.database.connect().await;
    holder.batch_execute("BEGIN; LOCK TABLE orders.signing_keys").await.unwrap();
    let mut held = JoinSet::new();
    let read =
        async |http: &Client| http.get_as(&format!("/api/users/{USER}/signing-keys"), &token(USER)).await.unwrap();
    let http = Arc::new(Client::new(&format!("http://127.0.0.1:{}", api.process.port)));
    for _ in 0..200 {
        let http = Arc::clone(&http);
        held.spawn(async move { read(&http).await });
    }
    eventually(LONG, "one is refused", async || {
        let asked = tokio::time::timeout(Duration::from_millis(500), read(&http)).await;
        asked.is_ok_and(|answer| answer.status == 503).then_some(())
    })
    .await;
    let began = Instant::now();
    for _ in 0..20 {
        let answer = read(&http).await;
        assert_eq!((answer.status.as_u16(), code(&answer)), (503, "overloaded".to_owned()), "{}", answer.text());
        assert_eq!(number(&answer, "retry-after"), 1);
    }
    for _ in 0..20 {
        let answer = api.process.http.post_json("/api/orders/create", &documented()).await.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    assert!(began.elapsed() < Duration::from_secs(3), "it took {:?}", began.elapsed());
    holder.batch_execute("ROLLBACK").await.unwrap();
    let answers = held.join_all().await;
    assert!(answers.iter().any(|answer| answer.status == 200), "of those who waited nobody was answered");
    assert_eq!(read(&http).await.status, 200);
}

#[tokio::test]
async fn an_answer_and_every_line_of_the_log_about_a_request_carry_its_id() {
    let mut api = Api::start(&[("HTTP__ALLOWED_ORIGINS", "https://shop.example")]).await;
    let preflight = [("origin", "https://shop.example"), ("access-control-request-method", "POST")];
    let answer = api.process.http.send(Method::OPTIONS, "/api/orders/create", &preflight, "").await.unwrap();
    assert!(answer.headers.contains_key("access-control-allow-origin") && answer.headers.contains_key("x-request-id"));

    let admin = api.database.connect().await;
    let sql = "ALTER TABLE orders.orders ADD CONSTRAINT not_this_one CHECK (user_id <> 'refused')";
    admin.batch_execute(sql).await.unwrap();
    let mut body = documented();
    body["userId"] = json!("refused");
    body["token"] = json!(token("refused"));
    let body = signed(body);
    api.database.register_key("refused").await;
    let headers = |id: &'static str| [("content-type", "application/json"), ("x-request-id", id)];
    let create = "/api/orders/create";
    let answer = api.process.http.send(Method::POST, create, &headers("mine-1"), body.to_string()).await.unwrap();
    assert_eq!((answer.status.as_u16(), &answer.headers["x-request-id"]), (500, &"mine-1".parse().unwrap()));
    let line = eventually(LONG, "the line of the request", async || {
        let said = api.process.said();
        said.lines().find(|line| line.contains("mine-1") && line.contains("a request failed")).map(str::to_owned)
    })
    .await;
    let line: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(line["span"]["request.id"], "mine-1", "{line}");
    assert_eq!((&line["http.request.method"], &line["http.route"]), (&json!("POST"), &json!(create)), "{line}");
    // And so does what is done for many at once.
    let written = api.process.said();
    let line = written.lines().find(|line| line.contains("the database refused an order")).expect(&written);
    assert!(line.contains("mine-1") && line.contains("not_this_one"), "{line}");

    api.process.kill().await;
    api.process.set("CONVEYOR__LOG__FORMAT", "pretty");
    api.process.start().await;
    api.process.wait_ready().await;
    let answer = api.process.http.send(Method::POST, create, &headers("mine-2"), body.to_string()).await.unwrap();
    assert_eq!(answer.status, 500);
    eventually(LONG, "the pretty line", async || {
        let said = api.process.said();
        said.lines().any(|line| line.contains("a request failed") && line.contains("mine-2")).then_some(())
    })
    .await;
}

/// What a debug build on a busy machine carries with ease.
const CAP: u32 = 50;
const TIMES: u32 = 4;
const SECONDS: u32 = 5;

#[tokio::test]
async fn of_four_times_too_many_orders_a_quarter_is_taken_in_time_and_the_rest_refused_at_once() {
    let mut line = Line::start().await;
    let api = &mut line.processes[0];
    api.terminate().await;
    api.set("CONVEYOR__ORDERS__MOST_PER_SECOND", &CAP.to_string());
    api.start().await;
    api.wait_ready().await;
    line.place().await;
    let before = rss(line.api().pid().unwrap());

    // They come by the clock, whatever the answers do.
    let outcome = Arc::new(Mutex::new((Vec::new(), Vec::new(), Vec::new())));
    let client = line.client();
    let body = documented();
    let mut orders = JoinSet::new();
    let start = Instant::now();
    for i in 0..CAP * TIMES * SECONDS {
        let due = start + Duration::from_secs(1) * i / (CAP * TIMES);
        tokio::time::sleep_until(due).await;
        let (client, outcome, body) = (Arc::clone(&client), Arc::clone(&outcome), body.clone());
        orders.spawn(async move {
            let answer = client.post_json("/api/orders/create", &body).await.unwrap();
            let took = due.elapsed();
            let mut outcome = outcome.lock().unwrap();
            match answer.status.as_u16() {
                200 => {
                    outcome.0.push(took);
                    outcome.2.push(answer.json()["orderId"].as_str().unwrap().to_owned());
                }
                503 => {
                    assert_eq!((code(&answer), number(&answer, "retry-after")), ("overloaded".to_owned(), 1));
                    outcome.1.push(took);
                }
                _ => panic!("{}", answer.text()),
            }
        });
    }
    while let Some(ended) = orders.join_next().await {
        ended.unwrap();
    }
    let took = start.elapsed();
    let (mut accepted, mut refused, ids) = std::mem::take(&mut *outcome.lock().unwrap());
    let most = (took.as_secs_f64() + 1.0) * f64::from(CAP);
    assert!((accepted.len() as f64) < most, "{} accepted in {took:?}", accepted.len());
    assert!(accepted.len() > (CAP * SECONDS / 10) as usize, "{} accepted in {took:?}", accepted.len());
    let quantile = |times: &mut Vec<Duration>, percent: usize| {
        times.sort_unstable();
        times[(times.len() - 1) * percent / 100]
    };
    // How soon exactly is for a release build on a machine of its own: `cargo xtask bench --overload` measures it.
    let (half, most) = (quantile(&mut accepted, 50), quantile(&mut accepted, 99));
    assert!(half < Duration::from_secs(1) && most < Duration::from_secs(5), "accepted: {half:?}, {most:?}");
    let (half, most) = (quantile(&mut refused, 50), quantile(&mut refused, 99));
    assert!(half < Duration::from_secs(1) && most < Duration::from_secs(5), "refused: {half:?}, {most:?}");
    let after = rss(line.api().pid().unwrap());
    assert!(after < before + 30_000, "{before} kB before, {after} kB after");

    // Everything that was accepted is there and goes the whole way, and nothing else.
    for id in ids.iter().step_by(50) {
        line.order(id).await;
    }
    line.until_through(ids.len() + 1, LONG).await;
    line.reconcile(ids.len() + 1).await;
}

/// Resident memory in kB.
fn rss(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}
