//! The customers who order: each has a token for a day and a key of their own to sign with.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use ed25519_zebra::{SigningKey, VerificationKeyBytes};
use jsonwebtoken::{EncodingKey, Header};
use serde_json::{Value, json};
use tokio_postgres::Client;

/// How many there are: they take turns.
pub const CUSTOMERS: u8 = 64;

/// It guards nothing: the services were started for this run and listen on loopback.
pub const TOKEN_SECRET: &str = "the load generator signs its tokens with this";

fn name(number: u8) -> String {
    format!("customer-{number}")
}

fn key(number: u8) -> SigningKey {
    SigningKey::from([number; 32])
}

/// The documented example, of one of the customers. All orders ask for the same two products: for stock that is the
/// hardest case.
pub fn order(number: u8) -> Result<String> {
    let mut order = unsigned(number)?;
    let signature = key(number).sign(&serde_json_canonicalizer::to_vec(&order)?);
    order["signature"] = Value::from(format!("bench:{}", STANDARD.encode(signature.to_bytes())));
    Ok(order.to_string())
}

/// What one of them signs in such an order, the signature, and the key to check it with.
pub fn signed(number: u8) -> Result<(Vec<u8>, [u8; 64], [u8; 32])> {
    let (key, text) = (key(number), serde_json_canonicalizer::to_vec(&unsigned(number)?)?);
    let signature = key.sign(&text).to_bytes();
    Ok((text, signature, VerificationKeyBytes::from(&key).into()))
}

fn unsigned(number: u8) -> Result<Value> {
    let day = SystemTime::now().duration_since(UNIX_EPOCH)? + Duration::from_secs(86_400);
    let claims = json!({"sub": name(number), "scope": "customer", "exp": day.as_secs()});
    let token = jsonwebtoken::encode(&Header::default(), &claims, &EncodingKey::from_secret(TOKEN_SECRET.as_bytes()))?;
    Ok(json!({
        "userId": name(number),
        "token": token,
        "orderAmount": 100.50,
        "items": [{"productId": "P001", "quantity": 2}, {"productId": "P002", "quantity": 1}],
    }))
}

/// Makes their keys known, and how they pay.
pub async fn register(admin: &Client) -> Result<()> {
    let names: Vec<String> = (0..CUSTOMERS).map(name).collect();
    let keys: Vec<Vec<u8>> =
        (0..CUSTOMERS).map(|number| <[u8; 32]>::from(VerificationKeyBytes::from(&key(number))).to_vec()).collect();
    let sql = "INSERT INTO orders.signing_keys (user_id, key_id, public_key)
               SELECT u.user_id, 'bench', u.public_key FROM unnest($1::text[], $2::bytea[]) AS u (user_id, public_key)";
    admin.execute(sql, &[&names, &keys]).await.context("the customers' keys could not be registered")?;
    let sql = "INSERT INTO payments.methods (user_id, token, brand, last4, exp_month, exp_year)
               SELECT u.user_id, 'pm_bench', 'card', '1111', 12, 2099 FROM unnest($1::text[]) AS u (user_id)";
    admin.execute(sql, &[&names]).await.context("the customers' payment methods could not be stored")?;
    Ok(())
}
