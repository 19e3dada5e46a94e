//! `POST /api/orders/create`.

use axum::{
    Extension, Json,
    extract::State,
    http::{HeaderMap, HeaderName, HeaderValue},
    response::{IntoResponse as _, Response},
};
use common::{
    auth::{Scope, Tokens},
    http::{
        FieldError, JsonText, Problem, Visit,
        codes::{INSUFFICIENT_SCOPE, INVALID_FIELD},
    },
    ids::{OrderId, UserId},
    trace,
};
use serde::{Deserialize, Serialize};

use super::{admitted::Admitted, codes, create::CreateOrder};
use crate::{
    intake::{Asked, Taken},
    once::{self, Once},
    order::Status,
    signing::{Canonical, Signed},
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
    visit: Visit,
    Admitted(_place, body): Admitted<JsonText>,
) -> Result<Response, Problem> {
    let request: CreateOrder = match body.parse() {
        Ok(request) => request,
        Err(problem) => return Err(unread(&state, &tokens, &visit, &body, problem).await),
    };
    let key = once::key(&headers)?;
    request.check_secrets().map_err(Problem::invalid)?;
    let user_id = customer(&tokens, &visit, &request.user_id, &request.token)?;
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
fn customer(tokens: &Tokens, visit: &Visit, user_id: &str, token: &str) -> Result<UserId, Problem> {
    let user_id = UserId::try_from(user_id.to_owned())
        .map_err(|error| Problem::invalid(vec![FieldError::new(codes::INVALID_USER, "userId", error.to_string())]))?;
    let caller = tokens.check(token)?;
    visit.count_for(&caller.user_id)?;
    if !caller.has(Scope::Customer) {
        return Err(Problem::new(INSUFFICIENT_SCOPE, "the token does not have the scope `customer`"));
    }
    if user_id != caller.user_id {
        return Err(Problem::new(codes::WRONG_USER, "userId is not the user that the token is for"));
    }
    Ok(user_id)
}

/// What a body whose form is wrong is answered: nobody is told what is wrong with an order that its user has not signed.
async fn unread(state: &super::State, tokens: &Tokens, visit: &Visit, body: &JsonText, problem: Problem) -> Problem {
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
        let user_id = customer(tokens, visit, &signer.user_id, &signer.token)?;
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
