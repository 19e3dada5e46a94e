//! What is known of a connection while it is open: one request at a time is answered on it.

use std::{
    net::IpAddr,
    pin::Pin,
    sync::{
        Arc, LazyLock, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll},
};

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, header};
use axum::response::Response;
use hyper::body::{Body as _, Frame, SizeHint};
use tokio::time::{Duration, Instant};

use super::rate::Standing;

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Stands for "a request is under way" where otherwise a time would stand.
const BUSY: u64 = u64::MAX;

fn now() -> u64 {
    at(Instant::now())
}

fn at(moment: Instant) -> u64 {
    u64::try_from(moment.saturating_duration_since(*START).as_micros()).unwrap_or(BUSY - 1)
}

pub(super) struct Seat {
    pub(super) peer: IpAddr,
    /// Since when it is the client whom everything waits for, or [`BUSY`].
    waits_since: AtomicU64,
    /// By when the body of the present request must be there, or since when it is; 0 if it is not asked for.
    body_by: AtomicU64,
    standing: Mutex<Option<Standing>>,
    lingers: AtomicBool,
}

impl Seat {
    pub(super) fn new(peer: IpAddr) -> Self {
        Self {
            peer,
            waits_since: AtomicU64::new(now()),
            body_by: AtomicU64::new(0),
            standing: Mutex::new(None),
            lingers: AtomicBool::new(false),
        }
    }

    /// A request begins.
    pub(super) fn begins(&self) {
        self.waits_since.store(BUSY, Relaxed);
        self.body_by.store(0, Relaxed);
    }

    /// Its answer is there. If that is a stream, the request lasts as long as the stream does.
    pub(super) fn ends(self: Arc<Self>, mut answer: Response) -> Response {
        if self.lingers() {
            // Who is not told sends the next request on a connection that is about to be closed.
            answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        if answer.body().size_hint().exact().is_some() {
            self.waits_since.store(now(), Relaxed);
            return answer;
        }
        answer.map(|body| Body::new(Streamed { body, seat: self }))
    }

    /// The client is to send the body of its request within this time.
    pub(super) fn awaits_body(&self, within: Duration) {
        let now = Instant::now();
        self.waits_since.store(at(now), Relaxed);
        self.body_by.store(at(now + within), Relaxed);
    }

    pub(super) fn has_body(&self) {
        self.waits_since.store(BUSY, Relaxed);
        self.body_by.store(now().max(1), Relaxed);
    }

    /// By when the body must be there, or since when it is.
    pub(super) fn body_by(&self) -> Option<Instant> {
        let micros = self.body_by.load(Relaxed);
        (micros > 0).then(|| *START + Duration::from_micros(micros))
    }

    /// Since when it is the client whom everything waits for, if so.
    pub(super) fn waits_since(&self) -> Option<u64> {
        Some(self.waits_since.load(Relaxed)).filter(|since| *since != BUSY)
    }

    pub(super) fn note(&self, standing: Standing) {
        let mut noted = self.standing.lock().unwrap_or_else(PoisonError::into_inner);
        *noted = Some(noted.map_or(standing, |noted| noted.tighter(standing)));
    }

    pub(super) fn take_standing(&self) -> Option<Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Not all was read that the client sends: closed at once, the connection would be reset, and the answer with it.
    pub(super) fn linger(&self) {
        self.lingers.store(true, Relaxed);
    }

    pub(super) fn lingers(&self) -> bool {
        self.lingers.load(Relaxed)
    }
}

/// An answer of unknown length, during which its connection is busy.
struct Streamed {
    body: Body,
    seat: Arc<Seat>,
}

impl hyper::body::Body for Streamed {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Streamed {
    fn drop(&mut self) {
        self.seat.waits_since.store(now(), Relaxed);
    }
}
