//! The ways out to a customer.

mod log;
mod sms;
mod smtp;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use common::{
    breaker::{Fuse, Limits, Names},
    config::ConfigError,
    http::Check,
    ids::UserId,
};

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use self::smtp::Smtp as Mailer;
use self::{log::Log, sms::Sms, smtp::Smtp};
use crate::{
    contact::{Channel, Contact, Email, Phone},
    settings::Notifications,
};

/// What is sent to one customer.
#[derive(Debug, Clone)]
pub(crate) struct Letter {
    /// What it is called where it goes. Sent again, for whatever reason, it carries the same.
    pub name: String,
    pub user_id: UserId,
    pub subject: String,
    pub text: String,
    pub to: Address,
}

/// Where a letter goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Address {
    Log,
    Email(Email),
    Phone(Phone),
}

impl Address {
    pub(crate) fn channel(&self) -> Channel {
        match self {
            Self::Log => Channel::Log,
            Self::Email(_) => Channel::Email,
            Self::Phone(_) => Channel::Sms,
        }
    }
}

/// Why a letter was not sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotSent {
    /// Nobody answers, or is ready to take anything: it is no fault of the letter's.
    #[error("{0}")]
    Away(String),
    /// This one is not taken, but may be later.
    #[error("{0}")]
    ForNow(String),
    /// Nobody will ever take it at this address.
    #[error("{0}")]
    ForGood(String),
}

/// The outside world that reaches customers.
pub(crate) trait Transport: Send + Sync + 'static {
    type Address: Sync;
    const CHANNEL: Channel;
    const NAMES: Names;

    fn send(&self, to: &Self::Address, letter: &Letter) -> impl Future<Output = Result<(), NotSent>> + Send;
}

/// While one looks whether a place is back, the others wait for what it sees: those who come together go on together. One
/// that is well answers within this time.
const PATIENCE: Duration = Duration::from_millis(500);

/// A transport, with what is known of its health.
struct Way<T> {
    transport: T,
    /// How long one letter may take.
    within: Duration,
    /// These are the same for all ways to one place.
    is_away: Arc<AtomicBool>,
    fuse: Arc<Fuse>,
}

impl<T: Transport> Way<T> {
    fn new(transport: T, settings: &Notifications) -> Self {
        let limits = Limits {
            trips_at: settings.breaker_failures,
            rests: Duration::from_millis(settings.breaker_rest_ms),
            rests_most: Duration::from_millis(settings.breaker_rest_most_ms),
        };
        let fuse = Arc::new(Fuse::new(T::NAMES, limits));
        Self { transport, within: Duration::from_millis(settings.timeout_ms), is_away: Arc::default(), fuse }
    }

    async fn send(&self, to: &T::Address, letter: &Letter) -> Result<(), NotSent> {
        let Some(asking) = self.fuse.ask_after_another(PATIENCE).await else {
            let left_alone = Err(NotSent::Away("it is left alone until it answers again".to_owned()));
            self.note(&left_alone);
            return left_alone;
        };
        let sent = tokio::time::timeout(self.within, self.transport.send(to, letter)).await;
        // Whoever refuses quickly costs nobody any time: only silence makes it worth not to ask.
        asking.went(sent.is_ok());
        let late = |_| Err(NotSent::Away(format!("no answer within {} ms", self.within.as_millis())));
        let sent = sent.unwrap_or_else(late);
        self.note(&sent);
        sent
    }

    fn note(&self, sent: &Result<(), NotSent>) {
        let channel = T::CHANNEL.as_str();
        let outcome = match sent {
            Ok(()) => "sent",
            Err(NotSent::Away(_)) => "away",
            Err(NotSent::ForNow(_)) => "for_now",
            Err(NotSent::ForGood(_)) => "refused",
        };
        metrics::counter!("conveyor_notifications_total", "channel" => channel, "outcome" => outcome).increment(1);
        let is_away = matches!(sent, Err(NotSent::Away(_)));
        if self.is_away.swap(is_away, Ordering::Relaxed) == is_away {
            return;
        }
        metrics::gauge!("conveyor_notifications_away", "channel" => channel).set(if is_away { 1.0 } else { 0.0 });
        match sent {
            Err(why) if is_away => {
                tracing::error!(channel, %why, "customers cannot be told; what is for them waits");
            }
            _ => tracing::info!(channel, "customers can be told again"),
        }
    }

