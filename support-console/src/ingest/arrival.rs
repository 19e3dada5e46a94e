//! From a message to what is known of it. Nothing is refused here: what cannot be read is kept as it is.

use std::collections::BTreeSet;

use common::{
    broker::topology::UNROUTABLE,
    events::{Event, Opened, open, pack},
};
use lapin::message::Delivery;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use uuid::Uuid;

use super::{
    headers::{header, last_death, number, to_json},
    reason::{clean, pattern, words},
};

/// A reason is for people to read; the chassis cuts it as well.
const REASON_MOST: usize = 1_000;
/// Names of queues, types, services, and what an event is about.
const NAME_MOST: usize = 255;
/// Customers and products of one letter that it can be found by.
const FOUND_MOST: usize = 64;
/// Data that is larger is not looked through.
const LOOKED_THROUGH_BYTES: usize = 256 * 1024;

/// One death of one letter.
#[derive(Debug, Clone)]
pub(crate) struct Arrival {
    pub letter: Uuid,
    /// The same for the same message, however often it is delivered.
    pub death_id: Uuid,
    pub queue: String,
    pub exchange: String,
    pub routing_key: String,
    pub about: About,
    pub death: String,
    pub reason: String,
    pub service: String,
    pub attempts: i32,
    pub body: Vec<u8>,
    pub headers: String,
    pub died_at: OffsetDateTime,
    pub retry_id: Option<Uuid>,
}

/// What an event says of itself; empty where there is none.
#[derive(Debug, Clone, Default)]
pub(crate) struct About {
    pub event_id: Option<Uuid>,
    pub kind: String,
    pub subject: String,
    pub users: Vec<String>,
    pub products: Vec<String>,
    pub readable: bool,
}

impl Arrival {
    pub(crate) fn group(&self) -> Uuid {
        group_key(&self.queue, &self.about.kind, &self.death, &self.reason)
    }

    pub(crate) fn terms(&self) -> Vec<String> {
        self.about.terms(&self.reason)
    }

    /// Whether no more can be left out of it.
    pub(crate) fn is_plain(&self) -> bool {
        self.death == PLAIN
    }

    /// What must be kept whatever happens: the bytes, and where they died.
    pub(crate) fn plain(self, why: &str) -> Self {
        let reason = clean(&format!("all but its bytes could not be kept: {why}"), REASON_MOST);
        Self {
            about: About::default(),
            exchange: String::new(),
            routing_key: String::new(),
            death: PLAIN.to_owned(),
            reason,
            service: String::new(),
            headers: "{}".to_owned(),
            retry_id: None,
            ..self
        }
    }
}

/// The kind of death of what had to be kept without its headers.
const PLAIN: &str = "unwritable";

/// Letters with the same key died alike.
pub(crate) fn group_key(queue: &str, kind: &str, death: &str, reason: &str) -> Uuid {
    digest([queue, kind, death, &pattern(reason)].map(str::as_bytes))
}

/// An id made of these, as long as they stay the same.
fn digest<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Uuid {
    let mut hash = Sha256::new();
    for part in parts {
        // With their lengths, so that no two lists of parts run into one.
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let bytes = hash.finalize();
    let mut id = [0; 16];
    id.iter_mut().zip(&bytes).for_each(|(to, from)| *to = *from);
    uuid::Builder::from_custom_bytes(id).into_uuid()
}

impl About {
    pub(crate) fn event(event: &Event) -> Self {
        let mut about = Self {
            event_id: Some(event.id),
            kind: clean(&event.kind, NAME_MOST),
            subject: clean(&event.subject, NAME_MOST),
            readable: true,
            ..Self::default()
        };
        if event.data.get().len() <= LOOKED_THROUGH_BYTES
            && let Ok(data) = serde_json::from_str::<Value>(event.data.get())
        {
            let (mut users, mut products) = (BTreeSet::new(), BTreeSet::new());
            find(&data, &mut users, &mut products);
            about.users = users.into_iter().collect();
            about.products = products.into_iter().collect();
        }
        about
    }

    /// What a letter about this is found by.
    pub(crate) fn terms(&self, reason: &str) -> Vec<String> {
        let mut terms = Vec::new();
        if !self.subject.is_empty() {
            terms.push(format!("o:{}", self.subject));
        }
        terms.extend(self.users.iter().map(|user| format!("u:{user}")));
        terms.extend(self.products.iter().map(|product| format!("p:{product}")));
        terms.extend(self.event_id.map(|id| format!("e:{id}")));
        terms.extend(words(reason).into_iter().map(|word| format!("w:{word}")));
        terms
    }
}

fn find(value: &Value, users: &mut BTreeSet<String>, products: &mut BTreeSet<String>) {
    let take = |into: &mut BTreeSet<String>, value: &Value| {
        let text = match value {
            Value::String(text) => clean(text, 64),
            Value::Number(number) => number.to_string(),
            _ => return,
        };
        if into.len() < FOUND_MOST && !text.is_empty() {
            into.insert(text);
        }
    };
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                match name.as_str() {
                    "userId" | "user_id" => take(users, value),
                    "productId" | "product_id" => take(products, value),
                    _ => find(value, users, products),
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| find(value, users, products)),
        _ => {}
    }
}

