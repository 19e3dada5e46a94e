//! What the gateway tells by itself: events, signed, and sent until they are heard or there is no more hope.

use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::http::{Request, Uri, header};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde_json::json;
use tokio::{net::TcpStream, sync::Semaphore};

use crate::{
    gateway::Answer,
    ledger::{Charge, Refund, RefundStatus, Status},
    requests::hmac,
    world::{World, now},
};

/// How often a callback that was not heard is sent again.
const AGAIN: u32 = 5;
const WITHIN: Duration = Duration::from_secs(5);
const MOST_AT_A_TIME: usize = 64;
/// Beyond that, new ones are lost: somebody has stopped listening.
const MOST_WAITING: usize = 100_000;
/// For how long one may be held back, to be overtaken.
const HELD_BACK: Duration = Duration::from_secs(1);
const LONGEST_ANSWER: usize = 64 << 10;

#[derive(Debug)]
pub(crate) struct Courier {
    room: Semaphore,
    waiting: AtomicUsize,
}

impl Default for Courier {
    fn default() -> Self {
        Self { room: Semaphore::new(MOST_AT_A_TIME), waiting: AtomicUsize::new(0) }
    }
}

/// One that is ready to be sent: always the same bytes, signed anew each time, and each time at another second: the same
/// signature twice would be a replay.
#[derive(Debug, Clone)]
pub(crate) struct Callback {
    to: Address,
    charge_key: String,
    event_id: String,
    body: Bytes,
    /// When it was last signed; the same for all its copies.
    signed_at: Arc<AtomicI64>,
}

/// Where callbacks go: `http://host[:port]/path`.
#[derive(Debug, Clone)]
pub(crate) struct Address {
    authority: String,
    /// Host and port.
    at: String,
    path: String,
}

impl Address {
    pub(crate) fn parse(url: &str) -> Option<Self> {
        let uri: Uri = url.parse().ok()?;
        let authority = uri.authority().filter(|_| uri.scheme_str() == Some("http"))?;
        if authority.as_str().contains('@') || authority.host().is_empty() {
            return None;
        }
        Some(Self {
            at: format!("{}:{}", authority.host(), authority.port_u16().unwrap_or(80)),
            authority: authority.to_string(),
            path: uri.path_and_query().map_or_else(|| "/".to_owned(), ToString::to_string),
        })
    }
}

impl Callback {
    /// A charge has come to its end. None if nobody asked to be told.
    pub(crate) fn of_charge(world: &World, charge: &Charge) -> Option<Self> {
        let kind = match charge.status {
            Status::Captured => "charge.captured",
            Status::Declined => "charge.declined",
            Status::Processing | Status::Voided => return None,
        };
        Self::new(world, charge, kind, "charge", Answer::of(charge))
    }

    pub(crate) fn of_refund(world: &World, refund: &Refund) -> Option<Self> {
        let kind = match refund.status {
            RefundStatus::Refunded => "refund.refunded",
            RefundStatus::Refused => "refund.refused",
            RefundStatus::Processing => return None,
        };
        let charge = world.ledger().find(&refund.charge_key).cloned()?;
        Self::new(world, &charge, kind, "refund", refund)
    }

    /// Now, or the second after the last time: a few seconds ahead are as good as a few behind.
    fn sign_at(&self) -> i64 {
        let now = now() / 1000;
        let last = self.signed_at.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(now.max(last + 1)));
        now.max(last.unwrap_or_default() + 1)
    }

    fn new(world: &World, charge: &Charge, kind: &'static str, what: &str, it: impl Serialize) -> Option<Self> {
        let to = Address::parse(charge.callback_url.as_deref()?)?;
        let event_id = world.ledger().note_event(&charge.key, kind);
        let body = json!({"id": event_id, "type": kind, "created": now() / 1000, what: serde_json::to_value(it).ok()?});
        Some(Self {
            to,
            charge_key: charge.key.clone(),
            event_id,
            body: body.to_string().into(),
            signed_at: Arc::default(),
        })
    }
}

