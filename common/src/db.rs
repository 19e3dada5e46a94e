//! PostgreSQL: the pool, one unit of work, and what its errors mean.

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    sync::Arc,
    task::Poll,
    time::Duration,
};

use deadpool_postgres::{
    ConfigConnectImpl, Connect, Manager, ManagerConfig, Object, Pool, PoolError, QueueMode, RecyclingMethod, Runtime,
    Timeouts,
};
use futures_util::{
    future::{OptionFuture, join, join_all, join3},
    poll,
};
use tokio::{runtime::Handle, task::JoinHandle};
use tokio_postgres::{Client, NoTls, Row, Statement, error::SqlState, types::ToSql};

use crate::config::{self, ConfigError};

/// Plans are pinned to index look-ups: statistics lag behind a table that grows from nothing, and a planner that
/// believes it to be empty scans it for every batch. The timeouts bound what a lost client leaves behind, and a statement
/// ends before the request that waits for it does.
pub const SESSION: &str = "-c plan_cache_mode=force_generic_plan -c enable_seqscan=off -c enable_hashjoin=off \
    -c enable_mergejoin=off -c enable_memoize=off -c jit=off -c statement_timeout=8s -c lock_timeout=5s \
    -c idle_in_transaction_session_timeout=15s -c timezone=UTC";

/// Somebody else was there first: whoever looks again sees it, and goes another way.
const CONFLICTS: [SqlState; 3] =
    [SqlState::T_R_SERIALIZATION_FAILURE, SqlState::T_R_DEADLOCK_DETECTED, SqlState::UNIQUE_VIOLATION];

/// A parameter that a statement owns, so that it can wait for the commit.
pub type Param = Box<dyn ToSql + Sync + Send>;

/// Parameters that a statement borrows.
pub type Params<'a> = &'a [&'a (dyn ToSql + Sync)];

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
    /// This transaction lost to another one: if it looks again, it may well succeed.
    #[error("the transaction conflicted with another: {0}")]
    Conflict(String),
    /// PostgreSQL refused what it was asked to do.
    #[error("{0}")]
    Refused(String),
}

impl Db {
    /// Prepares the pool, within the runtime that is to look after its connections; none is made yet. `schema` becomes the
    /// search path.
    pub fn new(settings: &config::Database, service: &str, schema: &str) -> Result<Self, ConfigError> {
        let mut options = settings.parse()?;
        options
            .application_name(service)
            .options(format!("{SESSION} -c search_path={schema}"))
            .connect_timeout(Duration::from_secs(3))
            .tcp_user_timeout(Duration::from_secs(10))
            .keepalives_idle(Duration::from_secs(10));
        let address = describe_address(&options);
        let connect = ConnectHere { here: Handle::current(), connect: ConfigConnectImpl { tls: NoTls } };
        let config = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let manager = Manager::from_connect(options, connect, config);
        let five = Some(Duration::from_secs(5));
        let pool = Pool::builder(manager)
            .max_size(settings.pool_size)
            .runtime(Runtime::Tokio1)
            // The connection used last is the one whose caches are warm.
            .queue_mode(QueueMode::Lifo)
            .timeouts(Timeouts { wait: five, create: five, recycle: five })
            .build()
            .map_err(|error| ConfigError(format!("database: {error}")))?;
        Ok(Self { pool, address })
    }

    /// Begins a unit of work. `BEGIN` travels together with the first read.
    pub async fn begin(&self) -> Result<Tx, DbError> {
        Ok(Tx { client: Some(self.pool.get().await?), is_open: false, writes: Vec::new() })
    }

    /// One statement by itself.
    pub async fn query(&self, sql: &str, params: Params<'_>) -> Result<Vec<Row>, DbError> {
        let client = Borrowed(Some(self.pool.get().await?));
        let client = client.get()?;
        let statement = client.prepare_cached(sql).await?;
        Ok(client.query(&statement, params).await?)
    }

    /// One statement by itself; how many rows it touched.
    pub async fn execute(&self, sql: &str, params: Params<'_>) -> Result<u64, DbError> {
        let client = Borrowed(Some(self.pool.get().await?));
        let client = client.get()?;
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

    /// Whether PostgreSQL takes writes. A stand-by, or a server whose disk is full, still answers questions.
    pub async fn check_writes(&self) -> Result<(), DbError> {
        let mut tx = self.begin().await?;
        // Never committed, so nobody sees it.
        let row = "INSERT INTO outbox VALUES (gen_random_uuid(), '', '', '', '', now())";
        tx.query(row, &[]).await.map(|_| ())
    }

    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    pub fn close(&self) {
        self.pool.close();
    }
}

/// Connections are looked after by the runtime that does the service's work, whoever asks for one first: that of HTTP is
/// busier, and ends before the last of them is needed.
struct ConnectHere {
    here: Handle,
    connect: ConfigConnectImpl<NoTls>,
}

impl Connect for ConnectHere {
    fn connect(&self, options: &tokio_postgres::Config) -> Connecting<'_> {
        let mut connecting = self.connect.connect(options);
        Box::pin(poll_fn(move |context| {
            let _here = self.here.enter();
            connecting.as_mut().poll(context)
        }))
    }
}

