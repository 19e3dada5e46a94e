//! A service, from its first line to its exit code.
//!
//! A service is a list of *(queue, handler)* pairs and perhaps some routes; everything else is here: connections,
//! publishing, sweeping, health, and leaving in good order.

use std::{collections::BTreeSet, process::ExitCode, sync::Arc, time::Duration};

use axum::Router;
use futures_util::future::BoxFuture;
use mimalloc::MiMalloc;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde::de::DeserializeOwned;
use tokio::{
    net::TcpListener,
    runtime::{Builder, Runtime},
    signal::unix::{SignalKind, signal},
    sync::Mutex,
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use crate::{
    broker::{
        Link, LinkState, Publisher,
        topology::{Topology, WORK_QUEUES, WorkQueue, dead_letter_queue},
        watch_depths,
    },
    config::{self, Common, ConfigError, Settings},
    consumer::{Consumer, EffectHandler, Handler, InTransaction, Shared, ThreeSteps},
    crash::{self, Mistake, Point},
    db::Db,
    http::{self, Check, Origins},
    outbox::{Dispatcher, Units, measure, sweep},
    signals::Signals,
    telemetry,
};

/// A service makes and drops so much for each order that a tenth of its work would otherwise be the allocator's.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// What a service is, apart from its work.
#[derive(Debug, Clone, Copy)]
pub struct About {
    /// Its name, which is also the `source` of its events.
    pub name: &'static str,
    /// What it does, for `--help`.
    pub purpose: &'static str,
    /// Its schema in the database.
    pub schema: &'static str,
    /// Where it listens unless told otherwise.
    pub bind: &'static str,
    /// Its own section of the configuration, if it has one.
    pub section: Option<&'static str>,
    /// The parts that a process may run by themselves.
    pub parts: &'static [&'static str],
    /// Whether it can do its work only while the broker is there.
    pub needs_broker: bool,
}

/// The exit code for a bad command line or configuration (`EX_USAGE`).
const USAGE: u8 = 64;

/// The whole of a service's `main`.
pub fn main<Own, Run>(about: About, run: impl FnOnce(Settings<Own>, CancellationToken) -> Run) -> ExitCode
where
    Own: DeserializeOwned + Default,
    Run: Future<Output = Result<(), ServiceError>>,
{
    if let Some(argument) = std::env::args().nth(1) {
        let is_help = matches!(argument.as_str(), "-h" | "--help");
        print!("{}", help(&about));
        return if is_help { ExitCode::SUCCESS } else { ExitCode::from(USAGE) };
    }
    serve(about, run)
}

/// The same for a program that has read its command line by itself.
pub fn serve<Own, Run>(about: About, run: impl FnOnce(Settings<Own>, CancellationToken) -> Run) -> ExitCode
where
    Own: DeserializeOwned + Default,
    Run: Future<Output = Result<(), ServiceError>>,
{
    let settings = match config::load::<Own>(about.section) {
        Ok(settings) => settings,
        Err(error) => return refuse(&about, &error),
    };
    if let Err(error) = telemetry::start_logs(&settings.common.log) {
        return refuse(&about, &error);
    }
    raise_file_limit();
    #[cfg(target_os = "linux")]
    leave_huge_pages_alone();
    let grace = Duration::from_millis(settings.common.grace_ms);
    let runtime = match runtime(settings.common.threads) {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("{}: the runtime could not be started: {error}", about.name);
            return ExitCode::FAILURE;
        }
    };
    if let Err(error) = telemetry::trace::start(&settings.common.log, about.name, runtime.handle()) {
        return refuse(&about, &error);
    }
    let code = runtime.block_on(async {
        let stop = CancellationToken::new();
        let too_late = tokio::spawn(until_signalled(stop.clone(), grace));
        tokio::select! {
            result = run(settings, stop) => match result {
                Ok(()) => ExitCode::SUCCESS,
                Err(ServiceError::Config(error)) => refuse(&about, &error),
                Err(error) => {
                    tracing::error!(%error, "the service failed");
                    ExitCode::FAILURE
                }
            },
            _ = too_late => {
                tracing::error!(grace_ms = grace.as_millis(), "not finished within the grace period; leaving");
                ExitCode::FAILURE
            }
        }
    });
    // What is flushed is sent by the runtime, which may have this thread only.
    let _ = runtime.block_on(async { tokio::task::spawn_blocking(telemetry::trace::flush).await });
    runtime.shutdown_background();
    code
}

