//! The outbox: events commit together with the state they announce, and leave afterwards.
//!
//! After the commit the rows are published straight from memory and deleted once the broker has confirmed them. Each
//! row carries a lease; what is still there when the lease is over was left behind by a crash or an outage, and the
//! sweeper publishes it. The memory path gives up well before the lease ends, so the two never carry the same row.

mod dispatch;
mod sweep;

pub use dispatch::Dispatcher;
pub use sweep::sweep;

use uuid::Uuid;

use crate::{
    broker::topology,
    db::{Db, DbError, Tx},
    events::{Event, Payload},
    params,
};

/// An event on its way out, as the table holds it.
#[derive(Debug, Clone)]
pub struct Row {
    pub id: Uuid,
    pub exchange: String,
    pub routing_key: String,
    pub kind: String,
    /// The event as JSON.
    pub body: String,
}

/// Makes units of work for one service.
#[derive(Clone)]
pub struct Units {
    pub source: &'static str,
    pub db: Db,
    pub dispatcher: Dispatcher,
}

/// A transaction and the events it announces.
pub struct Unit {
    pub tx: Tx,
    pub outbox: Outbox,
    dispatcher: Dispatcher,
}

impl Units {
    pub async fn begin(&self) -> Result<Unit, DbError> {
        Ok(Unit { tx: self.db.begin().await?, outbox: Outbox::new(self.source), dispatcher: self.dispatcher.clone() })
    }
}

impl Unit {
    /// Commits the state together with its events, and only then sends those on their way.
    pub async fn commit(mut self) -> Result<(), DbError> {
        self.outbox.write(&mut self.tx);
        self.tx.commit().await?;
        self.dispatcher.dispatch(self.outbox.rows);
        Ok(())
    }
}

/// The events that a unit of work announces. They are written in its transaction and dispatched after its commit.
#[derive(Debug)]
pub struct Outbox {
    source: &'static str,
    rows: Vec<Row>,
}

impl Outbox {
    fn new(source: &'static str) -> Self {
        Self { source, rows: Vec::new() }
    }

    /// Announces to everyone who listens. `cause` ties the event to the trace of what brought it about.
    pub fn announce<P: Payload>(
        &mut self,
        cause: Option<&str>,
        subject: &impl ToString,
        payload: &P,
    ) -> Result<(), serde_json::Error> {
        let event = Event::new(self.source, subject.to_string(), cause.map(str::to_owned), payload)?;
        self.rows.push(Row {
            id: event.id,
            exchange: topology::EVENTS.to_owned(),
            routing_key: event.kind.clone(),
            body: serde_json::to_string(&event)?,
            kind: event.kind,
        });
        Ok(())
    }

    /// Writes the rows in the transaction that made them true.
    fn write(&self, tx: &mut Tx) {
        if self.rows.is_empty() {
            return;
        }
        let column = |of: fn(&Row) -> &String| self.rows.iter().map(of).cloned().collect::<Vec<_>>();
        tx.write(
            include_str!("outbox/insert.sql"),
            params![
                self.rows.iter().map(|row| row.id).collect::<Vec<_>>(),
                column(|row| &row.exchange),
                column(|row| &row.routing_key),
                column(|row| &row.kind),
                column(|row| &row.body),
            ],
        );
    }
}

async fn delete_rows(db: &Db, ids: &[Uuid]) -> Result<(), DbError> {
    if ids.is_empty() {
        return Ok(());
    }
    db.execute("DELETE FROM outbox WHERE id = ANY($1)", &[&ids]).await.map(|_| ())
}
