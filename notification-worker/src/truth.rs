//! What may still be told. A customer's last word from us must be true: what has been overtaken is not said.
//!
//! A notice is claimed first, and the claim committed; only then, in another statement, is read what else is noted of
//! its order, and decided here. So of two workers that tell of one order at the same time at least one sees the other:
//! the older notice sees the newer and is not told, or the newer sees that the older is just being told and lets it
//! finish. Reading first, or in the same transaction, both might see nothing.

use std::collections::{HashMap, HashSet};

use common::ids::OrderId;
use uuid::Uuid;

use crate::message::Message;

/// What became of a notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// To be told, or being told.
    Pending,
    Sent,
    /// Not told, for something newer was to be.
    Superseded,
    /// Not told, for there is no way to.
    NoContact,
    /// Nobody takes it at the customer's address.
    Refused,
}

impl State {
    const ALL: [Self; 5] = [Self::Pending, Self::Sent, Self::Superseded, Self::NoContact, Self::Refused];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Sent => "sent",
            Self::Superseded => "superseded",
            Self::NoContact => "no_contact",
            Self::Refused => "refused",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }
}

/// Who is telling a notice at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Holder {
    Nobody,
    Us,
    Another,
}

/// A notice, as its row says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Noted {
    pub event_id: Uuid,
    /// Of the order, in the event.
    pub version: i32,
    pub kind: String,
    pub state: State,
    pub holder: Holder,
}

impl Noted {
    /// Whether there is no sense in telling `older` any more: this is news of a later state of the order, or the same
    /// said again.
    fn overtakes(&self, older: &Self) -> bool {
        if self.version != older.version {
            return self.version > older.version;
        }
        let is_told = match self.state {
            State::Sent => true,
            State::Pending => self.event_id < older.event_id,
            State::Superseded | State::NoContact | State::Refused => false,
        };
        self.kind == older.kind && self.event_id != older.event_id && is_told
    }
}

/// What is to be done about a notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decision {
    Tell,
    /// It is overtaken.
    Supersede,
    /// It was told, or is not to be, already.
    Settled,
    /// Somebody else is in the middle of it.
    Later(&'static str),
}

/// Decides about one notice by all that is noted of its order, itself included.
pub(crate) fn decide(event_id: Uuid, noted: &[Noted]) -> Decision {
    let Some(own) = noted.iter().find(|notice| notice.event_id == event_id) else {
        return Decision::Later("its row is not there");
    };
    match (own.state, own.holder) {
        (State::Pending, Holder::Us) => {}
        (State::Pending, _) => return Decision::Later("another worker is telling it"),
        _ => return Decision::Settled,
    }
    if noted.iter().any(|other| other.overtakes(own)) {
        return Decision::Supersede;
    }
    let is_before = |other: &&Noted| other.version < own.version;
    if noted.iter().filter(is_before).any(|other| other.state == State::Pending && other.holder == Holder::Another) {
        return Decision::Later("another worker is telling of the order's state before");
    }
    let is_same = |other: &&Noted| other.version == own.version && other.kind == own.kind && other.event_id != event_id;
    if noted.iter().filter(is_same).any(|other| other.state == State::Pending && other.holder == Holder::Another) {
        return Decision::Later("another worker is telling the same");
    }
    Decision::Tell
}

