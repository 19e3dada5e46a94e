//! `/api/users/{userId}/signing-keys`: the keys that a user's orders may be signed with.

use axum::{
    Json,
    extract::{Path, State, rejection::PathRejection},
};
use common::{
    auth::{Caller, Scope},
    db::DbError,
    http::{
        FieldError, JsonBody, Problem,
        codes::{INSUFFICIENT_SCOPE, INVALID_FIELD},
    },
    ids::UserId,
};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::{codes, show::instant};
use crate::{
    signing::key::{KeyId, PublicKey},
    store,
};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Register {
    public_key: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Registered {
    code: u16,
    message: &'static str,
    user_id: UserId,
    #[serde(flatten)]
    key: Shown,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown {
    key_id: String,
    public_key: String,
    created_at: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Listed {
    code: u16,
    message: &'static str,
    user_id: UserId,
    keys: Vec<Shown>,
}

#[derive(Serialize)]
pub(super) struct Revoked {
    code: u16,
    message: &'static str,
}

/// Registers a key, or puts another in the place of one of the same name.
pub(super) async fn register(
    State(state): super::SharedState,
    caller: Caller,
    path: Result<Path<(String, String)>, PathRejection>,
    JsonBody(request): JsonBody<Register>,
) -> Result<Json<Registered>, Problem> {
    must_be_admin(&caller)?;
    let (user_id, key_id) = named(path)?;
    let key = PublicKey::from_pem(&request.public_key)
        .map_err(|bad| Problem::invalid(vec![FieldError::new(codes::INVALID_KEY, "publicKey", bad.to_string())]))?;
    let created_at =
        store::register_key(&state.units.db, &user_id, &key_id, key).await.map_err(|error| failed(&error))?;
    let created_at = created_at
        .ok_or_else(|| Problem::new(codes::TOO_MANY_KEYS, format!("the user has {} signing keys", store::MOST_KEYS)))?;
    tracing::info!(user = %user_id, key = key_id.as_str(), by = %caller.user_id, "a signing key was registered");
    let key = shown(&key_id, key, created_at)?;
    Ok(Json(Registered { code: 200, message: "Signing key registered", user_id, key }))
}

pub(super) async fn list(
    State(state): super::SharedState,
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
) -> Result<Json<Listed>, Problem> {
    let user_id = path.map_err(|_| unknown()).and_then(|Path(user)| user_of(user))?;
    if !caller.may_see(&user_id) {
        return Err(unknown());
    }
    let keys = store::list_keys(&state.units.db, &user_id).await.map_err(|error| failed(&error))?;
    let keys = keys.into_iter().map(|(id, key, created_at)| shown(&id, key, created_at)).collect::<Result<_, _>>()?;
    Ok(Json(Listed { code: 200, message: "Signing keys found", user_id, keys }))
}

pub(super) async fn revoke(
    State(state): super::SharedState,
    caller: Caller,
    path: Result<Path<(String, String)>, PathRejection>,
) -> Result<Json<Revoked>, Problem> {
    must_be_admin(&caller)?;
    let (user_id, key_id) = named(path)?;
    if !store::revoke_key(&state.units.db, &user_id, &key_id).await.map_err(|error| failed(&error))? {
        return Err(unknown());
    }
    tracing::info!(user = %user_id, key = key_id.as_str(), by = %caller.user_id, "a signing key was revoked");
    Ok(Json(Revoked { code: 200, message: "Signing key revoked; it stops counting within a second" }))
}

fn must_be_admin(caller: &Caller) -> Result<(), Problem> {
    if caller.has(Scope::Admin) {
        return Ok(());
    }
    Err(Problem::new(INSUFFICIENT_SCOPE, "the token does not have the scope `admin`"))
}

fn unknown() -> Problem {
    Problem::not_found("there is no such user or key")
}

fn named(path: Result<Path<(String, String)>, PathRejection>) -> Result<(UserId, KeyId), Problem> {
    let Path((user, key)) = path.map_err(|_| unknown())?;
    let user = user_of(user)?;
    let key = key.parse().map_err(|why: &str| Problem::invalid(vec![FieldError::new(INVALID_FIELD, "keyId", why)]))?;
    Ok((user, key))
}

fn user_of(user: String) -> Result<UserId, Problem> {
    UserId::try_from(user)
        .map_err(|error| Problem::invalid(vec![FieldError::new(codes::INVALID_USER, "userId", error.to_string())]))
}

fn failed(error: &DbError) -> Problem {
    tracing::warn!(%error, "signing keys cannot be reached");
    Problem::unavailable("signing keys cannot be reached at the moment; try again shortly")
}

fn shown(id: &KeyId, key: PublicKey, created_at: OffsetDateTime) -> Result<Shown, Problem> {
    let (public_key, created_at) = key.to_pem().zip(instant(created_at)).ok_or_else(Problem::internal)?;
    Ok(Shown { key_id: id.as_str().to_owned(), public_key, created_at })
}
