//! Dead letters by the hundred thousand: how fast the console takes them in, finds among them, and sends all of them again,
//! and whether each is done once in effect.

use std::{
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use common::{
    broker::topology::{NOTIFICATION_SEND, Topology, WORK_QUEUES},
    config::{self, Common, Settings},
    consumer::{Failure, Handler, Verdict},
    db::Tx,
    events::{Event, pack},
    outbox::Outbox,
    params,
    service::{About, Service},
};
use futures_util::future::try_join_all;
use lapin::{
    BasicProperties, Connection, ConnectionProperties,
    options::{BasicPublishOptions, ConfirmSelectOptions},
    types::{AMQPValue, FieldTable},
};
use serde_json::json;
use support_console::{Action, By, Console, GroupFilter, Query, Role, RunState, Scope, Steps, Support, Who, engine};
use tokio::process::{Child, Command};
use tokio_postgres::Client;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    ledger::Ledger,
    line::{Line, Plan},
    load::Pace,
    scenario::{Bench, Run},
    servers::{Place, Servers, connect},
};

const REASONS: usize = 20;
const QUEUE: &str = NOTIFICATION_SEND.name;
/// How often each kind of question is asked.
const QUESTIONS: usize = 40;
const PATIENCE: Duration = Duration::from_secs(600);

/// Does what was sent again: notes it, once however often it comes.
struct Does;

impl Handler for Does {
    async fn handle(&self, tx: &mut Tx, events: &[Event], _: &mut Outbox) -> Result<Vec<Verdict>, Failure> {
        tx.write(
            "INSERT INTO effects (event_id) SELECT * FROM unnest($1::uuid[]) \
             ON CONFLICT (event_id) DO UPDATE SET seen = effects.seen + 1",
            params![events.iter().map(|event| event.id).collect::<Vec<_>>()],
        );
        Ok(vec![Verdict::Done; events.len()])
    }
}

const WORKER: About = About {
    name: "bench-worker",
    purpose: "does what was sent again",
    schema: "orders",
    bind: "127.0.0.1:0",
    section: None,
    parts: &["http", QUEUE],
    needs_broker: true,
};

/// Measures, prints as it goes, and fails if something was lost or done twice.
pub async fn measure(servers: &Servers, plan: &Plan, letters: usize) -> Result<()> {
    let place = servers.make("dead_letters").await?;
    let password = &plan.password;
    migrate(plan, &place, password).await?;
    let admin = connect(&place.database).await?;
    let effects = "CREATE TABLE orders.effects (event_id uuid PRIMARY KEY, seen int NOT NULL DEFAULT 1)";
    admin.batch_execute(effects).await?;
    let began = Instant::now();
    bury(&place, letters).await?;
    println!("{letters} dead letters of {REASONS} reasons, buried in {:.1} s", began.elapsed().as_secs_f64());

    let stop = CancellationToken::new();
    let mut program = start_console(plan, &place, password)?;
    let waiting = until(&admin, "SELECT count(*) FROM support.letters", 1).await?;
    let began = Instant::now();
    until(&admin, "SELECT count(*) FROM support.letters", letters).await?;
    say("taken in", letters - waiting, began.elapsed());
    ensure!(count(&admin, "SELECT count(*) FROM support.contents").await? == letters, "some have no content");

    // Only asks; the program does.
    let own = common_settings(place.database_for("conveyor_support", password), &place, "http")?;
    let (service, console) = engine(Settings { common: own, own: Support::default() }, stop.clone())?;
    tokio::spawn(service.run(axum::Router::new()));
    ask(&console, &admin).await?;

    let settings = common_settings(place.database_for("conveyor_orders", password), &place, "")?;
    let mut worker = Service::new(WORKER, settings, stop.clone())?;
    worker.consume(&NOTIFICATION_SEND, Does);
    tokio::spawn(worker.run(axum::Router::new()));
    let who = Who { account: "bench".to_owned(), role: Role::Operator, by: By::Cli };
    let began = Instant::now();
    let snapshot = console.plan(&who, &Scope::Query(Query::default()), Action::Retry).await?;
    println!("{} planned in {:.2} s", snapshot.count, began.elapsed().as_secs_f64());
    let began = Instant::now();
    let steps = Steps { first: vec![1, 10], rate: 0, tolerate: 0 };
    let run = console.start_run(&who, snapshot.id, &steps).await?;
    let run = console.until_at_rest(run, PATIENCE).await?;
    say("sent again, done and known to be", letters, began.elapsed());
    ensure!(run.state == RunState::Finished && usize::try_from(run.done)? == letters, "the run ended as {run:?}");
    let done = count(&admin, "SELECT count(*) FROM orders.effects").await?;
    ensure!(done == letters, "{done} of {letters} have had their effect");
    println!("again {}", count(&admin, "SELECT coalesce(sum(seen - 1), 0)::bigint FROM orders.effects").await?);
    ask(&console, &admin).await?;
    stop.cancel();
    program.kill().await?;
    drop((console, admin));
    servers.remove(&place.name).await
}

