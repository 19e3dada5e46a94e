use std::{collections::BTreeMap, path::PathBuf};

use secrecy::SecretString;
use serde::Deserialize;

/// Who may sign the tokens of callers.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Auth {
    /// By name, which a token may give as its `kid`. Several can be good at once.
    #[serde(deserialize_with = "keys")]
    pub keys: BTreeMap<String, Key>,
    /// More keys, as a JWK set.
    pub jwks_file: Option<PathBuf>,
    /// The `iss` and the `aud` that a token must have, if any.
    pub issuer: Option<String>,
    pub audience: Option<String>,
    /// By how much clocks may differ.
    pub leeway_s: u64,
}

/// One of the two; the algorithm follows from it: HS256, EdDSA (Ed25519) or RS256.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Key {
    pub secret: Option<SecretString>,
    pub public_key_file: Option<PathBuf>,
}

impl Default for Auth {
    fn default() -> Self {
        Self { keys: BTreeMap::new(), jwks_file: None, issuer: None, audience: None, leeway_s: 30 }
    }
}

/// What is wrong is not shown: it may be the secret itself, under a name cut short.
fn keys<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, Key>, D::Error> {
    BTreeMap::deserialize(deserializer).map_err(|_| {
        serde::de::Error::custom(
            "auth.keys: a key has a name, and a secret or a public_key_file, such as CONVEYOR__AUTH__KEYS__MAIN__SECRET",
        )
    })
}