/// Which of these are overtaken by others of these, so that they need not even be claimed.
pub(crate) fn overtaken<'a>(messages: impl Iterator<Item = &'a Message> + Clone) -> HashSet<Uuid> {
    let mut newest: HashMap<OrderId, i32> = HashMap::new();
    let mut first: HashMap<(OrderId, i32, &str), Uuid> = HashMap::new();
    for message in messages.clone() {
        let version = newest.entry(message.order_id).or_insert(message.version);
        *version = message.version.max(*version);
        let id = first.entry((message.order_id, message.version, &message.kind)).or_insert(message.id);
        *id = message.id.min(*id);
    }
    let is_overtaken = |message: &&Message| {
        newest.get(&message.order_id).is_some_and(|version| *version > message.version)
            || first.get(&(message.order_id, message.version, &message.kind)).is_some_and(|id| *id != message.id)
    };
    messages.filter(is_overtaken).map(|message| message.id).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: Uuid = Uuid::from_u128(5);

    fn notice(id: u128, version: i32, state: State, holder: Holder) -> Noted {
        Noted { event_id: Uuid::from_u128(id), version, kind: format!("kind {version}"), state, holder }
    }

    fn with(others: &[Noted]) -> Decision {
        decide(OWN, &[&[notice(5, 3, State::Pending, Holder::Us)], others].concat())
    }

    #[test]
    fn what_is_claimed_is_told_and_what_is_settled_is_not_told_again() {
        assert_eq!(with(&[]), Decision::Tell);
        for state in [State::Sent, State::Superseded, State::NoContact, State::Refused] {
            assert_eq!(decide(OWN, &[notice(5, 3, state, Holder::Nobody)]), Decision::Settled);
        }
        for holder in [Holder::Another, Holder::Nobody] {
            assert!(matches!(decide(OWN, &[notice(5, 3, State::Pending, holder)]), Decision::Later(_)));
        }
        assert!(matches!(decide(OWN, &[]), Decision::Later(_)));
    }

    #[test]
    fn anything_newer_supersedes_whatever_became_of_it() {
        for state in State::ALL {
            for holder in [Holder::Nobody, Holder::Us, Holder::Another] {
                assert_eq!(with(&[notice(1, 4, state, holder)]), Decision::Supersede);
            }
        }
    }

    #[test]
    fn what_is_older_is_waited_for_only_while_somebody_else_tells_it() {
        for state in State::ALL {
            assert_eq!(with(&[notice(1, 2, state, Holder::Nobody)]), Decision::Tell);
        }
        assert!(matches!(with(&[notice(1, 2, State::Pending, Holder::Another)]), Decision::Later(_)));
    }

    #[test]
    fn the_same_said_again_is_told_once() {
        assert_eq!(with(&[notice(9, 3, State::Sent, Holder::Nobody)]), Decision::Supersede);
        assert_eq!(with(&[notice(1, 3, State::Pending, Holder::Another)]), Decision::Supersede);
        assert!(matches!(with(&[notice(9, 3, State::Pending, Holder::Another)]), Decision::Later(_)));
        assert_eq!(with(&[notice(9, 3, State::Pending, Holder::Nobody)]), Decision::Tell);
        assert_eq!(with(&[notice(1, 3, State::Superseded, Holder::Nobody)]), Decision::Tell);
        // Two things may be told of one state.
        let other = Noted { kind: "another".to_owned(), ..notice(1, 3, State::Sent, Holder::Nobody) };
        assert_eq!(with(&[other]), Decision::Tell);
    }

    /// Of two workers who were told the same under two ids, in every order of the same steps, not both tell it.
    #[test]
    fn however_two_workers_meet_the_same_is_not_told_by_both() {
        for order in meetings() {
            let decisions = meet(order, |i| notice([1, 9][i], 3, State::Pending, Holder::Nobody));
            let tellers = decisions.iter().filter(|decision| **decision == Decision::Tell).count();
            assert!(tellers <= 1, "{order:?}: {decisions:?}");
        }
    }

    /// Two workers at the same time, each of which claims, then reads, then decides: in every order of these steps
    /// exactly one of their notices is told, or first the older and then the newer.
    #[test]
    fn however_two_workers_meet_the_older_is_never_told_after_the_newer() {
        for order in meetings() {
            match meet(order, |i| notice([1, 2][i], [0, 1][i], State::Pending, Holder::Nobody)) {
                [Decision::Supersede, Decision::Tell | Decision::Later(_)] | [Decision::Tell, Decision::Later(_)] => {}
                other => panic!("{order:?}: {other:?}"),
            }
        }
    }

    /// Each worker has two steps; an order of all four is which worker goes when.
    fn meetings() -> impl Iterator<Item = [usize; 4]> {
        let orders = (0..16_u8).map(|bits| [0, 1, 2, 3].map(|i| usize::from(bits >> i & 1)));
        orders.filter(|order| order.iter().sum::<usize>() == 2)
    }

    /// What each of the two decides. What the other has decided, it may have written or not: not is worse.
    fn meet(order: [usize; 4], notice: impl Fn(usize) -> Noted) -> [Decision; 2] {
        let mut claimed = [false; 2];
        let mut decisions = [None; 2];
        for worker in order {
            if !std::mem::replace(&mut claimed[worker], true) {
                continue;
            }
            let holder = |i| if i == worker { Holder::Us } else { Holder::Another };
            let seen: Vec<Noted> =
                (0..2).filter(|i| claimed[*i]).map(|i| Noted { holder: holder(i), ..notice(i) }).collect();
            decisions[worker] = Some(decide(notice(worker).event_id, &seen));
        }
        decisions.map(Option::unwrap)
    }

    #[test]
    fn within_a_batch_only_the_last_of_an_order_is_told() {
        let (one, two) = (OrderId::generate(), OrderId::generate());
        let user_id = common::ids::UserId::try_from("u".to_owned()).unwrap();
        let message = |id: u128, order_id, version, kind: &str| Message {
            id: Uuid::from_u128(id),
            order_id,
            user_id: user_id.clone(),
            version,
            kind: kind.to_owned(),
            subject: String::new(),
            text: String::new(),
        };
        let batch = [
            message(1, one, 3, "paid"),
            message(2, one, 1, "created"),
            message(3, two, 1, "created"),
            message(4, two, 1, "created"),
            message(5, two, 1, "else"),
        ];
        let expected: HashSet<Uuid> = [2, 4].map(Uuid::from_u128).into();
        assert_eq!(overtaken(batch.iter()), expected);
    }
}
