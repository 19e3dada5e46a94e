//! How the services are, by their own word: `/readyz`, and what `/metrics` says of their outboxes.

use std::time::Duration;

use axum::http::Request;
use bytes::Bytes;
use common::{db::Db, outbox};
use futures_util::future::join_all;
use http_body_util::Full;
use serde::Deserialize;
use serde_json::Value;

use super::{OutboxLine, ServiceLine, ServiceState};
use crate::{
    outward::Outward,
    services::{Service, Services},
};

const WITHIN: Duration = Duration::from_secs(2);
const ANSWER_BYTES: usize = 1024 * 1024;

#[derive(Deserialize)]
struct Readiness {
    #[serde(default)]
    checks: serde_json::Map<String, Value>,
}

/// All services, and the console itself.
pub(super) async fn look(services: &Services, db: &Db) -> Vec<ServiceLine> {
    let lines = join_all(services.all().into_iter().map(|service| one(services.outward(), service)));
    let (mut lines, own) = tokio::join!(lines, own(db));
    lines.push(own);
    lines
}

async fn one(outward: &Outward, service: &Service) -> ServiceLine {
    let (state, outbox) = tokio::join!(state(outward, service), metrics(outward, service));
    ServiceLine { name: service.name.to_owned(), state, outbox }
}

async fn own(db: &Db) -> ServiceLine {
    let (state, outbox) = match outbox::waiting(db).await {
        Ok(waiting) => {
            let line = OutboxLine { parcels: waiting.parcels, oldest_seconds: waiting.oldest.as_secs_f64() };
            (ServiceState::Ready, Some(line))
        }
        Err(error) => (ServiceState::NotReady(error.to_string()), None),
    };
    ServiceLine { name: "support-console".to_owned(), state, outbox }
}

async fn state(outward: &Outward, service: &Service) -> ServiceState {
    let answer = match get(outward, service, "/readyz").await {
        Ok(answer) => answer,
        Err(why) => return ServiceState::Away(why),
    };
    match answer.status.as_u16() {
        200 => ServiceState::Ready,
        503 => ServiceState::NotReady(missing(&answer.body)),
        status => ServiceState::Away(format!("it answered {status}")),
    }
}

/// What a service that is not ready says it misses.
fn missing(body: &[u8]) -> String {
    let Ok(Readiness { checks }) = serde_json::from_slice(body) else { return "it does not say why".to_owned() };
    let misses = checks.iter().filter(|(_, said)| said["ok"] != true).map(|(name, said)| match said["why"].as_str() {
        Some(why) => format!("{name}: {}", why.chars().take(200).collect::<String>()),
        None => name.clone(),
    });
    misses.collect::<Vec<_>>().join("; ")
}

async fn metrics(outward: &Outward, service: &Service) -> Option<OutboxLine> {
    let answer = get(outward, service, "/metrics").await.ok().filter(|answer| answer.status == 200)?;
    read(&String::from_utf8_lossy(&answer.body))
}

fn read(page: &str) -> Option<OutboxLine> {
    let value = |name: &str| -> Option<f64> {
        page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
    };
    Some(OutboxLine {
        parcels: value("conveyor_outbox_parcels")? as u64,
        oldest_seconds: value("conveyor_outbox_oldest_seconds")?,
    })
}

async fn get(outward: &Outward, service: &Service, path: &str) -> Result<crate::outward::Answer, String> {
    let request = Request::get(format!("{}{path}", service.url)).body(Full::new(Bytes::new()));
    let request = request.map_err(|_| "it cannot be asked".to_owned())?;
    outward.ask(request, WITHIN, ANSWER_BYTES).await.map_err(|why| why.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_says_how_much_waits_and_what_it_misses() {
        let page = "# TYPE x gauge\nconveyor_outbox_parcels 12\nconveyor_outbox_parcels_of 1\nconveyor_outbox_oldest_seconds 3.5\n";
        assert_eq!(read(page), Some(OutboxLine { parcels: 12, oldest_seconds: 3.5 }));
        assert_eq!(read("conveyor_outbox_parcels 12\n"), None);
        let body = br#"{"status":"not ready","checks":{"database":{"ok":false,"why":"away"},"catalogue":{"ok":true}}}"#;
        assert_eq!(missing(body), "database: away");
        assert_eq!(missing(b"<html>"), "it does not say why");
    }
}
