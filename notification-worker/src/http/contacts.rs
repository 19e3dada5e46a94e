//! `/api/notification/contacts/{userId}`: where a customer wants to be told.

use axum::{
    Json,
    extract::{Path, State, rejection::PathRejection},
};
use common::{
    auth::{Caller, Scope},
    http::{
        FieldError, JsonBody, Problem,
        codes::{INSUFFICIENT_SCOPE, INVALID_FIELD, MISSING_FIELD},
    },
    ids::UserId,
};
use serde::{Deserialize, Serialize};

use super::{UNREACHABLE, user_of};
use crate::{
    contact::{Channel, Contact, Email, Phone},
    store,
};

/// Either address may be left out, but not that of the channel.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Put {
    email: Option<String>,
    phone: Option<String>,
    channel: String,
}

impl Put {
    /// Everything that is wrong is said at once, and nothing of it repeated.
    pub(crate) fn check(self) -> Result<Contact, Problem> {
        let mut errors = Vec::new();
        let mut invalid = |field: &str, message: &str| errors.push(FieldError::new(INVALID_FIELD, field, message));
        let (has_email, has_phone) = (self.email.is_some(), self.phone.is_some());
        let email = self.email.as_deref().and_then(Email::parse);
        let phone = self.phone.as_deref().and_then(Phone::parse);
        if has_email && email.is_none() {
            invalid("email", Email::SHAPE);
        }
        if has_phone && phone.is_none() {
            invalid("phone", Phone::SHAPE);
        }
        let channel = Channel::of_customer(&self.channel);
        if channel.is_none() {
            invalid("channel", "must be email or sms");
        }
        match channel {
            Some(Channel::Email) if !has_email => {
                errors.push(FieldError::new(MISSING_FIELD, "email", "is required for the channel email"));
            }
            Some(Channel::Sms) if !has_phone => {
                errors.push(FieldError::new(MISSING_FIELD, "phone", "is required for the channel sms"));
            }
            _ => {}
        }
        match channel {
            Some(channel) if errors.is_empty() => Ok(Contact { email, phone, channel }),
            _ => Err(Problem::invalid(errors)),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Shown {
    code: u16,
    message: &'static str,
    user_id: UserId,
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    phone: Option<String>,
    channel: &'static str,
}

impl Shown {
    fn new(message: &'static str, user_id: UserId, contact: &Contact) -> Self {
        let email = contact.email.as_ref().map(ToString::to_string);
        let phone = contact.phone.as_ref().map(ToString::to_string);
        Self { code: 200, message, user_id, email, phone, channel: contact.channel.as_str() }
    }
}

#[derive(Serialize)]
pub(super) struct Forgotten {
    code: u16,
    message: &'static str,
}

type Named = Result<Path<String>, PathRejection>;

pub(super) async fn store(
    State(state): super::SharedState,
    caller: Caller,
    path: Named,
    JsonBody(put): JsonBody<Put>,
) -> Result<Json<Shown>, Problem> {
    let user_id = named(path)?;
    may_change(&caller, &user_id)?;
    let contact = put.check()?;
    state.turns.take(UNREACHABLE, store::put_contact(&state.db, &user_id, &contact)).await?;
    tracing::info!(user.id = %user_id, by = %caller.user_id, channel = contact.channel.as_str(), "a contact was stored");
    Ok(Json(Shown::new("Contact stored", user_id, &contact)))
}

/// One's own, or anybody's for `service`, `staff` and `admin`.
pub(super) async fn show(
    State(state): super::SharedState,
    caller: Caller,
    path: Named,
) -> Result<Json<Shown>, Problem> {
    let user_id = named(path)?;
    if !caller.may_see(&user_id) {
        return Err(unknown());
    }
    let found = store::find_contact(&state.db, &user_id);
    let contact = state.turns.take(UNREACHABLE, found).await?.ok_or_else(unknown)?;
    Ok(Json(Shown::new("Contact found", user_id, &contact)))
}

pub(super) async fn forget(
    State(state): super::SharedState,
    caller: Caller,
    path: Named,
) -> Result<Json<Forgotten>, Problem> {
    let user_id = named(path)?;
    may_change(&caller, &user_id)?;
    if !state.turns.take(UNREACHABLE, store::delete_contact(&state.db, &user_id)).await? {
        return Err(unknown());
    }
    tracing::info!(user.id = %user_id, by = %caller.user_id, "a contact was deleted");
    Ok(Json(Forgotten { code: 200, message: "Contact deleted" }))
}

fn named(path: Named) -> Result<UserId, Problem> {
    let Path(user) = path.map_err(|_| unknown())?;
    user_of(user).map_err(|error| Problem::invalid(vec![error]))
}

/// One's own, or anybody's for `service` and `admin`: whoever can change an address decides who reads what is sent there.
fn may_change(caller: &Caller, user_id: &UserId) -> Result<(), Problem> {
    let is_own = caller.has(Scope::Customer) && caller.user_id == *user_id;
    if is_own || caller.has(Scope::Service) || caller.has(Scope::Admin) {
        return Ok(());
    }
    let message = "a contact is changed by its user, or with the scope `service` or `admin`";
    Err(Problem::new(INSUFFICIENT_SCOPE, message))
}

fn unknown() -> Problem {
    Problem::not_found("there is no such contact")
}