/// Everything that one message says: a death for each event in it, or one for bytes that cannot be read. `source` is the
/// queue it died in, or `unroutable`.
pub(crate) fn read(source: &str, delivery: Delivery, now: OffsetDateTime) -> Vec<Arrival> {
    let properties = &delivery.properties;
    let headers = properties.headers().as_ref();
    let died_at = header(headers, "x-died-at");
    let by_broker = last_death(headers);
    let came = |seconds: u64| OffsetDateTime::from_unix_timestamp(i64::try_from(seconds).ok()?).ok();
    let when = died_at
        .and_then(|text| OffsetDateTime::parse(text, &Rfc3339).ok())
        .or_else(|| by_broker.as_ref().and_then(|(_, time)| time.and_then(came)))
        // Clocks differ and senders lie; nothing has died later than now.
        .filter(|time| *time <= now && time.unix_timestamp() > 0)
        .unwrap_or(now);
    let is_unroutable = source == UNROUTABLE;
    let (exchange, routing_key) = (delivery.exchange.as_str(), delivery.routing_key.as_str());
    let death = match (header(headers, "x-death-kind"), &by_broker) {
        _ if is_unroutable => "unroutable".to_owned(),
        (Some(kind), _) => clean(kind, 32),
        (None, Some((kind, _))) => clean(kind, 32),
        (None, None) => "unknown".to_owned(),
    };
    let reason = match (header(headers, "x-reason"), &by_broker) {
        _ if is_unroutable => format!("no queue took it: exchange \"{exchange}\", routing key \"{routing_key}\""),
        (Some(reason), _) => reason.to_owned(),
        (None, Some((kind, _))) => format!("the broker gave it up: {kind}"),
        (None, None) => "nobody said why".to_owned(),
    };
    let told = Told {
        source,
        exchange: if is_unroutable { clean(exchange, NAME_MOST) } else { String::new() },
        routing_key: if is_unroutable { clean(routing_key, NAME_MOST) } else { String::new() },
        death,
        reason: clean(&reason, REASON_MOST),
        service: clean(header(headers, "x-service").unwrap_or_default(), NAME_MOST),
        attempts: number(headers, "x-attempts").and_then(|attempts| i32::try_from(attempts.max(1)).ok()),
        retry_id: header(headers, "x-retry-id").and_then(|id| Uuid::try_parse(id).ok()),
        // What tells this death from others of the same letter.
        mark: [
            properties.message_id().as_ref().map_or("", |id| id.as_str()).to_owned(),
            died_at.unwrap_or_default().to_owned(),
            by_broker.as_ref().map(|death| format!("{death:?}")).unwrap_or_default(),
        ],
        headers: to_json(properties).to_string(),
        died_at: when.replace_nanosecond(when.microsecond() * 1_000).unwrap_or(when),
    };
    let mut opened = match open(&delivery.data) {
        Ok(opened) => opened,
        Err(_) => return vec![told.unreadable(delivery.data)],
    };
    if let ([Opened::Event(event)], true) = (opened.as_slice(), is_our_own(&delivery.data)) {
        // As it came: the usual case, and nothing needs to be written anew.
        let (id, retry, attempt, about) = (event.id, event.retryid, event.attempt, About::event(event));
        return vec![told.event(id, retry, attempt, about, delivery.data)];
    }
    let raws: Vec<&serde_json::value::RawValue> = serde_json::from_slice(&delivery.data).unwrap_or_default();
    opened
        .drain(..)
        .zip(raws)
        .map(|(one, raw)| {
            let body = pack([raw.get().as_bytes()]);
            match one {
                Opened::Event(event) => told.event(event.id, event.retryid, event.attempt, About::event(&event), body),
                Opened::Unreadable { .. } => told.unreadable(body),
            }
        })
        .collect()
}

/// Whether a body with one event in it has nothing else in it.
fn is_our_own(body: &[u8]) -> bool {
    body.starts_with(b"[{") && body.ends_with(b"}]")
}

/// What a message says of all that is in it.
struct Told<'a> {
    source: &'a str,
    exchange: String,
    routing_key: String,
    death: String,
    reason: String,
    service: String,
    attempts: Option<i32>,
    retry_id: Option<Uuid>,
    mark: [String; 3],
    headers: String,
    died_at: OffsetDateTime,
}

impl Told<'_> {
    fn event(&self, id: Uuid, retry: Option<Uuid>, attempt: u32, about: About, body: Vec<u8>) -> Arrival {
        let letter = digest([b"event", self.source.as_bytes(), self.way().as_bytes(), id.as_bytes().as_slice()]);
        let attempts = self.attempts.unwrap_or_else(|| i32::try_from(attempt).unwrap_or(i32::MAX));
        self.arrival(letter, retry.or(self.retry_id), attempts, about, body)
    }

    fn unreadable(&self, body: Vec<u8>) -> Arrival {
        let letter = digest([b"bytes", self.source.as_bytes(), self.way().as_bytes(), body.as_slice()]);
        self.arrival(letter, self.retry_id, self.attempts.unwrap_or(1), About::default(), body)
    }

    /// Where an unroutable message was published to: the same event can fail to arrive at several places.
    fn way(&self) -> String {
        format!("{}\0{}", self.exchange, self.routing_key)
    }

    fn arrival(&self, letter: Uuid, retry_id: Option<Uuid>, attempts: i32, about: About, body: Vec<u8>) -> Arrival {
        let retry = retry_id.map(|id| id.to_string()).unwrap_or_default();
        let marks = self.mark.iter().chain([&self.reason, &retry]).map(String::as_bytes);
        let number = attempts.to_be_bytes();
        Arrival {
            letter,
            death_id: digest([letter.as_bytes().as_slice(), number.as_slice()].into_iter().chain(marks)),
            queue: self.source.to_owned(),
            exchange: self.exchange.clone(),
            routing_key: self.routing_key.clone(),
            about,
            death: self.death.clone(),
            reason: self.reason.clone(),
            service: self.service.clone(),
            attempts,
            body,
            headers: self.headers.clone(),
            died_at: self.died_at,
            retry_id,
        }
    }
}