    fn health(&self) -> Result<(), String> {
        if self.is_away.load(Ordering::Relaxed) { Err("the last one was not taken".to_owned()) } else { Ok(()) }
    }
}

/// All the ways there are.
pub(crate) struct Ways {
    log: Option<Way<Log>>,
    email: Option<Way<Smtp>>,
    sms: Option<Way<Sms>>,
}

impl Ways {
    pub(crate) fn new(settings: &Notifications) -> Result<Self, ConfigError> {
        Ok(Self {
            log: settings.uses("log").then(|| Way::new(Log, settings)),
            email: settings.uses("email").then(|| Smtp::new(settings)).transpose()?.map(|it| Way::new(it, settings)),
            sms: settings.uses("sms").then(|| Sms::new(&settings.sms)).transpose()?.map(|it| Way::new(it, settings)),
        })
    }

    /// The same ways again, with connections of their own: one that is kept lives on the thread that made it.
    pub(crate) fn again(&self, settings: &Notifications) -> Result<Self, ConfigError> {
        fn joined<T>(again: Option<Way<T>>, first: Option<&Way<T>>) -> Option<Way<T>> {
            again.zip(first).map(|(again, first)| Way {
                is_away: Arc::clone(&first.is_away),
                fuse: Arc::clone(&first.fuse),
                ..again
            })
        }
        let Self { log, email, sms } = Self::new(settings)?;
        Ok(Self {
            log: joined(log, self.log.as_ref()),
            email: joined(email, self.email.as_ref()),
            sms: joined(sms, self.sms.as_ref()),
        })
    }

    /// What `/readyz` says of them. Orders go on without.
    pub(crate) fn checks(ways: &Arc<Self>) -> Vec<Check> {
        let check = |name, health: fn(&Self) -> Result<(), String>| {
            let ways = Arc::clone(ways);
            Check::new(name, false, move || std::future::ready(health(&ways)))
        };
        let mut checks = Vec::new();
        if ways.email.is_some() {
            checks.push(check("email", |ways| ways.email.as_ref().map_or(Ok(()), Way::health)));
        }
        if ways.sms.is_some() {
            checks.push(check("sms", |ways| ways.sms.as_ref().map_or(Ok(()), Way::health)));
        }
        checks
    }

    /// Whether nobody but the log is told, whoever they are.
    pub(crate) fn tells_the_log(&self) -> bool {
        self.log.is_some()
    }

    /// The address where a customer wants to be told, or why there is none.
    pub(crate) fn address(&self, contact: Option<&Contact>) -> Result<Address, &'static str> {
        if self.tells_the_log() {
            return Ok(Address::Log);
        }
        let contact = contact.ok_or("the customer has no contact")?;
        match contact.channel {
            Channel::Email if self.email.is_none() => Err("the customer wants mail, which is not set up"),
            Channel::Sms if self.sms.is_none() => Err("the customer wants SMS, which is not set up"),
            channel => contact.address(channel).ok_or("the customer has no contact"),
        }
    }

    pub(crate) async fn send(&self, letter: &Letter) -> Result<(), NotSent> {
        // In place of whatever there is.
        if let Some(log) = &self.log {
            return log.send(&letter.to, letter).await;
        }
        // A dialogue is large (20 KB for mail): only who has one makes room for it.
        match (&letter.to, &self.email, &self.sms) {
            (Address::Email(to), Some(email), _) => Box::pin(email.send(to, letter)).await,
            (Address::Phone(to), _, Some(sms)) => Box::pin(sms.send(to, letter)).await,
            (to, ..) => Err(NotSent::Away(format!("{} is not set up", to.channel().as_str()))),
        }
    }
}

impl Contact {
    /// The customer's own, of that kind.
    pub(crate) fn address(&self, channel: Channel) -> Option<Address> {
        match channel {
            Channel::Email => self.email.clone().map(Address::Email),
            Channel::Sms => self.phone.clone().map(Address::Phone),
            Channel::Log => None,
        }
    }
}
