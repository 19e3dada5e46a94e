//! Event streams: every step of an order, in its order, to however many listen.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use common::ids::OrderId;
use e2e::{Database, LONG, Process, Proxy, Vhost, eventually, service_settings, token};
use hyper::Method;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::{Semaphore, mpsc},
    task::JoinSet,
    time::Instant,
};

use crate::{
    alone::{Alone, END, Stream},
    line::{USER, documented},
};

#[tokio::test]
async fn a_stream_tells_each_step_once_and_ends_with_the_outcome() {
    let alone = Alone::start(&[]).await;
    let order = alone.place().await;
    let mut stream = Stream::open(alone.api.port, &order, None).await;
    let head = stream.until("id: 1").await.to_lowercase();
    assert!(head.starts_with("http/1.1 200") && head.contains("content-type: text/event-stream"), "{head}");
    let mut late = Stream::open(alone.api.port, &order, Some("1")).await;
    late.until("retry: ").await;
    alone.lock(&[order]).await;
    stream.until("id: 2").await;
    let sql = format!(
        "BEGIN;
         INSERT INTO orders.history (order_id, version, status, cause) VALUES ('{0}', 3, 'payment_failed', 'a test');
         UPDATE orders.orders SET status = 'payment_failed', version = 3 WHERE id = '{0}';
         COMMIT",
        order.0
    );
    alone.database.connect().await.batch_execute(&sql).await.unwrap();
    let said = stream.until(END).await;
    late.until(END).await;
    assert_eq!((stream.versions(), late.versions()), (vec![1, 2, 3], vec![2, 3]));
    let data = said.lines().filter_map(|line| line.strip_prefix("data: "));
    let steps: Vec<serde_json::Value> = data.map(|data| serde_json::from_str(data).unwrap()).collect();
    let expected = [(1, "pending"), (2, "awaiting_payment"), (3, "payment_failed")];
    for (step, (version, status)) in steps.iter().zip(expected) {
        assert_eq!((&step["version"], &step["status"]), (&version.into(), &status.into()), "{step}");
        assert_eq!(step["orderId"], order.to_string());
        assert!(step["at"].as_str().unwrap().ends_with('Z'), "{step}");
    }

    // Whoever comes after the end hears what they have missed, and if that is nothing, not to come again.
    for (last, versions) in
        [(None, vec![1, 2, 3]), (Some(""), vec![1, 2, 3]), (Some("0"), vec![1, 2, 3]), (Some("2"), vec![3])]
    {
        let mut again = Stream::open(alone.api.port, &order, last).await;
        again.until(END).await;
        assert_eq!(again.versions(), versions, "{last:?}");
    }
    for last in ["3", "4"] {
        let said = Stream::open(alone.api.port, &order, Some(last)).await.until("\r\n\r\n").await;
        assert!(said.starts_with("HTTP/1.1 204"), "{said}");
    }
    for bad in ["x", "-1", "1.0", "99999999999"] {
        let said = Stream::open(alone.api.port, &order, Some(bad)).await.until("\r\n\r\n").await;
        assert!(said.starts_with("HTTP/1.1 400"), "{bad:?}: {said}");
    }
    let path = format!("/api/orders/{order}/events");
    let refusal = alone.refusal(Method::GET, &path, &token("somebody-else"), "").await;
    assert_eq!(refusal, (404, vec![["not_found".to_owned(), String::new()]]));
}

#[tokio::test]
async fn streams_outlive_the_database() {
    let (database, vhost) = (Database::create().await, Vhost::create().await);
    database.load_demo().await;
    let proxy = Proxy::to(database.address()).await;
    let mut settings = service_settings("orders", &database, &vhost);
    settings.insert("CONVEYOR__DATABASE__URL".to_owned(), database.url_through(&proxy.address(), "orders"));
    let mut api = Process::spawn("order-api", settings).await;
    api.wait_ready().await;
    let answer = api.http.post_json("/api/orders/create", &documented()).await.unwrap();
    let order: OrderId = answer.json()["orderId"].as_str().unwrap().parse().unwrap();
    let mut stream = Stream::open(api.port, &order, None).await;
    stream.until("id: 1").await;

    proxy.cut().await;
    let asked = api.until_metric("conveyor_watch_queries_total", |_| true).await;
    // It asks, and is not answered, and the stream stays.
    api.until_metric("conveyor_watch_queries_total", |queries| queries > asked + 2.0).await;
    let sql = format!(
        "BEGIN;
         INSERT INTO orders.history (order_id, version, status, cause) VALUES ('{0}', 2, 'rejected', 'a test');
         UPDATE orders.orders SET status = 'rejected', version = 2 WHERE id = '{0}';
         COMMIT",
        order.0
    );
    database.connect().await.batch_execute(&sql).await.unwrap();
    assert_eq!(stream.versions(), [1]);
    proxy.mend().await;
    stream.until(END).await;
    assert_eq!(stream.versions(), [1, 2]);
}

