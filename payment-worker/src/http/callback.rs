//! `POST /api/payment/callback`: the gateway says what became of a charge or a refund. It may say so twice, late, or
//! before it has answered the request that it is about: the key was written before that was sent.

use axum::{Json, extract::State, http::HeaderMap};
use common::http::{Code, FieldError, JsonText, Problem, codes::INVALID_FIELD};
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::codes;
use crate::{
    gateway::{Answer, CallbackBody, Charge, Happened, PaymentGateway, RefundAnswer, attempt_of},
    http::SharedState,
    outcomes::{self, Outcome, Said},
    store,
};

/// A second callback of an event finds what the first has done, and does nothing: what an attempt has become is the
/// memory, and it forgets nothing, however late the second comes.
pub(super) async fn callback<G: PaymentGateway>(
    State(state): SharedState<G>,
    headers: HeaderMap,
    text: JsonText,
) -> Result<Json<Value>, Problem> {
    let signature = headers.get("gateway-signature").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let now = OffsetDateTime::now_utc().unix_timestamp();
    if !state.signatures.as_ref().is_some_and(|signatures| signatures.are_good(signature, text.bytes(), now)) {
        metrics::counter!("conveyor_callbacks_total", "outcome" => "refused").increment(1);
        return Err(Problem::new(codes::INVALID_CALLBACK, "the callback is not signed as it must be, or not of now"));
    }
    let body: CallbackBody = text.parse()?;
    let kind = invalid(INVALID_FIELD, "type", "must be of a kind that is known, with what belongs to it");
    let event: String = body.id.chars().filter(char::is_ascii_graphic).take(100).collect();
    let happened = body.happened().ok_or(kind)?;
    let key = match &happened {
        Happened::Charge(charge) => &charge.key,
        Happened::Refund(refund) => &refund.charge_key,
    };
    let unknown = || Problem::not_found("there is no attempt with this key");
    let (order_id, number) = attempt_of(key).ok_or_else(unknown)?;
    let attempt =
        store::find_attempt(&state.units.db, order_id, number).await.map_err(|error| super::database(&error))?;
    let attempt = attempt.ok_or_else(unknown)?;
    let key = Charge::from(&attempt).key();
    let said = match happened {
        Happened::Charge(charge) => Said::Charge(charge.answer(&key, attempt.amount)),
        Happened::Refund(refund) => Said::Refund(refund.answer(&key, attempt.amount)),
    };
    if !is_outcome(&said) {
        return Err(invalid(INVALID_FIELD, "charge", "must be what we asked for, with an outcome"));
    }
    let traceparent = headers.get("traceparent").and_then(|value| value.to_str().ok()).map(str::to_owned);
    let outcomes = [Outcome { id: attempt.id, said, tries: 0, traceparent }];
    outcomes::record_now(&state.units, &outcomes, &state.rules).await.map_err(|failure| super::failed(&failure))?;
    metrics::counter!("conveyor_callbacks_total", "outcome" => "taken").increment(1);
    tracing::debug!(event, order = %order_id, "the gateway has called back");
    Ok(Json(json!({"code": 200, "message": "Callback received"})))
}

fn is_outcome(said: &Said) -> bool {
    match said {
        Said::Charge(answer) => matches!(answer, Answer::Captured { .. } | Answer::Declined { .. }),
        Said::Refund(answer) => matches!(answer, RefundAnswer::Refunded | RefundAnswer::Refused { .. }),
        Said::Nothing => false,
    }
}

fn invalid(code: &'static Code, field: &str, message: &str) -> Problem {
    Problem::invalid(vec![FieldError::new(code, field, message)])
}
