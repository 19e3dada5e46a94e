//! Tokens as an identity provider would issue them, signed with the secret that every service of a test knows.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jsonwebtoken::{EncodingKey, Header};
use serde_json::{Value, json};

/// It guards nothing but tests.
pub const TOKEN_SECRET: &str = "the tests sign their tokens with this";

/// The token of a customer.
#[must_use]
pub fn token(user: &str) -> String {
    token_with(&json!({"sub": user, "scope": "customer", "exp": in_seconds(3_600)}))
}

/// A token with these claims.
#[must_use]
pub fn token_with(claims: &Value) -> String {
    let key = EncodingKey::from_secret(TOKEN_SECRET.as_bytes());
    jsonwebtoken::encode(&Header::default(), claims, &key).expect("signing a token")
}

/// The same with another header.
#[must_use]
pub fn token_with_header(header: &Value, claims: &Value) -> String {
    let mut header: Header = serde_json::from_value(header.clone()).expect("a header");
    header.alg = jsonwebtoken::Algorithm::HS256;
    jsonwebtoken::encode(&header, claims, &EncodingKey::from_secret(TOKEN_SECRET.as_bytes())).expect("signing a token")
}

/// A moment from now, as a token says it.
#[must_use]
pub fn in_seconds(seconds: u64) -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970");
    (now + Duration::from_secs(seconds)).as_secs()
}
