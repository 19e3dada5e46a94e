//! One trace follows an order from the HTTP request through every queue.
//!
//! Each event carries a W3C `traceparent`. Where spans are exported, answering a request and handling an event are
//! spans, each the parent of what follows from it; where they are not, what came is passed on as it is, and the trace
//! id still ties the pieces together. Whether a trace is recorded is decided once, at its beginning.

use std::{sync::OnceLock, time::Duration};

use opentelemetry::{
    Context, KeyValue, SpanId, TraceFlags, TraceId,
    trace::{
        Span as _, SpanBuilder, SpanContext, SpanKind, Status, TraceContextExt as _, TraceState, Tracer as _,
        TracerProvider as _,
    },
};
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider, Span};
use tokio::runtime::Handle;

use super::otlp;
use crate::{
    config::{ConfigError, Log},
    events::Event,
};

/// How long the last spans may take to leave, at the end of a process.
const FLUSH: Duration = Duration::from_secs(2);

struct Exporting {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
}

/// There is one for the whole process, or none: then nothing here costs anything.
static EXPORTING: OnceLock<Exporting> = OnceLock::new();

/// Starts exporting spans, if the configuration says where to.
pub fn start(settings: &Log, service: &'static str, runtime: &Handle) -> Result<(), ConfigError> {
    if let Some(provider) = otlp::provider(settings, service, runtime)? {
        let tracer = provider.tracer("conveyor");
        if EXPORTING.set(Exporting { provider, tracer }).is_err() {
            tracing::debug!("tracing was started before");
        }
    }
    Ok(())
}

/// Sends what has not been sent yet, and ends exporting. Blocks for a moment, so it is not for asynchronous code.
pub fn flush() {
    if let Some(exporting) = EXPORTING.get()
        && let Err(error) = exporting.provider.shutdown_with_timeout(FLUSH)
    {
        tracing::warn!(%error, "the last spans were not exported");
    }
}

/// The trace that an HTTP request belongs to: the caller's, if it names one, else a new one.
#[must_use]
pub fn of_request(incoming: Option<&str>) -> String {
    match incoming.filter(|value| parse(value).is_some()) {
        Some(value) => value.to_owned(),
        None => format!("00-{:032x}-{:016x}-00", fastrand::u128(1..), fastrand::u64(1..)),
    }
}

/// The span of answering one HTTP request. It ends when dropped.
pub(crate) struct Serving(Span);

/// Begins the span of answering a request, in the caller's trace if it names one. None if it is not recorded.
pub(crate) fn serving(method: &str, route: &str, incoming: Option<&str>) -> Option<Serving> {
    let attributes =
        || vec![KeyValue::new("http.request.method", method.to_owned()), KeyValue::new("http.route", route.to_owned())];
    begin(SpanKind::Server, || format!("{method} {route}"), attributes, incoming).map(Serving)
}

impl Serving {
    /// What is to be caused by the request carries this.
    pub(crate) fn traceparent(&self) -> String {
        traceparent(self.0.span_context())
    }

    pub(crate) fn answered(&mut self, status: u16) {
        self.0.set_attribute(KeyValue::new("http.response.status_code", i64::from(status)));
        if status >= 500 {
            self.0.set_status(Status::error(""));
        }
    }
}

/// The span of handling one event, if it is recorded. It ends when dropped.
pub struct Handling {
    _span: Option<Span>,
}

/// Begins the span of handling `event`, and makes it the parent of what the event causes.
pub fn handling(queue: &'static str, event: &mut Event) -> Handling {
    let attributes = || {
        vec![
            KeyValue::new("messaging.system", "rabbitmq"),
            KeyValue::new("messaging.operation.type", "process"),
            KeyValue::new("messaging.destination.name", queue),
            KeyValue::new("messaging.message.id", event.id.to_string()),
            KeyValue::new("conveyor.event.type", event.kind.clone()),
            KeyValue::new("conveyor.event.attempt", i64::from(event.attempt)),
            KeyValue::new("conveyor.order.id", event.subject.clone()),
        ]
    };
    let span = begin(SpanKind::Consumer, || format!("process {queue}"), attributes, event.traceparent.as_deref());
    if let Some(span) = &span {
        event.traceparent = Some(traceparent(span.span_context()));
    }
    Handling { _span: span }
}

fn begin(
    kind: SpanKind,
    name: impl FnOnce() -> String,
    attributes: impl FnOnce() -> Vec<KeyValue>,
    parent: Option<&str>,
) -> Option<Span> {
    let exporting = EXPORTING.get()?;
    let parent = parent.and_then(parse);
    if parent.as_ref().is_some_and(|parent| !parent.is_sampled()) {
        return None;
    }
    let context = parent.map_or_else(Context::new, |parent| Context::new().with_remote_span_context(parent));
    let builder = SpanBuilder::from_name(name()).with_kind(kind).with_attributes(attributes());
    let span = exporting.tracer.build_with_context(builder, &context);
    span.is_recording().then_some(span)
}

fn traceparent(context: &SpanContext) -> String {
    format!("00-{}-{}-{:02x}", context.trace_id(), context.span_id(), context.trace_flags().to_u8())
}

/// A `traceparent` of the one version there is; anything else counts as none.
fn parse(value: &str) -> Option<SpanContext> {
    fn hex(part: Option<&str>, length: usize) -> Option<&str> {
        part.filter(|p| p.len() == length && p.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)))
    }
    let mut parts = value.split('-');
    hex(parts.next(), 2).filter(|version| *version == "00")?;
    let trace = TraceId::from_hex(hex(parts.next(), 32)?).ok()?;
    let span = SpanId::from_hex(hex(parts.next(), 16)?).ok()?;
    let flags = TraceFlags::new(u8::from_str_radix(hex(parts.next(), 2)?, 16).ok()?);
    let context = SpanContext::new(trace, span, flags, true, TraceState::default());
    (parts.next().is_none() && context.is_valid()).then_some(context)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_traceparent_survives_the_round_trip() {
        assert_eq!(traceparent(&parse(SAMPLED).unwrap()), SAMPLED);
        assert!(parse(SAMPLED).unwrap().is_sampled() && !parse(&SAMPLED.replace("-01", "-00")).unwrap().is_sampled());
    }

    #[test]
    fn what_is_no_traceparent_counts_as_none() {
        let zero_trace = format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32));
        for bad in [
            "",
            "00",
            "00-1-2-01",
            &SAMPLED.to_uppercase(),
            &format!("{SAMPLED}-x"),
            &zero_trace,
            &SAMPLED.replacen("00", "ff", 1),
        ] {
            assert!(parse(bad).is_none(), "{bad}");
            assert_ne!(of_request(Some(bad)), bad);
        }
    }

    #[test]
    fn a_request_keeps_the_trace_it_came_with_or_gets_one() {
        assert_eq!(of_request(Some(SAMPLED)), SAMPLED);
        let (one, two) = (of_request(None), of_request(None));
        assert!(one != two && parse(&one).is_some_and(|context| !context.is_sampled()));
    }
}
