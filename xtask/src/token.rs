//! `cargo xtask token`: a token as the shop's identity provider would issue it.

use std::env;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::Args;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::json;
use sha2::Sha256;

use crate::project::Variables;
use crate::say;
use crate::site::Site;

/// Where `up` keeps the secret that tokens are signed with.
pub const SECRET: &str = "CONVEYOR_TOKEN_SECRET";
/// The customer of the documented example.
pub const USER: &str = "123456";

/// What a token can be good for.
const SCOPES: [&str; 4] = ["customer", "service", "staff", "admin"];

/// Prints a token for what `cargo xtask up` has started
///
/// It is signed with the secret in .local/conveyor.env, or with CONVEYOR_TOKEN_SECRET for what runs elsewhere.
/// Nothing else goes to standard output: `$(cargo xtask token)` is the token.
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub struct Arguments {
    /// Whose token it is
    #[arg(long, default_value = USER)]
    user: String,
    /// What its bearer may do: customer, service, staff, admin, or several with spaces between
    #[arg(long, default_value = "customer", value_parser = known_scopes)]
    scope: String,
    /// How long it is good for
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=525_600))]
    minutes: u32,
    /// Print a whole curl command that reads the bearer's orders, ready to paste
    #[arg(long)]
    curl: bool,
}

fn known_scopes(text: &str) -> Result<String, String> {
    match text.split(' ').find(|scope| !SCOPES.contains(scope)) {
        None => Ok(text.to_owned()),
        Some(unknown) => Err(format!("there is no scope {unknown:?}; there are {}", SCOPES.join(", "))),
    }
}

pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let Arguments { user, scope, minutes, curl } = arguments;
    let variables = Site::open()?.variables();
    let token = issue(&variables, user, scope, *minutes)?;
    if *curl {
        let api = variables.get("CONVEYOR_ORDER_API_URL").context("nothing runs here: `cargo xtask up` first")?;
        say::out(format!("curl -s {api}/api/orders -H 'Authorization: Bearer {token}'"));
    } else {
        say::out(&token);
    }
    Ok(ExitCode::SUCCESS)
}

pub fn issue(variables: &Variables, user: &str, scope: &str, minutes: u32) -> Result<String> {
    let given = env::var(SECRET).ok().filter(|secret| !secret.is_empty());
    let secret = given.as_ref().or_else(|| variables.get(SECRET));
    let secret = secret.with_context(|| format!("nothing runs here: `cargo xtask up` first, or set {SECRET}"))?;
    let end = SystemTime::now().duration_since(UNIX_EPOCH)? + Duration::from_secs(60) * minutes;
    let claims = json!({"sub": user, "scope": scope, "exp": end.as_secs()});
    sign(&claims.to_string(), secret)
}

/// HS256. Here by hand, for the crate that the services read tokens with would double what there is to compile before
/// `cargo xtask` does anything.
pub fn sign(claims: &str, secret: &str) -> Result<String> {
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let signed = format!("{}.{}", encode(br#"{"alg":"HS256","typ":"JWT"}"#), encode(claims.as_bytes()));
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes())?;
    mac.update(signed.as_bytes());
    Ok(format!("{signed}.{}", encode(&mac.finalize().into_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_that_nobody_knows_is_named() {
        assert_eq!(known_scopes("staff admin"), Ok("staff admin".to_owned()));
        for bad in ["", "nonsense", "staff  admin", "staff,admin"] {
            assert!(known_scopes(bad).is_err_and(|why| why.contains("customer, service, staff, admin")), "{bad}");
        }
    }

    /// The example of jwt.io.
    #[test]
    fn a_token_is_signed_as_everybody_signs_it() {
        let claims = r#"{"sub":"1234567890","name":"John Doe","iat":1516239022}"#;
        let token = sign(claims, "your-256-bit-secret").unwrap_or_default();
        assert!(token.ends_with(".SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV_adQssw5c"), "{token}");
    }
}