/// Every reader that waits has a connection, and what is usually allowed at first is not many: as many as may be had.
fn raise_file_limit() {
    let raised =
        getrlimit(Resource::RLIMIT_NOFILE).and_then(|(_, most)| setrlimit(Resource::RLIMIT_NOFILE, most, most));
    if let Err(error) = raised {
        tracing::warn!(%error, "the limit of open files could not be raised");
    }
}

/// The allocator keeps memory in large pieces, of which little is used. Where the system makes huge pages of whatever is
/// large, a service would take several times as much.
#[cfg(target_os = "linux")]
fn leave_huge_pages_alone() {
    if let Err(error) = nix::sys::prctl::set_thp_disable(true) {
        tracing::warn!(%error, "huge pages could not be declined; this service may take much more memory");
    }
}

/// On few cores a second thread for the same work costs more in being woken than it carries.
fn runtime(threads: usize) -> std::io::Result<Runtime> {
    let mut builder = match threads {
        ..=1 => Builder::new_current_thread(),
        _ => Builder::new_multi_thread(),
    };
    builder.worker_threads(threads.max(1)).enable_all().build()
}

fn help(about: &About) -> String {
    format!(
        "{name}: {purpose}\n\n\
         It takes no arguments. It is configured by a TOML file named in CONVEYOR_CONFIG and by the environment,\n\
         which wins; a section's key is CONVEYOR__SECTION__KEY. The two that are needed:\n\n\
         \x20 CONVEYOR__DATABASE__URL   postgres://role:password@host:port/database\n\
         \x20 CONVEYOR__BROKER__URL     amqp://user:password@host:port/vhost\n\n\
         {keys}Often wanted: CONVEYOR__HTTP__BIND ({bind}), CONVEYOR__LOG__FILTER (info),\n\
         CONVEYOR__PARTS (which of {parts} this process runs; all by default).\n\
         README.md lists the rest.\n\n\
         It answers /healthz, /readyz and /metrics, and stops in good order on SIGTERM.\n",
        keys = if about.parts.contains(&"http") {
            "And a key that tokens are signed with, such as CONVEYOR__AUTH__KEYS__MAIN__SECRET (32 bytes or more).\n\n"
        } else {
            ""
        },
        name = about.name,
        purpose = about.purpose,
        bind = about.bind,
        parts = about.parts.join(", "),
    )
}

fn refuse(about: &About, error: &ConfigError) -> ExitCode {
    eprintln!("{}: {error}", about.name);
    ExitCode::from(USAGE)
}

/// Cancels `stop` on the first SIGTERM or SIGINT, and returns when the grace period after it is over.
async fn until_signalled(stop: CancellationToken, grace: Duration) {
    match (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) {
        (Ok(mut terminate), Ok(mut interrupt)) => {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        }
        _ => {
            tracing::error!("signals cannot be heard; the service will not stop in good order");
            std::future::pending::<()>().await;
        }
    }
    tracing::info!("stopping: finishing what was begun");
    stop.cancel();
    tokio::time::sleep(grace).await;
}

#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("{0}")]
    Failed(String),
}

fn failed(what: &str, error: &impl std::error::Error) -> ServiceError {
    ServiceError::Failed(format!("{what}: {error}"))
}

/// A service being put together, and then run.
pub struct Service {
    about: About,
    settings: Common,
    shared: Arc<Shared>,
    publishing: Link,
    /// What stops first: consumers and the service's own tasks.
    work: JoinSet<()>,
    /// What runs where requests are answered.
    beside_http: Vec<BoxFuture<'static, ()>>,
    /// What stops last: publishing, sweeping, watching.
    support: JoinSet<()>,
    stop_support: CancellationToken,
    queues: Vec<&'static str>,
    /// What must be well before the service is ready, besides what every service needs.
    checks: Vec<Check>,
}

impl Service {
    /// Prepares everything; nothing is connected before [`run`](Self::run).
    pub fn new(about: About, settings: Common, stop: CancellationToken) -> Result<Self, ServiceError> {
        Self::with_delays(about, settings, &[], stop)
    }

    /// As [`new`](Self::new), with delays besides those before a retry, for its [`signals`](Self::signals).
    pub fn with_delays(
        about: About,
        settings: Common,
        delays_ms: &[u64],
        stop: CancellationToken,
    ) -> Result<Self, ServiceError> {
        Self::with_queues(about, settings, WORK_QUEUES, delays_ms, stop)
    }

