//! A worker that does what each event asks of it: succeed, fail, or die. The tests of the chassis are made of it.

use std::sync::{Arc, Mutex, PoisonError};

use common::{
    broker::topology::WorkQueue,
    consumer::{Failure, Handler, Verdict},
    db::Tx,
    events::{Event, Payload, pack},
    outbox::Outbox,
    params,
    service::About,
};
use serde::{Deserialize, Serialize};
use tokio::time::{Duration, Instant};
use uuid::Uuid;

use crate::Database;

/// The queue it works on.
pub const WORK: WorkQueue = WorkQueue { name: "test.work", hears: &[Asked::TYPE], awaited: true };
/// A queue that hears what it announces, and that nobody works on.
pub const HEARD: WorkQueue = WorkQueue { name: "test.heard", hears: &[Obeyed::TYPE], awaited: true };

pub const ABOUT: About = About {
    name: "obedient-worker",
    purpose: "does what each event asks of it, for tests",
    // Any service's will do: it has an outbox.
    schema: "orders",
    bind: "127.0.0.1:0",
    section: None,
    parts: &["http", WORK.name],
    needs_broker: true,
};

/// How often it waits that is asked to: more often than there are attempts in any test.
pub const WAITS: usize = 4;

/// What an event asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Deed {
    Succeed,
    /// Succeed, and say so in an event.
    Announce,
    /// Succeed, but take a while over it.
    Slowly,
    /// Fail for now.
    Retry,
    /// Wait for the outside world, [`WAITS`] times, and then succeed.
    Wait,
    /// The same for somebody else who is in the middle of it.
    Busy,
    /// Fail for good.
    Reject,
    /// Make PostgreSQL refuse a statement.
    Fault,
    Panic,
    /// Take the process along.
    Abort,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Asked {
    pub deed: Deed,
}

impl Payload for Asked {
    const TYPE: &'static str = "test.asked";
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Obeyed {
    pub asked: Uuid,
}

impl Payload for Obeyed {
    const TYPE: &'static str = "test.obeyed";
}

/// One time that an event reached the handler.
#[derive(Debug, Clone)]
pub struct Heard {
    pub id: Uuid,
    pub attempt: u32,
    pub at: Instant,
    /// How many events were handled together with it, itself included.
    pub together: usize,
}

/// The handler, and a record of all that it heard.
#[derive(Debug, Clone, Default)]
pub struct Obedient {
    heard: Arc<Mutex<Vec<Heard>>>,
}

impl Obedient {
    /// Every time that this event was heard.
    #[must_use]
    pub fn heard(&self, id: Uuid) -> Vec<Heard> {
        let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.iter().filter(|heard| heard.id == id).cloned().collect()
    }

    fn note(&self, events: &[Event]) {
        let at = Instant::now();
        let heard =
            events.iter().map(|event| Heard { id: event.id, attempt: event.attempt, at, together: events.len() });
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).extend(heard);
    }
}

impl Handler for Obedient {
    async fn handle(&self, tx: &mut Tx, events: &[Event], outbox: &mut Outbox) -> Result<Vec<Verdict>, Failure> {
        self.note(events);
        let mut verdicts = Vec::with_capacity(events.len());
        let mut done: Vec<&Event> = Vec::new();
        for event in events {
            let deed = match event.payload::<Asked>() {
                Ok(asked) => asked.deed,
                Err(why) => {
                    verdicts.push(Verdict::Reject(why));
                    continue;
                }
            };
            match deed {
                Deed::Succeed => {}
                Deed::Announce => {
                    let obeyed = outbox.announce(None, &event.subject, &Obeyed { asked: event.id });
                    obeyed.map_err(|error| Failure::Fault(error.to_string()))?;
                }
                Deed::Slowly => tokio::time::sleep(Duration::from_millis(5)).await,
                Deed::Retry => verdicts.push(Verdict::Retry("asked to fail for now".to_owned())),
                Deed::Wait if self.heard(event.id).len() <= WAITS => {
                    verdicts.push(Verdict::Wait("asked to wait".to_owned()));
                    continue;
                }
                Deed::Busy if self.heard(event.id).len() <= WAITS => {
                    verdicts.push(Verdict::Busy("asked to come again".to_owned()));
                    continue;
                }
                Deed::Wait | Deed::Busy => {}
                Deed::Reject => verdicts.push(Verdict::Reject("asked to fail for good".to_owned())),
                Deed::Fault => {
                    tx.query("SELECT 1 / $1::int", &[&0]).await?;
                }
                Deed::Panic => panic!("asked to panic"),
                Deed::Abort => std::process::abort(),
            }
            if matches!(deed, Deed::Succeed | Deed::Announce | Deed::Slowly | Deed::Wait | Deed::Busy) {
                done.push(event);
                verdicts.push(Verdict::Done);
            }
        }
        tx.write(
            "INSERT INTO effects (event_id, attempt) SELECT * FROM unnest($1::uuid[], $2::int[]) \
             ON CONFLICT (event_id) DO UPDATE SET seen = effects.seen + 1",
            params![
                done.iter().map(|event| event.id).collect::<Vec<_>>(),
                done.iter().map(|event| event.attempt.cast_signed()).collect::<Vec<_>>(),
            ],
        );
        Ok(verdicts)
    }
}

/// What is in the database of an event that was obeyed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effect {
    pub id: Uuid,
    /// The attempt that succeeded.
    pub attempt: i32,
    /// How often it was done; more than once only after a crash between commit and acknowledgement.
    pub seen: i32,
}

/// Makes the table that the handler writes.
pub async fn make_table(database: &Database) {
    let sql =
        "CREATE TABLE orders.effects (event_id uuid PRIMARY KEY, attempt int NOT NULL, seen int NOT NULL DEFAULT 1)";
    database.connect().await.batch_execute(sql).await.expect("making the table of effects");
}

/// All effects, in the order of their events.
pub async fn effects(database: &Database) -> Vec<Effect> {
    let client = database.connect().await;
    let rows = client.query("SELECT event_id, attempt, seen FROM orders.effects ORDER BY event_id", &[]).await;
    let effect = |row: &tokio_postgres::Row| Effect { id: row.get(0), attempt: row.get(1), seen: row.get(2) };
    rows.expect("reading the effects").iter().map(effect).collect()
}

/// An event that asks for `deed`.
#[must_use]
pub fn asking(deed: Deed) -> Event {
    Event::new("test", "test".to_owned(), None, &Asked { deed }).expect("an event")
}

/// So many of them.
#[must_use]
pub fn many(count: usize, deed: Deed) -> Vec<Event> {
    (0..count).map(|_| asking(deed)).collect()
}

/// The body of a parcel of these events.
#[must_use]
pub fn parcel(events: &[Event]) -> Vec<u8> {
    let encoded: Vec<Vec<u8>> = events.iter().map(|event| serde_json::to_vec(event).expect("JSON")).collect();
    pack(encoded.iter().map(Vec::as_slice))
}
