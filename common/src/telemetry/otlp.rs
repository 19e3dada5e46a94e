//! Where spans go: OTLP over HTTP, in batches, from a thread of their own.

use std::time::Duration;

use axum::http::{HeaderValue, Uri, header::HOST};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use opentelemetry_http::{HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::{
    Resource,
    trace::{Sampler, SdkTracerProvider},
};
use tokio::{net::TcpStream, runtime::Handle};

use crate::config::{ConfigError, Log};

/// How long the collector may take over one batch.
const PATIENCE: Duration = Duration::from_secs(5);
/// A collector answers with next to nothing.
const ANSWER_BYTES: usize = 64 * 1024;
/// The standard variable for where to send.
const VARIABLE: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";

/// A provider of spans that are exported, if there is somewhere to send them. How they are gathered is set by the
/// standard variables, `OTEL_BSP_*`.
pub(super) fn provider(
    settings: &Log,
    service: &'static str,
    runtime: &Handle,
) -> Result<Option<SdkTracerProvider>, ConfigError> {
    let named =
        settings.otlp_endpoint.clone().or_else(|| std::env::var(VARIABLE).ok()).filter(|named| !named.is_empty());
    let Some(named) = named else { return Ok(None) };
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(Client { runtime: runtime.clone() })
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(endpoint(&named)?)
        .build()
        .map_err(|error| ConfigError(format!("log.otlp_endpoint: {error}")))?;
    let provider = SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(settings.trace_ratio))))
        .with_resource(Resource::builder().with_service_name(service).build())
        .build();
    Ok(Some(provider))
}

/// The address that spans are posted to, from the collector's.
fn endpoint(named: &str) -> Result<String, ConfigError> {
    let uri: Option<Uri> = named.parse().ok();
    if !uri.is_some_and(|uri| uri.scheme_str() == Some("http") && uri.host().is_some()) {
        // A collector beside the service needs no TLS; one further away is reached through one that is.
        return Err(ConfigError(format!(
            "log.otlp_endpoint: {named:?} is not an http:// URL, such as http://127.0.0.1:4318"
        )));
    }
    Ok(format!("{}/v1/traces", named.trim_end_matches('/')))
}

/// The exporter works on a thread of its own, without a runtime; requests are made on the service's.
#[derive(Debug)]
struct Client {
    runtime: Handle,
}

#[async_trait::async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        self.runtime.spawn(async { tokio::time::timeout(PATIENCE, send(request)).await? }).await?
    }
}

/// One request on a connection of its own: there is one every few seconds.
async fn send(request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
    let (mut parts, body) = request.into_parts();
    let authority = parts.uri.authority().ok_or("the collector's address has no host")?.clone();
    let stream = match authority.port() {
        Some(_) => TcpStream::connect(authority.as_str()).await?,
        None => TcpStream::connect(format!("{authority}:80")).await?,
    };
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // It ends with its sender; what went wrong, the request that was under way says.
    tokio::spawn(connection);
    parts.headers.insert(HOST, HeaderValue::from_str(authority.as_str())?);
    parts.uri = parts.uri.path().parse()?;
    let (parts, body) = sender.send_request(Request::from_parts(parts, Full::new(body))).await?.into_parts();
    let body = Limited::new(body, ANSWER_BYTES).collect().await?.to_bytes();
    Ok(Response::from_parts(parts, body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_posted_below_the_address_of_the_collector() {
        for named in ["http://127.0.0.1:4318", "http://127.0.0.1:4318/"] {
            assert_eq!(endpoint(named).unwrap(), "http://127.0.0.1:4318/v1/traces");
        }
        for bad in ["", "127.0.0.1:4318", "https://collector", "http://", "a b"] {
            assert!(endpoint(bad).unwrap_err().to_string().contains("otlp_endpoint"), "{bad}");
        }
    }
}
