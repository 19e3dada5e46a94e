//! `/api/payment/methods/{userId}`: how a customer pays unless they say otherwise. Of a card, only what the gateway calls
//! it and what people know it by is kept.

use axum::{
    Json,
    extract::{Path, State, rejection::PathRejection},
};
use common::{
    auth::{Caller, Scope},
    http::{FieldError, JsonText, Problem, codes::INSUFFICIENT_SCOPE},
    ids::UserId,
};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use time::Date;

use super::{UNREACHABLE, codes, process};
use crate::{
    card::Card,
    gateway::{NoToken, PaymentGateway, StoredMethod},
    http::SharedState,
    store,
};

/// A card to be kept. It has no `Debug`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct NewMethod {
    card_number: SecretString,
    expiry_date: SecretString,
    cvv: SecretString,
}

impl NewMethod {
    pub(crate) fn check(self, today: Date) -> Result<Card, Problem> {
        Card::check(self.card_number, &self.expiry_date, self.cvv, today)
            .map_err(|bad| Problem::invalid(bad.into_iter().map(|bad| process::bad_card(bad, "")).collect()))
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Shown {
    code: u16,
    message: &'static str,
    user_id: UserId,
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<Method>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Method {
    brand: String,
    last4: String,
    /// `MM/YY`.
    expiry_date: String,
}

impl From<StoredMethod> for Method {
    fn from(method: StoredMethod) -> Self {
        let expiry_date = format!("{:02}/{:02}", method.exp_month, method.exp_year % 100);
        Self { brand: method.brand, last4: method.last4, expiry_date }
    }
}

pub(super) async fn show<G: PaymentGateway>(
    State(state): SharedState<G>,
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
) -> Result<Json<Shown>, Problem> {
    let user_id = user_of(path)?;
    if !caller.may_see(&user_id) {
        return Err(unknown());
    }
    let method = state.turns.take(UNREACHABLE, store::find_method(&state.units.db, &user_id)).await?;
    let method = method.ok_or_else(unknown)?.into();
    Ok(Json(Shown { code: 200, message: "Payment method found", user_id, method: Some(method) }))
}

pub(super) async fn put<G: PaymentGateway>(
    State(state): SharedState<G>,
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
    text: JsonText,
) -> Result<Json<Shown>, Problem> {
    let user_id = user_of(path)?;
    may_change(&caller, &user_id)?;
    let till = state.till()?;
    let new: NewMethod = text.parse()?;
    drop(text);
    let card = new.check(state.calendar.today())?;
    let method = state.gateway.tokenise(&card).await.map_err(|error| match error {
        NoToken::Refused => {
            let message = "the payment gateway does not take this card";
            Problem::invalid(vec![FieldError::new(codes::CARD_REFUSED, "cardNumber", message)])
        }
        NoToken::Away { why } => {
            tracing::warn!(why, "a card could not be stored");
            Problem::unavailable("the payment gateway cannot be reached; try again shortly")
        }
    })?;
    drop((card, till));
    state.turns.take(UNREACHABLE, store::put_method(&state.units.db, &user_id, &method)).await?;
    tracing::info!(user = %user_id, by = %caller.user_id, "a payment method was stored");
    Ok(Json(Shown { code: 200, message: "Payment method stored", user_id, method: Some(method.into()) }))
}

pub(super) async fn delete<G: PaymentGateway>(
    State(state): SharedState<G>,
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
) -> Result<Json<Shown>, Problem> {
    let user_id = user_of(path)?;
    may_change(&caller, &user_id)?;
    if !state.turns.take(UNREACHABLE, store::delete_method(&state.units.db, &user_id)).await? {
        return Err(unknown());
    }
    tracing::info!(user = %user_id, by = %caller.user_id, "a payment method was removed");
    Ok(Json(Shown { code: 200, message: "Payment method removed", user_id, method: None }))
}

/// One's own, or anybody's for `admin`.
fn may_change(caller: &Caller, user_id: &UserId) -> Result<(), Problem> {
    if caller.has(Scope::Admin) || (caller.has(Scope::Customer) && caller.user_id == *user_id) {
        return Ok(());
    }
    if caller.may_see(user_id) {
        return Err(Problem::new(INSUFFICIENT_SCOPE, "the token needs the scope `customer` (one's own) or `admin`"));
    }
    Err(unknown())
}

fn unknown() -> Problem {
    Problem::not_found("there is no such user or method")
}

fn user_of(path: Result<Path<String>, PathRejection>) -> Result<UserId, Problem> {
    path.ok().and_then(|Path(user)| UserId::try_from(user).ok()).ok_or_else(unknown)
}
