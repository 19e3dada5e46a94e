//! The `[notifications]` section.

use std::time::Duration;

use common::{
    broker::topology::NOTIFICATION_SEND,
    config::{self, ConfigError, Smtp, bounded, list_of_names},
    money::Currency,
};
use lettre::message::Mailbox;
use secrecy::SecretString;
use serde::Deserialize;

/// How, and of what, customers are told.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Notifications {
    /// The ways out: `email`, `sms` or both; or `log`, which tells nobody but the log, whatever contact a customer has.
    #[serde(deserialize_with = "list_of_names")]
    pub transports: Vec<String>,
    /// The types of the events that customers are told of, such as `order.paid`; empty for all that there are.
    #[serde(deserialize_with = "list_of_names")]
    pub tells: Vec<String>,
    /// What amounts are in. It must be the same as `orders.currency`.
    pub currency: Currency,
    /// The sender of mails, `Name <address>`.
    pub from: String,
    /// What Message-IDs end with, and how the SMTP server is greeted.
    pub domain: String,
    /// How long one mail or SMS may take, connecting included; less than `consumer.effect_ms`.
    pub timeout_ms: u64,
    /// After so many in a row that took all of this time, a mail server or an SMS provider is left alone: what is for it
    /// waits at once. For so long, or half of that; then one letter looks, and after each that looks in vain it is left
    /// alone for twice as long, up to `breaker_rest_most_ms`.
    pub breaker_failures: u32,
    pub breaker_rest_ms: u64,
    pub breaker_rest_most_ms: u64,
    /// The server that takes mails.
    pub smtp: Smtp,
    pub sms: Sms,
}

/// The provider that takes SMS.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sms {
    /// Where it is: `/v1/sms` is added.
    pub url: String,
    /// What it knows us by.
    pub key: SecretString,
}

impl Default for Notifications {
    fn default() -> Self {
        Self {
            transports: vec!["log".to_owned()],
            tells: Vec::new(),
            currency: Currency::default(),
            from: "Conveyor <orders@conveyor.example>".to_owned(),
            domain: "conveyor".to_owned(),
            timeout_ms: 10_000,
            breaker_failures: 3,
            breaker_rest_ms: 5_000,
            breaker_rest_most_ms: 60_000,
            smtp: Smtp::default(),
            sms: Sms::default(),
        }
    }
}

impl Notifications {
    pub(crate) fn check(&self, consumer: &config::Consumer) -> Result<(), ConfigError> {
        let bad = |what: String| Err(ConfigError(format!("notifications.{what}")));
        let names: Vec<&str> = self.transports.iter().map(String::as_str).collect();
        if !matches!(names.as_slice(), ["log"] | ["email"] | ["sms"] | ["email", "sms"] | ["sms", "email"]) {
            return bad("transports: must be log, email, sms, or email,sms".to_owned());
        }
        if let Some(kind) = self.tells.iter().find(|kind| !NOTIFICATION_SEND.hears.contains(&kind.as_str())) {
            return bad(format!("tells: there is no {kind:?}; there are {}", NOTIFICATION_SEND.hears.join(", ")));
        }
        if self.from.parse::<Mailbox>().is_err() {
            return bad("from: is not a sender of mail, such as Shop <orders@shop.example>".to_owned());
        }
        let is_domain = |b: u8| b.is_ascii_alphanumeric() || b == b'.' || b == b'-';
        if !(1..=100).contains(&self.domain.len()) || !self.domain.bytes().all(is_domain) {
            return bad("domain: is not a domain".to_owned());
        }
        self.smtp.check("notifications.smtp", self.uses("email"))?;
        bounded("notifications.currency.exponent", self.currency.exponent, 0, 4)?;
        bounded("notifications.breaker_failures", self.breaker_failures, 1, 1_000)?;
        bounded("notifications.breaker_rest_ms", self.breaker_rest_ms, 10, 600_000)?;
        bounded("notifications.breaker_rest_most_ms", self.breaker_rest_most_ms, self.breaker_rest_ms, 3_600_000)?;
        bounded("notifications.timeout_ms", self.timeout_ms, 10, consumer.effect_ms.saturating_sub(1).max(10))
    }

    pub(crate) fn uses(&self, transport: &str) -> bool {
        self.transports.iter().any(|name| name == transport)
    }

    pub(crate) fn tells(&self, kind: &str) -> bool {
        self.tells.is_empty() || self.tells.iter().any(|told| told == kind)
    }

    /// How long the slowest batch may take to be told: as many rounds as there are of what is told at once.
    pub(crate) fn longest_batch(&self, consumer: &config::Consumer) -> Duration {
        let rounds = u32::try_from(consumer.most_events(true).div_ceil(consumer.effects)).unwrap_or(u32::MAX);
        let round = if self.uses("log") { 0 } else { self.timeout_ms };
        Duration::from_millis(round).saturating_mul(rounds) + Duration::from_secs(5)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(change: impl FnOnce(&mut Notifications)) -> String {
        let mut settings = Notifications::default();
        change(&mut settings);
        settings.check(&config::Consumer::default()).map_or_else(|error| error.to_string(), |()| String::new())
    }

    #[test]
    fn a_setting_that_makes_no_sense_is_named() {
        let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(refusal(|_| ()), "");
        assert_eq!(refusal(|it| it.transports = list(&["email", "sms"])), "");
        assert_eq!(refusal(|it| it.tells = list(&["order.paid"])), "");
        assert!(refusal(|it| it.transports = list(&["log", "email"])).contains("notifications.transports"));
        assert!(refusal(|it| it.transports = list(&[])).contains("notifications.transports"));
        assert!(refusal(|it| it.tells = list(&["order.banana"])).contains("notifications.tells"));
        assert!(refusal(|it| it.from = "nobody".to_owned()).contains("notifications.from"));
        assert!(refusal(|it| it.domain = "a b".to_owned()).contains("notifications.domain"));
        assert!(refusal(|it| it.timeout_ms = 30_000).contains("notifications.timeout_ms"));
        let no_host = |it: &mut Notifications| (it.transports, it.smtp.host) = (list(&["email"]), String::new());
        assert!(refusal(no_host).contains("notifications.smtp.host"));
    }

    #[test]
    fn a_claim_lasts_for_as_long_as_the_slowest_batch() {
        let longest = |transport: &str| {
            let settings = Notifications { transports: vec![transport.to_owned()], ..Notifications::default() };
            settings.longest_batch(&config::Consumer::default()).as_secs()
        };
        // Four rounds of ten seconds.
        assert_eq!((longest("email"), longest("log")), (45, 5));
    }
}