type Connecting<'a> =
    Pin<Box<dyn Future<Output = Result<(Client, JoinHandle<()>), tokio_postgres::Error>> + Send + 'a>>;

/// A connection for one statement. If its caller panics, a message may be half written, and whoever got the connection
/// next would pay for it: so nobody gets it.
struct Borrowed(Option<Object>);

impl Borrowed {
    fn get(&self) -> Result<&Object, DbError> {
        self.0.as_ref().ok_or_else(over)
    }
}

impl Drop for Borrowed {
    fn drop(&mut self) {
        if let Some(client) = self.0.take().filter(|_| std::thread::panicking()) {
            drop(Object::take(client));
        }
    }
}

/// A transaction. Reads are awaited; writes gather, and travel with the commit as one statement: one round trip for each
/// read (or several that do not wait for each other, or a note), and one for everything else. A transaction that only
/// writes is that one statement, and needs no BEGIN.
///
/// A `Tx` that is dropped in the middle takes its connection with it: PostgreSQL rolls back, and the pool never sees a
/// connection that is in the middle of something.
pub struct Tx {
    client: Option<Object>,
    /// Something was sent that is not answered, or that is not committed.
    is_open: bool,
    writes: Vec<Write>,
}

struct Write {
    sql: &'static str,
    params: Vec<Param>,
}

impl Tx {
    /// Reads, or writes something whose answer is needed. It sees the writes before it.
    pub async fn query(&mut self, sql: &str, params: Params<'_>) -> Result<Vec<Row>, DbError> {
        let [rows] = self.queries([(sql, params)]).await?;
        Ok(rows)
    }

