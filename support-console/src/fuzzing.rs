//! What the readers of bytes from outside are held to, whatever those bytes are: see [`common::fuzzing`].

use std::collections::BTreeSet;

use common::{
    broker::topology::{EVENTS, UNROUTABLE},
    events::{Opened, open},
};
use lapin::{
    BasicProperties,
    message::Delivery,
    types::{AMQPValue, FieldArray, FieldTable},
};
use serde_json::Value;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    ABOUT, By, DiffLine, Query, Role, Support, Who,
    again::{self, To},
    diff::diff,
    http::{
        body::{Shape, laid_out},
        mask::Sight,
    },
    ingest::arrival::{self, Arrival},
    mend::mend,
    query::Condition,
};

const QUEUE: &str = "payment.charge";
/// AMQP has no longer names.
const LONGEST_HEADER: usize = 255;
/// A search that is longer is not read.
const LONGEST_SEARCH: usize = 2_000;

/// A dead letter: lines of headers, `name=value`, and after a NUL the body. Whatever it is, it can be kept, and what can be
/// read can be sent again.
pub fn letter(bytes: &[u8]) {
    let nul = bytes.iter().position(|byte| *byte == 0).unwrap_or(0);
    let (lines, body) = bytes.split_at(nul);
    let body = body.strip_prefix(b"\0").unwrap_or(body);
    let headers = headers(&String::from_utf8_lossy(lines));
    let now = OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap();
    for source in [QUEUE, UNROUTABLE] {
        let delivery = || {
            let mut delivery = Delivery::mock(1, EVENTS.into(), "order.paid".into(), true, body.to_vec());
            delivery.properties = BasicProperties::default().with_headers(headers.clone());
            delivery
        };
        let arrivals = arrival::read(source, delivery(), now);
        assert!(!arrivals.is_empty());
        let again = arrival::read(source, delivery(), now);
        let ids = |arrivals: &[Arrival]| arrivals.iter().map(|it| (it.letter, it.death_id)).collect::<Vec<_>>();
        assert_eq!(ids(&arrivals), ids(&again), "the same message is the same death");
        arrivals.iter().for_each(|arrival| can_be_kept(arrival, now));
    }
}

/// `x-death` is the broker's own table; the value of another header is a number if it looks like one.
fn headers(lines: &str) -> FieldTable {
    let mut headers = FieldTable::default();
    for (name, value) in lines.lines().filter_map(|line| line.split_once('=')) {
        if name.len() > LONGEST_HEADER {
            continue;
        }
        let value = match value.parse::<i64>() {
            _ if name == "x-death" => {
                let mut death = FieldTable::default();
                let (reason, time) = value.split_once('@').unwrap_or((value, "0"));
                death.insert("reason".into(), AMQPValue::LongString(reason.into()));
                death.insert("time".into(), AMQPValue::Timestamp(time.parse().unwrap_or(u64::MAX)));
                let mut deaths = FieldArray::default();
                deaths.push(AMQPValue::FieldTable(death));
                AMQPValue::FieldArray(deaths)
            }
            Ok(number) => AMQPValue::LongLongInt(number),
            Err(_) => AMQPValue::LongString(value.into()),
        };
        headers.insert(name.into(), value);
    }
    headers
}

fn can_be_kept(arrival: &Arrival, now: OffsetDateTime) {
    let about = &arrival.about;
    assert!(arrival.died_at <= now && arrival.died_at.unix_timestamp() >= 0);
    for (name, most) in [
        (&arrival.reason, 1_000),
        (&arrival.death, 32),
        (&arrival.service, 255),
        (&arrival.exchange, 255),
        (&arrival.routing_key, 255),
        (&about.kind, 255),
        (&about.subject, 255),
    ] {
        assert!(name.chars().count() <= most && !name.contains(char::is_control), "{name:?}");
    }
    assert!(about.users.len() <= 64 && about.products.len() <= 64);
    let terms = arrival.terms();
    assert!(terms.len() <= 200 && terms.iter().all(|term| term.chars().count() <= 300 && !term.contains('\0')));
    is_storable(&serde_json::from_str(&arrival.headers).unwrap());
    arrival.group();
    let to = To { queue: &arrival.queue, exchange: EVENTS, routing_key: &arrival.routing_key, kind: &about.kind };
    let retry = Uuid::nil();
    let parcel = again::parcel(retry, &to, &arrival.body);
    assert_eq!(parcel.is_ok(), about.readable, "{parcel:?}");
    if let Ok(parcel) = parcel {
        let opened = open(&parcel.body).unwrap();
        let [Opened::Event(event)] = opened.as_slice() else { panic!("{opened:?}") };
        assert_eq!((Some(event.id), event.attempt, event.retryid), (about.event_id, 1, Some(retry)));
    }
}

