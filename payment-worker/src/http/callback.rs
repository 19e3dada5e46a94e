//! `POST /api/payment/callback`: the gateway says what became of a charge or a refund. It may say so twice, late, or
//! before it has answered the request that it is about: the key was written before that was sent.

use axum::{Json, extract::State, http::HeaderMap};
use common::{
    consumer::Failure,
    crash::{self, Mistake, Point},
    http::{Code, FieldError, JsonText, Problem, codes::INVALID_FIELD},
};
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::codes;
use crate::{
    gateway::{CallbackBody, Charge, Happened, PaymentGateway, attempt_of},
    http::{self, SharedState, UNREACHABLE},
    outcomes::{self, Again, Outcome, Said},
    store,
};

/// A second callback of an event, signed anew, finds what the first has done, and does nothing: what an attempt has become
/// is the memory, and it forgets nothing, however late the second comes. The same bytes with the same signature are not
/// the gateway's: it would have signed them anew.
pub(super) async fn callback<G: PaymentGateway>(
    State(state): SharedState<G>,
    headers: HeaderMap,
    text: JsonText,
) -> Result<Json<Value>, Problem> {
    let signature = headers.get("gateway-signature").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let now = OffsetDateTime::now_utc().unix_timestamp();
    let good = state.signatures.as_ref().and_then(|signatures| {
        Some(Signed { signature: signatures.good(signature, text.bytes(), now)?, keep_s: signatures.keep_s() })
    });
    let Some(signed) = good else {
        count("refused");
        return Err(Problem::new(codes::INVALID_CALLBACK, "the callback is not signed as it must be, or not of now"));
    };
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
    let found = store::find_attempt(&state.units.db, order_id, number);
    let attempt = state.turns.take(UNREACHABLE, found).await?.ok_or_else(unknown)?;
    let key = Charge::from(&attempt).key();
    let said = match happened {
        Happened::Charge(charge) => Said::Charge(charge.answer(&key, attempt.amount)),
        Happened::Refund(refund) => Said::Refund(refund.answer(&key, attempt.amount)),
    };
    if !said.is_final() {
        return Err(invalid(INVALID_FIELD, "charge", "must be what we asked for, with an outcome"));
    }
    let traceparent = headers.get("traceparent").and_then(|value| value.to_str().ok()).map(str::to_owned);
    let outcome = Outcome { id: attempt.id, said, tries: 0, traceparent, event: None };
    if !take(&state, &signed, &outcome).await? {
        count("replayed");
        return Err(Problem::new(codes::REPLAYED_CALLBACK, "this very callback was taken before"));
    }
    count("taken");
    tracing::debug!(event, order = %order_id, "the gateway has called back");
    Ok(Json(json!({"code": 200, "message": "Callback received"})))
}

/// A signature that is good, and for how long it will be.
struct Signed {
    signature: Vec<u8>,
    keep_s: i64,
}

/// Whether it was taken: what it says is recorded together with its signature, or, if that is known, not at all.
async fn take<G>(state: &http::State<G>, signed: &Signed, outcome: &Outcome) -> Result<bool, Problem> {
    let _turn = state.turns.turn(UNREACHABLE).await?;
    let mut again = Again::default();
    loop {
        match take_once(state, signed, outcome).await {
            Ok(taken) => return Ok(taken),
            Err(failure) => again.after(failure).await.map_err(|failure| http::failed(&failure))?,
        }
    }
}

async fn take_once<G>(state: &http::State<G>, signed: &Signed, outcome: &Outcome) -> Result<bool, Failure> {
    let mut unit = state.units.begin().await?;
    let is_new = store::take_callback(&mut unit.tx, &signed.signature, signed.keep_s).await?;
    if is_new {
        outcomes::record(&mut unit.tx, &mut unit.outbox, std::slice::from_ref(outcome), &state.rules).await?;
    }
    let commit = unit.commit_past(Point::CallbackWritten, Point::CallbackRecorded);
    if crash::makes(Mistake::AckBeforeCommit) {
        tokio::spawn(async {
            tokio::time::sleep(crash::LONG_ENOUGH).await;
            commit.await
        });
        return Ok(is_new);
    }
    commit.await?;
    Ok(is_new)
}

fn count(outcome: &'static str) {
    metrics::counter!("conveyor_callbacks_total", "outcome" => outcome).increment(1);
}

fn invalid(code: &'static Code, field: &str, message: &str) -> Problem {
    Problem::invalid(vec![FieldError::new(code, field, message)])
}