/// Orders at a steady rate, first alone and then while the console takes in dead letters on the same servers.
pub async fn beside_work(bench: &Bench, letters: usize, seconds: f64) -> Result<Vec<Run>> {
    const RATE: f64 = 500.0;
    let place = bench.place("beside").await?;
    let mut line = Line::new(&bench.plan, &place).await?;
    line.start_all()?;
    line.ready().await?;
    let mut ledger = Ledger::new(&place).await?;
    bench.warm_up(&mut line, &mut ledger, 500).await?;
    let orders = (RATE * seconds) as u64;
    let name = |what: &str| format!("{RATE}/s {what}");
    bench.progress.step(&name("alone"));
    let steady = Pace::Steady(RATE);
    let alone = bench.measure(name("alone"), &mut line, &mut ledger, steady, orders, bench.connections).await?;
    bury(&place, letters).await?;
    let admin = connect(&place.database).await?;
    bench.progress.step(&name(&format!("beside {letters} dead letters")));
    let mut program = start_console(&bench.plan, &place, &bench.plan.password)?;
    let took_in = async {
        let waiting = until(&admin, "SELECT count(*) FROM support.letters", 1).await?;
        let began = Instant::now();
        until(&admin, "SELECT count(*) FROM support.letters", letters).await?;
        say("taken in beside the orders", letters - waiting, began.elapsed());
        anyhow::Ok(())
    };
    let beside = bench.measure(name("beside"), &mut line, &mut ledger, steady, orders, bench.connections);
    let (beside, took_in) = tokio::join!(beside, took_in);
    took_in?;
    program.kill().await?;
    drop(admin);
    Ok(vec![alone, bench.finish(&place, line, &ledger, beside?).await?])
}

fn say(what: &str, letters: usize, took: Duration) {
    let seconds = took.as_secs_f64();
    println!("{letters} {what} in {seconds:.1} s: {:.0}/s", letters as f64 / seconds);
}

/// Asks what pages ask, and says how long that takes.
async fn ask(console: &Console, admin: &Client) -> Result<()> {
    let row =
        admin.query_one("SELECT subject, users[1], event_id FROM support.letters LIMIT 1 OFFSET 777", &[]).await?;
    let (subject, user, event): (String, String, Uuid) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    let group = console.groups(&GroupFilter { settled: true, ..Default::default() }).await?[0].key;
    let searches = [
        String::new(),
        "state:failed".to_owned(),
        "state:discarded".to_owned(),
        format!("order:{subject}"),
        format!("user:{user}"),
        format!("event:{event}"),
        format!("group:{group}"),
        "reason:\"number seven\"".to_owned(),
        "reason:answer".to_owned(),
        // Words that all have, but never one after the other.
        "reason:\"answer number\"".to_owned(),
        "reason:nowhere".to_owned(),
        "product:P001 AND NOT reason:seven".to_owned(),
        "queue:payment.* OR type:none".to_owned(),
        format!("(user:{user} OR reason:seven) AND after:2020-01-01"),
        "attempts:>=7".to_owned(),
    ];
    let mut slowest: f64 = 0.0;
    for text in &searches {
        let query: Query = text.parse()?;
        let mut took = Vec::new();
        let mut found = 0;
        for _ in 0..QUESTIONS {
            let began = Instant::now();
            found = console.search(&query, None, 50).await?.letters.len();
            took.push(began.elapsed().as_secs_f64() * 1e3);
        }
        let p95 = percentile(&mut took);
        slowest = slowest.max(p95);
        println!("  {p95:>7.1} ms  {found:>3} of {text:?}");
    }
    let mut took = Vec::new();
    for _ in 0..QUESTIONS {
        let began = Instant::now();
        console.groups(&GroupFilter { settled: true, ..Default::default() }).await?;
        took.push(began.elapsed().as_secs_f64() * 1e3);
    }
    println!(
        "  {:>7.1} ms  the page of groups; the slowest search {slowest:.1} ms (all 95th percentile)",
        percentile(&mut took)
    );
    Ok(())
}

fn percentile(took: &mut [f64]) -> f64 {
    took.sort_by(f64::total_cmp);
    took.get(took.len() * 95 / 100).copied().unwrap_or_default()
}

async fn count(admin: &Client, sql: &str) -> Result<usize> {
    Ok(usize::try_from(admin.query_one(sql, &[]).await?.try_get::<_, i64>(0)?)?)
}

