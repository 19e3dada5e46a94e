//! The SMS provider: what it was told is read in the inbox.

use std::{collections::HashMap, sync::Arc};

use axum::{
    Json, Router,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::post,
};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;

use crate::{
    faults::SmsProvider,
    requests::{Refused, authorize, body, idempotency_key},
    shelf::{Bulky, Shelf},
    world::{World, now},
};

/// What ten messages hold that are sent as one.
const LONGEST: usize = 1600;

#[derive(Debug, Clone)]
pub(crate) struct Sms {
    pub(crate) key: String,
    pub(crate) to: String,
    pub(crate) text: String,
    /// Unix milliseconds.
    pub(crate) received_at: i64,
}

impl Bulky for Sms {
    fn size(&self) -> usize {
        self.key.len() + self.to.len() + self.text.len() + 200
    }
}

/// All that were sent, and under which keys.
#[derive(Debug)]
pub(crate) struct Phones {
    shelf: Shelf<Sms>,
    numbers: HashMap<String, u64>,
}

impl Phones {
    pub(crate) fn new(most: usize) -> Self {
        Self { shelf: Shelf::new(most), numbers: HashMap::new() }
    }

    /// Its number: the same for the same SMS under the same key. None for another one under a key that was used.
    fn take(&mut self, sms: Sms) -> Option<u64> {
        if let Some(known) = self.numbers.get(&sms.key).and_then(|number| self.shelf.get(*number)) {
            let same = known.to == sms.to && known.text == sms.text;
            return if same { self.numbers.get(&sms.key).copied() } else { None };
        }
        let key = sms.key.clone();
        let number = self.shelf.put(sms);
        self.numbers.insert(key, number);
        // Now and then, the keys of what is no longer on the shelf.
        if self.numbers.len() > 2 * self.shelf.len() + 1000 {
            self.numbers.retain(|_, number| self.shelf.get(*number).is_some());
        }
        Some(number)
    }

    pub(crate) fn newest(&self) -> impl Iterator<Item = (u64, &Sms)> {
        self.shelf.newest()
    }

    pub(crate) fn clear(&mut self) {
        self.shelf.clear();
        self.numbers.clear();
    }

    pub(crate) fn dropped(&self) -> u64 {
        self.shelf.dropped()
    }
}

#[derive(Deserialize)]
struct Wanted {
    to: String,
    text: String,
}

pub(crate) fn routes() -> Router<Arc<World>> {
    Router::new().route("/v1/sms", post(send))
}

async fn send(State(world): State<Arc<World>>, headers: HeaderMap, bytes: Bytes) -> Result<Response, Refused> {
    if world.faults.now().sms == SmsProvider::Down {
        return Err(Refused::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "the SMS provider is down"));
    }
    authorize(&headers, &world.settings.api_key)?;
    let key = idempotency_key(&headers)?;
    let Wanted { to, text } = body(&bytes)?;
    let digits = to.strip_prefix('+').unwrap_or_default();
    if !(8..=15).contains(&digits.len()) || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Refused::bad("bad_number", "to must be + and 8 to 15 digits"));
    }
    if text.is_empty() || text.chars().count() > LONGEST {
        return Err(Refused::bad("bad_text", format!("text must be 1 to {LONGEST} characters")));
    }
    let number = world.sms().take(Sms { key, to, text, received_at: now() });
    let Some(number) = number else {
        return Err(Refused::new(StatusCode::CONFLICT, "other_body", "this key was used for another SMS"));
    };
    Ok((StatusCode::ACCEPTED, Json(json!({"id": format!("sms_{number:08}")}))).into_response())
}
