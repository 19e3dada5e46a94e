//! The outbox: events commit together with the state they announce, and leave afterwards.
//!
//! A row is a parcel: what is committed together travels together, and costs one row, not one for each event. After the
//! commit the rows are published straight from memory and deleted once the broker has confirmed them. Each row carries a
//! lease; what is still there when the lease is over was left behind by a crash or an outage, and the sweeper publishes it.
//! The memory path has given up by then, unless everything is very slow; a parcel that is sent twice does no harm.

mod dispatch;
mod sweep;
mod waiting;

pub use dispatch::Dispatcher;
pub use sweep::sweep;
pub use waiting::{Waiting, measure, waiting};

use uuid::Uuid;

use crate::{
    broker::topology,
    config,
    crash::{self, Mistake, Point},
    db::{Db, DbError, Tx},
    events::{Event, Packer, Parcel, Payload},
    params,
};

/// Makes units of work for one service.
#[derive(Clone)]
pub struct Units {
    pub source: &'static str,
    pub db: Db,
    pub dispatcher: Dispatcher,
    pub settings: config::Outbox,
}

/// A transaction and the events it announces.
pub struct Unit {
    pub tx: Tx,
    pub outbox: Outbox,
    dispatcher: Dispatcher,
}

impl Units {
    pub async fn begin(&self) -> Result<Unit, DbError> {
        let outbox = Outbox { source: self.source, packer: Packer::new(&self.settings) };
        Ok(Unit { tx: self.db.begin().await?, outbox, dispatcher: self.dispatcher.clone() })
    }
}

impl Unit {
    /// Commits the state together with its events, and only then sends those on their way.
    pub async fn commit(self) -> Result<(), DbError> {
        self.commit_past(Point::OutboxWritten, Point::OutboxCommitted).await
    }

    /// The same for work whose deaths before and after the commit are told from those of all other work.
    pub async fn commit_past(mut self, written: Point, committed: Point) -> Result<(), DbError> {
        let mut parcels = self.outbox.packer.finish();
        let announces = !parcels.is_empty();
        write(&mut self.tx, &parcels);
        if crash::makes(Mistake::PublishBeforeCommit) {
            self.dispatcher.dispatch(parcels.clone());
            tokio::time::sleep(crash::LONG_ENOUGH).await;
        }
        crash::here(written);
        self.tx.commit().await?;
        if crash::makes(Mistake::DeleteBeforeConfirm) {
            self.dispatcher.dispatch(std::mem::take(&mut parcels));
            tokio::time::sleep(crash::LONG_ENOUGH).await;
        }
        if announces {
            crash::here(committed);
        }
        self.dispatcher.dispatch(parcels);
        Ok(())
    }
}

/// The events that a unit of work announces. They are packed as they come, written in its transaction as the parcels
/// they will travel in, and dispatched after its commit.
#[derive(Debug)]
pub struct Outbox {
    source: &'static str,
    packer: Packer,
}

impl Outbox {
    /// Announces to everyone who listens. `cause` ties the event to the trace of what brought it about.
    pub fn announce<P: Payload>(
        &mut self,
        cause: Option<&str>,
        subject: &impl ToString,
        payload: &P,
    ) -> Result<(), serde_json::Error> {
        let event = Event::new(self.source, subject.to_string(), cause.map(str::to_owned), payload)?;
        self.packer.add(topology::EVENTS, P::TYPE, &event)
    }

    /// Sends a parcel to one place, under its own id.
    pub fn send(&mut self, parcel: Parcel) {
        self.packer.add_whole(parcel);
    }
}

/// Writes the parcels in the transaction that makes them true.
fn write(tx: &mut Tx, parcels: &[Parcel]) {
    if parcels.is_empty() {
        return;
    }
    let column = |of: fn(&Parcel) -> &String| parcels.iter().map(of).cloned().collect::<Vec<_>>();
    tx.write(
        include_str!("outbox/insert.sql"),
        params![
            parcels.iter().map(|parcel| parcel.id).collect::<Vec<_>>(),
            column(|parcel| &parcel.exchange),
            column(|parcel| &parcel.routing_key),
            column(|parcel| &parcel.kind),
            parcels.iter().map(|parcel| parcel.body.clone()).collect::<Vec<_>>(),
        ],
    );
}

async fn delete_rows(db: &Db, ids: &[Uuid]) -> Result<(), DbError> {
    if ids.is_empty() {
        return Ok(());
    }
    db.execute(include_str!("outbox/delete.sql"), &[&ids]).await?;
    crash::here(Point::OutboxDeleted);
    Ok(())
}
