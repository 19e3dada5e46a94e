//! The rules of money, and nothing else: what is heard makes of what stands. No clock, no table, no gateway: whoever
//! calls has locked the account, and carries out what is said here. A model checker calls the same functions.

use std::{fmt, str::FromStr};

use common::{
    ids::{OrderId, TransactionId, UserId},
    money::Money,
};
use uuid::Uuid;

/// How an attempt stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// The gateway has been or is about to be asked.
    Open,
    Captured,
    Declined,
    /// It is over without an answer about the money: the gateway was never asked, or will not charge it any more. It
    /// counts for nothing.
    Voided,
}

/// What has become of captured money since.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refund {
    /// It is to be given back, and the gateway has not said that it was.
    Due,
    Refunded,
    /// The gateway will not.
    Refused,
}

/// Names that are stored.
macro_rules! named {
    ($kind:ident: $($value:ident = $name:literal),*) => {
        impl $kind {
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$value => $name),* }
            }
        }

        impl FromStr for $kind {
            type Err = String;

            fn from_str(name: &str) -> Result<Self, String> {
                match name {
                    $($name => Ok(Self::$value),)*
                    _ => Err(format!("{name:?} is no {}", stringify!($kind))),
                }
            }
        }

        impl fmt::Display for $kind {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

named!(State: Open = "open", Captured = "captured", Declined = "declined", Voided = "voided");
named!(Refund: Due = "due", Refunded = "refunded", Refused = "refused");

/// One attempt to capture the money for an order.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Attempt {
    pub id: TransactionId,
    pub order_id: OrderId,
    /// From 1.
    pub number: i32,
    pub state: State,
    pub amount: Money,
    /// How many attempts are left if this one is declined.
    pub attempts_left: i32,
    /// The gateway's name for the customer's stored method, if that is how it is paid.
    pub token: Option<String>,
    /// The gateway's own name for it, once it has answered.
    pub reference: Option<String>,
    /// Why it was declined.
    pub reason: Option<String>,
    pub refund: Option<Refund>,
    /// The event by which people were told that the refund is refused.
    pub refused_event: Option<Uuid>,
}

/// What an order owes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Due {
    /// None where the order ended before its payment fell due here.
    pub owed: Option<Owed>,
    /// The order is off.
    pub off: bool,
    /// The deadline has passed, by the database's clock.
    pub late: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Owed {
    pub user_id: UserId,
    pub amount: Money,
    /// The gateway's name for the customer's stored method, if there is one now.
    pub token: Option<String>,
}

/// All that is known of an order's money: what is owed, and the attempts, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Account {
    pub due: Due,
    pub attempts: Vec<Attempt>,
}

impl Account {
    /// Those whose money is here and is not asked back.
    fn kept(&self) -> impl Iterator<Item = &Attempt> {
        self.attempts.iter().filter(|attempt| attempt.state == State::Captured && attempt.refund.is_none())
    }

    /// The attempt that counts: one whose money is here, or that is under way, or whose money was here. Only a gateway that
    /// contradicts itself could make more than one of them.
    fn live(&self) -> Option<&Attempt> {
        let with = |state| self.attempts.iter().find(move |attempt| attempt.state == state);
        self.kept().next().or_else(|| with(State::Open)).or_else(|| with(State::Captured))
    }

    fn declined(&self) -> i32 {
        let declined = self.attempts.iter().filter(|attempt| attempt.state == State::Declined).count();
        i32::try_from(declined).unwrap_or(i32::MAX)
    }

    /// The attempt that would come next.
    #[must_use]
    pub fn next(&self, most_attempts: i32) -> Next {
        Next {
            number: self.attempts.iter().map(|attempt| attempt.number).max().unwrap_or(0) + 1,
            attempts_left: (most_attempts - self.declined() - 1).max(0),
        }
    }
}

/// An attempt that may begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Next {
    pub number: i32,
    pub attempts_left: i32,
}

/// What is to be said of an attempt. Whoever asks again hears the same again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum News {
    Completed,
    Failed,
    Refunded,
    /// It will not be given back, and people must be told.
    RefundRefused,
}

impl Attempt {
    /// Whether nobody need come back to it, unless it is asked back.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.state != State::Open && self.refund != Some(Refund::Due)
    }

    /// What there is to say of its charge, if it has an outcome. Whoever paid by hand hears that nothing came of it: they
    /// may have been told to wait. With a stored method nobody waits for an answer but the order, and that is off.
    #[must_use]
    pub fn news(&self) -> Option<News> {
        match self.state {
            State::Captured => Some(News::Completed),
            State::Declined => Some(News::Failed),
            State::Voided if self.token.is_none() => Some(News::Failed),
            State::Open | State::Voided => None,
        }
    }

    /// How many attempts are left after it: one that was voided is not spent.
    #[must_use]
    pub fn left_after(&self) -> i32 {
        match self.state {
            State::Voided => self.attempts_left + 1,
            _ => self.attempts_left,
        }
    }
}

/// What `order.payment_due` leads to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum OnDue {
    /// Charge the stored method.
    Charge(Next),
    /// There was an answer before, and it is still the answer.
    Say(TransactionId),
    /// Somebody has begun, and may not live to end it: have it looked after.
    Follow(TransactionId),
    /// Wait for the customer, or for nothing.
    Nothing,
    /// It contradicts what was heard before.
    Contradiction,
}