    /// The same on a line of other queues: for the tests of the chassis itself.
    pub fn with_queues(
        about: About,
        settings: Common,
        work_queues: &[&WorkQueue],
        delays_ms: &[u64],
        stop: CancellationToken,
    ) -> Result<Self, ServiceError> {
        settings.parts.check(about.parts)?;
        let db = Db::new(&settings.database, about.name, about.schema)?;
        let delays: BTreeSet<u64> = settings.consumer.retry_delays_ms.iter().chain(delays_ms).copied().collect();
        let topology = Arc::new(Topology::new(work_queues, &delays.into_iter().collect::<Vec<_>>()));
        let link =
            |purpose: &str| Link::new(&settings.broker.url, format!("{} {purpose}", about.name), Arc::clone(&topology));
        let (consuming, publishing) = (link("consumes")?, link("publishes")?);

        let mut support = JoinSet::new();
        let stop_support = CancellationToken::new();
        let (publisher, publishes) = Publisher::new(publishing.clone(), stop_support.clone());
        let (dispatcher, dispatches) = Dispatcher::new(publisher.clone(), db.clone());
        support.spawn(publishes);
        support.spawn(sweep(
            db.clone(),
            publisher.clone(),
            publishing.clone(),
            settings.outbox.clone(),
            stop_support.clone(),
        ));
        let late = CancellationToken::new();
        support.spawn({
            let (stop, late, over) = (stop.clone(), late.clone(), stop_support.clone());
            let half = Duration::from_millis(settings.grace_ms) / 2;
            async move {
                stop.cancelled().await;
                crash::here(Point::StopBegun);
                over.run_until_cancelled(tokio::time::sleep(half)).await;
                late.cancel();
                over.cancelled().await;
            }
        });
        let mut work = JoinSet::new();
        work.spawn(dispatches);
        let shared = Arc::new(Shared {
            settings: settings.consumer.clone(),
            units: Units { source: about.name, db, dispatcher, settings: settings.outbox.clone() },
            publisher,
            link: consuming,
            gate: Arc::new(Mutex::new(())),
            stop,
            late,
        });
        Ok(Self {
            about,
            settings,
            shared,
            publishing,
            work,
            beside_http: Vec::new(),
            support,
            stop_support,
            queues: Vec::new(),
            checks: Vec::new(),
        })
    }

    /// For work outside the queues: what it commits announces its events like any other.
    #[must_use]
    pub fn units(&self) -> &Units {
        &self.shared.units
    }

    #[must_use]
    pub fn stop(&self) -> &CancellationToken {
        &self.shared.stop
    }

    /// The connection on which this service consumes: for one that takes more than events from work queues, or asks what must
    /// be answered even while the broker takes no messages from the other one.
    #[must_use]
    pub fn consuming(&self) -> &Link {
        &self.shared.link
    }

    /// For what it tells itself.
    #[must_use]
    pub fn signals(&self) -> Signals {
        Signals { source: self.about.name, publisher: self.shared.publisher.clone() }
    }

    /// For what it asks of the broker.
    #[must_use]
    pub fn link(&self) -> Link {
        self.publishing.clone()
    }

    /// Consumes a queue with work that lives in the database.
    pub fn consume(&mut self, queue: &WorkQueue, handler: impl Handler) {
        self.add(queue, InTransaction(handler));
    }

    /// Consumes a queue with work that has an effect outside.
    pub fn consume_with_effects(&mut self, queue: &WorkQueue, handler: impl EffectHandler) {
        self.add(queue, ThreeSteps(handler));
    }

    fn add(&mut self, queue: &WorkQueue, process: impl crate::consumer::Process) {
        if self.settings.parts.runs(queue.name) {
            self.queues.push(queue.name);
            let consumer =
                Consumer { shared: Arc::clone(&self.shared), queue: queue.name, awaited: queue.awaited, process };
            self.work.spawn(consumer.run());
        }
    }

    /// Something of the service's own that must be well before it is ready.
    pub fn require(&mut self, check: Check) {
        self.checks.push(check);
    }

    /// Runs a task of the service's own. It must end by itself after the stop.
    pub fn spawn(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        self.work.spawn(task);
    }

