//! The `[support.services]` section: where the services are that the console asks, and how it says who is asking.

use std::time::Duration;

use common::config::{self, ConfigError, bounded};
use secrecy::SecretString;
use serde::Deserialize;

use crate::outward::base_url;

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Where each of them answers, such as `http://127.0.0.1:8080`.
    pub orders: String,
    pub inventory: String,
    pub payments: String,
    pub notifications: String,
    /// The name of the key in `auth.keys` that the console signs its tokens with: one with a secret, which all of them
    /// know. Empty where there is only one.
    pub key: String,
    /// How long one of them may take to answer.
    pub timeout_ms: u64,
    /// How long a token of the console's is good for.
    pub token_s: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            orders: "http://127.0.0.1:8080".to_owned(),
            inventory: "http://127.0.0.1:8081".to_owned(),
            payments: "http://127.0.0.1:8082".to_owned(),
            notifications: "http://127.0.0.1:8083".to_owned(),
            key: String::new(),
            timeout_ms: 3_000,
            token_s: 60,
        }
    }
}

impl Settings {
    pub(crate) fn check(&self, auth: &config::Auth) -> Result<(), ConfigError> {
        for (name, url) in self.urls() {
            base_url(&format!("support.services.{name}"), url)?;
        }
        self.signing_key(auth)?;
        bounded("support.services.timeout_ms", self.timeout_ms, 10, 60_000)?;
        bounded("support.services.token_s", self.token_s, 5, 3_600)
    }

    fn urls(&self) -> [(&'static str, &str); 4] {
        [
            ("orders", &self.orders),
            ("inventory", &self.inventory),
            ("payments", &self.payments),
            ("notifications", &self.notifications),
        ]
    }

    pub(super) fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms)
    }

    /// The key's name, and its secret.
    pub(super) fn signing_key<'a>(&self, auth: &'a config::Auth) -> Result<(&'a str, &'a SecretString), ConfigError> {
        let mut usable = auth
            .keys
            .iter()
            .filter(|(name, _)| self.key.is_empty() || **name == self.key)
            .filter_map(|(name, key)| Some((name.as_str(), key.secret.as_ref()?)));
        let bad = |why: &str| ConfigError(format!("support.services.key: {why}"));
        match (usable.next(), usable.next()) {
            (Some(key), None) => Ok(key),
            (Some(_), Some(_)) => Err(bad("several keys of auth.keys have a secret; say which one signs")),
            (None, _) => Err(bad("the console needs a key of auth.keys that has a secret, to ask the services with")),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn auth(names: &[&str]) -> config::Auth {
        let key = |name: &&str| {
            let secret = (!name.starts_with("public")).then(|| "x".repeat(32).into());
            ((*name).to_owned(), config::Key { secret, public_key_file: None })
        };
        config::Auth { keys: names.iter().map(key).collect::<BTreeMap<_, _>>(), ..Default::default() }
    }

    #[test]
    fn the_key_is_the_only_one_or_the_one_that_is_named() {
        let named = |key: &str| Settings { key: key.to_owned(), ..Default::default() };
        let chosen = |settings: &Settings, names: &[&str]| {
            settings.signing_key(&auth(names)).map(|(name, _)| name.to_owned()).map_err(|error| error.to_string())
        };
        assert_eq!(chosen(&named(""), &["main", "public"]).unwrap(), "main");
        assert_eq!(chosen(&named("two"), &["one", "two"]).unwrap(), "two");
        assert!(chosen(&named(""), &["one", "two"]).unwrap_err().contains("say which"));
        for (key, names) in [("", &["public"] as &[_]), ("three", &["one", "two"]), ("public", &["public"])] {
            assert!(chosen(&named(key), names).unwrap_err().contains("support.services.key"), "{key}");
        }
    }

    #[test]
    fn a_setting_that_makes_no_sense_is_named() {
        let refusal = |change: fn(&mut Settings)| {
            let mut settings = Settings::default();
            change(&mut settings);
            settings.check(&auth(&["main"])).map_or_else(|error| error.to_string(), |()| String::new())
        };
        assert_eq!(refusal(|_| ()), "");
        assert!(refusal(|it| it.payments = "nonsense".to_owned()).contains("support.services.payments"));
        assert!(refusal(|it| it.timeout_ms = 0).contains("support.services.timeout_ms"));
        assert!(refusal(|it| it.token_s = 0).contains("support.services.token_s"));
    }
}
