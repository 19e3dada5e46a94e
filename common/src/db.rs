//! PostgreSQL: the pool, one unit of work, and what its errors mean.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::Poll,
    time::Duration,
};

use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, PoolError, RecyclingMethod, Runtime, Timeouts};
use futures_util::future::join_all;
use tokio_postgres::{NoTls, Row, Statement, error::SqlState, types::ToSql};

use crate::config::{self, ConfigError};

/// Plans are pinned to index look-ups: statistics lag behind a table that grows from nothing, and a planner that
/// believes it to be empty scans it for every batch. The timeouts bound what a lost client leaves behind.
const SESSION: &str = "-c plan_cache_mode=force_generic_plan -c enable_seqscan=off -c enable_hashjoin=off \
    -c enable_mergejoin=off -c enable_memoize=off -c jit=off -c statement_timeout=15s -c lock_timeout=5s \
    -c idle_in_transaction_session_timeout=15s -c timezone=UTC";

/// A parameter that a statement owns, so that it can be on its way while the next is being prepared.
pub type Param = Box<dyn ToSql + Sync + Send>;

/// Boxes a statement's parameters.
#[macro_export]
macro_rules! params {
    ($($value:expr),* $(,)?) => { vec![$(Box::new($value) as $crate::db::Param),*] };
}

/// A handle on one service's schema.
#[derive(Clone)]
pub struct Db {
    pool: Pool,
    /// Where it is, for messages: host, port and name, and no password.
    address: Arc<str>,
}

/// Why work on the database did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// PostgreSQL cannot be reached or cannot work: nobody's fault, and it will pass.
    #[error("the database is not available: {0}")]
    Outage(String),
    /// This transaction lost to another one: the same again may well succeed.
    #[error("the transaction conflicted with another: {0}")]
    Conflict(String),
    /// PostgreSQL refused what it was asked to do.
    #[error("{message}")]
    Refused { message: String, constraint: Option<String> },
}

impl Db {
    /// Prepares the pool; no connection is made yet. `schema` becomes the search path.
    pub fn new(settings: &config::Database, service: &str, schema: &str) -> Result<Self, ConfigError> {
        let mut options = settings.parse()?;
        options
            .application_name(service)
            .options(format!("{SESSION} -c search_path={schema}"))
            .connect_timeout(Duration::from_secs(3))
            .tcp_user_timeout(Duration::from_secs(10))
            .keepalives_idle(Duration::from_secs(10));
        let address = describe_address(&options);
        let manager = Manager::from_config(options, NoTls, ManagerConfig { recycling_method: RecyclingMethod::Fast });
        let five = Some(Duration::from_secs(5));
        let pool = Pool::builder(manager)
            .max_size(settings.pool_size)
            .runtime(Runtime::Tokio1)
            .timeouts(Timeouts { wait: five, create: five, recycle: five })
            .build()
            .map_err(|error| ConfigError(format!("database: {error}")))?;
        Ok(Self { pool, address })
    }

    /// Begins a unit of work. `BEGIN` travels together with the first statement.
    pub async fn begin(&self) -> Result<Tx, DbError> {
        let client = self.pool.get().await?;
        let mut tx = Tx { client: Some(Arc::new(client)), sent: Mutex::default() };
        tx.send_simple("BEGIN");
        Ok(tx)
    }

    /// One statement by itself.
    pub async fn query(&self, sql: &str, params: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>, DbError> {
        let client = self.pool.get().await?;
        let statement = client.prepare_cached(sql).await?;
        Ok(client.query(&statement, params).await?)
    }

    /// One statement by itself; how many rows it touched.
    pub async fn execute(&self, sql: &str, params: &[&(dyn ToSql + Sync)]) -> Result<u64, DbError> {
        let client = self.pool.get().await?;
        let statement = client.prepare_cached(sql).await?;
        Ok(client.execute(&statement, params).await?)
    }

    /// Whether PostgreSQL answers within a second, and if not, why.
    pub async fn check(&self) -> Result<(), DbError> {
        match tokio::time::timeout(Duration::from_secs(1), self.query("SELECT 1", &[])).await {
            Ok(answer) => answer.map(|_| ()),
            Err(_) => Err(DbError::Outage("no answer within a second".to_owned())),
        }
    }

    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    pub fn close(&self) {
        self.pool.close();
    }
}

type Sent = Pin<Box<dyn Future<Output = Result<u64, tokio_postgres::Error>> + Send>>;

/// A transaction. Reads are awaited; writes are sent at once and answered at [`commit`](Tx::commit), so that a whole
/// batch costs two round trips: BEGIN with the reads, the writes with COMMIT.
///
/// A `Tx` that is dropped before its commit takes its connection with it: PostgreSQL rolls back, and the pool never
/// sees a connection that is in the middle of something.
pub struct Tx {
    client: Option<Arc<Object>>,
    /// In a mutex only so that a `Tx` can be shared between threads; it is never locked.
    sent: Mutex<Vec<Sent>>,
}

impl Tx {
    fn client(&self) -> Result<&Arc<Object>, DbError> {
        self.client.as_ref().ok_or_else(|| DbError::Outage("the transaction is over".to_owned()))
    }

