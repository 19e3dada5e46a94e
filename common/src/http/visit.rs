//! What every request is held to, before anybody looks at what it asks for.

use std::{
    fmt,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use axum::{
    body::Body,
    extract::{FromRequestParts, Request},
    http::{HeaderMap, request::Parts},
};
use futures_util::StreamExt as _;
use tokio::time::Instant;

use super::{
    address,
    code::codes,
    problem::Problem,
    rate::{Rates, Refused, Standing},
    seat::Seat,
};
use crate::{config, ids::UserId};

/// The most bytes of a request's head: its first line and its headers.
const LARGEST_HEAD: usize = 16 * 1024;
/// Up to so many a head is read, so that whoever sent it can be told. With more, hyper says 431 and nothing else.
pub(super) const LARGEST_HEAD_READ: usize = 2 * LARGEST_HEAD;
/// What a header takes besides its name and value: a colon, a space, the end of the line.
const AROUND_A_HEADER: usize = 4;

/// How much of a body that is not wanted is read and thrown away, so that its sender lives to see the refusal: many
/// clients look for an answer only once they have sent everything.
pub(super) const DISCARDED: usize = 8 * 1024 * 1024;

/// The rules of the house, and how full it is.
pub(super) struct House {
    pub(super) rates: Rates,
    proxies: Vec<IpAddr>,
    pub(super) answer_within: Duration,
    body_within: Duration,
    pub(super) largest_body: usize,
    most_requests: usize,
    requests: AtomicUsize,
}

impl House {
    pub(super) fn new(settings: &config::Http) -> Self {
        Self {
            rates: Rates::new(settings),
            proxies: settings.trusted_proxies.iter().map(IpAddr::to_canonical).collect(),
            answer_within: Duration::from_millis(settings.request_timeout_ms),
            body_within: Duration::from_millis(settings.body_timeout_ms),
            largest_body: settings.body_limit_bytes,
            most_requests: settings.most_requests,
            requests: AtomicUsize::new(0),
        }
    }

    pub(super) fn is_proxy(&self, address: IpAddr) -> bool {
        self.proxies.contains(&address.to_canonical())
    }
}

/// The request that is being answered, and the connection that it came on.
#[derive(Clone)]
pub struct Visit {
    pub(super) house: Arc<House>,
    pub(super) seat: Arc<Seat>,
}

impl fmt::Debug for Visit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Visit").field("peer", &self.seat.peer).finish_non_exhaustive()
    }
}

impl Visit {
    /// Counts the request for a user, whose token is known to be good by now.
    pub fn count_for(&self, user: &UserId) -> Result<(), Problem> {
        self.counted(self.house.rates.user(user), "this user")
    }

    /// The address that asks, which is not the peer's where that is a proxy of ours.
    #[must_use]
    pub fn address(&self, headers: &HeaderMap) -> IpAddr {
        address::asked_by(self.seat.peer, headers, &self.house.proxies)
    }

    fn counted(&self, taken: Option<Result<Standing, Refused>>, whose: &str) -> Result<(), Problem> {
        match taken {
            None => Ok(()),
            Some(Ok(standing)) => {
                self.seat.note(standing);
                Ok(())
            }
            Some(Err(refused)) => {
                self.seat.note(refused.standing);
                Err(refused.problem(whose))
            }
        }
    }

    /// Whether the request may be answered at all. While it is, it is one of those that the service is busy with.
    pub(super) fn admit(&self, request: &Request) -> Result<Turn, Problem> {
        if head_size(request) > LARGEST_HEAD {
            let message = format!("the request's first line and headers are larger than {LARGEST_HEAD} bytes");
            return Err(Problem::new(codes::HEAD_TOO_LARGE, message));
        }
        if self.house.rates.limits_addresses() {
            self.counted(self.house.rates.address(self.address(request.headers())), "this address")?;
        }
        let turn = Turn::take(&self.house);
        self.is_crowded().map(|()| turn)
    }

    fn is_crowded(&self) -> Result<(), Problem> {
        if self.house.requests.load(Relaxed) > self.house.most_requests {
            return Err(Problem::overloaded("too many requests are being answered"));
        }
        Ok(())
    }

    /// Waits for the client's body, but not for long. A client that takes its time keeps nobody else out.
    pub(super) async fn read<T>(&self, reading: impl Future<Output = Result<T, Problem>>) -> Result<T, Problem> {
        self.seat.awaits_body(self.house.body_within);
        let outside = Outside::step(&self.house);
        let read = tokio::time::timeout(self.house.body_within, reading).await;
        drop(outside);
        self.seat.has_body();
        let Ok(read) = read else {
            self.seat.linger();
            return Err(Problem::new(codes::REQUEST_TIMEOUT, "the body took too long to arrive"));
        };
        if read.is_ok() {
            self.is_crowded()?;
        }
        read
    }

    /// Reads a body that nobody wants.
    pub(super) async fn discard(&self, body: Body) {
        let reading = async {
            let mut stream = body.into_data_stream();
            let mut size = 0;
            while let Some(Ok(chunk)) = stream.next().await {
                size += chunk.len();
                if size > DISCARDED {
                    self.seat.linger();
                    break;
                }
            }
            Ok(())
        };
        // Whether it came or not: the answer is another.
        let _ = self.read(reading).await;
    }
}

/// Reads the body of a request that is refused before anybody looks into it, so that its connection stays good.
pub async fn discard(request: Request) {
    if let Some(visit) = request.extensions().get::<Visit>().cloned() {
        visit.discard(request.into_body()).await;
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Visit {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts.extensions.get::<Self>().cloned().ok_or_else(Problem::internal)
    }
}

fn head_size(request: &Request) -> usize {
    let headers = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + AROUND_A_HEADER);
    let path = request.uri().path_and_query().map_or(0, |path| path.as_str().len());
    path + headers.sum::<usize>()
}

/// One of the requests that are being answered.
pub(super) struct Turn(Arc<House>);

impl Turn {
    fn take(house: &Arc<House>) -> Self {
        house.requests.fetch_add(1, Relaxed);
        Self(Arc::clone(house))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.requests.fetch_sub(1, Relaxed);
    }
}

/// A request whose body is not there yet: nothing is being done for it.
struct Outside<'a>(&'a House);

impl<'a> Outside<'a> {
    fn step(house: &'a House) -> Self {
        house.requests.fetch_sub(1, Relaxed);
        Self(house)
    }
}

impl Drop for Outside<'_> {
    fn drop(&mut self) {
        self.0.requests.fetch_add(1, Relaxed);
    }
}

/// Until when a request may take, if that is later than this: its body must come in time, and then the answer.
pub(super) fn later(visit: &Visit, until: Instant) -> Option<Instant> {
    let later = visit.seat.body_by()? + visit.house.answer_within;
    (later > until).then_some(later)
}
