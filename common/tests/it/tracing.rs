//! Spans as a collector receives them. It needs neither broker nor database.

use std::time::Duration;

use axum::{Router, http::HeaderMap, routing::post};
use common::{
    config::{Http, Log},
    events::{Event, InventoryLocked},
    http,
    ids::OrderId,
    trace,
};
use opentelemetry_proto::tonic::{collector::trace::v1::ExportTraceServiceRequest, trace::v1::Span};
use prost::Message as _;
use tokio::{net::TcpListener, runtime::Handle, sync::mpsc};
use tokio_util::sync::CancellationToken;

const CALLER: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7";

/// A collector; what it receives comes out of the channel.
async fn collector() -> (String, mpsc::UnboundedReceiver<ExportTraceServiceRequest>) {
    let (received, arrivals) = mpsc::unbounded_channel();
    let accept = move |body: axum::body::Bytes| {
        let sent = received.send(ExportTraceServiceRequest::decode(body).unwrap());
        async move { sent.unwrap() }
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async { axum::serve(listener, Router::new().route("/v1/traces", post(accept))).await });
    (address, arrivals)
}

/// The API of a service; it answers with the traceparent under which its events would be announced.
async fn api() -> String {
    let echo =
        async |headers: HeaderMap| trace::of_request(headers.get("traceparent").map(|value| value.to_str().unwrap()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let router = Router::new().route("/orders", post(echo));
    tokio::spawn(http::serve(
        listener,
        router,
        Http::default(),
        http::Origins::default(),
        Vec::new(),
        None,
        CancellationToken::new(),
    ));
    address
}

async fn ask(address: &str, traceparent: &str) -> String {
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(hyper_util::rt::TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let request = hyper::Request::post("/orders").header("host", address).header("traceparent", traceparent);
    let response = sender.send_request(request.body(String::new()).unwrap()).await.unwrap();
    let body = http_body_util::BodyExt::collect(response.into_body()).await.unwrap().to_bytes();
    String::from_utf8(body.to_vec()).unwrap()
}

/// An event caused by what carries `traceparent`, handled; and what the handling's own events carry.
fn handle(queue: &'static str, traceparent: &str) -> String {
    let order_id = OrderId::generate();
    let cause = Some(traceparent.to_owned());
    let mut event = Event::new("/test", order_id.to_string(), cause, &InventoryLocked { order_id }).unwrap();
    let _span = trace::handling(queue, &mut event);
    event.traceparent.unwrap()
}

fn id_of(traceparent: &str) -> &str {
    traceparent.split('-').nth(2).unwrap()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_trace_follows_an_order_from_the_request_through_every_queue() {
    let (address, mut arrivals) = collector().await;
    let settings = Log { otlp_endpoint: Some(address), ..Log::default() };
    trace::start(&settings, "tested", &Handle::current()).unwrap();

    let api = api().await;
    let served = ask(&api, &format!("{CALLER}-01")).await;
    let locked = handle("inventory.lock", &served);
    let charged = handle("payment.charge", &locked);
    // A caller that does not record its trace decides for all that follows.
    let unrecorded = ask(&api, &format!("{CALLER}-00")).await;
    assert_eq!(unrecorded, format!("{CALLER}-00"));
    assert_eq!(handle("inventory.lock", &unrecorded), unrecorded);

    tokio::task::spawn_blocking(trace::flush).await.unwrap();
    let mut spans: Vec<(String, Span)> = Vec::new();
    while spans.len() < 3 {
        let next = tokio::time::timeout(Duration::from_secs(10), arrivals.recv()).await;
        for resource in next.expect("spans arrive in time").expect("the collector lives").resource_spans {
            let attributes = resource.resource.unwrap_or_default().attributes;
            let service = format!("{:?}", attributes.iter().find(|attribute| attribute.key == "service.name"));
            spans.extend(
                resource.scope_spans.into_iter().flat_map(|scope| scope.spans).map(|span| (service.clone(), span)),
            );
        }
    }
    assert!(arrivals.try_recv().is_err() && spans.len() == 3, "{spans:?}");

    let expected = [
        ("POST /orders", &served, CALLER),
        ("process inventory.lock", &locked, &served),
        ("process payment.charge", &charged, &locked),
    ];
    for (name, own, parent) in expected {
        let (service, span) =
            spans.iter().find(|(_, span)| span.name == name).unwrap_or_else(|| panic!("no span {name}"));
        assert!(service.contains("tested"), "{service}");
        assert_eq!(format!("00-{}-{}-01", hex(&span.trace_id), hex(&span.span_id)), *own);
        assert_eq!(hex(&span.parent_span_id), id_of(parent), "the parent of {name}");
        assert!(CALLER.contains(&hex(&span.trace_id)), "the trace of {name}");
        assert!(span.start_time_unix_nano > 0 && span.end_time_unix_nano >= span.start_time_unix_nano);
    }
}
