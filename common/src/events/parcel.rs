//! Packing events into parcels and opening parcels again.

use serde_json::value::RawValue;
use uuid::Uuid;

use super::Event;
use crate::config;

/// A message to the broker: where it goes and 1 or more events of one type, already encoded.
#[derive(Debug, Clone)]
pub struct Parcel {
    pub id: Uuid,
    pub exchange: String,
    pub routing_key: String,
    /// The type of its events.
    pub kind: String,
    pub body: Vec<u8>,
    /// Set on dead letters only: properties cost, so an ordinary parcel has no headers.
    pub headers: Option<lapin::types::FieldTable>,
}

/// Joins events, each the JSON text of one, into the body of a parcel.
pub fn pack<'a>(events: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut body = vec![b'['];
    for event in events {
        if body.len() > 1 {
            body.push(b',');
        }
        body.extend_from_slice(event);
    }
    body.push(b']');
    body
}

/// The most events that may travel in one parcel. Each may have to travel on by itself, so what is larger dies whole.
pub const MOST_EVENTS: usize = 1_000;

/// Packs events into parcels as they come: one type to a parcel, within the limits.
#[derive(Debug)]
pub struct Packer {
    most_events: usize,
    most_bytes: usize,
    /// Those that may still be added to.
    open: Vec<Packing>,
    full: Vec<Parcel>,
}

#[derive(Debug)]
struct Packing {
    parcel: Parcel,
    events: usize,
}

impl Packer {
    #[must_use]
    pub fn new(limits: &config::Outbox) -> Self {
        Self { most_events: limits.parcel_events, most_bytes: limits.parcel_bytes, open: Vec::new(), full: Vec::new() }
    }

    /// Adds an event that goes to whoever hears its type.
    pub fn add(&mut self, exchange: &'static str, kind: &'static str, event: &Event) -> Result<(), serde_json::Error> {
        let place = match self.open.iter().position(|open| open.parcel.kind == kind) {
            Some(place) => place,
            None => {
                self.open.push(Packing::begin(exchange, kind));
                self.open.len() - 1
            }
        };
        let Some(open) = self.open.get_mut(place) else { return Ok(()) };
        let body = &mut open.parcel.body;
        let before = body.len();
        body.push(if open.events == 0 { b'[' } else { b',' });
        if let Err(error) = serde_json::to_writer(&mut *body, event) {
            body.truncate(before);
            if open.events == 0 {
                self.open.swap_remove(place);
            }
            return Err(error);
        }
        open.events += 1;
        // Room for the last bracket. An event that does not fit begins the next parcel; alone it fits, however large.
        if body.len() + 1 > self.most_bytes && open.events > 1 {
            let mut next = Packing::begin(exchange, kind);
            next.parcel.body.push(b'[');
            next.parcel.body.extend_from_slice(body.get(before + 1..).unwrap_or_default());
            next.events = 1;
            body.truncate(before);
            self.full.push(std::mem::replace(open, next).end());
        }
        if open.events >= self.most_events {
            self.full.push(self.open.swap_remove(place).end());
        }
        Ok(())
    }

    /// Adds a parcel that is packed already.
    pub fn add_whole(&mut self, parcel: Parcel) {
        self.full.push(parcel);
    }

    /// What was packed.
    pub fn finish(&mut self) -> Vec<Parcel> {
        self.full.extend(self.open.drain(..).map(Packing::end));
        std::mem::take(&mut self.full)
    }
}

impl Packing {
    fn begin(exchange: &str, kind: &str) -> Self {
        let parcel = Parcel {
            id: Uuid::now_v7(),
            exchange: exchange.to_owned(),
            routing_key: kind.to_owned(),
            kind: kind.to_owned(),
            body: Vec::new(),
            headers: None,
        };
        Self { parcel, events: 0 }
    }

    fn end(mut self) -> Parcel {
        self.parcel.body.push(b']');
        self.parcel
    }
}

/// One event of an opened parcel: what it says, or its raw text and why that could not be read.
#[derive(Debug)]
pub enum Opened {
    Event(Event),
    Unreadable { raw: String, why: String },
}