    /// Several queries in one round trip, one after the other.
    pub async fn queries<const N: usize>(
        &mut self,
        queries: [(&str, Params<'_>); N],
    ) -> Result<[Vec<Row>; N], DbError> {
        let client = self.client.as_ref().ok_or_else(over)?;
        let writes = Together::prepare(client, std::mem::take(&mut self.writes)).await?;
        let mut prepared = Vec::with_capacity(N);
        for (sql, params) in queries {
            prepared.push((client.prepare_cached(sql).await?, params));
        }
        let begin = (!std::mem::replace(&mut self.is_open, true)).then(|| client.batch_execute("BEGIN"));
        let asked = join_all(prepared.iter().map(|(statement, params)| client.query(statement, params)));
        // Polled in this order, they are sent in this order, and travel together.
        let (begun, written, rows) = join3(OptionFuture::from(begin), writes.execute(client), asked).await;
        begun.transpose()?;
        written?;
        let rows: Vec<Vec<Row>> = rows.into_iter().collect::<Result<_, _>>()?;
        rows.try_into().map_err(|_| over())
    }

    /// Writes something that may stand whatever becomes of the rest, before anything else: it is a transaction by
    /// itself, in one round trip. After an error nothing of it stands, and everything else may still be done.
    pub async fn note(&mut self, sql: &str, params: Params<'_>) -> Result<(), DbError> {
        self.note_returning(sql, params).await.map(|_| ())
    }

    /// The same, where what was written is wanted back.
    pub async fn note_returning(&mut self, sql: &str, params: Params<'_>) -> Result<Vec<Row>, DbError> {
        if self.is_open || !self.writes.is_empty() {
            return Err(DbError::unexpected("a note comes first"));
        }
        let client = self.client.as_ref().ok_or_else(over)?;
        let statement = client.prepare_cached(sql).await?;
        self.is_open = true;
        let noted = client.query(&statement, params).await;
        self.is_open = false;
        Ok(noted?)
    }

    /// Forgets all that was read and written so far, after an error too, so that it can be done in another way. What was
    /// announced stays: announce later.
    pub async fn start_over(&mut self) -> Result<(), DbError> {
        self.writes.clear();
        if self.is_open {
            let client = self.client.as_ref().ok_or_else(over)?;
            client.batch_execute("ROLLBACK").await?;
            self.is_open = false;
        }
        Ok(())
    }

    /// Writes, at the latest with the commit, in no particular order among the writes of a transaction: they must not
    /// touch the same rows.
    pub fn write(&mut self, sql: &'static str, params: Vec<Param>) {
        self.writes.push(Write { sql, params });
    }

    /// Writes and commits, and only then says that it succeeded.
    pub async fn commit(mut self) -> Result<(), DbError> {
        let client = self.client.as_ref().ok_or_else(over)?;
        let writes = Together::prepare(client, std::mem::take(&mut self.writes)).await?;
        let (written, committed) = match (self.is_open, writes.are_none()) {
            (false, true) => (Ok(()), Ok(())),
            (false, false) => {
                self.is_open = true;
                (writes.execute(client).await, Ok(()))
            }
            // PostgreSQL answers COMMIT with ROLLBACK, and calls that no error, when a statement failed before and
            // whoever sent it did not look. A statement of ours in front of it fails then, and says so.
            (true, true) => (Ok(()), client.batch_execute("SELECT; COMMIT").await),
            (true, false) => {
                let mut written = pin!(writes.execute(client));
                match poll!(written.as_mut()) {
                    // What could not even be sent must not be committed without it.
                    Poll::Ready(written) => (Ok(written?), client.batch_execute("COMMIT").await),
                    Poll::Pending => join(written, client.batch_execute("COMMIT")).await,
                }
            }
        };
        // Once COMMIT is answered, whatever it did, the connection may be used again.
        self.is_open = committed.is_err();
        written?;
        committed?;
        Ok(())
    }
}

impl Drop for Tx {
    fn drop(&mut self) {
        if let Some(client) = self.client.take().filter(|_| self.is_open) {
            drop(Object::take(client));
        }
    }
}

fn over() -> DbError {
    DbError::Outage("the transaction is over".to_owned())
}

/// Writes made one statement: a `SELECT` of nothing, `WITH` all of them.
struct Together(Option<(Statement, Vec<Param>)>);

impl Together {
    async fn prepare(client: &Object, writes: Vec<Write>) -> Result<Self, DbError> {
        let statement = match writes.as_slice() {
            [] => return Ok(Self(None)),
            [one] => client.prepare_cached(one.sql).await?,
            several => client.prepare_cached(&one_statement(several)).await?,
        };
        Ok(Self(Some((statement, writes.into_iter().flat_map(|write| write.params).collect()))))
    }

    fn are_none(&self) -> bool {
        self.0.is_none()
    }

    async fn execute(&self, client: &Object) -> Result<(), tokio_postgres::Error> {
        let Some((statement, params)) = &self.0 else { return Ok(()) };
        let params: Vec<&(dyn ToSql + Sync)> = params.iter().map(|param| param.as_ref() as _).collect();
        client.execute(statement, &params).await.map(|_| ())
    }
}

fn one_statement(writes: &[Write]) -> String {
    let mut text = String::new();
    let mut params = 0;
    for (i, write) in writes.iter().enumerate() {
        let sql = renumbered(write.sql, params);
        params += write.params.len();
        let begin = if i == 0 { "WITH" } else { "," };
        // A line break ends a comment.
        text.push_str(&format!("{begin} write_{i} AS (\n{sql}\n)\n"));
    }
    text.push_str("SELECT");
    text
}

/// The statement with its `$1` as the parameter after so many others, and so on.
fn renumbered(sql: &str, others: usize) -> String {
    let mut parts = sql.split('$');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let digits = part.bytes().take_while(u8::is_ascii_digit).count();
        let (number, rest) = part.split_at(digits);
        text.push('$');
        text.push_str(&number.parse::<usize>().map_or_else(|_| number.to_owned(), |n| (n + others).to_string()));
        text.push_str(rest);
    }
    text
}

impl DbError {
    /// What is in a table is not what the program that owns it puts there, or cannot be put there.
    pub fn unexpected(what: impl std::fmt::Display) -> Self {
        Self::Refused(what.to_string())
    }
}

impl From<PoolError> for DbError {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::Backend(error) => match DbError::from(error) {
                // Whatever stops a connection from being made is an outage: a wrong password is mended by others.
                DbError::Refused(message) => DbError::Outage(message),
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
                DbError::Refused(message)
            };
        };
        let code = db.code();
        let message = format!("{} (SQLSTATE {})", db.message(), code.code());
        match code.code().get(..2) {
            _ if CONFLICTS.contains(code) => DbError::Conflict(message),
            // 08 connection, 53 out of resources, 57 shutdown, recovery and too slow, 58 the disk failed; 55P03 a lock
            // that somebody holds for long, 25006 a stand-by.
            Some("08" | "53" | "57" | "58") => DbError::Outage(message),
            _ if *code == SqlState::LOCK_NOT_AVAILABLE || *code == SqlState::READ_ONLY_SQL_TRANSACTION => {
                DbError::Outage(message)
            }
            _ => DbError::Refused(message),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_become_one_statement_whose_parameters_keep_their_order() {
        let writes = [
            Write { sql: "-- why\nINSERT INTO a SELECT * FROM unnest($1::int[], $2::int[])", params: params![1, 2] },
            Write { sql: "UPDATE b SET x = $2 WHERE id = $1", params: params![1, 2] },
            Write { sql: "DELETE FROM c WHERE id = $1 -- all", params: params![1] },
        ];
        assert_eq!(
            one_statement(&writes),
            "WITH write_0 AS (\n-- why\nINSERT INTO a SELECT * FROM unnest($1::int[], $2::int[])\n)\n\
             , write_1 AS (\nUPDATE b SET x = $4 WHERE id = $3\n)\n\
             , write_2 AS (\nDELETE FROM c WHERE id = $5 -- all\n)\nSELECT"
        );
        assert_eq!(renumbered("$1 $10 $ $x", 2), "$3 $12 $ $x");
    }
}
