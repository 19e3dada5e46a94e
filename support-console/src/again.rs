//! What is sent again: the letter's event in a parcel of one, with one attempt and the retry's name. Everything else in it
//! stays as it is, even what nobody here knows.

use std::collections::BTreeMap;

use common::{
    broker::topology::{DEAD_LETTERS, EVENTS, REDELIVER, UNROUTABLE},
    events::{Opened, Parcel, open},
};
use serde_json::value::{RawValue, to_raw_value};
use uuid::Uuid;

/// Where a letter goes.
pub(crate) struct To<'a> {
    pub queue: &'a str,
    /// Where an unroutable one was published to.
    pub exchange: &'a str,
    pub routing_key: &'a str,
    pub kind: &'a str,
}

/// The parcel, or why there can be none. Its id is the retry's, by which the outbox is asked whether it has left.
pub(crate) fn parcel(retry_id: Uuid, to: &To<'_>, body: &[u8]) -> Result<Parcel, String> {
    let (exchange, routing_key) = match to.queue {
        // To publish to an exchange that is not there ends the channel, for whoever else publishes on it too.
        UNROUTABLE if ![EVENTS, REDELIVER, DEAD_LETTERS].contains(&to.exchange) => {
            return Err(format!("it was published to the exchange {:?}, which is none of Conveyor's", to.exchange));
        }
        UNROUTABLE => (to.exchange, to.routing_key),
        queue => (REDELIVER, queue),
    };
    Ok(Parcel {
        id: retry_id,
        exchange: exchange.to_owned(),
        routing_key: routing_key.to_owned(),
        kind: to.kind.to_owned(),
        body: marked(retry_id, body)?,
        headers: None,
    })
}

type Fields = BTreeMap<String, Box<RawValue>>;

/// The body with the marks of a retry.
fn marked(retry_id: Uuid, body: &[u8]) -> Result<Vec<u8>, String> {
    let mut fields = fields(body)?;
    let raw = |value: Result<Box<RawValue>, serde_json::Error>| value.map_err(|error| error.to_string());
    fields.insert("attempt".to_owned(), raw(to_raw_value(&1))?);
    fields.insert("retryid".to_owned(), raw(to_raw_value(&retry_id))?);
    serde_json::to_vec(&[fields]).map_err(|error| error.to_string())
}

/// The fields of the one event of a parcel.
pub(crate) fn fields(body: &[u8]) -> Result<Fields, String> {
    let opened = open(body)?;
    match opened.as_slice() {
        [Opened::Event(_)] => {}
        [Opened::Unreadable { why, .. }] => return Err(why.clone()),
        several => return Err(format!("{} events: a letter is one", several.len())),
    }
    let mut events: Vec<Fields> = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    events.pop().ok_or_else(|| "no event".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENT: &str = r#"{"specversion":"1.0","id":"0193a0c0-d0e0-7000-8000-000000000000","type":"order.paid","source":"x","subject":"s","time":"2026-01-31T12:00:00Z","attempt":6,"data":{"amount":100.50,"note":"as  it is"},"unknown":[1e2]}"#;

    #[test]
    fn nothing_changes_but_the_marks_of_the_retry() {
        let id = Uuid::now_v7();
        let to = To { queue: "notification.send", exchange: "", routing_key: "", kind: "order.paid" };
        let sent = parcel(id, &to, format!("[{EVENT}]").as_bytes()).unwrap();
        assert_eq!(
            (sent.id, sent.exchange.as_str(), sent.routing_key.as_str()),
            (id, "redeliver", "notification.send")
        );
        let Ok([Opened::Event(event)]) = open(&sent.body).map(|opened| <[_; 1]>::try_from(opened).unwrap()) else {
            panic!("{}", String::from_utf8_lossy(&sent.body));
        };
        assert_eq!((event.attempt, event.retryid), (1, Some(id)));
        assert_eq!(event.data.get(), r#"{"amount":100.50,"note":"as  it is"}"#);
        assert!(String::from_utf8(sent.body).unwrap().contains(r#""unknown":[1e2]"#));
    }

    #[test]
    fn what_cannot_be_sent_says_why() {
        let lost = |exchange| To { queue: "unroutable", exchange, routing_key: "k", kind: "" };
        let body = format!("[{EVENT}]");
        let sent = parcel(Uuid::now_v7(), &lost("events"), body.as_bytes()).unwrap();
        assert_eq!((sent.exchange.as_str(), sent.routing_key.as_str()), ("events", "k"));
        assert!(parcel(Uuid::now_v7(), &lost("gone"), body.as_bytes()).is_err());
        for body in ["", "[]", "[{}]", "\u{0}", &format!("[{EVENT},{EVENT}]")] {
            assert!(parcel(Uuid::now_v7(), &lost("events"), body.as_bytes()).is_err(), "{body}");
        }
    }
}
