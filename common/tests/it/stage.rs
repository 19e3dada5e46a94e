//! A database, a vhost and a worker in this process, ready to be tried.

use common::{
    broker::topology::Topology,
    config::{self, Common},
    consumer::Handler,
    events::Event,
    service::{Service, ServiceError},
};
use e2e::{
    Database, LONG, Vhost, eventually,
    obedient::{self, ABOUT, Effect, HEARD, Obedient, WORK, parcel},
};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Short tiers, so that a test sees the end of them.
pub(crate) const TIERS_MS: [u64; 2] = [200, 600];
pub(crate) const GRAVEYARD: &str = "test.work.dlq";

pub(crate) struct Stage {
    pub(crate) database: Database,
    pub(crate) vhost: Vhost,
    pub(crate) obedient: Obedient,
}

impl Stage {
    /// Everything is declared, and nobody works yet.
    pub(crate) async fn set() -> Self {
        e2e::show_logs();
        let (database, vhost) = tokio::join!(Database::create(), Vhost::create());
        obedient::make_table(&database).await;
        vhost.declare(&topology()).await;
        Self { database, vhost, obedient: Obedient::default() }
    }

    pub(crate) fn settings(&self) -> Common {
        settings(self.database.url("orders"), self.vhost.url())
    }

    /// What a process needs to work here.
    pub(crate) fn environment(&self) -> Vec<(String, String)> {
        let tiers = TIERS_MS.map(|ms| ms.to_string()).join(",");
        let mut environment: Vec<_> =
            e2e::service_settings("orders", &self.database, &self.vhost).into_iter().collect();
        environment.push(("CONVEYOR__CONSUMER__RETRY_DELAYS_MS".to_owned(), tiers));
        environment
    }

    /// The obedient worker.
    pub(crate) fn work(&self) -> Worker {
        Worker::begin(self.settings(), |service| service.consume(&WORK, self.obedient.clone()))
    }

    pub(crate) async fn send(&self, events: &[Event]) {
        assert!(self.vhost.publish("redeliver", WORK.name, &parcel(events)).await);
    }

    /// Each event in a parcel by itself.
    pub(crate) async fn send_each(&self, events: &[Event]) {
        let parcels = events.iter().map(|event| parcel(std::slice::from_ref(event)));
        assert!(self.vhost.publish_all("redeliver", WORK.name, parcels).await);
    }

    pub(crate) async fn effects(&self) -> Vec<Effect> {
        obedient::effects(&self.database).await
    }

    /// Waits until exactly these events have been obeyed, each once and at its first attempt.
    pub(crate) async fn until_obeyed(&self, events: &[Event]) {
        let effects = self.until_obeyed_perhaps_twice(events).await;
        assert!(effects.iter().all(|effect| effect.seen == 1), "some were obeyed more than once: {effects:?}");
    }

    /// The same where the worker dies: what it committed and had no time to acknowledge is done again.
    pub(crate) async fn until_obeyed_perhaps_twice(&self, events: &[Event]) -> Vec<Effect> {
        eventually(LONG, "all that should be obeyed is", async || {
            (self.effects().await.len() >= events.len()).then_some(())
        })
        .await;
        let effects = self.effects().await;
        let mut expected: Vec<(Uuid, i32)> = events.iter().map(|event| (event.id, 1)).collect();
        expected.sort();
        assert_eq!(effects.iter().map(|effect| (effect.id, effect.attempt)).collect::<Vec<_>>(), expected);
        effects
    }
}

pub(crate) fn topology() -> Topology {
    Topology::new(&[&WORK, &HEARD], &TIERS_MS)
}

pub(crate) fn settings(database_url: String, broker_url: String) -> Common {
    Common {
        database: config::Database { url: database_url.into(), pool_size: 4 },
        broker: config::Broker { url: broker_url.into() },
        http: config::Http::default(),
        auth: config::Auth::default(),
        consumer: config::Consumer { retry_delays_ms: TIERS_MS.to_vec(), ..Default::default() },
        outbox: config::Outbox { sweep_ms: 100, ..Default::default() },
        log: config::Log::default(),
        parts: config::Parts::default(),
        threads: 1,
        grace_ms: 20_000,
    }
}

/// A service that runs inside the test.
pub(crate) struct Worker {
    pub(crate) stop: CancellationToken,
    running: JoinHandle<Result<(), ServiceError>>,
}

impl Worker {
    pub(crate) fn begin(settings: Common, consume: impl FnOnce(&mut Service)) -> Self {
        let stop = CancellationToken::new();
        let mut service = Service::with_queues(ABOUT, settings, &[&WORK, &HEARD], &[], stop.clone()).unwrap();
        consume(&mut service);
        let running = tokio::spawn(service.run(axum::Router::new()));
        Self { stop, running }
    }

    pub(crate) fn with_handler(settings: Common, handler: impl Handler) -> Self {
        Self::begin(settings, |service| service.consume(&WORK, handler))
    }

    /// Tells it to stop, and fails if it does not stop well.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.ended().await.unwrap();
    }

    pub(crate) async fn ended(self) -> Result<(), ServiceError> {
        tokio::time::timeout(LONG, self.running).await.expect("the service does not end").unwrap()
    }
}