    /// Reads, or writes something whose answer is needed.
    pub async fn query(&self, sql: &str, params: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>, DbError> {
        let client = self.client()?;
        let statement = client.prepare_cached(sql).await?;
        Ok(client.query(&statement, params).await?)
    }

    /// Sends a write without waiting for its answer. It runs before whatever is asked after it.
    pub async fn write(&mut self, sql: &str, params: Vec<Param>) -> Result<(), DbError> {
        let client = Arc::clone(self.client()?);
        let statement: Statement = client.prepare_cached(sql).await?;
        self.send(Box::pin(async move {
            let params: Vec<&(dyn ToSql + Sync)> = params.iter().map(|p| p.as_ref() as _).collect();
            client.execute(&statement, &params).await
        }));
        Ok(())
    }

    /// Commits, and only then says that the writes succeeded.
    pub async fn commit(mut self) -> Result<(), DbError> {
        // PostgreSQL answers COMMIT with ROLLBACK, and calls that no error, when a statement failed before and whoever
        // sent it did not look. A statement of ours in front of it fails then, and says so.
        self.send_simple("SELECT; COMMIT");
        // Every answer is awaited, even after a failure: the connection is reused only when all of them are in.
        let answers = join_all(std::mem::take(self.sent())).await;
        for answer in answers {
            answer?;
        }
        self.client = None;
        Ok(())
    }

    fn send_simple(&mut self, command: &'static str) {
        if let Some(client) = self.client.clone() {
            self.send(Box::pin(async move { client.batch_execute(command).await.map(|()| 0) }));
        }
    }

    /// Polls a request once, which is when tokio-postgres puts it on the wire, and keeps it to be answered later.
    fn send(&mut self, mut request: Sent) {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        let request = match request.as_mut().poll(&mut context) {
            Poll::Ready(answer) => Box::pin(std::future::ready(answer)),
            Poll::Pending => request,
        };
        self.sent().push(request);
    }

    fn sent(&mut self) -> &mut Vec<Sent> {
        self.sent.get_mut().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Tx {
    fn drop(&mut self) {
        self.sent().clear();
        if let Some(object) = self.client.take().and_then(Arc::into_inner) {
            drop(Object::take(object));
        }
    }
}

impl DbError {
    /// What is in a table is not what the program that owns it puts there, or cannot be put there.
    pub fn unexpected(what: impl std::fmt::Display) -> Self {
        Self::Refused { message: what.to_string(), constraint: None }
    }
}

impl From<PoolError> for DbError {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::Backend(error) => match DbError::from(error) {
                // Whatever stops a connection from being made is an outage: a wrong password is mended by others.
                DbError::Refused { message, .. } => DbError::Outage(message),
                other => other,
            },
            other => DbError::Outage(other.to_string()),
        }
    }
}

impl From<tokio_postgres::Error> for DbError {
    fn from(error: tokio_postgres::Error) -> Self {
        let Some(db) = error.as_db_error() else {
            // A value that could not be encoded is the caller's fault; anything else without an answer from the
            // server means that the connection is gone.
            let message = describe(&error);
            return if error.is_closed() || std::error::Error::source(&error).is_none_or(|s| s.is::<std::io::Error>()) {
                DbError::Outage(message)
            } else {
                DbError::Refused { message, constraint: None }
            };
        };
        let code = db.code();
        let message = format!("{} (SQLSTATE {})", db.message(), code.code());
        match code.code().get(..2) {
            _ if *code == SqlState::T_R_SERIALIZATION_FAILURE
                || *code == SqlState::T_R_DEADLOCK_DETECTED
                || *code == SqlState::LOCK_NOT_AVAILABLE =>
            {
                DbError::Conflict(message)
            }
            // 08 connection, 53 out of resources, 57P shutdown and recovery, 25006 a stand-by, 58 the disk failed.
            Some("08" | "53" | "58") => DbError::Outage(message),
            Some("57") if *code != SqlState::QUERY_CANCELED => DbError::Outage(message),
            _ if *code == SqlState::READ_ONLY_SQL_TRANSACTION => DbError::Outage(message),
            _ => DbError::Refused { message, constraint: db.constraint().map(str::to_owned) },
        }
    }
}

fn describe_address(options: &tokio_postgres::Config) -> Arc<str> {
    let host = match options.get_hosts().first() {
        Some(tokio_postgres::config::Host::Tcp(host)) => host.clone(),
        Some(tokio_postgres::config::Host::Unix(path)) => path.display().to_string(),
        None => "localhost".to_owned(),
    };
    let port = options.get_ports().first().copied().unwrap_or(5432);
    format!("{host}:{port}/{}", options.get_dbname().unwrap_or_default()).into()
}

/// An error with its causes, in one line.
#[must_use]
pub fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}
