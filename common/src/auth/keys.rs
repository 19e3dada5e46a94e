//! From the configuration to keys, with a refusal that names what is wrong with them.

use std::{fs, ops::RangeInclusive, path::Path};

use jsonwebtoken::{
    Algorithm, DecodingKey, Validation,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet, KeyAlgorithm, PublicKeyUse},
};
use secrecy::ExposeSecret as _;

use super::Key;
use crate::config::{self, ConfigError, bounded};

/// A shorter secret can be guessed (RFC 7518, section 3.2).
const SHORTEST_SECRET: usize = 32;
/// 2048 to 4096 bits, in the letters of base64. A shorter key can be broken (RFC 7518, section 3.3), a longer one is not
/// taken by what verifies with it.
const RSA_MODULUS: RangeInclusive<usize> = 342..=683;
/// Every key of a token's algorithm may have to be tried.
const MOST_KEYS: usize = 32;

pub(super) fn read(settings: &config::Auth) -> Result<Vec<Key>, ConfigError> {
    bounded("auth.leeway_s", settings.leeway_s, 0, 300)?;
    let mut keys = Vec::new();
    for (name, key) in &settings.keys {
        keys.push(named(settings, name, key).map_err(|why| ConfigError(format!("auth.keys.{name}: {why}")))?);
    }
    if let Some(file) = &settings.jwks_file {
        keys.extend(
            set(settings, file).map_err(|why| ConfigError(format!("auth.jwks_file: {}: {why}", file.display())))?,
        );
    }
    if keys.is_empty() {
        let why =
            "auth.keys: at least one key is needed, such as CONVEYOR__AUTH__KEYS__MAIN__SECRET (or auth.jwks_file)";
        return Err(ConfigError(why.to_owned()));
    }
    bounded("auth.keys", keys.len(), 1, MOST_KEYS)?;
    Ok(keys)
}

fn named(settings: &config::Auth, name: &str, key: &config::Key) -> Result<Key, String> {
    let (algorithm, decoding) = match (&key.secret, &key.public_key_file) {
        (Some(secret), None) => (Algorithm::HS256, secret_key(secret.expose_secret().as_bytes())?),
        (None, Some(file)) => public_key(file).map_err(|why| format!("{}: {why}", file.display()))?,
        _ => return Err("give it either a secret or a public_key_file".to_owned()),
    };
    Ok(Key { id: Some(name.to_owned()), algorithm, key: decoding, validation: validation(settings, algorithm) })
}

fn secret_key(secret: &[u8]) -> Result<DecodingKey, String> {
    if secret.len() < SHORTEST_SECRET {
        return Err(format!("a secret must have {SHORTEST_SECRET} bytes or more"));
    }
    Ok(DecodingKey::from_secret(secret))
}

/// The algorithm follows from the kind of key.
fn public_key(file: &Path) -> Result<(Algorithm, DecodingKey), String> {
    let pem = fs::read(file).map_err(|error| error.to_string())?;
    let of_a_kind =
        [(Algorithm::EdDSA, DecodingKey::from_ed_pem(&pem)), (Algorithm::RS256, DecodingKey::from_rsa_pem(&pem))];
    let found = of_a_kind.into_iter().find_map(|(algorithm, key)| Some((algorithm, key.ok()?)));
    let (algorithm, key) = found.ok_or("is not the PEM of an Ed25519 or an RSA public key")?;
    usable(&key, algorithm)?;
    Ok((algorithm, key))
}

/// A key that cannot verify anything, or that can be broken, must not pass for one.
fn usable(key: &DecodingKey, algorithm: Algorithm) -> Result<(), String> {
    let broken = |_| "is not a usable public key".to_owned();
    // First this, for it looks at the length of an Ed25519 key, which the verification takes for granted.
    let jwk = Jwk::from_decoding_key(key, Some(algorithm)).map_err(broken)?;
    if let AlgorithmParameters::RSA(rsa) = &jwk.algorithm
        && !RSA_MODULUS.contains(&rsa.n.len())
    {
        return Err("an RSA key must have 2048 to 4096 bits".to_owned());
    }
    jsonwebtoken::crypto::verify("", b"", key, algorithm).map(drop).map_err(broken)
}

fn set(settings: &config::Auth, file: &Path) -> Result<Vec<Key>, String> {
    let text = fs::read(file).map_err(|error| error.to_string())?;
    // What a key holds may be a secret: the error says where, not what.
    let set: JwkSet = serde_json::from_slice(&text)
        .map_err(|error| format!("is not a JWK set (line {}, column {})", error.line(), error.column()))?;
    let for_signatures = |key: &Jwk| key.common.public_key_use.as_ref().is_none_or(|it| *it == PublicKeyUse::Signature);
    let keys = set.keys.iter().enumerate().filter(|(_, key)| for_signatures(key));
    keys.map(|(i, key)| of_set(settings, key).map_err(|why| format!("key {i}: {why}"))).collect()
}

fn of_set(settings: &config::Auth, jwk: &Jwk) -> Result<Key, String> {
    let (algorithm, named) = match &jwk.algorithm {
        AlgorithmParameters::OctetKey(_) => (Algorithm::HS256, KeyAlgorithm::HS256),
        AlgorithmParameters::OctetKeyPair(pair) if pair.curve == EllipticCurve::Ed25519 => {
            (Algorithm::EdDSA, KeyAlgorithm::EdDSA)
        }
        AlgorithmParameters::RSA(_) => (Algorithm::RS256, KeyAlgorithm::RS256),
        _ => return Err("is neither a secret nor an Ed25519 nor an RSA key".to_owned()),
    };
    if jwk.common.key_algorithm.is_some_and(|wanted| wanted != named) {
        return Err("is for an algorithm other than HS256, EdDSA and RS256".to_owned());
    }
    let key = DecodingKey::from_jwk(jwk).map_err(|_| "is broken".to_owned())?;
    if algorithm == Algorithm::HS256 && key.try_get_as_bytes().is_ok_and(|secret| secret.len() < SHORTEST_SECRET) {
        return Err(format!("a secret must have {SHORTEST_SECRET} bytes or more"));
    }
    if algorithm != Algorithm::HS256 {
        usable(&key, algorithm)?;
    }
    Ok(Key { id: jwk.common.key_id.clone(), algorithm, key, validation: validation(settings, algorithm) })
}

fn validation(settings: &config::Auth, algorithm: Algorithm) -> Validation {
    let mut validation = Validation::new(algorithm);
    validation.leeway = settings.leeway_s;
    validation.validate_nbf = true;
    let mut required = vec!["exp", "sub"];
    // A token that names an audience is for that one: without a name of our own, it is for somebody else.
    if let Some(audience) = &settings.audience {
        validation.set_audience(&[audience]);
        required.push("aud");
    }
    if let Some(issuer) = &settings.issuer {
        validation.set_issuer(&[issuer]);
        required.push("iss");
    }
    validation.set_required_spec_claims(&required);
    validation
}
