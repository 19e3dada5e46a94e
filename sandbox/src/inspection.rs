//! What tests and people may look at, and the switches they may turn. No key is needed.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{RawQuery, State},
    http::StatusCode,
    routing::get,
};
use bytes::Bytes;
use serde_json::{Value, json};

use crate::{
    cards,
    faults::{Change, Faults},
    inbox::Mail,
    requests::{Refused, Words, body, parameter},
    sms::Sms,
    world::{World, written},
};

const USUAL_LIMIT: usize = 1000;

pub(crate) fn routes() -> Router<Arc<World>> {
    Router::new()
        .route("/healthz", get(async || "fine\n"))
        .route("/sandbox/ledger", get(ledger))
        .route("/sandbox/calls", get(calls))
        .route("/sandbox/mails", get(mails).delete(forget_mails))
        .route("/sandbox/sms", get(sms).delete(forget_sms))
        .route("/sandbox/cards", get(all_cards))
        .route("/sandbox/faults", get(faults).put(change_faults))
}

/// All charges, the oldest first, or those of one order; and the sums over everything.
async fn ledger(State(world): State<Arc<World>>, RawQuery(query): RawQuery) -> Json<Value> {
    let order_id = parameter(query.as_deref(), "orderId");
    let ledger = world.ledger();
    let charges = ledger.charges().filter(|charge| order_id.as_ref().is_none_or(|id| *id == charge.order_id));
    let charges: Vec<_> = charges.filter_map(|charge| serde_json::to_value(charge).ok()).collect();
    Json(json!({"charges": charges, "totals": ledger.totals()}))
}

/// When the gateway was asked: since then (unix milliseconds), or as far back as is remembered.
async fn calls(State(world): State<Arc<World>>, RawQuery(query): RawQuery) -> Result<Json<Value>, Refused> {
    let since = match parameter(query.as_deref(), "since") {
        None => 0,
        Some(since) => since.parse().map_err(|_| Refused::bad("bad_request", "since must be unix milliseconds"))?,
    };
    Ok(Json(json!({"calls": world.calls.since(since)})))
}

/// Which number does what.
async fn all_cards() -> Json<Value> {
    let cards: Vec<_> =
        cards::all().map(|card| json!({"name": card.name, "number": card.number, "tells": card.tells})).collect();
    Json(json!({"cards": cards}))
}

/// The newest first: those to one address, those in which every word of `q` is found.
async fn mails(State(world): State<Arc<World>>, RawQuery(query): RawQuery) -> Result<Json<Value>, Refused> {
    let (to, words, limit) = wanted(query.as_deref())?;
    let inbox = world.inbox();
    let found = inbox.newest().filter(|(_, mail)| to.as_ref().is_none_or(|to| mail.to.eq_ignore_ascii_case(to)));
    let found = found.filter(|(_, mail)| words.are_in(&mail.texts()));
    let mails: Vec<_> = found
        .take(limit)
        .map(|(number, mail)| {
            let Mail { message_id, to, from, subject, text, received_at } = mail;
            json!({"number": number, "messageId": message_id, "to": to, "from": from, "subject": subject, "text": text,
                "receivedAt": written(*received_at)})
        })
        .collect();
    Ok(Json(json!({"mails": mails, "dropped": inbox.dropped()})))
}

async fn forget_mails(State(world): State<Arc<World>>) -> StatusCode {
    world.inbox().clear();
    StatusCode::NO_CONTENT
}

/// The same of SMS.
async fn sms(State(world): State<Arc<World>>, RawQuery(query): RawQuery) -> Result<Json<Value>, Refused> {
    let (to, words, limit) = wanted(query.as_deref())?;
    let phones = world.sms();
    let found = phones.newest().filter(|(_, sms)| to.as_ref().is_none_or(|to| sms.to == *to));
    let found = found.filter(|(_, sms)| words.are_in(&[&sms.to, &sms.text]));
    let sms: Vec<_> = found
        .take(limit)
        .map(|(number, Sms { key, to, text, received_at })| {
            json!({"number": number, "key": key, "to": to, "text": text, "receivedAt": written(*received_at)})
        })
        .collect();
    Ok(Json(json!({"sms": sms, "dropped": phones.dropped()})))
}

async fn forget_sms(State(world): State<Arc<World>>) -> StatusCode {
    world.sms().clear();
    StatusCode::NO_CONTENT
}

async fn faults(State(world): State<Arc<World>>) -> Json<Faults> {
    Json(world.faults.now())
}

async fn change_faults(State(world): State<Arc<World>>, bytes: Bytes) -> Result<Json<Faults>, Refused> {
    Ok(Json(world.faults.change(body::<Change>(&bytes)?)))
}

fn wanted(query: Option<&str>) -> Result<(Option<String>, Words, usize), Refused> {
    let limit = match parameter(query, "limit") {
        None => USUAL_LIMIT,
        Some(limit) => limit.parse().map_err(|_| Refused::bad("bad_request", "limit must be a number"))?,
    };
    let words = Words::of(&parameter(query, "q").unwrap_or_default());
    Ok((parameter(query, "to"), words, limit))
}
