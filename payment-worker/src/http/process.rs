//! `POST /api/payment/process`: a customer pays for an order.
//!
//! The body is read into types that cannot be printed and is wiped; what is stored of it is the amount and the kind of
//! method.

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse as _, Response},
};
use common::{
    auth::{Caller, Scope},
    consumer::Failure,
    http::{FieldError, JsonText, Object, Problem, codes::INVALID_FIELD},
    ids::{OrderId, TransactionId, UserId},
    money::{Currency, Money},
    trace,
};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::{
    sync::OwnedSemaphorePermit,
    time::{Instant, timeout},
};

use super::codes;
use crate::{
    card::{BadCard, Calendar, Card},
    gateway::{Answer, Charge, Means, PaymentGateway},
    http::{self, SharedState, UNREACHABLE},
    outcomes::{self, Again, Outcome, Said},
    payment::{self, Attempt, Next, OnPay, State as Standing},
    store::{self, FollowUp},
};

/// When somebody who waits for another's attempt looks for the first time; and at the latest after each look.
const LOOK_AFTER: Duration = Duration::from_millis(50);
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// The documented request. It has no `Debug`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ProcessPayment {
    order_id: String,
    user_id: String,
    payment_amount: Box<RawValue>,
    payment_method: String,
    payment_details: Option<Object<Details>>,
}

/// Of a card. What other ways to pay bring along is not looked at.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Details {
    card_number: Option<SecretString>,
    expiry_date: Option<SecretString>,
    cvv: Option<SecretString>,
}

/// A request that is in order, as far as can be seen without looking at the order.
pub(crate) struct Wanted {
    order_id: OrderId,
    user_id: UserId,
    pub amount: Money,
    pub method: String,
    means: Wish,
}

