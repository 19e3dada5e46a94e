//! `POST /api/notification/send`: what another program of the shop has to say to a customer. It goes to the address that
//! the customer has given, and to no other: this is no relay.

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, HeaderName},
};
use common::{
    auth::{Caller, Scope},
    http::{FieldError, JsonBody, Problem, codes::INVALID_FIELD},
    ids::UserId,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::{UNREACHABLE, codes, user_of};
use crate::{
    contact::Channel,
    store::{self, Begun, Request},
    transport::{Letter, NotSent},
};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const LONGEST_KEY: usize = 255;
/// In characters.
const LONGEST_SUBJECT: usize = 200;
const LONGEST_MESSAGE: usize = 10_000;
/// What an SMS may be split into is soon more than anybody reads.
const LONGEST_SMS: usize = 1_000;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Send {
    user_id: String,
    notification_type: String,
    subject: String,
    message: String,
}

/// What is acceptable.
pub(crate) struct Wanted {
    pub user_id: UserId,
    channel: Channel,
    pub subject: String,
    pub message: String,
}

impl Send {
    pub(crate) fn check(self) -> Result<Wanted, Problem> {
        let mut errors = Vec::new();
        let user_id = user_of(self.user_id).map_err(|error| errors.push(error)).ok();
        let mut invalid = |field: &str, message: String| errors.push(FieldError::new(INVALID_FIELD, field, message));
        let channel = Channel::of_customer(&self.notification_type);
        if channel.is_none() {
            invalid("notificationType", "must be email or sms".to_owned());
        }
        let breaks_a_line = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
        if !(1..=LONGEST_SUBJECT).contains(&self.subject.chars().count()) || self.subject.contains(breaks_a_line) {
            let message = format!("must have 1 to {LONGEST_SUBJECT} characters, and no control characters among them");
            invalid("subject", message);
        }
        let longest = if channel == Some(Channel::Sms) { LONGEST_SMS } else { LONGEST_MESSAGE };
        let is_odd = |c: char| c.is_control() && !matches!(c, '\n' | '\t');
        if !(1..=longest).contains(&self.message.chars().count()) || self.message.contains(is_odd) {
            let message =
                format!("must have 1 to {longest} characters, and no control characters but line feeds and tabs");
            invalid("message", message);
        }
        match (user_id, channel) {
            (Some(user_id), Some(channel)) if errors.is_empty() => {
                Ok(Wanted { user_id, channel, subject: self.subject, message: self.message })
            }
            _ => Err(Problem::invalid(errors)),
        }
    }
}

impl Wanted {
    /// So that a key stands for one request.
    fn hash(&self) -> [u8; 32] {
        let parts = [self.user_id.as_str(), self.channel.as_str(), &self.subject, &self.message];
        digest(parts)
    }
}

#[derive(Debug, Serialize)]
pub(super) struct Sent {
    code: u16,
    message: &'static str,
}

const SENT: Sent = Sent { code: 200, message: "Notification sent successfully" };

pub(super) async fn send(
    State(state): super::SharedState,
    caller: Caller,
    headers: HeaderMap,
    JsonBody(body): JsonBody<Send>,
) -> Result<Json<Sent>, Problem> {
    caller.must_have(Scope::Service)?;
    let key = key(&headers)?;
    let wanted = body.check()?;
    let contact = state.turns.take(UNREACHABLE, store::find_contact(&state.db, &wanted.user_id)).await?;
    let to = contact.and_then(|contact| contact.address(wanted.channel)).ok_or_else(|| {
        Problem::new(codes::NO_CONTACT, format!("the user has no contact for {}", wanted.channel.as_str()))
    })?;
    let id = key.map_or_else(Uuid::now_v7, |key| named(&caller.user_id, &key));
    let request = Request { id, user_id: &wanted.user_id, channel: wanted.channel, hash: wanted.hash() };
    match state.turns.take(UNREACHABLE, store::begin(&state.db, &request, state.claim_for)).await? {
        Begun::Ours => {}
        Begun::Sent => return Ok(Json(SENT)),
        Begun::Another => {
            let message = "something else was sent with this Idempotency-Key";
            return Err(Problem::new(codes::IDEMPOTENCY_KEY_REUSED, message));
        }
        Begun::UnderWay => {
            let problem = Problem::new(codes::UNDER_WAY, "the same request is being carried out");
            return Err(Problem { retry_after_seconds: Some(1), ..problem });
        }
    }
    let Wanted { user_id, subject, message, .. } = wanted;
    let sent = state.ways.send(&Letter { name: id.to_string(), user_id, subject, text: message, to }).await;
    let became = match &sent {
        Ok(()) => "sent",
        Err(NotSent::ForGood(_)) => "refused",
        Err(_) => "pending",
    };
    let turn = state.turns.must().await;
    // Whether or not this can be noted, it is as it is.
    if let Err(error) = store::end(&state.db, id, became).await {
        tracing::warn!(message.id = %id, became, %error, "what came of a request could not be noted");
    }
    drop(turn);
    match sent {
        Ok(()) => Ok(Json(SENT)),
        Err(NotSent::ForGood(why)) => {
            tracing::warn!(message.id = %id, why, "a customer cannot be told");
            Err(Problem::new(codes::ADDRESS_REFUSED, "the customer's address does not take it"))
        }
        Err(why) => {
            tracing::warn!(message.id = %id, %why, "a notification could not be sent");
            Err(Problem::unavailable("the notification could not be sent; try again"))
        }
    }
}

/// The key of a request, if it has one.
fn key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut values = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let is_key = |text: &&str| (1..=LONGEST_KEY).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
    match value.to_str().ok().filter(is_key).filter(|_| values.next().is_none()) {
        Some(key) => Ok(Some(key.to_owned())),
        None => Err(Problem::new(
            codes::INVALID_IDEMPOTENCY_KEY,
            format!("Idempotency-Key must be given once, with 1 to {LONGEST_KEY} visible ASCII characters"),
        )),
    }
}