/// PostgreSQL takes no NUL, not even in JSON.
fn is_storable(value: &Value) {
    match value {
        Value::String(text) => assert!(!text.contains('\0'), "{text:?}"),
        Value::Array(values) => values.iter().for_each(is_storable),
        Value::Object(fields) => {
            assert!(fields.keys().all(|name| !name.contains('\0')), "{fields:?}");
            fields.values().for_each(is_storable);
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// A letter's body, a NUL, and what somebody has made of it. What is applied can be sent again, and is shown as it is.
pub fn edit(bytes: &[u8]) {
    let nul = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    let (before, after) = bytes.split_at(nul);
    let after = after.strip_prefix(b"\0").unwrap_or(after);
    shown(before);
    let event = |body: &[u8]| match open(body).unwrap_or_default().as_slice() {
        [Opened::Event(event)] => Some(event.id),
        _ => None,
    };
    match mend(event(before), before, after) {
        Ok(mended) => {
            let id = event(&mended.body);
            assert!(id.is_some() && (event(before).is_none() || event(before) == id));
            let to = To { queue: QUEUE, exchange: "", routing_key: "", kind: "" };
            assert!(again::parcel(Uuid::nil(), &to, &mended.body).is_ok());
            shown(&mended.body);
            differ(before, &mended.body);
        }
        Err(why) => assert!(!why.is_empty()),
    }
}

/// Each line of both is in it once, in its order.
fn differ(before: &[u8], after: &[u8]) {
    let Some(lines) = diff(before, after) else { return };
    let Some(same) = diff(before, before) else { return };
    let (mut old, mut were) = (Vec::new(), Vec::new());
    for line in &lines {
        if let DiffLine::Same(text) | DiffLine::Removed(text) = line {
            old.push(text);
        }
    }
    for line in &same {
        let DiffLine::Same(text) = line else { panic!("{line:?} is said to differ from itself") };
        were.push(text);
    }
    assert_eq!(old, were);
}

fn shown(body: &[u8]) {
    let who = |role| Who { account: "ann".to_owned(), role, by: By::Page };
    for role in [Role::Reader, Role::Operator] {
        let Shape::Json(text) = Shape::of(body, Sight::of(&who(role)), &["123456".to_owned()]) else { continue };
        assert!(text.len() <= 1_000 + body.len() * 200, "{} of {}", text.len(), body.len());
        if role == Role::Operator {
            let value = |text: &[u8]| serde_json::from_slice::<Value>(text).ok();
            assert_eq!(value(text.as_bytes()), value(body), "it is laid out, and nothing of it is changed");
            assert_eq!(laid_out(&text), text);
        }
    }
}

/// A search: its one form is read as the same, and its condition has all of its parameters.
pub fn search(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let query = match text.parse::<Query>() {
        Ok(query) => query,
        Err(bad) => {
            assert!(bad.position <= text.chars().count() && !bad.message.is_empty(), "{bad:?}");
            return;
        }
    };
    let form = query.to_string();
    if form.chars().count() <= LONGEST_SEARCH {
        assert_eq!(form.parse::<Query>().as_ref(), Ok(&query), "{form}");
    }
    const TAKEN: usize = 4;
    let condition = Condition::new(&query, TAKEN);
    assert_eq!(numbers(&condition.sql), (TAKEN + 1..=TAKEN + condition.params.len()).collect());
    if let Some((way, more)) = &condition.way {
        let first = TAKEN + condition.params.len() + 1;
        assert_eq!(numbers(way), (first..first + more.len()).collect());
    }
}

/// The parameters that a statement speaks of.
fn numbers(sql: &str) -> BTreeSet<usize> {
    assert!(sql.is_ascii(), "nothing that was typed is in it: {sql}");
    let number = |rest: &str| rest.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default().parse().unwrap();
    sql.split('$').skip(1).map(number).collect()
}

/// The whole configuration.
pub fn config(bytes: &[u8]) {
    common::fuzzing::config::<Support>(ABOUT.section, bytes, |settings| settings.own.check());
}

#[cfg(test)]
mod tests {
    use common::fuzzing::seeds;

    use super::*;

    #[test]
    fn every_seed_is_well() {
        seeds("letter", letter);
        seeds("edit", edit);
        seeds("search", search);
        seeds("config", config);
    }
}