enum Wish {
    Stored,
    Given(Means),
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answered {
    code: u16,
    message: String,
    payment_status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    transaction_id: Option<TransactionId>,
}

pub(super) async fn process<G: PaymentGateway>(
    State(state): SharedState<G>,
    caller: Caller,
    headers: HeaderMap,
    text: JsonText,
) -> Result<Response, Problem> {
    caller.must_have(Scope::Customer)?;
    let request: ProcessPayment = text.parse()?;
    // It is wiped.
    drop(text);
    let wanted = check(request, &state.currency, state.calendar)?;
    if wanted.user_id != caller.user_id {
        return Err(Problem::new(codes::WRONG_USER, "userId is not the user of the token"));
    }
    let incoming = headers.get("traceparent").and_then(|value| value.to_str().ok());
    pay(&state, wanted, trace::of_request(incoming)).await
}

pub(crate) fn check(request: ProcessPayment, currency: &Currency, calendar: Calendar) -> Result<Wanted, Problem> {
    let mut errors = Vec::new();
    let order_id = request.order_id.parse::<OrderId>();
    let user_id = UserId::try_from(request.user_id);
    if let Err(error) = &user_id {
        errors.push(FieldError::new(INVALID_FIELD, "userId", error.to_string()));
    }
    let amount = currency.parse(request.payment_amount.get());
    if let Err(error) = &amount {
        errors.push(FieldError::new(codes::INVALID_AMOUNT, "paymentAmount", error.to_string()));
    }
    let details = request.payment_details.map(|Object(details)| details);
    let means = means(&request.payment_method, details, calendar, &mut errors);
    match (order_id, user_id, amount, means) {
        (order_id, Ok(user_id), Ok(amount), Some(means)) if errors.is_empty() => {
            let order_id = order_id.map_err(|_| not_due())?;
            let method = match &means {
                Wish::Stored => "stored".to_owned(),
                Wish::Given(Means::Card(_)) => "card".to_owned(),
                Wish::Given(_) => request.payment_method,
            };
            Ok(Wanted { order_id, user_id, amount, method, means })
        }
        _ => Err(Problem::invalid(errors)),
    }
}

fn means(method: &str, details: Option<Details>, calendar: Calendar, errors: &mut Vec<FieldError>) -> Option<Wish> {
    let is_name = |name: &str| {
        (1..=32).contains(&name.len())
            && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    };
    match method {
        "credit_card" | "debit_card" | "card" => {
            let Details { card_number, expiry_date, cvv } =
                details.unwrap_or(Details { card_number: None, expiry_date: None, cvv: None });
            let empty = || SecretString::from("");
            let expiry_date = expiry_date.unwrap_or_else(empty);
            let (number, cvv) = (card_number.unwrap_or_else(empty), cvv.unwrap_or_else(empty));
            match Card::check(number, &expiry_date, cvv, calendar.today()) {
                Ok(card) => Some(Wish::Given(Means::Card(card))),
                Err(bad) => {
                    errors.extend(bad.into_iter().map(|bad| bad_card(bad, "paymentDetails.")));
                    None
                }
            }
        }
        "stored" => Some(Wish::Stored),
        // The names of the gateway's own kinds are not for customers to use, and a name is no place for a number.
        name if is_name(name) && name != "token" && name.bytes().filter(u8::is_ascii_digit).count() < 8 => {
            Some(Wish::Given(Means::Other(name.to_owned())))
        }
        _ => {
            let message = "must be `credit_card`, `stored`, or another name of a way to pay";
            errors.push(FieldError::new(codes::INVALID_METHOD, "paymentMethod", message));
            None
        }
    }
}

/// What is wrong with a card, in words.
pub(super) fn bad_card(bad: BadCard, within: &str) -> FieldError {
    let (code, field, message) = match bad {
        BadCard::Number => (codes::INVALID_CARD_NUMBER, "cardNumber", "must be the digits of a card number"),
        BadCard::Expiry => (codes::INVALID_EXPIRY, "expiryDate", "must be a month, as MM/YY"),
        BadCard::Expired => (codes::CARD_EXPIRED, "expiryDate", "is in the past"),
        BadCard::Cvv => (codes::INVALID_CVV, "cvv", "must be 3 or 4 digits"),
    };
    FieldError::new(code, format!("{within}{field}"), message)
}

/// What came of asking for an attempt.
enum Begun {
    Attempt(Attempt),
    Decided(OnPay),
    NoStoredMethod,
    Away,
}

async fn pay<G: PaymentGateway>(
    state: &Arc<http::State<G>>,
    wanted: Wanted,
    traceparent: String,
) -> Result<Response, Problem> {
    let till = state.till()?;
    let begun = {
        let _turn = state.turns.turn(UNREACHABLE).await?;
        let mut again = Again::default();
        loop {
            match begin(state, &wanted, &traceparent).await {
                Ok(begun) => break begun,
                Err(failure) => again.after(failure).await.map_err(|failure| http::failed(&failure))?,
            }
        }
    };
    let (attempt, is_own) = match begun {
        Begun::Attempt(attempt) => {
            let means = match wanted.means {
                Wish::Given(means) => means,
                Wish::Stored => Means::Token(attempt.token.clone().unwrap_or_default()),
            };
            (charge(state, attempt, means, traceparent, till).await, true)
        }
        Begun::Decided(OnPay::Wait(id)) => {
            drop((wanted.means, till));
            (wait(state, id).await?, false)
        }
        Begun::Decided(OnPay::Paid(id)) => return Ok(completed(id)),
        Begun::Decided(decided) => return Err(refusal(&decided)),
        Begun::Away => return Err(away()),
        Begun::NoStoredMethod => {
            let error = FieldError::new(codes::INVALID_METHOD, "paymentMethod", "there is no stored method");
            return Err(Problem::invalid(vec![error]));
        }
    };
    match attempt.state {
        Standing::Captured => Ok(completed(attempt.id)),
        Standing::Declined => Ok(declined(attempt.reason.as_deref())),
        Standing::Voided => Err(away()),
        Standing::Open if is_own => Ok(processing(attempt.id)),
        Standing::Open => Err(refusal(&OnPay::Wait(attempt.id))),
    }
}

/// Begins an attempt, if one may begin. From here on somebody will come back to it.
async fn begin<G: PaymentGateway>(
    state: &http::State<G>,
    wanted: &Wanted,
    traceparent: &str,
) -> Result<Begun, Failure> {
    let mut unit = state.units.begin().await?;
    let mut accounts = store::lock_accounts(&mut unit.tx, &[wanted.order_id]).await?;
    let account = accounts.remove(&wanted.order_id);
    let begun = match account {
        None => Begun::Decided(OnPay::NotDue),
        Some(account) => match payment::pay(&account, &wanted.user_id, wanted.amount, state.rules.max_attempts) {
            OnPay::Begin(next) => {
                let stored = account.due.owed.and_then(|owed| owed.token);
                match (&wanted.means, stored) {
                    (Wish::Stored, None) => Begun::NoStoredMethod,
                    (Wish::Stored, token) => Begun::Attempt(new_attempt(wanted, token, next)),
                    // While the gateway is left alone, nothing is begun that could only be given up.
                    (Wish::Given(_), _) if state.gateway.room() == 0 => Begun::Away,
                    (Wish::Given(_), _) => Begun::Attempt(new_attempt(wanted, None, next)),
                }
            }
            decided => Begun::Decided(decided),
        },
    };
    if let Begun::Attempt(attempt) = &begun {
        let (after_ms, traceparent) = (state.rules.lease_ms, Some(traceparent.to_owned()));
        store::open(&mut unit.tx, &[(attempt, wanted.method.clone())], state.rules.lease_ms);
        store::follow(&mut unit.tx, vec![FollowUp { id: attempt.id, after_ms, traceparent }]);
    }
    unit.commit().await?;
    Ok(begun)
}

fn new_attempt(wanted: &Wanted, token: Option<String>, next: Next) -> Attempt {
    store::new_attempt(wanted.order_id, wanted.amount, token, next)
}

/// Charges, and records what came of it, whether the customer stays for it or not.
async fn charge<G: PaymentGateway>(
    state: &Arc<http::State<G>>,
    attempt: Attempt,
    means: Means,
    traceparent: String,
    till: OwnedSemaphorePermit,
) -> Attempt {
    let open = attempt.clone();
    let charging = state.here.spawn({
        let state = Arc::clone(state);
        async move {
            let answer = match state.gateway.charge(&Charge::from(&attempt), &means).await {
                // A stored method is charged as soon as that is possible; a card is forgotten, and was not charged. Its
                // customer may have been told to wait for it, and hears that nothing came of it.
                Answer::Away { .. } if attempt.token.is_none() => Answer::Voided,
                answer => answer,
            };
            drop(means);
            let said = Said::Charge(answer);
            let outcomes = [Outcome { id: attempt.id, said, tries: 0, traceparent: Some(traceparent), event: None }];
            let _turn = state.turns.must().await;
            let recorded = outcomes::record_now(&state.units, &outcomes, &state.rules).await;
            drop(till);
            recorded.map(|mut attempts| attempts.remove(&attempt.id))
        }
    });
    match timeout(state.answer_within, charging).await {
        Ok(Ok(Ok(Some(attempt)))) => attempt,
        Ok(Ok(Err(failure))) => {
            // The gateway has been asked: what it said is asked for again, later.
            tracing::warn!(%failure, "the outcome of a payment could not be recorded; it will be asked for");
            open
        }
        Ok(Ok(Ok(None)) | Err(_)) | Err(_) => open,
    }
}

/// Waits for a while for the outcome of an attempt that somebody else has begun.
async fn wait<G>(state: &http::State<G>, id: TransactionId) -> Result<Attempt, Problem> {
    let until = Instant::now() + state.wait;
    let mut pause = LOOK_AFTER;
    loop {
        let found = state.turns.take(UNREACHABLE, store::read_attempt(&state.units.db, id)).await?;
        let attempt = found.ok_or_else(Problem::internal)?;
        if attempt.state != Standing::Open || Instant::now() >= until {
            return Ok(attempt);
        }
        tokio::time::sleep_until(until.min(Instant::now() + pause)).await;
        pause = (pause * 2).min(LOOK_EVERY);
    }
}

fn completed(id: TransactionId) -> Response {
    answer(StatusCode::OK, "Payment successful".to_owned(), "completed", Some(id))
}

fn processing(id: TransactionId) -> Response {
    answer(StatusCode::ACCEPTED, "Payment is being processed".to_owned(), "processing", Some(id))
}

fn declined(reason: Option<&str>) -> Response {
    let why = match reason.unwrap_or_default() {
        "insufficient_funds" => "insufficient funds",
        "expired_card" => "an expired card",
        "card_declined" => "the card being declined",
        _ => "the payment method being declined",
    };
    answer(StatusCode::BAD_REQUEST, format!("Payment failed due to {why}"), "failed", None)
}

fn answer(status: StatusCode, message: String, payment_status: &'static str, id: Option<TransactionId>) -> Response {
    let code = status.as_u16();
    (status, Json(Answered { code, message, payment_status, transaction_id: id })).into_response()
}

fn not_due() -> Problem {
    Problem::not_found("there is no such order, or nothing is due for it")
}

fn away() -> Problem {
    Problem::unavailable("the payment gateway cannot be reached; nothing was charged. Try again shortly")
}

fn refusal(decided: &OnPay) -> Problem {
    match decided {
        OnPay::OtherAmount => {
            let message = "is not what is due";
            Problem::invalid(vec![FieldError::new(codes::AMOUNT_MISMATCH, "paymentAmount", message)])
        }
        OnPay::Off => Problem::new(codes::NOT_PAYABLE, "the order is off: nothing can be paid for it any more"),
        OnPay::Late => Problem::new(codes::NOT_PAYABLE, "the order's deadline has passed"),
        OnPay::UsedUp => Problem::new(codes::ATTEMPTS_USED_UP, "payments were declined as often as they may be"),
        OnPay::Wait(_) => Problem::new(codes::PAYMENT_OPEN, "another attempt to pay for this order is under way"),
        OnPay::NotDue | OnPay::Begin(_) | OnPay::Paid(_) => not_due(),
    }
}
