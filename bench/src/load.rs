//! The load: orders over kept-alive connections, as fast as they are answered or at a steady rate.
//!
//! It shares the processors with what it measures, so it does as little as it can: one thread, requests that were
//! built once, and of each answer only the order's id is read.

use std::{
    cell::{Cell, RefCell},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, Result, bail};
use futures_util::future::join_all;
use tokio::time::Instant;
use uuid::Uuid;

use crate::{connection::Connection, customer, measure::Latencies};

/// A request that takes longer counts as failed.
const PATIENCE: Duration = Duration::from_secs(30);

/// When orders are sent.
#[derive(Clone, Copy)]
pub enum Pace {
    /// The next as soon as the one before is answered, on every connection.
    Flat,
    /// So many a second, whatever the answers do. Latency counts from the moment an order was due: a line that falls
    /// behind cannot hide it by being asked less.
    Steady(f64),
}

/// An order that was accepted, and when it was sent (or was due), in microseconds of the machine's clock.
#[derive(Clone, Copy)]
pub struct Sent {
    pub id: Uuid,
    pub at: i64,
}

/// What came of the load.
pub struct Outcome {
    pub sent: Vec<Sent>,
    pub post: Latencies,
    /// Orders that were told that there is too much to do, and how soon.
    pub refused: u64,
    pub refusals: Latencies,
    pub failed: u64,
    pub first_failure: Option<String>,
    /// From the first request to the last answer.
    pub took: Duration,
    /// The first request, in microseconds of the machine's clock.
    pub began: i64,
}

pub struct Load<'a> {
    address: &'a str,
    /// One of each customer.
    requests: Vec<String>,
    pace: Pace,
    orders: u64,
    begun: Cell<u64>,
    /// The same moment on both clocks: the steady one measures, the machine's is what PostgreSQL writes down.
    start: Instant,
    start_at: i64,
    outcome: RefCell<Outcome>,
}

impl<'a> Load<'a> {
    pub fn new(address: &'a str, pace: Pace, orders: u64) -> Result<Self> {
        let start_at = micros(SystemTime::now());
        let requests = (0..customer::CUSTOMERS).map(|number| request(address, &customer::order(number)?));
        Ok(Self {
            address,
            requests: requests.collect::<Result<_>>()?,
            pace,
            orders,
            begun: Cell::new(0),
            start: Instant::now(),
            start_at,
            outcome: RefCell::new(Outcome {
                sent: Vec::with_capacity(usize::try_from(orders)?),
                post: Latencies::new()?,
                refused: 0,
                refusals: Latencies::new()?,
                failed: 0,
                first_failure: None,
                took: Duration::ZERO,
                began: start_at,
            }),
        })
    }

    /// Orders answered so far.
    pub fn answered(&self) -> usize {
        let outcome = self.outcome.borrow();
        outcome.sent.len() + usize::try_from(outcome.failed + outcome.refused).unwrap_or(0)
    }

    /// Sends everything. The connections are made before the clock starts.
    pub async fn run(mut self, connections: usize, watch: impl Fn(&Self)) -> Result<Outcome> {
        let opened = join_all((0..connections).map(|_| Connection::open(self.address))).await;
        let opened = opened.into_iter().collect::<Result<Vec<_>>>()?;
        self.start = Instant::now();
        self.start_at = micros(SystemTime::now());
        let load = &self;
        let all = join_all(opened.into_iter().map(|connection| load.send_on(connection)));
        let ticking = async {
            loop {
                tokio::time::sleep(Duration::from_millis(500)).await;
                watch(load);
            }
        };
        tokio::select! {
            _ = all => {}
            () = ticking => {}
        }
        let mut outcome = self.outcome.into_inner();
        outcome.took = self.start.elapsed();
        outcome.began = self.start_at;
        Ok(outcome)
    }

