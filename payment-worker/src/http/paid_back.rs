//! `POST /api/payment/orders/{orderId}/paid-back`: the gateway refuses for good to give money back, and a person has paid
//! the customer back in another way. It is noted who did it and by which reference it can be found; the order hears that
//! its money is back, as it would from the gateway. Asked again, it is answered the same.

use axum::{
    Json,
    extract::{Path, State, rejection::PathRejection},
    http::HeaderMap,
};
use common::{
    auth::{Caller, Scope},
    consumer::Failure,
    http::{
        FieldError, JsonBody, Problem,
        codes::{INSUFFICIENT_SCOPE, INVALID_FIELD},
    },
    ids::{OrderId, TransactionId},
    trace,
};
use serde::{Deserialize, Serialize};

use super::{codes, failed, orders};
use crate::{
    announce::announce,
    gateway::PaymentGateway,
    http::{self, SharedState, UNREACHABLE},
    outcomes::Again,
    payment::{self, News, Refund},
    store::{self, PaidBack},
};

/// In characters.
const LONGEST_NOTE: usize = 500;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Body {
    transaction_id: String,
    /// By what it can be found in other books, such as the number of a bank transfer.
    note: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Answered {
    code: u16,
    message: &'static str,
    order_id: OrderId,
    transaction_id: TransactionId,
    /// `paid_back`; or `refunded`, if the gateway has given it back as well since.
    refund: &'static str,
    paid_back: orders::ByHand,
}

/// What is to be noted, of what.
pub(crate) struct Wanted {
    order_id: OrderId,
    transaction_id: TransactionId,
    pub note: String,
}

pub(super) async fn paid_back<G: PaymentGateway>(
    State(state): SharedState<G>,
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    JsonBody(body): JsonBody<Body>,
) -> Result<Json<Answered>, Problem> {
    if !caller.has(Scope::Staff) && !caller.has(Scope::Admin) {
        let message = "to note that money was paid back, the token needs the scope `staff` or `admin`";
        return Err(Problem::new(INSUFFICIENT_SCOPE, message));
    }
    let order_id = path.ok().and_then(|Path(id)| id.parse().ok()).ok_or_else(unknown)?;
    let wanted = check(order_id, &body)?;
    let trace = trace::of_request(headers.get("traceparent").and_then(|value| value.to_str().ok()));
    let _turn = state.turns.turn(UNREACHABLE).await?;
    let mut again = Again::default();
    let noted = loop {
        match note(&state, &wanted, &caller, &trace).await {
            Ok(noted) => break noted?,
            Err(failure) => again.after(failure).await.map_err(|failure| failed(&failure))?,
        }
    };
    let (refund, by_hand) = noted;
    let refund = refund.as_str();
    let paid_back = orders::ByHand::of(by_hand).map_err(|error| orders::odd(&error))?;
    let Wanted { order_id, transaction_id, .. } = wanted;
    Ok(Json(Answered { code: 200, message: "Paid back by hand", order_id, transaction_id, refund, paid_back }))
}

pub(crate) fn check(order_id: OrderId, body: &Body) -> Result<Wanted, Problem> {
    let mut errors = Vec::new();
    let transaction_id = body.transaction_id.parse::<TransactionId>();
    if let Err(error) = &transaction_id {
        errors.push(FieldError::new(INVALID_FIELD, "transactionId", error.to_string()));
    }
    let note = body.note.trim();
    if !(1..=LONGEST_NOTE).contains(&note.chars().count()) || note.chars().any(char::is_control) {
        let message = format!("must have 1 to {LONGEST_NOTE} characters, and no control characters among them");
        errors.push(FieldError::new(INVALID_FIELD, "note", message));
    }
    match transaction_id {
        Ok(transaction_id) if errors.is_empty() => Ok(Wanted { order_id, transaction_id, note: note.to_owned() }),
        _ => Err(Problem::invalid(errors)),
    }
}

/// The payment's lock decides against whoever asks the gateway for the same money at the same moment: they take it before
/// they ask, and write that they do.
async fn note<G>(
    state: &http::State<G>,
    wanted: &Wanted,
    caller: &Caller,
    trace: &str,
) -> Result<Result<(Refund, PaidBack), Problem>, Failure> {
    let id = wanted.transaction_id;
    let mut unit = state.units.begin().await?;
    let attempts = store::lock_attempts(&mut unit.tx, [id]).await?;
    let Some(attempt) = attempts.get(&id).filter(|attempt| attempt.order_id == wanted.order_id) else {
        return Ok(Err(unknown()));
    };
    if let Some(before) = store::find_paid_back(&mut unit.tx, id).await? {
        if before.note != wanted.note {
            let message = format!("{} has noted this payment as paid back, with another note", before.account);
            return Ok(Err(Problem::new(codes::NOTED_OTHERWISE, message)));
        }
        return Ok(Ok((attempt.refund.unwrap_or(Refund::PaidBack), before)));
    }
    if let Some(why) = payment::not_to_be_paid_back(attempt) {
        return Ok(Err(Problem::new(codes::NOT_REFUSED, format!("it cannot be noted as paid back: {why}"))));
    }
    let noted = store::pay_back(&mut unit.tx, id, &caller.user_id, &wanted.note).await?;
    announce(&mut unit.outbox, Some(trace), attempt, News::Refunded)?;
    unit.commit().await?;
    tracing::info!(order = %wanted.order_id, transaction = %id, by = %caller.user_id, "money was paid back by hand");
    Ok(Ok((Refund::PaidBack, noted)))
}

fn unknown() -> Problem {
    Problem::not_found("there is no such order, or it has no such payment")
}
