//! Customers and staff: what they ask for, how patient they are, and what they were promised.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use e2e::{http::Answer, in_seconds, sandbox::CARDS, signed, token, token_with};
use fastrand::Rng;
use futures_util::future::join_all;
use hyper::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::{
    task::{JoinError, JoinSet},
    time::Instant,
};

use crate::world::{PATIENCE, WALKER, World, flash_product};

const API: usize = 0;
const PAYMENTS: usize = 2;
const CONSOLE: usize = 4;
const APPROVED: &str = "4111111111111111";
/// What the catalogue asks for one, in minor units.
const PRICES: [(&str, i64); 4] = [("P001", 3_525), ("P002", 3_000), ("P003", 1_999), ("P004", 0)];
const FLASH_PRICE: i64 = 1_000;
/// So many want one of what is sold in a flash.
const FLASH_CUSTOMERS: usize = 60;
pub const FLASH_EVERY: Duration = Duration::from_secs(20);
/// Who is not answered for so long gives up paying, or calling off.
const GIVES_UP: Duration = Duration::from_secs(45);
/// More customers than this do not come at once.
const MOST_AT_ONCE: usize = 3_000;

/// What was asked of order-api under one key, by one customer.
#[derive(Debug, Clone)]
pub struct Attempt {
    pub product: String,
    pub quantity: i64,
    pub amount: i64,
    /// The order that was promised.
    pub promised: Option<String>,
    /// Whether the order had been made by a request that was not answered.
    pub recovered: bool,
    /// The answer that was neither a promise nor trouble.
    pub refused: Option<String>,
}

/// What customers and staff were told of orders besides.
#[derive(Debug, Clone, Default)]
pub struct Told {
    /// Their money was taken.
    pub paid: HashSet<String>,
    /// They are off.
    pub off: HashSet<String>,
}

pub struct Shop {
    world: Arc<World>,
    attempts: Mutex<HashMap<(String, String), Attempt>>,
    told: Mutex<Told>,
    wrong: Mutex<Vec<String>>,
    turns: AtomicUsize,
    last_promise: Mutex<(Instant, Duration)>,
}

impl Shop {
    pub fn new(world: Arc<World>) -> Arc<Self> {
        Arc::new(Self {
            world,
            attempts: Mutex::default(),
            told: Mutex::default(),
            wrong: Mutex::default(),
            turns: AtomicUsize::new(0),
            last_promise: Mutex::new((Instant::now(), Duration::ZERO)),
        })
    }

    pub fn attempts(&self) -> HashMap<(String, String), Attempt> {
        locked(&self.attempts).clone()
    }

    pub fn told(&self) -> Told {
        locked(&self.told).clone()
    }

    pub fn wrong(&self) -> Vec<String> {
        locked(&self.wrong).clone()
    }

    /// The longest time without a promise to anybody.
    pub fn longest_outage(&self) -> Duration {
        locked(&self.last_promise).1
    }

    /// Customers come at a steady rate, and some all at once, until `end`; returns when the last has gone.
    pub async fn open(self: Arc<Self>, rate: f64, seed: u64, end: Instant) {
        let mut rng = Rng::with_seed(seed);
        let mut customers = JoinSet::new();
        let mut arrivals = tokio::time::interval(Duration::from_secs_f64(1.0 / rate));
        let mut sales = tokio::time::interval_at(Instant::now() + FLASH_EVERY / 2, FLASH_EVERY);
        let mut sale = 0;
        while Instant::now() < end {
            tokio::select! {
                _ = arrivals.tick() => {
                    if customers.len() < MOST_AT_ONCE {
                        customers.spawn(Arc::clone(&self).live(rng.fork()));
                    }
                }
                _ = sales.tick() => {
                    for _ in 0..FLASH_CUSTOMERS {
                        customers.spawn(Arc::clone(&self).snatch(sale));
                    }
                    sale += 1;
                }
            }
            while let Some(gone) = customers.try_join_next() {
                self.has_gone(gone);
            }
        }
        while let Some(gone) = customers.join_next().await {
            self.has_gone(gone);
        }
    }

    fn has_gone(&self, customer: Result<(), JoinError>) {
        if let Err(error) = customer {
            locked(&self.wrong).push(format!("a customer has not come to an end: {error}"));
        }
    }