/// The id of what a caller asks for under a key: always the same, and so the Message-ID.
fn named(caller: &UserId, key: &str) -> Uuid {
    let digest = digest([caller.as_str(), key]);
    let mut bytes = [0; 16];
    bytes.iter_mut().zip(digest).for_each(|(byte, of_digest)| *byte = of_digest);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

/// Of texts, each with its length, so that none runs into the next.
fn digest<const N: usize>(parts: [&str; N]) -> [u8; 32] {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    digest.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(subject: &str, message: &str, kind: &str) -> Vec<String> {
        let send = Send {
            user_id: "123456".to_owned(),
            notification_type: kind.to_owned(),
            subject: subject.to_owned(),
            message: message.to_owned(),
        };
        match send.check() {
            Ok(_) => Vec::new(),
            Err(problem) => problem.errors.into_iter().filter_map(|error| error.field).collect(),
        }
    }

    #[test]
    fn what_is_sent_is_bounded_and_makes_no_headers() {
        assert!(refused("Order Status Update", "one\n\ttwo", "email").is_empty());
        assert!(refused(&"é".repeat(LONGEST_SUBJECT), &"é".repeat(LONGEST_MESSAGE), "email").is_empty());
        assert_eq!(refused(&"x".repeat(LONGEST_SUBJECT + 1), "m", "email"), ["subject"]);
        assert_eq!(refused("s", &"x".repeat(LONGEST_MESSAGE + 1), "email"), ["message"]);
        assert_eq!(refused("s", &"x".repeat(LONGEST_SMS + 1), "sms"), ["message"]);
        for subject in ["", "a\r\nBcc: b@c.example", "a\nb", "a\rb", "a\0b", "a\u{85}b", "a\u{2028}b", "a\tb"] {
            assert_eq!(refused(subject, "m", "email"), ["subject"], "{subject:?}");
        }
        for message in ["", "a\rb", "a\0b", "a\u{1b}b"] {
            assert_eq!(refused("s", message, "email"), ["message"], "{message:?}");
        }
        assert_eq!(refused("", "", "pigeon"), ["notificationType", "subject", "message"]);
        assert_eq!(refused("s", "m", "log"), ["notificationType"]);
    }

    #[test]
    fn a_key_names_a_request_of_its_caller_and_no_other() {
        let user = |name: &str| UserId::try_from(name.to_owned()).unwrap();
        assert_eq!(named(&user("a"), "k"), named(&user("a"), "k"));
        assert_ne!(named(&user("a"), "k"), named(&user("b"), "k"));
        assert_ne!(named(&user("a"), "bk"), named(&user("ab"), "k"));
    }
}
