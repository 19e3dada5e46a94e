//! The payment gateway as payment-worker sees it.

mod asked;

use std::{sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::{RawQuery, Request, State},
    http::{HeaderMap, StatusCode},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::post,
};
use bytes::Bytes;
use serde::Serialize;
use serde_json::json;
use tokio::sync::oneshot;

use self::asked::{Method, WantedCharge, WantedRefund, WantedVoid};
use crate::{
    callbacks::{self, Callback},
    cards::{self, Course},
    faults::Gateway,
    ledger::{Charge, Refund, RefundStatus, Refusal, Status},
    requests::{Refused, authorize, body, idempotency_key, key_in, parameter},
    server::hang_up,
    world::{World, now},
};

const SLOW: Duration = Duration::from_secs(2);
/// How long a connection stays open on which no answer comes.
const UNANSWERED: Duration = Duration::from_secs(60);

pub(crate) fn routes(world: &Arc<World>) -> Router<Arc<World>> {
    Router::new()
        .route("/v1/charges", post(charge).get(find_charge))
        .route("/v1/charges/void", post(void))
        .route("/v1/refunds", post(refund).get(find_refund))
        .route("/v1/methods", post(method))
        .layer(middleware::from_fn_with_state(Arc::clone(world), enter))
}

/// A charge as it stands.
#[derive(Debug, Serialize)]
pub(crate) struct Answer<'a> {
    id: &'a str,
    key: &'a str,
    status: Status,
    amount: i64,
    refunded: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
}

impl<'a> Answer<'a> {
    pub(crate) fn of(charge: &'a Charge) -> Self {
        let Charge { id, key, status, amount, refunded, reason, .. } = charge;
        Self { id, key, status: *status, amount: *amount, refunded: *refunded, reason: *reason }
    }
}

fn answer(charge: &Charge) -> Response {
    Json(Answer::of(charge)).into_response()
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::OtherBody => Self::new(StatusCode::CONFLICT, "other_body", "this key was used for something else"),
            Refusal::NotFound => Self::not_found(),
            Refusal::NotCaptured => Self::bad("not_captured", "there is nothing to give back: it was not captured"),
            Refusal::MoreThanCaptured => {
                Self::bad("amount_too_large", "that is more than is left of what was captured")
            }
            Refusal::TooManyRefunds => Self::bad("too_many_refunds", "this charge has too many refunds"),
            Refusal::Stumbled => Self::new(StatusCode::INTERNAL_SERVER_ERROR, "error", "nothing was charged"),
        }
    }
}

/// What is out of order, and who may come in.
async fn enter(State(world): State<Arc<World>>, request: Request, next: Next) -> Response {
    let _under_way = world.calls.begin();
    match world.faults.now().gateway {
        Gateway::Up => {}
        Gateway::Slow => tokio::time::sleep(SLOW).await,
        Gateway::Down if world.faults.hangs_up() => return hang_up(),
        Gateway::Down => {
            return Refused::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "the gateway is down").into_response();
        }
        Gateway::Throttled => {
            return Refused::new(StatusCode::TOO_MANY_REQUESTS, "too_many", "come again later").into_response();
        }
    }
    if let Err(refused) = authorize(request.headers(), &world.settings.api_key) {
        return refused.into_response();
    }
    next.run(request).await
}

async fn charge(State(world): State<Arc<World>>, headers: HeaderMap, bytes: Bytes) -> Result<Response, Refused> {
    let key = idempotency_key(&headers)?;
    let (order, secret) = body::<WantedCharge>(&bytes)?.checked(world.today())?;
    let course = order.method.behaviour.course;
    let entry = world.ledger().charge(&key, order, secret, now())?;
    let charge = entry.it;
    if !entry.is_new {
        return Ok(answer(&charge));
    }
    match course {
        Course::AtOnce | Course::ErrorFirst => {}
        Course::Slowly => tokio::time::sleep(SLOW).await,
        Course::Unanswered => {
            tokio::time::sleep(UNANSWERED).await;
            return Ok(hang_up());
        }
        Course::Later { callbacks } => settle_later(&world, key, callbacks),
        Course::CallbackFirst => settle_first(&world, &key).await,
    }
    Ok(answer(&charge))
}