    /// So many orders on a quiet day: each of them must be paid. Their ids.
    pub async fn quiet_day(&self, orders: usize) -> Vec<String> {
        let (product, price) = PRICES[0];
        let placed = (0..orders).map(|_| self.place("approved", product, price, 1, false));
        join_all(placed).await.into_iter().flatten().collect()
    }

    /// The life of one order, as its customer and chance will have it.
    async fn live(self: Arc<Self>, mut rng: Rng) {
        // Nobody waits for time to pass where nothing is said a second time.
        let (behaviour, number) = if self.world.once { CARDS[0] } else { CARDS[rng.usize(..CARDS.len())] };
        let is_stored = rng.bool() || self.world.once;
        let user = if is_stored { behaviour } else { WALKER };
        let (product, price) = PRICES[rng.usize(..PRICES.len())];
        let quantity = rng.i64(1..=4);
        let Some(id) = self.place(user, product, price, quantity, rng.u8(..8) == 0).await else { return };
        let (end, moment) = (rng.u8(..10), Duration::from_millis(rng.u64(..8_000)));
        let off = async {
            tokio::time::sleep(moment).await;
            match end {
                0 | 1 => self.cancel(&id, &token(user)).await,
                2 => self.cancel(&id, &staff()).await,
                _ => {}
            }
        };
        let second = rng.u8(..4);
        let paying = async {
            if is_stored || price == 0 {
                return;
            }
            let is_paid = self.pay(user, &id, price * quantity, number).await;
            if !is_paid && second < 2 {
                self.pay(user, &id, price * quantity, APPROVED).await;
            }
        };
        tokio::join!(off, paying);
    }

    /// One of many who want one of few.
    async fn snatch(self: Arc<Self>, sale: usize) {
        self.place("approved", &flash_product(sale), FLASH_PRICE, 1, false).await;
    }

    /// Sends the same request until it is answered; some send it twice at once.
    async fn place(&self, user: &str, product: &str, price: i64, quantity: i64, twice: bool) -> Option<String> {
        let items = json!([{"productId": product, "quantity": quantity}]);
        let body =
            json!({"userId": user, "token": token(user), "orderAmount": decimal(price * quantity), "items": items});
        let (body, key) = (signed(body), format!("chaos-{:x}", fastrand::u128(..)));
        let asked = Attempt {
            product: product.to_owned(),
            quantity,
            amount: price * quantity,
            promised: None,
            recovered: false,
            refused: None,
        };
        locked(&self.attempts).insert((user.to_owned(), key.clone()), asked);
        let token = token(user);
        let ask = || self.persist(API, Method::POST, "/api/orders/create", &token, &key, &body, Duration::MAX);
        let answers = if twice {
            let (one, other) = tokio::join!(ask(), ask());
            vec![one, other]
        } else {
            vec![ask().await]
        };
        let mut promised: Option<String> = None;
        for answer in answers.into_iter().flatten() {
            let is_repeated = answer.headers.contains_key("idempotent-replayed");
            let mut attempts = locked(&self.attempts);
            let Some(attempt) = attempts.get_mut(&(user.to_owned(), key.clone())) else { continue };
            if answer.status != StatusCode::OK {
                attempt.refused = Some(format!("{} {}", answer.status, answer.text()));
                continue;
            }
            let id = answer.json()["orderId"].as_str().unwrap_or_default().to_owned();
            attempt.recovered |= is_repeated && !twice;
            if attempt.promised.as_ref().is_some_and(|before| *before != id) {
                locked(&self.wrong).push(format!("two orders under one key: {:?} and {id}", attempt.promised));
            }
            attempt.promised = Some(id.clone());
            promised = Some(id);
        }
        if promised.is_some() {
            let mut last = locked(&self.last_promise);
            *last = (Instant::now(), last.1.max(last.0.elapsed()));
        }
        promised
    }

    async fn cancel(&self, id: &str, token: &str) {
        let (path, key) = (format!("/api/orders/{id}/cancel"), format!("chaos-{:x}", fastrand::u128(..)));
        let answer = self.persist(API, Method::POST, &path, token, &key, &Value::Null, GIVES_UP).await;
        if answer.is_some_and(|answer| answer.status == StatusCode::OK) {
            locked(&self.told).off.insert(id.to_owned());
        }
    }

