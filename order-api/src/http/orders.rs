//! `/api/orders`: creating and reading orders.

use axum::{
    Extension, Json,
    extract::{Path, State, rejection::PathRejection},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode},
    response::{IntoResponse as _, Response},
};
use common::{
    auth::{Caller, Scope, Tokens},
    events::Line,
    http::{
        FieldError, JsonText, Problem,
        codes::{INSUFFICIENT_SCOPE, INVALID_FIELD},
    },
    ids::{OrderId, TransactionId, UserId},
    money::{Currency, Money},
    trace,
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{codes, create::CreateOrder, instant};
use crate::{
    intake::{Asked, Taken},
    once::{self, Once},
    order::Status,
    signing::{Canonical, Signed},
    store::{self, Found},
};

/// Says that the answer was given before.
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Created {
    code: u16,
    message: &'static str,
    order_id: OrderId,
    status: &'static str,
}

pub(super) async fn create(
    State(state): super::SharedState,
    Extension(tokens): Extension<Tokens>,
    headers: HeaderMap,
    body: JsonText,
) -> Result<Response, Problem> {
    let request: CreateOrder = match body.parse() {
        Ok(request) => request,
        Err(problem) => return Err(unread(&state, &tokens, &body, problem).await),
    };
    let key = once::key(&headers)?;
    request.check_secrets().map_err(Problem::invalid)?;
    let user_id = customer(&tokens, &request.user_id, &request.token)?;
    let mut canonical = Canonical::read(body.bytes()).map_err(|_| beyond_json())?;
    let text = canonical.without("signature").map_err(|_| beyond_json())?;
    let once = key.map(|key| Once::new(key, &mut canonical)).transpose().map_err(|_| beyond_json())?;
    let signed = match &state.signatures {
        Some(_) => Some(Signed::new(user_id.clone(), &request.signature, text)?),
        None => None,
    };
    let incoming = headers.get("traceparent").and_then(|value| value.to_str().ok());
    let asked = Asked { user_id, request, signed, once, traceparent: trace::of_request(incoming) };
    let Taken { order_id, again } = state.intake.take(asked).await?;
    let created =
        Created { code: 200, message: "Order created successfully", order_id, status: Status::Pending.as_str() };
    let mut response = Json(created).into_response();
    if again {
        response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    }
    Ok(response)
}

/// Whose order it is, if that is who the token is for.
fn customer(tokens: &Tokens, user_id: &str, token: &str) -> Result<UserId, Problem> {
    let user_id = UserId::try_from(user_id.to_owned())
        .map_err(|error| Problem::invalid(vec![FieldError::new(codes::INVALID_USER, "userId", error.to_string())]))?;
    let caller = tokens.check(token)?;
    if !caller.has(Scope::Customer) {
        return Err(Problem::new(INSUFFICIENT_SCOPE, "the token does not have the scope `customer`"));
    }
    if user_id != caller.user_id {
        return Err(Problem::new(codes::WRONG_USER, "userId is not the user that the token is for"));
    }
    Ok(user_id)
}

/// What a body whose form is wrong is answered: nobody is told what is wrong with an order that its user has not signed.
async fn unread(state: &super::State, tokens: &Tokens, body: &JsonText, problem: Problem) -> Problem {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Signer {
        user_id: String,
        token: String,
        signature: String,
    }
    let Some(signatures) = &state.signatures else { return problem };
    let (Ok(signer), Ok(mut canonical)) =
        (serde_json::from_slice::<Signer>(body.bytes()), Canonical::read(body.bytes()))
    else {
        return problem;
    };
    let checked = async {
        let user_id = customer(tokens, &signer.user_id, &signer.token)?;
        let text = canonical.without("signature").map_err(|_| beyond_json())?;
        let signed = Signed::new(user_id, &signer.signature, text)?;
        let checked = signatures.check(&[&signed]).await.map_err(|error| {
            tracing::warn!(%error, "a signature could not be checked");
            Problem::unavailable("signatures cannot be checked at the moment; try again shortly")
        })?;
        checked.into_iter().collect::<Result<(), _>>().map_err(Problem::from)
    };
    checked.await.err().unwrap_or(problem)
}

fn beyond_json() -> Problem {
    let message = "has a number that no signature can cover: RFC 8785 knows those of IEEE 754 double precision";
    Problem::invalid(vec![FieldError::new(INVALID_FIELD, "body", message)])
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown {
    code: u16,
    message: &'static str,
    order_id: OrderId,
    user_id: UserId,
    status: &'static str,
    order_amount: Box<RawValue>,
    currency: String,
    items: Vec<ShownLine>,
    #[serde(skip_serializing_if = "Option::is_none")]
    transaction_id: Option<TransactionId>,
    created_at: String,
    history: Vec<ShownEntry>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ShownLine {
    product_id: String,
    quantity: i64,
    unit_price: Box<RawValue>,
}

#[derive(Serialize)]
struct ShownEntry {
    version: i32,
    status: String,
    at: String,
    cause: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
}

pub(super) async fn show(
    State(state): super::SharedState,
    caller: Caller,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    // An id that cannot exist is answered like one that does not.
    let unknown = || Problem::not_found("there is no such order");
    let Path(id) = id.map_err(|_| unknown())?;
    let id: OrderId = id.parse().map_err(|_| unknown())?;
    let found = store::find(&state.db, id).await.map_err(|error| {
        tracing::warn!(%error, order.id = %id, "an order could not be read");
        Problem::unavailable("orders cannot be read at the moment; try again shortly")
    })?;
    // Somebody else's order is answered like one that does not exist.
    let found = found.filter(|found| caller.may_see(&found.order.user_id)).ok_or_else(unknown)?;
    let shown = shown(found, &state.currency).ok_or_else(Problem::internal)?;
    Ok((StatusCode::OK, Json(shown)).into_response())
}

fn shown(found: Found, currency: &Currency) -> Option<Shown> {
    let Found { order, lines, created_at, history } = found;
    Some(Shown {
        code: 200,
        message: "Order found",
        order_id: order.id,
        user_id: order.user_id,
        status: order.status.as_str(),
        order_amount: decimal(order.amount, currency)?,
        currency: currency.code.clone(),
        items: lines
            .into_iter()
            .map(|Line { product_id, quantity, unit_price }| {
                Some(ShownLine {
                    product_id: product_id.into_string(),
                    quantity,
                    unit_price: decimal(unit_price, currency)?,
                })
            })
            .collect::<Option<_>>()?,
        transaction_id: order.transaction_id,
        created_at: instant(created_at)?,
        history: history
            .into_iter()
            .map(|entry| {
                Some(ShownEntry {
                    version: entry.version,
                    status: entry.status,
                    at: instant(entry.at)?,
                    cause: entry.cause,
                    detail: entry.detail,
                })
            })
            .collect::<Option<_>>()?,
    })
}

/// An amount as a JSON number with all its decimals.
fn decimal(money: Money, currency: &Currency) -> Option<Box<RawValue>> {
    RawValue::from_string(currency.format(money)).ok()
}