    /// The same on the thread that answers requests: to wake many of them from another thread takes a system call for each.
    pub fn spawn_beside_http(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        self.beside_http.push(Box::pin(task));
    }

    /// Runs until told to stop, then leaves in good order: take no more, finish, publish, go.
    pub async fn run(self, api: Router) -> Result<(), ServiceError> {
        let Self {
            about,
            settings,
            shared,
            publishing,
            mut work,
            beside_http,
            mut support,
            stop_support,
            queues,
            checks: own,
        } = self;
        let stop = shared.stop.clone();
        let origins = Origins::new(&settings.http.allowed_origins)?;
        let listener = http::listen(&settings.http, about.bind).await?;
        let mut checks = checks(&shared.units.db, &shared.link, &publishing, about.needs_broker, !queues.is_empty());
        checks.extend(own);
        let exporter = telemetry::start_metrics();
        if let Some(exporter) = exporter.clone() {
            support.spawn({
                let stop = stop_support.clone();
                async move {
                    stop.run_until_cancelled(exporter.upkeep()).await;
                }
            });
        }
        if let Ok(address) = listener.local_addr() {
            tracing::info!(service = about.name, %address, ?queues, "started");
        }
        let db = shared.units.db.clone();
        if let Err(error) = db.check().await {
            tracing::error!(db.address = db.address(), %error, "the database cannot be reached; trying until it can");
        }
        let graveyards = queues.iter().map(|queue| dead_letter_queue(queue)).collect();
        support.spawn(watch_depths(publishing.clone(), graveyards, stop_support.clone()));
        support.spawn(measure(db.clone(), stop_support.clone()));
        // However this ends, HTTP hears of it: its thread cannot be made to end.
        let _left = stop.clone().drop_guard();
        // On a thread of its own: a step of an order takes several turns of its thread, and would wait in each of them
        // until all requests that came meanwhile have been read.
        let listener = listener.into_std().map_err(|error| failed("the port cannot be used", &error))?;
        let serving_stop = stop.clone();
        work.spawn_blocking(move || {
            let served = runtime(settings.threads).and_then(|runtime| {
                runtime.block_on(async {
                    let listener = TcpListener::from_std(listener)?;
                    let mut tasks: JoinSet<()> = beside_http.into_iter().collect();
                    tasks.spawn(http::serve(listener, api, settings.http, origins, checks, exporter, serving_stop));
                    // If one of them panics, so does this.
                    tasks.join_all().await;
                    Ok(())
                })
            });
            if let Err(error) = served {
                tracing::error!(%error, "requests cannot be served");
            }
        });

        let consuming = shared.link.clone();
        // With the last consumer and the last route the last handle on the dispatcher goes; it then sends what it
        // still has, deletes it, and ends too.
        drop(shared);
        loop {
            let ended = tokio::select! {
                ended = work.join_next() => match ended {
                    Some(ended) => ended,
                    None => break,
                },
                () = stop.cancelled(), if crash::makes(Mistake::StopBeforeDone) => break,
                // Nothing here ends before it is told to, which is after the work.
                Some(ended) = support.join_next() => ended,
            };
            // A process that has lost a part does not limp on: what it held is delivered again, to a whole one.
            ended.map_err(|error| failed("a task failed", &error))?;
            if !stop.is_cancelled() {
                return Err(ServiceError::Failed("a task ended that should run until the stop".to_owned()));
            }
        }
        crash::here(Point::StopDrained);
        stop_support.cancel();
        while support.join_next().await.is_some() {}
        consuming.close().await;
        publishing.close().await;
        db.close();
        tracing::info!(service = about.name, "stopped");
        Ok(())
    }
}

fn checks(db: &Db, consuming: &Link, publishing: &Link, needs_broker: bool, consumes: bool) -> Vec<Check> {
    let db = db.clone();
    let database = Check::new("database", true, move || {
        let db = db.clone();
        async move { db.check().await.map_err(|error| error.to_string()) }
    });
    let link = |name, link: &Link| {
        let link = link.clone();
        Check::new(name, needs_broker, move || {
            let state = link.state();
            async move {
                match state {
                    LinkState::Up => Ok(()),
                    LinkState::Down(why) => Err(why),
                    LinkState::Closed => Err("closed".to_owned()),
                }
            }
        })
    };
    let mut checks = vec![database, link("broker, publishing", publishing)];
    if consumes {
        checks.push(link("broker, consuming", consuming));
    }
    checks
}
