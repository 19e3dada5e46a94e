//! The `[support.notices]` section.

use common::config::{ConfigError, Smtp, bounded, list_of_names};
use lettre::message::Mailbox;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// After something was told of a group, for how long more of the same is no news.
    pub quiet_s: u64,
    /// The least time between two notices; what happens meanwhile is told in one.
    pub gap_s: u64,
    /// A group that has so many letters waiting is news again, each time it passes one of these.
    #[serde(deserialize_with = "list_of_names")]
    pub thresholds: Vec<String>,
    /// How often a notice that could not be sent is tried, with pauses that grow to an hour.
    pub tries: i32,
    /// How long one mail, or one call of the webhook, may take.
    pub timeout_ms: u64,
    pub email: Email,
    /// The server that takes those mails.
    pub smtp: Smtp,
    pub webhook: Webhook,
}

/// Mail to staff.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Email {
    /// To whom; empty for nobody.
    #[serde(deserialize_with = "list_of_names")]
    pub to: Vec<String>,
    /// The sender, `Name <address>`.
    pub from: String,
}

/// A program that is told by `POST`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Webhook {
    /// Where; empty for nobody. It is never logged, for in some there is a secret.
    pub url: SecretString,
    /// What each call is signed with: `Conveyor-Signature: t=<unix seconds>,v1=<hex HMAC-SHA256 of "t.body">`.
    pub secret: SecretString,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            quiet_s: 600,
            gap_s: 30,
            thresholds: ["100", "1000", "10000", "100000"].map(str::to_owned).into(),
            tries: 20,
            timeout_ms: 10_000,
            email: Email::default(),
            smtp: Smtp::default(),
            webhook: Webhook::default(),
        }
    }
}

impl Default for Email {
    fn default() -> Self {
        Self { to: Vec::new(), from: "Conveyor support <support@conveyor.example>".to_owned() }
    }
}

impl Settings {
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        let bad = |what: &str| Err(ConfigError(format!("support.notices.{what}")));
        bounded("support.notices.quiet_s", self.quiet_s, 0, 7 * 24 * 3_600)?;
        bounded("support.notices.gap_s", self.gap_s, 0, 24 * 3_600)?;
        bounded("support.notices.tries", self.tries, 1, 1_000)?;
        bounded("support.notices.timeout_ms", self.timeout_ms, 10, 60_000)?;
        bounded("support.notices.thresholds, the number of its values", self.thresholds.len(), 0, 20)?;
        if self.thresholds().len() != self.thresholds.len() {
            return bad("thresholds: must be whole numbers from 2 up");
        }
        if let Some(to) = self.email.to.iter().find(|to| to.parse::<lettre::Address>().is_err()) {
            return bad(&format!("email.to: {to:?} is no mail address"));
        }
        bounded("support.notices.email.to, the number of its values", self.email.to.len(), 0, 50)?;
        if self.email.from.parse::<Mailbox>().is_err() {
            return bad("email.from: is not a sender of mail, such as Support <support@shop.example>");
        }
        self.smtp.check("support.notices.smtp", !self.email.to.is_empty())?;
        if !self.webhook.url.expose_secret().is_empty() && self.webhook.secret.expose_secret().len() < 16 {
            return bad("webhook.secret: is needed, with 16 bytes or more");
        }
        Ok(())
    }

    /// Those that are some.
    pub(super) fn thresholds(&self) -> Vec<i64> {
        self.thresholds.iter().filter_map(|text| text.parse().ok()).filter(|threshold| *threshold >= 2).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_that_makes_no_sense_is_named() {
        let refusal = |change: fn(&mut Settings)| {
            let mut settings = Settings::default();
            change(&mut settings);
            settings.check().map_or_else(|error| error.to_string(), |()| String::new())
        };
        assert_eq!(refusal(|_| ()), "");
        assert_eq!(refusal(|it| it.email.to = vec!["staff@shop.example".to_owned()]), "");
        assert!(refusal(|it| it.thresholds = vec!["1".to_owned()]).contains("support.notices.thresholds"));
        assert!(refusal(|it| it.thresholds = vec!["many".to_owned()]).contains("support.notices.thresholds"));
        assert!(refusal(|it| it.email.to = vec!["a b".to_owned()]).contains("support.notices.email.to"));
        assert!(refusal(|it| it.email.from = "nobody".to_owned()).contains("support.notices.email.from"));
        let no_host = |it: &mut Settings| {
            (it.email.to, it.smtp.host) = (vec!["staff@shop.example".to_owned()], String::new());
        };
        assert!(refusal(no_host).contains("support.notices.smtp.host"));
        assert!(refusal(|it| it.webhook.url = "http://x".into()).contains("support.notices.webhook.secret"));
        assert!(refusal(|it| it.tries = 0).contains("support.notices.tries"));
    }
}