fn settle_later(world: &Arc<World>, key: String, callbacks: u8) {
    let of = Arc::clone(world);
    world.beside(async move {
        tokio::time::sleep(of.settings.processing).await;
        let settled = of.ledger().settle(&key, now());
        let Some(charge) = settled.filter(|_| callbacks > 0) else { return };
        if let Some(callback) = Callback::of_charge(&of, &charge) {
            callbacks::post(&of, &callback, callbacks);
        }
    });
}

/// Returns when the callback was heard, or will be sent again later. Whoever asked may leave in the middle of it: it goes
/// on.
async fn settle_first(world: &Arc<World>, key: &str) {
    let settled = world.ledger().settle(key, now());
    let Some(callback) = settled.and_then(|charge| Callback::of_charge(world, &charge)) else { return };
    let of = Arc::clone(world);
    let (done, told) = oneshot::channel();
    world.beside(async move {
        if !callbacks::send(&of, &callback).await {
            callbacks::post(&of, &callback, 1);
        }
        let _ = done.send(());
    });
    let _ = told.await;
}

async fn find_charge(State(world): State<Arc<World>>, RawQuery(query): RawQuery) -> Result<Response, Refused> {
    let key = parameter(query.as_deref(), "key").unwrap_or_default();
    let key = key_in(&key, "key")?;
    let ledger = world.ledger();
    ledger.find(&key).map(answer).ok_or_else(Refused::not_found)
}

async fn void(State(world): State<Arc<World>>, bytes: Bytes) -> Result<Response, Refused> {
    let key = key_in(&body::<WantedVoid>(&bytes)?.key, "key")?;
    Ok(answer(&world.ledger().void(&key, now())))
}

async fn refund(State(world): State<Arc<World>>, headers: HeaderMap, bytes: Bytes) -> Result<Json<Refund>, Refused> {
    let key = idempotency_key(&headers)?;
    let WantedRefund { charge_key, amount } = body::<WantedRefund>(&bytes)?.checked()?;
    let entry = world.ledger().refund(&key, &charge_key, amount)?;
    if entry.is_new && entry.it.status == RefundStatus::Processing {
        let of = Arc::clone(&world);
        world.beside(async move {
            tokio::time::sleep(of.settings.processing).await;
            let settled = of.ledger().settle_refund(&key);
            if let Some(callback) = settled.and_then(|refund| Callback::of_refund(&of, &refund)) {
                callbacks::post(&of, &callback, 1);
            }
        });
    }
    Ok(Json(entry.it))
}

async fn find_refund(State(world): State<Arc<World>>, RawQuery(query): RawQuery) -> Result<Json<Refund>, Refused> {
    let key = parameter(query.as_deref(), "key").unwrap_or_default();
    let key = key_in(&key, "key")?;
    let ledger = world.ledger();
    ledger.find_refund(&key).cloned().map(Json).ok_or_else(Refused::not_found)
}

/// Nothing is kept of the card: the token says all there is to know.
async fn method(State(world): State<Arc<World>>, bytes: Bytes) -> Result<Response, Refused> {
    let Method::Card(card) = body::<asked::WantedMethod>(&bytes)?.checked()? else {
        return Err(Refused::bad("bad_method", "type must be card"));
    };
    let last4 = cards::last4(&card.number);
    let token = cards::token(card.behaviour(world.today()), last4);
    let (exp_month, exp_year) = (card.exp_month, card.exp_year);
    let answer = json!({
        "token": token, "brand": cards::brand(&card.number), "last4": last4, "expMonth": exp_month, "expYear": exp_year,
    });
    Ok(Json(answer).into_response())
}
