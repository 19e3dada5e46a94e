//! Packing events into parcels and opening parcels again.

use serde_json::value::RawValue;
use uuid::Uuid;

use super::Event;

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

/// One event of an opened parcel: what it says, or its raw text and why that could not be read.
#[derive(Debug)]
pub enum Opened {
    Event(Event),
    Unreadable { raw: String, why: String },
}

/// Opens a parcel. An unreadable event is returned by itself, its neighbours unharmed; an error means that
/// the whole body is no parcel.
pub fn open(body: &[u8]) -> Result<Vec<Opened>, String> {
    let raws: Vec<&RawValue> =
        serde_json::from_slice(body).map_err(|error| format!("not a batch of events: {error}"))?;
    if raws.is_empty() {
        return Err("not a batch of events: it is empty".to_owned());
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
