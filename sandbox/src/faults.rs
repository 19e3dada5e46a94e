//! Switches with which the outside world is put out of order, and back.

use std::sync::atomic::{AtomicBool, Ordering};

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Faults {
    pub(crate) gateway: Gateway,
    pub(crate) smtp: Smtp,
    pub(crate) sms: SmsProvider,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Gateway {
    #[default]
    Up,
    /// Every other request is answered 503, every other one with a closed connection; no callback is sent meanwhile.
    Down,
    /// Every answer takes two seconds.
    Slow,
    /// Every request is one too many: 429.
    Throttled,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Smtp {
    #[default]
    Up,
    /// Connections are closed at once.
    Down,
    /// Connections are taken, and nothing is said on them.
    Silent,
    /// Every mail: 451, come again.
    TempFail,
    /// Every recipient: 550, for good.
    Refuse,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum SmsProvider {
    #[default]
    Up,
    /// Every request is answered 503.
    Down,
}

/// What is to be changed; what is not named stays.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Change {
    gateway: Option<Gateway>,
    smtp: Option<Smtp>,
    sms: Option<SmsProvider>,
}

#[derive(Debug, Default)]
pub(crate) struct Switches {
    faults: watch::Sender<Faults>,
    hung_up: AtomicBool,
}

impl Switches {
    pub(crate) fn now(&self) -> Faults {
        *self.faults.borrow()
    }

    pub(crate) fn change(&self, change: Change) -> Faults {
        self.faults.send_modify(|faults| {
            faults.gateway = change.gateway.unwrap_or(faults.gateway);
            faults.smtp = change.smtp.unwrap_or(faults.smtp);
            faults.sms = change.sms.unwrap_or(faults.sms);
        });
        self.now()
    }

    /// Whether this request, that finds the gateway down, is one of those that get no answer: every other one.
    pub(crate) fn hangs_up(&self) -> bool {
        !self.hung_up.fetch_not(Ordering::Relaxed)
    }

    /// Returns when the gateway is not down.
    pub(crate) async fn gateway_is_there(&self) {
        // The sender is here, so it cannot be gone.
        let _ = self.faults.subscribe().wait_for(|faults| faults.gateway != Gateway::Down).await;
    }
}