/// The stored method is charged once by itself; whatever comes after that is the customer's to begin.
#[must_use]
pub fn payment_due(account: &Account, amount: Money, most_attempts: i32) -> OnDue {
    if account.due.owed.as_ref().is_some_and(|owed| owed.amount != amount) {
        return OnDue::Contradiction;
    }
    let latest = account.live().or_else(|| account.attempts.iter().rfind(|a| a.state == State::Declined));
    match latest {
        Some(attempt) if attempt.state == State::Open => OnDue::Follow(attempt.id),
        Some(attempt) => OnDue::Say(attempt.id),
        None if account.due.off || account.due.late || !account.attempts.is_empty() => OnDue::Nothing,
        None => match account.due.owed.as_ref().and_then(|owed| owed.token.as_ref()) {
            Some(_) => OnDue::Charge(account.next(most_attempts)),
            None => OnDue::Nothing,
        },
    }
}

/// What a customer's request to pay leads to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum OnPay {
    Begin(Next),
    /// An attempt is under way: its answer is the answer.
    Wait(TransactionId),
    Paid(TransactionId),
    /// Nothing is due from this user.
    NotDue,
    /// It is another amount that is due.
    OtherAmount,
    Off,
    Late,
    UsedUp,
}

#[must_use]
pub fn pay(account: &Account, user_id: &UserId, amount: Money, most_attempts: i32) -> OnPay {
    let Some(owed) = account.due.owed.as_ref().filter(|owed| owed.user_id == *user_id) else {
        return OnPay::NotDue;
    };
    if owed.amount != amount {
        return OnPay::OtherAmount;
    }
    match account.live() {
        Some(attempt) if attempt.state == State::Captured && attempt.refund.is_none() => OnPay::Paid(attempt.id),
        Some(attempt) if attempt.state == State::Open => OnPay::Wait(attempt.id),
        _ if account.due.off => OnPay::Off,
        Some(_) => OnPay::Off,
        None if account.due.late => OnPay::Late,
        None if account.declined() >= most_attempts => OnPay::UsedUp,
        None => OnPay::Begin(account.next(most_attempts)),
    }
}

/// An order is off: nothing begins for it any more. Its money, if it is here, is said to be so again: the order may not
/// have heard of it. An attempt that is under way says so when it ends.
pub fn called_off(account: &Account) -> impl Iterator<Item = &Attempt> {
    account.kept()
}

/// What `order.refund_due` leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OnRefund {
    /// Ask the gateway to give it back.
    Refund,
    /// It was given back before: say so again.
    Say,
    /// Somebody is at it, and may not live to end it: have it looked after.
    Follow,
    /// The charge has no outcome yet.
    Early,
    /// The gateway will not, and people have been told so.
    Told,
    /// There is nothing to give back.
    Never(&'static str),
}

/// What the gateway once refused is not asked for again, though the order goes on saying that it is due; but the very event
/// that people were told by comes again only if one of them wants it to be.
#[must_use]
pub fn refund_due(attempt: &Attempt, amount: Money, event: Uuid) -> OnRefund {
    if attempt.amount != amount {
        return OnRefund::Never("it is another amount that was captured");
    }
    match (attempt.state, attempt.refund) {
        (State::Open, _) => OnRefund::Early,
        (State::Declined | State::Voided, _) => OnRefund::Never("nothing was captured"),
        (State::Captured, Some(Refund::Refused)) if attempt.refused_event.is_some_and(|told| told != event) => {
            OnRefund::Told
        }
        (State::Captured, None | Some(Refund::Refused)) => OnRefund::Refund,
        (State::Captured, Some(Refund::Due)) => OnRefund::Follow,
        (State::Captured, Some(Refund::Refunded)) => OnRefund::Say,
    }
}

/// What an attempt becomes by an outcome, if anything. The first outcome stands; but captured money is captured,
/// whatever was thought before.
#[must_use]
pub fn settled(state: State, outcome: State) -> Option<State> {
    match (state, outcome) {
        (State::Open, State::Captured | State::Declined | State::Voided) => Some(outcome),
        (State::Declined | State::Voided, State::Captured) => Some(outcome),
        _ => None,
    }
}

/// What a refund becomes by an outcome. What was given back stays so; what was refused may have been given back later.
#[must_use]
pub fn refunded(refund: Option<Refund>, outcome: Refund) -> Option<Refund> {
    match (refund, outcome) {
        (None | Some(Refund::Due), Refund::Refunded | Refund::Refused) => Some(outcome),
        (Some(Refund::Refused), Refund::Refunded) => Some(outcome),
        _ => None,
    }
}

/// What is to be done about an attempt of which the gateway has never heard, or that it has not decided about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Unsettled {
    /// Ask for the charge, under the same key.
    Charge,
    /// See to it that it can never be charged, and hear what stands.
    Void,
    Wait,
}

/// Of an attempt that nobody is at any more. A stored method can still be charged; of a card the number is gone.
#[must_use]
pub fn unsettled(due: &Due, attempt: &Attempt, is_heard_of: bool) -> Unsettled {
    match (is_heard_of, due.off) {
        (true, false) => Unsettled::Wait,
        (true, true) => Unsettled::Void,
        (false, off) if attempt.token.is_some() && !off && !due.late => Unsettled::Charge,
        (false, _) => Unsettled::Void,
    }
}

#[cfg(test)]
mod tests;