    /// Pays by card as soon as that is possible; whether the money was taken.
    async fn pay(&self, user: &str, id: &str, amount: i64, card: &str) -> bool {
        let body = json!({
            "orderId": id, "userId": user, "paymentAmount": decimal(amount), "paymentMethod": "credit_card",
            "paymentDetails": {"cardNumber": card, "expiryDate": "12/30", "cvv": "9417"},
        });
        let began = Instant::now();
        while began.elapsed() < GIVES_UP {
            let key = format!("chaos-{:x}", fastrand::u128(..));
            let (method, path) = (Method::POST, "/api/payment/process");
            let left = GIVES_UP.saturating_sub(began.elapsed());
            let Some(answer) = self.persist(PAYMENTS, method, path, &token(user), &key, &body, left).await else {
                return false;
            };
            let code = || answer.json()["errors"][0]["code"].as_str().unwrap_or_default().to_owned();
            match answer.status.as_u16() {
                200 => {
                    locked(&self.told).paid.insert(id.to_owned());
                    return true;
                }
                202 => return true,
                // Not yet, if it is to be paid for at all.
                404 if self.is_early(id, &token(user)).await => {}
                // Somebody is at it.
                409 if code() == "payment_open" => {}
                _ => return false,
            }
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        false
    }

    async fn is_early(&self, id: &str, token: &str) -> bool {
        let path = format!("/api/orders/{id}");
        let answer = self.persist(API, Method::GET, &path, token, "reading", &Value::Null, GIVES_UP).await;
        answer.is_some_and(|it| {
            it.json()["status"].as_str().is_some_and(|it| ["pending", "awaiting_payment"].contains(&it))
        })
    }

    /// What failed is sent again now and then, by staff; whether there was anything.
    pub async fn mend(&self) -> bool {
        let token = &self.world.operator;
        let key = format!("chaos-{:x}", fastrand::u128(..));
        let plan = json!({"action": "retry", "query": "state:failed"});
        let ask = |path: &'static str, body: Value| {
            let key = key.clone();
            async move { self.persist(CONSOLE, Method::POST, path, token, &key, &body, PATIENCE * 4).await }
        };
        let Some(planned) = ask("/api/support/plans", plan).await.filter(|answer| answer.status == 200) else {
            return false;
        };
        let plan = &planned.json()["plan"];
        let letters = plan["count"].as_i64().unwrap_or(0) - plan["unreadable"].as_i64().unwrap_or(0);
        if letters == 0 {
            return false;
        }
        let steps = json!({"first": [], "rate": 0, "tolerate": i32::MAX});
        let run = json!({"plan": plan["id"], "action": "retry", "steps": steps});
        ask("/api/support/runs", run).await.is_some_and(|answer| answer.status == 200)
    }

    /// Asks one process after the other until one of them answers with more than its troubles.
    #[expect(clippy::too_many_arguments, reason = "it is a request, and to whom and for how long")]
    async fn persist(
        &self,
        service: usize,
        method: Method,
        path: &str,
        token: &str,
        key: &str,
        body: &Value,
        within: Duration,
    ) -> Option<Answer> {
        let authorization = format!("Bearer {token}");
        let headers =
            [("authorization", authorization.as_str()), ("content-type", "application/json"), ("idempotency-key", key)];
        let text = if body.is_null() { String::new() } else { body.to_string() };
        let (began, mut pause) = (Instant::now(), Duration::from_millis(50));
        while began.elapsed() < within {
            let client = self.world.services[service].client(self.turns.fetch_add(1, Ordering::Relaxed));
            let asked = client.send(method.clone(), path, &headers, text.clone());
            if let Ok(Ok(answer)) = tokio::time::timeout(PATIENCE, asked).await {
                if answer.status == StatusCode::INTERNAL_SERVER_ERROR {
                    locked(&self.wrong).push(format!("{path}: 500 {}", answer.text()));
                }
                let is_trouble = answer.status.is_server_error() || [408, 429].contains(&answer.status.as_u16());
                if !is_trouble {
                    return Some(answer);
                }
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(1));
        }
        None
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn staff() -> String {
    token_with(&json!({"sub": "clerk", "scope": "staff", "exp": in_seconds(3_600)}))
}

/// As a request says it.
fn decimal(minor: i64) -> Value {
    serde_json::from_str(&format!("{}.{:02}", minor / 100, minor % 100)).unwrap_or_default()
}
