//! The `[payments]` section.

use std::time::Duration;

use common::{
    config::{ConfigError, bounded},
    money::Currency,
};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use crate::{
    card::{Calendar, parse_day},
    gateway::Options,
};

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Payments {
    /// As order-api has it.
    pub currency: Currency,
    /// `instant` captures everything in this process; `http` asks the gateway at `gateway_url`.
    pub gateway: Which,
    /// `https://`; `http://` only to this machine, or with a `gateway_key` that begins with `sandbox`.
    pub gateway_url: String,
    /// What the gateway knows us by, and what it signs its callbacks with. Both are needed for `http`.
    pub gateway_key: Option<SecretString>,
    pub callback_secret: Option<SecretString>,
    /// Where the gateway may send callbacks, as it sees us: `http://host:8082/api/payment/callback`. Without it, it is asked.
    pub callback_url: Option<String>,
    /// By how much the time of a callback may differ from ours.
    pub callback_tolerance_s: i64,
    /// How long one call may take, how often it is made, and the pauses between.
    pub call_timeout_ms: u64,
    pub tries: u32,
    pub backoff_ms: u64,
    pub backoff_most_ms: u64,
    /// After so many failures in a row the gateway is left alone for so long; then one asks.
    pub breaker_failures: u32,
    pub breaker_rest_ms: u64,
    /// Calls under way at once, and begun in a second (0 for no limit).
    pub at_once: usize,
    pub calls_per_second: u32,
    /// How often the customer of one order may be declined.
    pub max_attempts: i32,
    /// How long an attempt is its owner's before somebody else may take it up. Longer than all tries of two calls together.
    pub lease_ms: i64,
    /// How often is looked for what must be come back to.
    pub reconcile_ms: u64,
    /// After how long the gateway is asked about what it has not decided: at first, and at the most.
    pub ask_after_ms: i64,
    pub ask_after_most_ms: i64,
    /// How long a request to pay waits for its answer before it is told that it is being processed; and how long one
    /// that meets another under way waits for that one's.
    pub answer_within_ms: u64,
    pub wait_ms: u64,
    /// For tests: the day that cards are checked against, such as `2025-06-30`. Only with the `instant` gateway, or with a
    /// `gateway_key` that begins with `sandbox`.
    pub pretend_today: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Which {
    Instant,
    Http,
}

impl Default for Payments {
    fn default() -> Self {
        Self {
            currency: Currency::default(),
            gateway: Which::Instant,
            gateway_url: "http://127.0.0.1:8090".to_owned(),
            gateway_key: None,
            callback_secret: None,
            callback_url: None,
            callback_tolerance_s: 300,
            call_timeout_ms: 3_000,
            tries: 3,
            backoff_ms: 100,
            backoff_most_ms: 1_000,
            breaker_failures: 5,
            breaker_rest_ms: 2_000,
            at_once: 32,
            calls_per_second: 200,
            max_attempts: 3,
            lease_ms: 30_000,
            reconcile_ms: 500,
            ask_after_ms: 5_000,
            ask_after_most_ms: 60_000,
            answer_within_ms: 8_000,
            wait_ms: 3_000,
            pretend_today: None,
        }
    }
}

/// What handlers need to know of all this.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    pub max_attempts: i32,
    pub lease_ms: i64,
    ask_after_ms: i64,
    ask_after_most_ms: i64,
}

impl Rules {
    /// Twice as long each time, and not for all at the same moment.
    pub(crate) fn ask_after(&self, tries: i32) -> i64 {
        let doubled = self.ask_after_ms.saturating_mul(1 << tries.clamp(0, 20));
        let after = doubled.min(self.ask_after_most_ms);
        after / 2 + fastrand::i64(0..=after / 2)
    }
}

