//! What RabbitMQ's management says of the queues: all of them in one question.

use std::time::Duration;

use axum::http::{HeaderValue, Request, header};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use common::config::ConfigError;
use http_body_util::Full;
use lapin::uri::AMQPUri;
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use secrecy::ExposeSecret as _;
use serde::Deserialize;

use super::{QueueKind, Settings};
use crate::outward::{Outward, base_url};

/// A vhost has a few dozen queues; hundreds fit.
const ANSWER_BYTES: usize = 1024 * 1024;

pub(super) struct Management {
    outward: Outward,
    url: String,
    authorization: HeaderValue,
    within: Duration,
}

/// One queue of the line, counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Counted {
    pub name: String,
    pub kind: QueueKind,
    pub ready: u64,
    pub unacked: u64,
    pub consumers: u64,
    /// Since the broker's statistics began.
    pub published: u64,
    pub acked: u64,
}

#[derive(Deserialize)]
struct Said {
    name: String,
    #[serde(default)]
    messages_ready: u64,
    #[serde(default)]
    messages_unacknowledged: u64,
    #[serde(default)]
    consumers: u64,
    #[serde(default)]
    message_stats: Stats,
}

#[derive(Default, Deserialize)]
struct Stats {
    #[serde(default)]
    publish: u64,
    #[serde(default)]
    ack: u64,
}

impl Management {
    /// None where no address is set.
    pub(super) fn new(settings: &Settings, broker_url: &str, outward: Outward) -> Result<Option<Self>, ConfigError> {
        const KEY: &str = "support.board.management_url";
        let bad = |why: &str| ConfigError(format!("{KEY}: {why}"));
        let given = settings.management_url.expose_secret();
        if given.is_empty() {
            return Ok(None);
        }
        // The password is kept out of the address, and so out of every message about it.
        let (scheme, rest) = given.split_once("://").ok_or_else(|| bad("is not a URL"))?;
        let (login, host) = rest.rsplit_once('@').unwrap_or(("guest:guest", rest));
        let decoded = percent_decode_str(login).collect::<Vec<u8>>();
        let url = base_url(KEY, &format!("{scheme}://{host}"))?;
        let mut authorization = HeaderValue::try_from(format!("Basic {}", STANDARD.encode(decoded)))
            .map_err(|_| bad("its password cannot stand in a header"))?;
        authorization.set_sensitive(true);
        let broker: AMQPUri = broker_url.parse().map_err(|_| ConfigError("broker.url: is not a URL".to_owned()))?;
        let vhost = utf8_percent_encode(&broker.vhost, NON_ALPHANUMERIC);
        let columns = "name,messages_ready,messages_unacknowledged,consumers,message_stats.publish,message_stats.ack";
        let url = format!("{url}/api/queues/{vhost}?columns={columns}");
        let within = Duration::from_millis(settings.timeout_ms);
        Ok(Some(Self { outward, url, authorization, within }))
    }

    pub(super) async fn queues(&self) -> Result<Vec<Counted>, String> {
        let request = Request::get(&self.url)
            .header(header::AUTHORIZATION, &self.authorization)
            .body(Full::new(Bytes::new()))
            .map_err(|_| "the broker's management cannot be asked".to_owned())?;
        let answer = self.outward.ask(request, self.within, ANSWER_BYTES).await;
        let answer = answer.map_err(|why| format!("the broker's management: {why}"))?;
        if answer.status != 200 {
            return Err(format!("the broker's management answered {}", answer.status.as_u16()));
        }
        counted(&answer.body).map_err(|_| "the broker's management answered something odd".to_owned())
    }
}

fn counted(body: &[u8]) -> Result<Vec<Counted>, serde_json::Error> {
    let said: Vec<Said> = serde_json::from_slice(body)?;
    let of_the_line = said.into_iter().filter_map(|said| {
        Some(Counted {
            kind: QueueKind::of(&said.name)?,
            name: said.name,
            ready: said.messages_ready,
            unacked: said.messages_unacknowledged,
            consumers: said.consumers,
            published: said.message_stats.publish,
            acked: said.message_stats.ack,
        })
    });
    Ok(of_the_line.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_broker_leaves_out_counts_for_nothing() {
        let body = br#"[
            {"name": "payment.charge", "messages_ready": 3, "messages_unacknowledged": 1, "consumers": 2,
             "message_stats": {"ack": 10, "ack_details": {"rate": 0.0}}},
            {"name": "delay.1000"}, {"name": "somebody-elses", "messages_ready": 1}
        ]"#;
        let queues = counted(body).unwrap();
        let [charge, delay] = queues.as_slice() else { panic!("{queues:?}") };
        assert_eq!((charge.ready, charge.unacked, charge.consumers, charge.published, charge.acked), (3, 1, 2, 0, 10));
        assert_eq!((delay.kind, delay.ready), (QueueKind::Delay { ms: 1_000 }, 0));
        assert!(counted(b"{}").is_err());
    }

    #[test]
    fn a_password_stays_out_of_what_is_said() {
        let outward = Outward::new(Duration::from_secs(1)).unwrap();
        let at = |url: &str| Settings { management_url: url.into(), ..Default::default() };
        let broker = "amqp://u:p@h:5672/a%2Fb";
        let management = Management::new(&at("http://me:s%40cret@host:15672/"), broker, outward.clone());
        let management = management.unwrap().unwrap();
        assert!(management.url.starts_with("http://host:15672/api/queues/a%2Fb?columns="), "{}", management.url);
        assert_eq!(management.authorization.to_str().unwrap(), format!("Basic {}", STANDARD.encode("me:s@cret")));
        let refusal = Management::new(&at("me:s3cret@host"), broker, outward.clone()).err().unwrap().to_string();
        assert!(refusal.contains("management_url") && !refusal.contains("s3cret"), "{refusal}");
        assert!(Management::new(&at(""), broker, outward).unwrap().is_none());
    }
}
