//! `POST /api/orders/create`: from a request to its place in a group.

mod body;

pub(crate) use body::{CreateOrder, Wanted};

use axum::{
    Extension, Json,
    extract::State,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode},
    response::{IntoResponse as _, Response},
};
use common::{
    auth::{Scope, Tokens},
    http::{
        Code, FieldError, JsonText, Problem, Visit,
        codes::{INSUFFICIENT_SCOPE, INVALID_FIELD, INVALID_TOKEN, TOKEN_EXPIRED},
    },
    ids::{OrderId, UserId},
    trace,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{admitted::Admitted, codes, openapi};
use crate::{
    intake::{Asked, Taken},
    once::{self, Once},
    order::Status,
    signing::{BadSignature, Canonical, Signed},
};

/// A body that has this in it says that it is signed.
const SIGNATURE: &[u8] = br#""signature""#;

/// Says that the answer was given before.
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = OrderCreated)]
struct Created {
    #[schema(minimum = 200, maximum = 200)]
    code: u16,
    message: &'static str,
    #[schema(value_type = openapi::OrderId)]
    order_id: OrderId,
    /// `pending`: the order waits for stock.
    #[schema(value_type = openapi::OrderStatus)]
    status: &'static str,
}

pub(super) const REFUSES: &[&Code] = &[
    codes::INVALID_USER,
    codes::INVALID_AMOUNT,
    codes::AMOUNT_MISMATCH,
    codes::INVALID_ITEMS,
    codes::INVALID_QUANTITY,
    codes::UNKNOWN_PRODUCT,
    codes::WRONG_USER,
    codes::INVALID_SIGNATURE,
    codes::INVALID_IDEMPOTENCY_KEY,
    codes::IDEMPOTENCY_KEY_REUSED,
    INVALID_TOKEN,
    TOKEN_EXPIRED,
    INSUFFICIENT_SCOPE,
];

