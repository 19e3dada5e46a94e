use std::{
    collections::BTreeMap,
    sync::LazyLock,
    time::{SystemTime, UNIX_EPOCH},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, crypto};
use serde_json::Value;

use crate::{
    auth::{BadToken, Scope, Tokens},
    config::{Auth, Key},
};

const SECRET: &str = "a secret of thirty-two bytes, or more";
const LEEWAY_S: u32 = 30;

static TOKENS: LazyLock<Tokens> = LazyLock::new(|| {
    let key = Key { secret: Some(SECRET.to_owned().into()), ..Key::default() };
    let keys = BTreeMap::from([("main".to_owned(), key)]);
    Tokens::new(&Auth { keys, leeway_s: LEEWAY_S.into(), ..Auth::default() }).unwrap()
});

/// A token as it is sent, which nobody can have signed; and what stands in one, header and claims with a NUL between, that
/// was signed with the right key.
pub fn token(bytes: &[u8]) {
    let Some(nul) = bytes.iter().position(|byte| *byte == 0) else {
        let text = String::from_utf8_lossy(bytes);
        assert!(TOKENS.check(&text).is_err(), "nobody signed it: {text}");
        return;
    };
    let (header, claims) = (&bytes[..nul], &bytes[nul + 1..]);
    let token = signed(header, claims);
    let Ok(caller) = TOKENS.check(&token) else { return };
    match TOKENS.check(&token) {
        Ok(known) => assert_eq!(known, caller),
        Err(bad) => assert_eq!(bad, BadToken::Expired, "it was good a moment ago"),
    }
    // What nobody reads may be no text.
    let read = |bytes| serde_json::from_slice::<Value>(bytes).ok();
    let (Some(header), Some(claims)) = (read(header), read(claims)) else { return };
    assert_eq!(header["alg"], "HS256");
    assert!(header.get("kid").is_none_or(|kid| kid.is_null() || kid == "main"), "{header}");
    assert_eq!(claims["sub"], caller.user_id.as_str());
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
    // And a moment, in which this may have been held up.
    let leeway = f64::from(LEEWAY_S) + 10.0;
    assert!(claims["exp"].as_f64().is_some_and(|exp| exp > now - leeway), "{claims}");
    assert!(claims.get("nbf").is_none_or(|nbf| nbf.as_f64().is_none_or(|nbf| nbf < now + leeway)), "{claims}");
    assert!(claims.get("aud").is_none_or(Value::is_null), "it is for somebody else: {claims}");
    for scope in [Scope::Customer, Scope::Service, Scope::Staff, Scope::Admin] {
        let is_said = match claims.get("scope").and_then(Value::as_str) {
            Some(words) => words.split(' ').any(|word| word == scope.as_str()),
            None => scope == Scope::Customer,
        };
        assert_eq!(caller.has(scope), is_said, "{claims}");
    }
}

fn signed(header: &[u8], claims: &[u8]) -> String {
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    let text = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let signature = crypto::sign(text.as_bytes(), &key, Algorithm::HS256).unwrap();
    format!("{text}.{signature}")
}
