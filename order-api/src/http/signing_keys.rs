//! `/api/users/{userId}/signing-keys`: the keys that a user's orders may be signed with.

use axum::{
    Json,
    extract::{Path, State, rejection::PathRejection},
};
use common::{
    auth::{Caller, Scope},
    http::{
        Code, FieldError, JsonBody, Problem,
        codes::{INSUFFICIENT_SCOPE, INVALID_FIELD, NOT_FOUND},
    },
    ids::UserId,
};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::{codes, openapi, show::instant};
use crate::{
    signing::key::{KeyId, PublicKey},
    store,
};

/// The key to be registered.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = RegisterKey)]
pub(super) struct Register {
    /// The PEM of an Ed25519 public key.
    #[schema(
        example = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n-----END PUBLIC KEY-----\n"
    )]
    public_key: String,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = KeyRegistered)]
pub(super) struct Registered {
    #[schema(minimum = 200, maximum = 200)]
    code: u16,
    message: &'static str,
    #[schema(value_type = openapi::UserId)]
    user_id: UserId,
    #[serde(flatten)]
    key: Shown,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = SigningKey)]
struct Shown {
    #[schema(value_type = openapi::KeyId)]
    key_id: String,
    /// As PEM.
    public_key: String,
    #[schema(value_type = openapi::Instant)]
    created_at: String,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = SigningKeys)]
pub(super) struct Listed {
    #[schema(minimum = 200, maximum = 200)]
    code: u16,
    message: &'static str,
    #[schema(value_type = openapi::UserId)]
    user_id: UserId,
    keys: Vec<Shown>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = KeyRevoked)]
pub(super) struct Revoked {
    #[schema(minimum = 200, maximum = 200)]
    code: u16,
    message: &'static str,
}

pub(super) const REGISTER_REFUSES: &[&Code] =
    &[INSUFFICIENT_SCOPE, NOT_FOUND, codes::INVALID_USER, codes::INVALID_KEY, codes::TOO_MANY_KEYS];

/// Register a signing key
///
/// Or put another in the place of one of the same name. Needs the scope `admin`. A user can have 16 keys, so that a new one
/// can be in use before an old one is revoked.
#[utoipa::path(
    put,
    path = "/api/users/{user_id}/signing-keys/{key_id}",
    operation_id = "registerKey",
    tag = "Signing keys",
    security(("bearer" = [])),
    params(
        ("user_id" = inline(openapi::UserId), Path, description = "Whose orders are signed with it."),
        ("key_id" = inline(openapi::KeyId), Path, description = "What stands before the colon of a signature."),
    ),
    request_body(content = Register),
    responses((status = 200, description = "It is registered.", body = Registered)),
)]
pub(super) async fn register(
    State(state): super::SharedState,
    caller: Caller,
    path: Result<Path<(String, String)>, PathRejection>,
    JsonBody(request): JsonBody<Register>,
) -> Result<Json<Registered>, Problem> {
    caller.must_have(Scope::Admin)?;
    let (user_id, key_id) = named(path)?;
    let key = PublicKey::from_pem(&request.public_key)
        .map_err(|bad| Problem::invalid(vec![FieldError::new(codes::INVALID_KEY, "publicKey", bad.to_string())]))?;
    let stored = store::register_key(&state.units.db, &user_id, &key_id, key);
    let created_at = state.turns.take(UNREACHABLE, stored).await?;
    let created_at = created_at
        .ok_or_else(|| Problem::new(codes::TOO_MANY_KEYS, format!("the user has {} signing keys", store::MOST_KEYS)))?;
    tracing::info!(user = %user_id, key = key_id.as_str(), by = %caller.user_id, "a signing key was registered");
    let key = shown(&key_id, key, created_at)?;
    Ok(Json(Registered { code: 200, message: "Signing key registered", user_id, key }))
}

pub(super) const LIST_REFUSES: &[&Code] = &[NOT_FOUND, codes::INVALID_USER];

/// List a user's signing keys
///
/// One's own, or anybody's for `service`, `staff` and `admin`.
#[utoipa::path(
    get,
    path = "/api/users/{user_id}/signing-keys",
    operation_id = "listKeys",
    tag = "Signing keys",
    security(("bearer" = [])),
    params(("user_id" = inline(openapi::UserId), Path, description = "Whose keys.")),
    responses((status = 200, description = "All that are registered.", body = Listed)),
)]
pub(super) async fn list(
    State(state): super::SharedState,
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
) -> Result<Json<Listed>, Problem> {
    let user_id = path.map_err(|_| unknown()).and_then(|Path(user)| user_of(user))?;
    if !caller.may_see(&user_id) {
        return Err(unknown());
    }
    let keys = state.turns.take(UNREACHABLE, store::list_keys(&state.units.db, &user_id)).await?;
    let keys = keys.into_iter().map(|(id, key, created_at)| shown(&id, key, created_at)).collect::<Result<_, _>>()?;
    Ok(Json(Listed { code: 200, message: "Signing keys found", user_id, keys }))
}

pub(super) const REVOKE_REFUSES: &[&Code] = &[INSUFFICIENT_SCOPE, NOT_FOUND, INVALID_FIELD, codes::INVALID_USER];

/// Revoke a signing key
///
/// It stops counting within a second, everywhere. Needs the scope `admin`.
#[utoipa::path(
    delete,
    path = "/api/users/{user_id}/signing-keys/{key_id}",
    operation_id = "revokeKey",
    tag = "Signing keys",
    security(("bearer" = [])),
    params(
        ("user_id" = inline(openapi::UserId), Path, description = "Whose key."),
        ("key_id" = inline(openapi::KeyId), Path, description = "Which key."),
    ),
    responses((status = 200, description = "It is revoked.", body = Revoked)),
)]
pub(super) async fn revoke(
    State(state): super::SharedState,
    caller: Caller,
    path: Result<Path<(String, String)>, PathRejection>,
) -> Result<Json<Revoked>, Problem> {
    caller.must_have(Scope::Admin)?;
    let (user_id, key_id) = named(path)?;
    if !state.turns.take(UNREACHABLE, store::revoke_key(&state.units.db, &user_id, &key_id)).await? {
        return Err(unknown());
    }
    tracing::info!(user = %user_id, key = key_id.as_str(), by = %caller.user_id, "a signing key was revoked");
    Ok(Json(Revoked { code: 200, message: "Signing key revoked; it stops counting within a second" }))
}

const UNREACHABLE: &str = "signing keys cannot be reached";

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

fn shown(id: &KeyId, key: PublicKey, created_at: OffsetDateTime) -> Result<Shown, Problem> {
    let (public_key, created_at) = key.to_pem().zip(instant(created_at)).ok_or_else(Problem::internal)?;
    Ok(Shown { key_id: id.as_str().to_owned(), public_key, created_at })
}