async fn until(admin: &Client, sql: &str, wanted: usize) -> Result<usize> {
    let began = Instant::now();
    loop {
        let now = count(admin, sql).await?;
        if now >= wanted {
            return Ok(now);
        }
        ensure!(began.elapsed() < PATIENCE, "{now} of {wanted}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Puts them where the chassis puts what dies.
async fn bury(place: &Place, letters: usize) -> Result<()> {
    let connection = Connection::connect(&place.broker, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    Topology::new(WORK_QUEUES, &[1_000]).declare(&channel).await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    for some in (0..letters).collect::<Vec<_>>().chunks(1_000) {
        let confirms = try_join_all(some.iter().map(|i| {
            let channel = &channel;
            async move {
                let (body, properties) = letter(*i);
                let options = BasicPublishOptions::default();
                channel.basic_publish("dead-letters".into(), QUEUE.into(), options, &body, properties).await?.await
            }
        }));
        ensure!(confirms.await?.iter().all(lapin::Confirmation::is_ack), "the broker refused a letter");
    }
    connection.close(200, "done".into()).await?;
    Ok(())
}

const NAMES: [&str; REASONS] = [
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
    "twenty",
];

fn letter(i: usize) -> (Vec<u8>, BasicProperties) {
    let id = Uuid::now_v7();
    let order = format!("ORD{}", Uuid::now_v7().simple().encode_upper(&mut Uuid::encode_buffer()));
    let event = json!({
        "specversion": "1.0", "id": id, "type": "order.paid", "source": "order-api", "subject": order,
        "time": "2026-01-31T12:00:00Z", "attempt": 6,
        "data": {"orderId": order, "userId": format!("user-{}", i / 5), "version": 3, "amount": 100.50,
            "items": [{"productId": "P001", "quantity": 2}]},
    });
    let name = NAMES[i % REASONS];
    let mut headers = FieldTable::default();
    for (key, value) in [
        (
            "x-reason",
            format!("number {name}: no answer from 10.0.0.{} within {} ms for {order}", i % 250, 1_000 + i % 999),
        ),
        ("x-death-kind", "exhausted".to_owned()),
        ("x-queue", QUEUE.to_owned()),
        ("x-service", "notification-worker".to_owned()),
        ("x-died-at", format!("2026-01-31T{:02}:{:02}:{:02}Z", i / 3_600 % 24, i / 60 % 60, i % 60)),
        ("x-event-id", id.to_string()),
        ("x-subject", order),
    ] {
        headers.insert(key.into(), AMQPValue::LongString(value.into()));
    }
    headers.insert("x-attempts".into(), AMQPValue::LongLongInt(6));
    let properties = BasicProperties::default()
        .with_delivery_mode(2)
        .with_message_id(id.to_string().as_str().into())
        .with_type("order.paid".into())
        .with_content_type("application/cloudevents-batch+json".into())
        .with_headers(headers);
    (pack([event.to_string().as_bytes()]), properties)
}

async fn migrate(plan: &Plan, place: &Place, password: &str) -> Result<()> {
    let mut migrate = Command::new(plan.binaries.join("migrate"));
    migrate.env("CONVEYOR__DATABASE__URL", &place.database);
    for role in ["ORDERS", "INVENTORY", "PAYMENTS", "NOTIFICATIONS", "SUPPORT"] {
        migrate.env(format!("CONVEYOR__ROLES__{role}"), password);
    }
    let output = migrate.output().await.context("cannot run migrate")?;
    ensure!(output.status.success(), "migrate failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(())
}

fn start_console(plan: &Plan, place: &Place, password: &str) -> Result<Child> {
    let log = std::fs::File::create(plan.logs.join("support-console.log"))?;
    let child = Command::new(plan.binaries.join("support-console"))
        .env("CONVEYOR__DATABASE__URL", place.database_for("conveyor_support", password))
        .env("CONVEYOR__BROKER__URL", &place.broker)
        .env("CONVEYOR__HTTP__BIND", "127.0.0.1:0")
        .env("CONVEYOR__AUTH__KEYS__BENCH__SECRET", "the bench signs nothing with this secret")
        .env("CONVEYOR__LOG__FILTER", "warn,lapin=off")
        .stdout(Stdio::from(log.try_clone()?))
        .stderr(Stdio::from(log))
        .kill_on_drop(true)
        .spawn()
        .context("cannot run support-console")?;
    Ok(child)
}

fn common_settings(database_url: String, place: &Place, parts: &str) -> Result<Common> {
    Ok(Common {
        database: config::Database { url: database_url.into(), pool_size: 6 },
        broker: config::Broker { url: place.broker.clone().into() },
        http: config::Http { bind: "127.0.0.1:0".to_owned(), ..Default::default() },
        auth: config::Auth::default(),
        consumer: config::Consumer::default(),
        outbox: config::Outbox::default(),
        log: config::Log::default(),
        parts: serde_json::from_value(parts.into())?,
        threads: 1,
        grace_ms: 20_000,
    })
}