/// Place an order
///
/// The answer comes once the order is stored for good; stock, payment and notification follow by themselves. The token
/// is a field of the body, and needs the scope `customer`. The body is signed: see Getting started.
///
/// With an `Idempotency-Key`, the same request of the same user makes one order, however often it is sent, and gets the same
/// answer as long as the order exists (compared without `token` and `signature`). Without one, the same body sent twice is
/// two orders.
#[utoipa::path(
    post,
    path = "/api/orders/create",
    operation_id = "createOrder",
    tag = "Orders",
    security(()),
    params(("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 255, pattern = "^[!-~]+$",
        description = "A name for this request, such as a UUID.")),
    request_body(content = CreateOrder, example = json!({
        "userId": "123456",
        "token": "user authentication token",
        "signature": "laptop:c2lnbmF0dXJl…",
        "orderAmount": 100.50,
        "items": [{"productId": "P001", "quantity": 2}, {"productId": "P002", "quantity": 1}],
    })),
    responses((
        status = 200,
        description = "The order is stored.",
        links(("theOrder" = (
            operation_id = "showOrder",
            parameters(("order_id" = "$response.body#/orderId")),
        ))),
        body = Created,
        headers(("Idempotent-Replayed" = String,
            description = "`true`: the answer was given before, to an earlier request with this key.")),
        example = json!({
            "code": 200,
            "message": "Order created successfully",
            "orderId": "ORD019A2B3C4D5E7F60A1B2C3D4E5F60718",
            "status": "pending",
        }),
    )),
)]
pub(super) async fn create(
    State(state): super::SharedState,
    Extension(tokens): Extension<Tokens>,
    headers: HeaderMap,
    visit: Visit,
    Admitted(place, body): Admitted<JsonText>,
) -> Result<Response, Problem> {
    let request: CreateOrder = match body.parse() {
        Ok(request) => request,
        Err(problem) => {
            drop(place);
            return Err(Box::pin(unread(&state, &tokens, &visit, &body, problem)).await);
        }
    };
    let key = once::key(&headers)?;
    let user_id = request
        .check_secrets()
        .map_err(Problem::invalid)
        .and_then(|()| customer(&state, &tokens, &visit, &request.user_id, &request.token));
    let user_id = match user_id {
        Ok(user_id) => user_id,
        Err(problem) => {
            drop(place);
            return Err(Box::pin(unbelieved(&state, &body, problem, Asker::Anybody)).await);
        }
    };
    let written = |key: Option<_>| {
        let mut canonical = Canonical::read(body.bytes())?;
        let text = canonical.without("signature")?;
        let once = key.map(|key| Once::new(key, &mut canonical)).transpose()?;
        Ok::<_, serde_json::Error>((text, once))
    };
    let (text, once) = match written(key) {
        Ok(written) => written,
        Err(_) => return Err(Box::pin(unbelieved(&state, &body, unsignable(), Asker::Known)).await),
    };
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

/// Whose order it is, if that is who the token is for, or if nobody is asked for one.
fn customer(
    state: &super::State,
    tokens: &Tokens,
    visit: &Visit,
    user_id: &str,
    token: &str,
) -> Result<UserId, Problem> {
    let user_id = UserId::try_from(user_id.to_owned())
        .map_err(|error| Problem::invalid(vec![FieldError::new(codes::INVALID_USER, "userId", error.to_string())]))?;
    if !state.require_token {
        visit.count_for(&user_id)?;
        return Ok(user_id);
    }
    let caller = tokens.check(token)?;
    visit.count_for(&caller.user_id)?;
    caller.must_have(Scope::Customer)?;
    if user_id != caller.user_id {
        return Err(Problem::new(codes::WRONG_USER, "userId is not the user that the token is for"));
    }
    Ok(user_id)
}

/// What a body whose form is wrong is answered: nobody is told what is wrong with an order that its user has not signed.
async fn unread(state: &super::State, tokens: &Tokens, visit: &Visit, body: &JsonText, problem: Problem) -> Problem {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Bearer {
        user_id: String,
        token: String,
    }
    let bearer = serde_json::from_slice::<Bearer>(body.bytes()).ok();
    let is_theirs = bearer.map(|Bearer { user_id, token }| customer(state, tokens, visit, &user_id, &token));
    match is_theirs {
        Some(Ok(_)) => unbelieved(state, body, problem, Asker::Known).await,
        Some(Err(refusal)) => unbelieved(state, body, refusal, Asker::Anybody).await,
        None => unbelieved(state, body, problem, Asker::Anybody).await,
    }
}

/// Who hears what is wrong with a signature.
#[derive(Clone, Copy)]
enum Asker {
    /// Their token is good.
    Known,
    /// They are told no more than that it is wrong: which users there are, and with which keys, is not theirs to know.
    Anybody,
}

/// A body that says it is signed and is not what was signed is refused for that, whichever byte it is that was changed; only
/// if it is, for this problem. (An order without one is checked with its group.)
///
/// This can be had without a token, so it holds no place among the orders, and takes turns at the database. Where it cannot
/// be checked, whoever has no good token hears of that.
async fn unbelieved(state: &super::State, body: &JsonText, problem: Problem, asker: Asker) -> Problem {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Signer {
        user_id: String,
        signature: String,
    }
    let Some(signatures) = &state.signatures else { return problem };
    if problem.status == StatusCode::TOO_MANY_REQUESTS {
        return problem;
    }
    let signed = || {
        let signer: Signer = serde_json::from_slice(body.bytes()).ok()?;
        let user_id = UserId::try_from(signer.user_id).ok()?;
        let text = Canonical::read(body.bytes()).ok()?.without("signature").ok()?;
        Some(Signed::new(user_id, &signer.signature, text))
    };
    let signed = match signed() {
        Some(Ok(signed)) => signed,
        Some(Err(malformed)) => return malformed.into(),
        None if body.bytes().windows(SIGNATURE.len()).any(|text| text == SIGNATURE) => {
            let message = format!("the signature cannot be checked: {}", problem.message);
            let mut refusal = Problem::new(codes::INVALID_SIGNATURE, message);
            refusal.errors.extend(problem.errors);
            return refusal;
        }
        None => return problem,
    };
    match state.turns.take("signatures cannot be checked", signatures.check(&[&signed])).await {
        Ok(checked) => match (checked.into_iter().find_map(Result::err), asker) {
            (None, _) => problem,
            (Some(bad), Asker::Known) => bad.into(),
            (Some(_), Asker::Anybody) => BadSignature::Wrong.into(),
        },
        Err(unchecked) => match asker {
            Asker::Known => unchecked,
            Asker::Anybody => problem,
        },
    }
}

fn unsignable() -> Problem {
    let message = "has no RFC 8785 form, which is what is signed: there is a number beyond IEEE 754 double precision, a \
                   lone surrogate, or very deep nesting";
    Problem::invalid(vec![FieldError::new(INVALID_FIELD, "body", message)])
}