/// Opens a parcel. An unreadable event is returned by itself, its neighbours unharmed; an error means that
/// the whole body is no parcel.
pub fn open(body: &[u8]) -> Result<Vec<Opened>, String> {
    // All of it, for a field that nobody reads is kept, shown and sent again like any other.
    let body = str::from_utf8(body).map_err(|error| format!("not a batch of events: {error}"))?;
    // Nearly always all are well. Only otherwise each is looked at by itself, which reads everything once more.
    if let Ok(events) = serde_json::from_str::<Vec<Event>>(body)
        && (1..=MOST_EVENTS).contains(&events.len())
    {
        return Ok(events.into_iter().map(Opened::Event).collect());
    }
    let raws: Vec<&RawValue> = serde_json::from_str(body).map_err(|error| format!("not a batch of events: {error}"))?;
    if raws.is_empty() {
        return Err("not a batch of events: it is empty".to_owned());
    }
    if raws.len() > MOST_EVENTS {
        return Err(format!("a batch of {} events: at most {MOST_EVENTS} travel together", raws.len()));
    }
    Ok(raws
        .into_iter()
        .map(|raw| match serde_json::from_str(raw.get()) {
            Ok(event) => Opened::Event(event),
            Err(error) => Opened::Unreadable { raw: raw.get().to_owned(), why: format!("not an event: {error}") },
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        events::{InventoryLocked, Payload},
        ids::OrderId,
    };

    fn encoded() -> Vec<u8> {
        let order_id = OrderId::generate();
        let event = Event::new("/test", order_id.to_string(), None, &InventoryLocked { order_id }).unwrap();
        serde_json::to_vec(&event).unwrap()
    }

    #[test]
    fn what_is_no_text_is_no_parcel_though_nobody_reads_the_field() {
        let event = String::from_utf8(encoded()).unwrap();
        let with = |junk: &[u8]| {
            let (start, rest) = event.split_at(1);
            pack([[start.as_bytes(), b"\"unknown\":\"", junk, b"\",", rest.as_bytes()].concat().as_slice()])
        };
        assert!(matches!(open(&with(b"well")).unwrap().as_slice(), [Opened::Event(_)]));
        assert!(open(&with(b"\xa8")).is_err());
    }

    #[test]
    fn what_is_packed_can_be_opened() {
        let (one, two) = (encoded(), encoded());
        let opened = open(&pack([one.as_slice(), two.as_slice()])).unwrap();
        let kinds: Vec<_> = opened
            .iter()
            .map(|o| match o {
                Opened::Event(event) => event.kind.as_str(),
                Opened::Unreadable { why, .. } => why,
            })
            .collect();
        assert_eq!(kinds, [InventoryLocked::TYPE, InventoryLocked::TYPE]);
    }

    #[test]
    fn events_are_packed_by_type_and_within_the_limits() {
        let order_id = OrderId::generate();
        // Every time the same, for its time may be written in more digits or fewer.
        let one = Event::new("/test", order_id.to_string(), None, &InventoryLocked { order_id }).unwrap();
        let event = |kind: &str| Event { kind: kind.to_owned(), ..one.clone() };
        let size = serde_json::to_vec(&event("a")).unwrap().len();
        let packed = |events: usize, bytes: usize, kinds: &[&'static str]| {
            let limits = config::Outbox { parcel_events: events, parcel_bytes: bytes, ..config::Outbox::default() };
            let mut packer = Packer::new(&limits);
            for kind in kinds {
                packer.add("events", kind, &event(kind)).unwrap();
            }
            let parcels = packer.finish();
            assert!(packer.finish().is_empty());
            let mut sizes: Vec<_> = parcels
                .iter()
                .map(|parcel| {
                    let opened = open(&parcel.body).unwrap();
                    for one in &opened {
                        assert!(matches!(one, Opened::Event(event) if event.kind == parcel.kind));
                    }
                    assert!(opened.len() == 1 || parcel.body.len() <= bytes);
                    (parcel.kind.clone(), opened.len())
                })
                .collect();
            sizes.sort();
            sizes.into_iter().map(|(kind, count)| format!("{kind}{count}")).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(packed(64, 100_000, &[]), "");
        assert_eq!(packed(64, 100_000, &["a", "b", "a", "a"]), "a3 b1");
        assert_eq!(packed(2, 100_000, &["a", "b", "a", "a", "b"]), "a1 a2 b2");
        // Two and their brackets fit exactly; three do not; and one goes alone, however large.
        assert_eq!(packed(64, 2 * size + 3, &["a", "a", "a", "a", "a"]), "a1 a2 a2");
        assert_eq!(packed(64, 2 * size + 2, &["a", "a", "a"]), "a1 a1 a1");
        assert_eq!(packed(64, 10, &["a", "a"]), "a1 a1");
        assert_eq!(packed(1, 100_000, &["a", "a"]), "a1 a1");
    }

    #[test]
    fn an_unreadable_event_leaves_its_neighbours_alone_and_keeps_its_bytes() {
        let one = encoded();
        let opened = open(&pack([one.as_slice(), br#"{"not": "an event"}"#, one.as_slice()])).unwrap();
        assert!(matches!(&opened[0], Opened::Event(_)));
        assert!(matches!(&opened[1], Opened::Unreadable { raw, .. } if raw == r#"{"not": "an event"}"#));
        assert!(matches!(&opened[2], Opened::Event(_)));
    }

    #[test]
    fn a_body_that_is_no_batch_is_an_error() {
        for body in [b"".as_slice(), b"[]", b"{}", b"[1", b"\xff\xfe", b"null"] {
            assert!(open(body).is_err(), "{body:?}");
        }
    }
}