const MANY: usize = 10_000;
const FEW: usize = 10;
const ORDERS: usize = 200;

/// What all of the streams share.
struct Listening {
    port: u16,
    token: String,
    /// So many are opened at once.
    turns: Semaphore,
    opened: AtomicUsize,
    ends: mpsc::UnboundedSender<SystemTime>,
}

/// Listens to one order. Says at once when the end comes, and looks into it later.
async fn listen(listening: Arc<Listening>, order: OrderId) -> Vec<u8> {
    let turn = listening.turns.acquire().await.unwrap();
    let mut socket = TcpStream::connect(("127.0.0.1", listening.port)).await.expect("a connection");
    let request = format!(
        "GET /api/orders/{order}/events HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer {}\r\n\r\n",
        listening.token
    );
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut heard = Vec::with_capacity(1024);
    while !String::from_utf8_lossy(&heard).contains("\nid: 1\n") {
        assert!(socket.read_buf(&mut heard).await.unwrap_or(0) > 0, "a stream did not begin");
    }
    listening.opened.fetch_add(1, Ordering::Relaxed);
    drop(turn);
    heard.clear();
    // A sign of life is shorter.
    while heard.len() < 64 {
        heard.clear();
        assert!(socket.read_buf(&mut heard).await.unwrap_or(0) > 0, "a stream broke off");
    }
    let _ = listening.ends.send(SystemTime::now());
    heard
}

/// The memory that a process has in use, in bytes.
fn memory(process: &Process) -> usize {
    let status = fs::read_to_string(format!("/proc/{}/status", process.pid().unwrap())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
}

/// The processor time that a process has used.
fn processor(process: &Process) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{}/stat", process.pid().unwrap())).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    // User and system time, in hundredths of a second.
    Duration::from_millis(10 * (fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()))
}

/// For how long a process (its first thread) was ready to run while others had the processors.
fn kept_waiting(process: &str) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{process}/schedstat")).unwrap_or_default();
    Duration::from_nanos(stat.split_whitespace().nth(1).and_then(|ns| ns.parse().ok()).unwrap_or(0))
}

/// How many statements the watch sends in a second, and how many transactions the database counts.
async fn rates_now(alone: &Alone) -> (f64, f64) {
    let queries = "conveyor_watch_queries_total";
    // The database's own figures lag by up to a second.
    let counted = "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()";
    let client = alone.database.connect().await;
    let transactions = async || -> i64 { client.query_one(counted, &[]).await.unwrap().get(0) };
    let (began, asked, committed) =
        (Instant::now(), alone.api.until_metric(queries, |_| true).await, transactions().await);
    let asked_now = eventually(LONG, "two seconds of asking", async || {
        let now = alone.api.metric(queries).await?;
        (began.elapsed() > Duration::from_secs(2)).then_some(now)
    })
    .await;
    let seconds = began.elapsed().as_secs_f64();
    ((asked_now - asked) / seconds, (transactions().await - committed) as f64 / seconds)
}

/// The same when things have settled: a connection that has nothing to do reports what it did up to ten seconds later.
async fn rates(alone: &Alone, transactions: f64) -> (f64, f64) {
    let began = Instant::now();
    loop {
        let rates = rates_now(alone).await;
        if rates.1 <= transactions || began.elapsed() > Duration::from_secs(15) {
            return rates;
        }
    }
}