impl Payments {
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        bounded("payments.currency.exponent", self.currency.exponent, 0, 4)?;
        bounded("payments.callback_tolerance_s", self.callback_tolerance_s, 1, 3_600)?;
        bounded("payments.call_timeout_ms", self.call_timeout_ms, 10, 60_000)?;
        bounded("payments.tries", self.tries, 1, 10)?;
        bounded("payments.backoff_ms", self.backoff_ms, 1, 10_000)?;
        bounded("payments.backoff_most_ms", self.backoff_most_ms, self.backoff_ms, 60_000)?;
        bounded("payments.breaker_failures", self.breaker_failures, 1, 1_000)?;
        bounded("payments.breaker_rest_ms", self.breaker_rest_ms, 10, 600_000)?;
        bounded("payments.at_once", self.at_once, 1, 1_000)?;
        bounded("payments.calls_per_second", self.calls_per_second, 0, 100_000)?;
        bounded("payments.max_attempts", self.max_attempts, 1, 100)?;
        bounded("payments.lease_ms", self.lease_ms, 100, 600_000)?;
        bounded("payments.reconcile_ms", self.reconcile_ms, 10, 600_000)?;
        bounded("payments.ask_after_ms", self.ask_after_ms, 10, 3_600_000)?;
        bounded("payments.ask_after_most_ms", self.ask_after_most_ms, self.ask_after_ms, 24 * 3_600_000)?;
        bounded("payments.answer_within_ms", self.answer_within_ms, 10, 600_000)?;
        bounded("payments.wait_ms", self.wait_ms, 0, 600_000)?;
        let calls = u64::from(self.tries) * (self.call_timeout_ms + self.backoff_most_ms);
        if self.gateway == Which::Http && i64::try_from(2 * calls).is_ok_and(|calls| self.lease_ms < calls) {
            let why = "it must be longer than all tries of two calls and the pauses between them";
            return Err(ConfigError(format!(
                "payments.lease_ms: {} is too short: {why}, {} ms",
                self.lease_ms,
                2 * calls
            )));
        }
        self.calendar().map(drop)
    }

    pub(crate) fn rules(&self) -> Rules {
        Rules {
            max_attempts: self.max_attempts,
            lease_ms: self.lease_ms,
            ask_after_ms: self.ask_after_ms,
            ask_after_most_ms: self.ask_after_most_ms,
        }
    }

    /// Cards that are out of date are refused, unless nothing real can be charged.
    pub(crate) fn calendar(&self) -> Result<Calendar, ConfigError> {
        let Some(day) = &self.pretend_today else { return Ok(Calendar { pretended: None }) };
        let refused = |why: &str| ConfigError(format!("payments.pretend_today: {why}"));
        let is_sandbox = self.gateway_key.as_ref().is_some_and(|key| key.expose_secret().starts_with("sandbox"));
        if self.gateway == Which::Http && !is_sandbox {
            return Err(refused("it is for tests: only with the instant gateway or a gateway_key of the sandbox"));
        }
        let pretended = parse_day(day).ok_or_else(|| refused("not a day such as 2025-06-30"))?;
        Ok(Calendar { pretended: Some(pretended) })
    }

    pub(crate) fn options(&self) -> Result<Options, ConfigError> {
        let needed = |name: &str| ConfigError(format!("payments.{name}: it is needed for the gateway `http`"));
        Ok(Options {
            url: self.gateway_url.trim_end_matches('/').to_owned(),
            key: self.gateway_key.clone().ok_or_else(|| needed("gateway_key"))?,
            currency: self.currency.clone(),
            callback_url: self.callback_url.clone(),
            call_timeout: Duration::from_millis(self.call_timeout_ms),
            tries: self.tries,
            backoff: Duration::from_millis(self.backoff_ms),
            backoff_most: Duration::from_millis(self.backoff_most_ms),
            breaker_failures: self.breaker_failures,
            breaker_rest: Duration::from_millis(self.breaker_rest_ms),
            at_once: self.at_once,
            per_second: self.calls_per_second,
        })
    }

    pub(crate) fn callback_secret(&self) -> Result<Option<SecretString>, ConfigError> {
        match (self.gateway, &self.callback_secret) {
            (Which::Http, None) => {
                Err(ConfigError("payments.callback_secret: it is needed for the gateway `http`".to_owned()))
            }
            (_, Some(secret)) if secret.expose_secret().len() < 16 => {
                Err(ConfigError("payments.callback_secret: it must have 16 bytes or more".to_owned()))
            }
            // Whom there is nothing to hear from, nobody can pretend to be.
            (Which::Instant, _) => Ok(None),
            (Which::Http, secret) => Ok(secret.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_day_is_pretended_only_where_nothing_real_can_be_charged() {
        let pretending = |gateway, key: &str| Payments {
            gateway,
            gateway_key: Some(key.into()),
            pretend_today: Some("2025-06-30".to_owned()),
            ..Payments::default()
        };
        assert!(pretending(Which::Instant, "").check().is_ok());
        assert!(pretending(Which::Http, "sandbox-key").check().is_ok());
        assert!(pretending(Which::Http, "live").check().unwrap_err().to_string().contains("pretend_today"));
        let bad = Payments { pretend_today: Some("30.6.2025".to_owned()), ..Payments::default() };
        assert!(bad.check().is_err());
    }

    #[test]
    fn a_lease_outlasts_what_it_is_for() {
        assert!(Payments { gateway: Which::Http, ..Payments::default() }.check().is_ok());
        assert!(Payments { gateway: Which::Http, lease_ms: 5_000, ..Payments::default() }.check().is_err());
    }

    #[test]
    fn asking_gets_rarer_and_never_stops() {
        let rules = Payments::default().rules();
        for (tries, most) in [(0, 5_000), (1, 10_000), (2, 20_000), (10, 60_000), (1_000, 60_000)] {
            let after = rules.ask_after(tries);
            assert!(after >= most / 2 && after <= most, "{tries}: {after}");
        }
    }
}
