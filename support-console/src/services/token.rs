//! Short-lived tokens of the console's own making: the services hear of the person, and of staff.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use common::config::{self, ConfigError};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use secrecy::ExposeSecret as _;
use serde::Serialize;

use super::Settings;

pub(super) struct Signer {
    key: EncodingKey,
    header: Header,
    issuer: Option<String>,
    audience: Option<String>,
    lasts: Duration,
}

#[derive(Serialize)]
struct Claims<'a> {
    sub: &'a str,
    scope: &'a str,
    iat: u64,
    exp: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    iss: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    aud: Option<&'a str>,
}

impl Signer {
    pub(super) fn new(settings: &Settings, auth: &config::Auth) -> Result<Self, ConfigError> {
        let (name, secret) = settings.signing_key(auth)?;
        Ok(Self {
            key: EncodingKey::from_secret(secret.expose_secret().as_bytes()),
            header: Header { kid: Some(name.to_owned()), ..Header::new(Algorithm::HS256) },
            issuer: auth.issuer.clone(),
            audience: auth.audience.clone(),
            lasts: Duration::from_secs(settings.token_s),
        })
    }

    /// A token by which this account may do what the scope says.
    pub(super) fn sign(&self, account: &str, scope: &str) -> Option<String> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
        let claims = Claims {
            sub: account,
            scope,
            iat: now.as_secs(),
            exp: (now + self.lasts).as_secs(),
            iss: self.issuer.as_deref(),
            aud: self.audience.as_deref(),
        };
        jsonwebtoken::encode(&self.header, &claims, &self.key).ok()
    }
}

#[cfg(test)]
mod tests {
    use common::auth::{Scope, Tokens};

    use super::*;

    #[test]
    fn the_services_take_such_a_token_for_that_person_and_for_staff() {
        let key = config::Key { secret: Some("a secret of thirty-two bytes or more".into()), public_key_file: None };
        for (issuer, audience) in [(None, None), (Some("shop".to_owned()), Some("conveyor".to_owned()))] {
            let keys = [("main".to_owned(), key.clone())].into();
            let auth = config::Auth { keys, issuer, audience, ..Default::default() };
            let token = Signer::new(&Settings::default(), &auth).unwrap().sign("anna", "staff").unwrap();
            let caller = Tokens::new(&auth).unwrap().check(&token).unwrap();
            assert_eq!(caller.user_id.as_str(), "anna");
            assert!(caller.has(Scope::Staff) && !caller.has(Scope::Admin) && !caller.has(Scope::Customer));
        }
    }
}