/// Sends so many copies, each on its way by itself; by chance (as was set) one more, and some later than others.
pub(crate) fn post(world: &Arc<World>, callback: &Callback, copies: u8) {
    let settings = &world.settings;
    let mut chance = chance(settings.seed, callback);
    let doubled = chance.f64() < settings.duplicate_callbacks;
    for copy in 0..u32::from(copies) + u32::from(doubled) {
        let held = copy >= u32::from(copies) || chance.f64() < settings.reorder_callbacks;
        let delay = if held { HELD_BACK.mul_f64(chance.f64()) } else { Duration::ZERO };
        let (of, callback) = (Arc::clone(world), callback.clone());
        if world.courier.waiting.fetch_add(1, Ordering::Relaxed) >= MOST_WAITING {
            world.courier.waiting.fetch_sub(1, Ordering::Relaxed);
            continue;
        }
        world.beside(async move {
            tokio::time::sleep(delay).await;
            let mut pause = of.settings.callback_backoff;
            for attempt in 0..=AGAIN {
                if send(&of, &callback).await {
                    break;
                }
                if attempt < AGAIN {
                    tokio::time::sleep(pause).await;
                    pause *= 2;
                }
            }
            of.courier.waiting.fetch_sub(1, Ordering::Relaxed);
        });
    }
}

/// Sends it once, and says whether it was heard.
pub(crate) async fn send(world: &World, callback: &Callback) -> bool {
    // A gateway that is down tells nothing either; that costs no attempt.
    world.faults.gateway_is_there().await;
    let Ok(_room) = world.courier.room.acquire().await else { return false };
    let heard = matches!(tokio::time::timeout(WITHIN, exchange(world, callback)).await, Ok(Some(true)));
    world.ledger().note_sent(&callback.charge_key, &callback.event_id, heard);
    heard
}

async fn exchange(world: &World, callback: &Callback) -> Option<bool> {
    let stream = TcpStream::connect(&callback.to.at).await.ok()?;
    let _ = stream.set_nodelay(true);
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.ok()?;
    let request = Request::post(&callback.to.path)
        .header(header::HOST, &callback.to.authority)
        .header(header::CONTENT_TYPE, "application/json")
        .header("gateway-signature", signature(&world.settings.callback_secret, callback.sign_at(), &callback.body))
        .body(Full::new(callback.body.clone()))
        .ok()?;
    let answered = async {
        let response = sender.send_request(request).await.ok()?;
        let heard = response.status().is_success();
        // To the end, so that the other side is not cut off while it speaks.
        let _ = Limited::new(response.into_body(), LONGEST_ANSWER).collect().await;
        drop(sender);
        Some(heard)
    };
    let (heard, _) = tokio::join!(answered, connection);
    heard
}

pub(crate) fn signature(secret: &str, at: i64, body: &[u8]) -> String {
    let at = at.to_string();
    format!("t={at},v1={}", hmac(secret, &[at.as_bytes(), b".", body]))
}

/// The same for the same seed and charge, whatever happens around it.
fn chance(seed: u64, callback: &Callback) -> fastrand::Rng {
    let mut hasher = DefaultHasher::new();
    (seed, &callback.charge_key, callback.body.len()).hash(&mut hasher);
    fastrand::Rng::with_seed(hasher.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_callbacks_may_go() {
        let at = |url: &str| Address::parse(url).map(|address| (address.at, address.path));
        let found = |at: &str, path: &str| Some((at.to_owned(), path.to_owned()));
        assert_eq!(at("http://127.0.0.1:8082/api/payment/callback"), found("127.0.0.1:8082", "/api/payment/callback"));
        assert_eq!(at("http://payment-worker/a?b=c"), found("payment-worker:80", "/a?b=c"));
        assert_eq!(at("http://[::1]:9"), found("[::1]:9", "/"));
        for bad in ["", "x", "/only/a/path", "https://secure.example/", "ftp://x/", "http://user:password@x/"] {
            assert_eq!(at(bad), None, "{bad}");
        }
    }

    #[test]
    fn no_two_copies_are_signed_at_the_same_second() {
        let to = Address::parse("http://127.0.0.1:1/").unwrap();
        let (charge_key, event_id) = (String::new(), String::new());
        let callback = Callback { to, charge_key, event_id, body: Bytes::new(), signed_at: Arc::default() };
        let began = now() / 1000;
        let times = [callback.sign_at(), callback.clone().sign_at(), callback.sign_at()];
        assert!(began <= times[0] && times[0] < times[1] && times[1] < times[2], "{times:?}");
        assert!(times[2] <= now() / 1000 + 2, "{times:?}");
    }

    #[test]
    fn a_signature_covers_time_and_body() {
        let signed = signature("secret", 1_700_000_000, b"{}");
        let other = [
            signature("secret", 1_700_000_001, b"{}"),
            signature("secret", 1_700_000_000, b"{ }"),
            signature("s", 1_700_000_000, b"{}"),
        ];
        assert!(signed.starts_with("t=1700000000,v1=") && signed.len() == "t=1700000000,v1=".len() + 64, "{signed}");
        assert!(other.iter().all(|other| *other != signed));
    }
}
