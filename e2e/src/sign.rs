//! Signatures as a client would make them, with a key that guards nothing but tests.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ed25519_zebra::{SigningKey, VerificationKeyBytes};
use serde_json::Value;

/// What the key is registered as.
pub const SIGNING_KEY: &str = "tests";

fn key() -> SigningKey {
    SigningKey::from([7; 32])
}

/// The public half of the key that everything here is signed with.
#[must_use]
pub fn verification_key() -> [u8; 32] {
    VerificationKeyBytes::from(&key()).into()
}

/// The body with its signature in place.
#[must_use]
pub fn signed(mut body: Value) -> Value {
    let fields = body.as_object_mut().expect("an object is signed");
    fields.remove("signature");
    let text = serde_json_canonicalizer::to_vec(&fields).expect("an RFC 8785 form");
    let signature = STANDARD.encode(key().sign(&text).to_bytes());
    fields.insert("signature".to_owned(), format!("{SIGNING_KEY}:{signature}").into());
    body
}