    async fn send_on(&self, connection: Connection) {
        let mut connection = Some(connection);
        while let Some((request, due)) = self.next() {
            let began = match due {
                Some(due) => {
                    tokio::time::sleep_until(due).await;
                    due
                }
                None => Instant::now(),
            };
            match tokio::time::timeout(PATIENCE, self.send(&mut connection, request)).await {
                Ok(Ok(None)) => {
                    let mut outcome = self.outcome.borrow_mut();
                    outcome.refused += 1;
                    outcome.refusals.record(whole_micros(began.elapsed()));
                }
                Ok(Ok(Some(id))) => {
                    let mut outcome = self.outcome.borrow_mut();
                    outcome.post.record(whole_micros(began.elapsed()));
                    outcome.sent.push(Sent { id, at: self.start_at + whole_micros(began.duration_since(self.start)) });
                }
                Ok(Err(error)) => self.failed(&mut connection, format!("{error:#}")),
                Err(_) => self.failed(&mut connection, format!("no answer within {} s", PATIENCE.as_secs())),
            }
        }
    }

    /// The next order to send, if there is one, and when it is due, if that matters.
    fn next(&self) -> Option<(&str, Option<Instant>)> {
        let number = self.begun.get();
        if number == self.orders {
            return None;
        }
        self.begun.set(number + 1);
        let request = self.requests.get(usize::try_from(number).ok()? % self.requests.len())?;
        let due = match self.pace {
            Pace::Flat => None,
            Pace::Steady(rate) => Some(self.start + Duration::from_secs_f64(number as f64 / rate)),
        };
        Some((request, due))
    }

    fn failed(&self, connection: &mut Option<Connection>, why: String) {
        // Whatever state the connection is in, the next order gets a new one.
        *connection = None;
        let mut outcome = self.outcome.borrow_mut();
        outcome.failed += 1;
        outcome.first_failure.get_or_insert(why);
    }

    /// The order's id; none if there was no room for it.
    async fn send(&self, connection: &mut Option<Connection>, request: &str) -> Result<Option<Uuid>> {
        let connection = match connection {
            Some(connection) => connection,
            none => none.insert(Connection::open(self.address).await?),
        };
        let (status, body) = connection.send(request.as_bytes()).await?;
        if status == 503 && is_overloaded(body) {
            return Ok(None);
        }
        if status != 200 {
            bail!("{status}: {}", String::from_utf8_lossy(body));
        }
        order_id(body).map(Some).with_context(|| format!("no order id in {}", String::from_utf8_lossy(body)))
    }
}

fn request(address: &str, order: &str) -> Result<String> {
    let length = order.len();
    Ok(format!(
        "POST /api/orders/create HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{order}"
    ))
}

fn is_overloaded(body: &[u8]) -> bool {
    const CODE: &[u8] = br#""code":"overloaded""#;
    body.windows(CODE.len()).any(|window| window == CODE)
}

/// The id in an answer, without reading the rest of it.
fn order_id(body: &[u8]) -> Option<Uuid> {
    const BEFORE: &[u8] = br#""orderId":"ORD"#;
    let at = body.windows(BEFORE.len()).position(|window| window == BEFORE)? + BEFORE.len();
    Uuid::try_parse_ascii(body.get(at..at + 32)?).ok()
}

/// A moment as microseconds since 1970.
pub fn micros(moment: SystemTime) -> i64 {
    whole_micros(moment.duration_since(UNIX_EPOCH).unwrap_or_default())
}

fn whole_micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_id_is_found() {
        let id = order_id(
            br#"{"code":200,"message":"x","orderId":"ORD0193A0C0D0E070008000000000000001","status":"pending"}"#,
        );
        assert_eq!(id, Some(Uuid::from_u128(0x0193_a0c0_d0e0_7000_8000_0000_0000_0001)));
        assert_eq!(order_id(br#"{"code":400}"#), None);
        assert_eq!(order_id(br#"{"orderId":"ORD12"}"#), None);
    }

    #[test]
    fn a_steady_pace_is_due_by_the_clock_alone() {
        let load = Load::new("", Pace::Steady(4.0), 3).unwrap();
        let due: Vec<_> = std::iter::from_fn(|| load.next()).filter_map(|(_, due)| Some(due? - load.start)).collect();
        assert_eq!(due, [0, 250, 500].map(Duration::from_millis));
    }
}
