//! A console and a worker in this process, on a database and a vhost of the test's own.

use common::{
    broker::topology::{NOTIFICATION_SEND, Topology, WORK_QUEUES},
    config::{self, Common, Settings},
    events::Event,
    service::{About, Service, ServiceError},
};
use e2e::{
    Database, LONG, Vhost, eventually,
    obedient::{self, Obedient, parcel},
};
use lapin::{
    BasicProperties,
    options::{BasicPublishOptions, ConfirmSelectOptions},
    types::{AMQPValue, FieldTable},
};
use support_console::{Action, By, Console, Page, Query, Role, Run, Scope, Steps, Support, Who, engine};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// The queue that letters die in, and that the worker works on.
pub(crate) const QUEUE: &str = NOTIFICATION_SEND.name;

const WORKER: About = About {
    name: "obedient-worker",
    purpose: "does what each event asks of it, for tests",
    schema: "orders",
    bind: "127.0.0.1:0",
    section: None,
    parts: &["http", QUEUE],
    needs_broker: true,
};

pub(crate) struct Stage {
    pub(crate) console: Console,
    pub(crate) obedient: Obedient,
    pub(crate) database: Database,
    pub(crate) vhost: Vhost,
    running: Vec<(CancellationToken, JoinHandle<Result<(), ServiceError>>)>,
}

impl Stage {
    /// A console at work, and nobody else.
    pub(crate) async fn set() -> Self {
        Self::set_with(Support::default(), &["http", "ingest", "runs", "support.progress"]).await
    }

    /// With these parts of the console only.
    pub(crate) async fn set_with(own: Support, parts: &[&str]) -> Self {
        e2e::show_logs();
        let (database, vhost) = tokio::join!(Database::create(), Vhost::create());
        obedient::make_table(&database).await;
        vhost.declare(&Topology::new(WORK_QUEUES, &[200])).await;
        let stop = CancellationToken::new();
        let mut common = common_settings(database.url("support"), vhost.url());
        common.parts = serde_json::from_value(parts.join(",").into()).unwrap();
        let (service, console) = engine(Settings { common, own }, stop.clone()).unwrap();
        let running = tokio::spawn(service.run(axum::Router::new()));
        Self { console, obedient: Obedient::default(), database, vhost, running: vec![(stop, running)] }
    }

    /// Somebody who does what events ask for.
    pub(crate) fn work(&mut self) {
        let stop = CancellationToken::new();
        let settings = common_settings(self.database.url("orders"), self.vhost.url());
        let mut service = Service::new(WORKER, settings, stop.clone()).unwrap();
        service.consume(&NOTIFICATION_SEND, self.obedient.clone());
        self.running.push((stop, tokio::spawn(service.run(axum::Router::new()))));
    }

    /// Ends everything well, and fails if it does not end well.
    pub(crate) async fn strike(self) {
        let Self { console, database, vhost, running, .. } = self;
        running.iter().for_each(|(stop, _)| stop.cancel());
        // Whoever holds a console holds up the end.
        drop(console);
        for (_, running) in running {
            tokio::time::timeout(LONG, running).await.expect("a service does not end").unwrap().unwrap();
        }
        e2e::assert_clean(&database, &vhost).await;
    }

    pub(crate) async fn bury(&self, events: &[Event], reason: &str) {
        bury(&self.vhost, events, reason).await;
    }

    /// Waits until so many letters are found.
    pub(crate) async fn until_found(&self, query: &str, count: usize) -> Page {
        let query: Query = query.parse().unwrap();
        eventually(LONG, &format!("{count} letters are found by {query}"), async || {
            let page = self.console.search(&query, None, 200).await.unwrap();
            (page.letters.len() == count).then_some(page)
        })
        .await
    }

    /// Waits until so many letters are kept that have failed, which may be more than a page of them.
    pub(crate) async fn until_failed(&self, count: i64) {
        let sql = "SELECT count(*) FROM support.letters WHERE state = 'failed'";
        eventually(LONG, &format!("{count} letters are kept"), async || (self.count(sql).await == count).then_some(()))
            .await;
    }

    /// Waits until at least so many letters are done.
    pub(crate) async fn until_done(&self, count: i64) {
        let sql = "SELECT count(*) FROM support.letters WHERE state = 'done'";
        eventually(LONG, &format!("{count} letters are done"), async || (self.count(sql).await >= count).then_some(()))
            .await;
    }

    pub(crate) async fn count(&self, sql: &str) -> i64 {
        self.database.count(sql).await
    }

    /// Does something with all letters that a query finds, and waits until that has come to rest.
    pub(crate) async fn retry(&self, scope: &Scope, steps: &Steps) -> Run {
        let plan = self.console.plan(&operator("olga"), scope, Action::Retry).await.unwrap();
        let run = self.console.start_run(&operator("olga"), plan.id, steps).await.unwrap();
        self.at_rest(run).await
    }

    pub(crate) async fn at_rest(&self, run: Uuid) -> Run {
        let run = self.console.until_at_rest(run, 3 * LONG).await.unwrap();
        assert_ne!(run.state, support_console::RunState::Running, "{run:?}");
        run
    }
}

pub(crate) fn query(text: &str) -> Scope {
    Scope::Query(text.parse().unwrap())
}

pub(crate) fn operator(account: &str) -> Who {
    Who { account: account.to_owned(), role: Role::Operator, by: By::Page }
}

pub(crate) fn reader() -> Who {
    Who { account: "rita".to_owned(), role: Role::Reader, by: By::Cli }
}

/// Dead letters as the chassis makes them, one for each event.
pub(crate) async fn bury(vhost: &Vhost, events: &[Event], reason: &str) {
    let channel = vhost.channel().await;
    channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
    let mut confirms = Vec::new();
    for event in events {
        let headers = [
            ("x-reason", reason.to_owned()),
            ("x-death-kind", "exhausted".to_owned()),
            ("x-queue", QUEUE.to_owned()),
            ("x-service", "notification-worker".to_owned()),
            ("x-died-at", "2026-01-31T12:00:00.5Z".to_owned()),
            ("x-event-id", event.id.to_string()),
        ];
        let mut table = FieldTable::default();
        for (name, value) in headers {
            table.insert(name.into(), AMQPValue::LongString(value.into()));
        }
        table.insert("x-attempts".into(), AMQPValue::LongLongInt(6));
        let properties = BasicProperties::default()
            .with_delivery_mode(2)
            .with_message_id(Uuid::now_v7().to_string().as_str().into())
            .with_type(event.kind.as_str().into())
            .with_headers(table);
        let body = parcel(std::slice::from_ref(event));
        let sent = channel.basic_publish(
            "dead-letters".into(),
            QUEUE.into(),
            BasicPublishOptions::default(),
            &body,
            properties,
        );
        confirms.push(sent.await.unwrap());
    }
    for confirm in confirms {
        assert!(confirm.await.unwrap().is_ack());
    }
}

pub(crate) fn common_settings(database_url: String, broker_url: String) -> Common {
    Common {
        database: config::Database { url: database_url.into(), pool_size: 6 },
        broker: config::Broker { url: broker_url.into() },
        http: config::Http { bind: "127.0.0.1:0".to_owned(), ..Default::default() },
        auth: config::Auth::default(),
        consumer: config::Consumer { retry_delays_ms: vec![200], ..Default::default() },
        outbox: config::Outbox { sweep_ms: 200, ..Default::default() },
        log: config::Log::default(),
        parts: config::Parts::default(),
        threads: 1,
        grace_ms: 20_000,
    }
}