#[tokio::test]
async fn ten_thousand_streams_cost_one_query_a_tick_and_hear_their_end_within_a_second() {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    assert!(most > MANY as u64 + 500, "this test opens {MANY} connections, and may open {most} files");
    setrlimit(Resource::RLIMIT_NOFILE, most, most).unwrap();
    let most = MANY.to_string();
    let settings = [("CONVEYOR__LOG__FILTER", "warn"), ("CONVEYOR__ORDERS__WATCHERS_PER_USER", most.as_str())];
    let alone = Alone::start(&settings).await;
    let mut orders = Vec::new();
    while orders.len() < ORDERS {
        orders.extend(futures_util::future::join_all((0..50).map(|_| alone.place())).await);
    }
    let (sender, mut ends) = mpsc::unbounded_channel();
    let listening = Arc::new(Listening {
        port: alone.api.port,
        token: token(USER),
        turns: Semaphore::new(64),
        opened: AtomicUsize::new(0),
        ends: sender,
    });
    let mut listeners = JoinSet::new();
    let mut open = |count: usize| {
        for i in listeners.len()..count {
            listeners.spawn(listen(Arc::clone(&listening), orders[i % ORDERS]));
        }
    };
    let until_open = async |count: usize| {
        let what = format!("{count} streams are open");
        eventually(LONG, &what, async || (listening.opened.load(Ordering::Relaxed) == count).then_some(())).await;
        alone.until_watchers(count as f64).await;
    };
    open(FEW);
    until_open(FEW).await;
    let few = rates(&alone, 20.0).await;
    let before = memory(&alone.api);

    let began = Instant::now();
    open(MANY);
    until_open(MANY).await;
    let opening = began.elapsed();
    let many = rates(&alone, few.1 * 1.5 + 5.0).await;
    let each = (memory(&alone.api) - before) / (MANY - FEW);

    let pid = alone.api.pid().unwrap().to_string();
    let both_waited = || [kept_waiting(&pid), kept_waiting("thread-self")];
    let (busy, waited) = (processor(&alone.api), both_waited());
    alone.end(&orders).await;
    let mut heard = Vec::with_capacity(MANY);
    while heard.len() < MANY {
        let one = tokio::time::timeout(LONG, ends.recv()).await.expect("every stream hears its end");
        heard.push(one.unwrap());
    }
    let busy = processor(&alone.api) - busy;
    let waited = both_waited().into_iter().zip(waited).map(|(now, then)| now.saturating_sub(then)).max().unwrap();
    heard.sort_unstable();
    for said in listeners.join_all().await {
        let said = String::from_utf8_lossy(&said).into_owned();
        assert!(said.contains("id: 2\nevent: status\n"), "{said}");
        assert!(said.contains("\"status\":\"rejected\""), "{said}");
    }
    // Counted from the first end of all, though most come later.
    let first_end = "SELECT (extract(epoch FROM min(at)) * 1000000)::bigint FROM orders.history WHERE version = 2";
    let first_end = Duration::from_micros(u64::try_from(alone.database.count(first_end).await).unwrap());
    let after = |i: usize| heard[i].duration_since(UNIX_EPOCH + first_end).unwrap_or_default();
    let (first, median, slowest) = (after(0), after(MANY / 2), after(MANY - 1));
    println!(
        "{MANY} streams of {ORDERS} orders, opened in {opening:.1?}: {each} bytes each; queries and transactions a second: \
         {few:.1?} with {FEW}, {many:.1?} with all; the end was heard {first:.2?} to \
         {slowest:.2?} after the first order had it, in the median {median:.2?}, for {busy:.2?} \
         of processor time and {waited:.2?} of waiting for a processor"
    );
    assert!(each <= 20 * 1024, "a stream takes {each} bytes");
    assert!(many.0 <= few.0 * 1.2 + 1.0, "queries a second: {few:?}, then {many:?}");
    assert!(many.1 <= few.1 * 1.5 + 5.0, "transactions a second: {few:?}, then {many:?}");
    // On a machine that is busy with other things, what these took is not counted.
    let counted = slowest.saturating_sub(waited);
    assert!(counted < Duration::from_secs(1), "the last heard its end after {slowest:?}, {waited:?} of it in vain");
    // Nobody waits any more, so nobody asks.
    alone.until_watchers(0.0).await;
}
