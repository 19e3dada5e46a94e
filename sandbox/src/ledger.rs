//! The gateway's books: charges, refunds, and what may become of them. Pure: it knows no time but the one it is told,
//! and no network.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    hash::{BuildHasher as _, Hash, RandomState},
};

use serde::Serialize;

use crate::cards::{Behaviour, Course, End, Refunding};

/// More than this is no amount: a hundred billion cents. The sums of all charges that fit into memory fit into an i64.
pub(crate) const LARGEST_AMOUNT: i64 = 100_000_000_000;
/// So many refunds can one charge have.
const MOST_REFUNDS: usize = 100;
/// So many events of one charge are told of, and so many keys whose first request failed are remembered.
const MOST_EVENTS: usize = 200;
const MOST_STUMBLED: usize = 100_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Status {
    Processing,
    Captured,
    Declined,
    Voided,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum RefundStatus {
    Processing,
    Refunded,
    Refused,
}

/// What is asked for. Of a card there is no more in it than what it does, its brand and its last four digits.
#[derive(Debug, Clone, Hash)]
pub(crate) struct Order {
    pub(crate) amount: i64,
    pub(crate) currency: String,
    pub(crate) reference: String,
    pub(crate) order_id: String,
    pub(crate) callback_url: Option<String>,
    pub(crate) method: Method,
}

#[derive(Debug, Clone, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Method {
    /// `card`, `token`, or another one's name.
    #[serde(rename = "method")]
    pub(crate) kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) brand: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) last4: Option<String>,
    #[serde(serialize_with = "name")]
    pub(crate) behaviour: &'static Behaviour,
}

fn name<S: serde::Serializer>(behaviour: &&'static Behaviour, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(behaviour.name)
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Charge {
    pub(crate) id: String,
    pub(crate) key: String,
    pub(crate) order_id: String,
    pub(crate) reference: String,
    pub(crate) amount: i64,
    pub(crate) currency: String,
    pub(crate) status: Status,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<&'static str>,
    pub(crate) refunded: i64,
    /// None where the key was voided before anything was charged under it.
    #[serde(flatten)]
    pub(crate) method: Option<Method>,
    /// Unix milliseconds.
    pub(crate) created_at: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ended_at: Option<i64>,
    pub(crate) refunds: Vec<Refund>,
    pub(crate) events: Vec<Event>,
    #[serde(skip)]
    pub(crate) callback_url: Option<String>,
    #[serde(skip)]
    fingerprint: u64,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Refund {
    pub(crate) id: String,
    pub(crate) key: String,
    pub(crate) charge_key: String,
    pub(crate) amount: i64,
    pub(crate) status: RefundStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<&'static str>,
}

/// A callback, and how often it was sent and heard.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Event {
    pub(crate) id: String,
    #[serde(rename = "type")]
    pub(crate) kind: &'static str,
    pub(crate) sent: u32,
    /// Answered with 2xx.
    pub(crate) heard: u32,
}

/// An answer, and whether it was the request that made it so.
#[derive(Debug)]
pub(crate) struct Entry<T> {
    pub(crate) it: T,
    pub(crate) is_new: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The same key was used for something else.
    OtherBody,
    NotFound,
    NotCaptured,
    MoreThanCaptured,
    TooManyRefunds,
    /// Not now: the next request under this key will do.
    Stumbled,
}

/// In minor units, over all that ever was, also over what is no longer remembered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Totals {
    pub(crate) charges: i64,
    pub(crate) processing: i64,
    pub(crate) captured: i64,
    pub(crate) declined: i64,
    pub(crate) voided: i64,
    pub(crate) captured_amount: i64,
    pub(crate) refunded_amount: i64,
    /// What is left: captured, less refunded.
    pub(crate) net_amount: i64,
    /// Charges that are no longer remembered one by one.
    pub(crate) forgotten: i64,
}

impl Totals {
    fn add(&mut self, charge: &Charge) {
        self.charges += 1;
        match charge.status {
            Status::Processing => self.processing += 1,
            Status::Captured => {
                self.captured += 1;
                self.captured_amount += charge.amount;
            }
            Status::Declined => self.declined += 1,
            Status::Voided => self.voided += 1,
        }
        self.refunded_amount += charge.refunded;
        self.net_amount = self.captured_amount - self.refunded_amount;
    }
}

#[derive(Debug)]
pub(crate) struct Ledger {
    charges: HashMap<String, Charge>,
    /// Their keys, the oldest first.
    order: VecDeque<String>,
    /// Key of a refund to the key of its charge.
    refunds: HashMap<String, String>,
    stumbled: HashSet<String>,
    forgotten: Totals,
    keep: usize,
    issued: u64,
    hasher: RandomState,
}

impl Ledger {
    /// Remembers so many charges; the oldest ones are forgotten for the newest.
    pub(crate) fn new(keep: usize) -> Self {
        Self {
            charges: HashMap::new(),
            order: VecDeque::new(),
            refunds: HashMap::new(),
            stumbled: HashSet::new(),
            forgotten: Totals::default(),
            keep: keep.max(1),
            issued: 0,
            hasher: RandomState::new(),
        }
    }

    /// Charges, or answers what the same request came to. `secret` is what else must be the same, and is not kept: the
    /// number of a card and the like.
    pub(crate) fn charge(
        &mut self,
        key: &str,
        order: Order,
        secret: impl Hash,
        now: i64,
    ) -> Result<Entry<Charge>, Refusal> {
        // With random keys of this process: what was hashed cannot be found by trying.
        let fingerprint = self.hasher.hash_one((&order, secret));
        if let Some(known) = self.charges.get(key) {
            // One that was voided before it was heard of takes any body: nothing will be charged.
            let same = known.method.is_none() || known.fingerprint == fingerprint;
            return if same { Ok(Entry { it: known.clone(), is_new: false }) } else { Err(Refusal::OtherBody) };
        }
        let behaviour = order.method.behaviour;
        if behaviour.course == Course::ErrorFirst && !self.stumbled.contains(key) {
            if self.stumbled.len() >= MOST_STUMBLED {
                self.stumbled.clear();
            }
            self.stumbled.insert(key.to_owned());
            return Err(Refusal::Stumbled);
        }
        self.stumbled.remove(key);
        let mut charge = Charge {
            id: self.new_id("ch"),
            key: key.to_owned(),
            order_id: order.order_id,
            reference: order.reference,
            amount: order.amount,
            currency: order.currency,
            status: Status::Processing,
            reason: None,
            refunded: 0,
            method: Some(order.method),
            created_at: now,
            ended_at: None,
            refunds: Vec::new(),
            events: Vec::new(),
            callback_url: order.callback_url,
            fingerprint,
        };
        if !matches!(behaviour.course, Course::Later { .. } | Course::CallbackFirst) {
            charge.end(behaviour.end, now);
        }
        self.remember(charge.clone());
        Ok(Entry { it: charge, is_new: true })
    }

    /// What is processing comes to its end. None if it did otherwise.
    pub(crate) fn settle(&mut self, key: &str, now: i64) -> Option<Charge> {
        let charge = self.charges.get_mut(key).filter(|charge| charge.status == Status::Processing)?;
        let end = charge.method.as_ref()?.behaviour.end;
        charge.end(end, now);
        Some(charge.clone())
    }

    /// Nothing will be charged under this key, unless it was already.
    pub(crate) fn void(&mut self, key: &str, now: i64) -> Charge {
        if let Some(charge) = self.charges.get_mut(key) {
            if charge.status == Status::Processing {
                charge.status = Status::Voided;
                charge.ended_at = Some(now);
            }
            return charge.clone();
        }
        let charge = Charge {
            id: self.new_id("ch"),
            key: key.to_owned(),
            order_id: String::new(),
            reference: String::new(),
            amount: 0,
            currency: String::new(),
            status: Status::Voided,
            reason: None,
            refunded: 0,
            method: None,
            created_at: now,
            ended_at: Some(now),
            refunds: Vec::new(),
            events: Vec::new(),
            callback_url: None,
            fingerprint: 0,
        };
        self.stumbled.remove(key);
        self.remember(charge.clone());
        charge
    }

    /// Gives money back, or answers what the same request came to.
    pub(crate) fn refund(&mut self, key: &str, charge_key: &str, amount: i64) -> Result<Entry<Refund>, Refusal> {
        if let Some(known) = self.find_refund(key) {
            let same = known.charge_key == charge_key && known.amount == amount;
            return if same { Ok(Entry { it: known.clone(), is_new: false }) } else { Err(Refusal::OtherBody) };
        }
        let id = self.new_id("re");
        let charge = self.charges.get_mut(charge_key).ok_or(Refusal::NotFound)?;
        let Some(method) = charge.method.as_ref().filter(|_| charge.status == Status::Captured) else {
            return Err(Refusal::NotCaptured);
        };
        if charge.refunds.len() >= MOST_REFUNDS {
            return Err(Refusal::TooManyRefunds);
        }
        let refused = method.behaviour.refunding == Refunding::Refused;
        if amount > charge.refundable() {
            return Err(Refusal::MoreThanCaptured);
        }
        let mut refund = Refund {
            id,
            key: key.to_owned(),
            charge_key: charge_key.to_owned(),
            amount,
            status: RefundStatus::Processing,
            reason: None,
        };
        if refused {
            refund.status = RefundStatus::Refused;
            refund.reason = Some("refund_refused");
        } else if method.behaviour.refunding == Refunding::AtOnce {
            refund.status = RefundStatus::Refunded;
            charge.refunded += amount;
        }
        charge.refunds.push(refund.clone());
        self.refunds.insert(key.to_owned(), charge_key.to_owned());
        Ok(Entry { it: refund, is_new: true })
    }

    /// The refund that was processing is done. None if there is none.
    pub(crate) fn settle_refund(&mut self, key: &str) -> Option<Refund> {
        let charge = self.charges.get_mut(self.refunds.get(key)?)?;
        let of_key = |refund: &&mut Refund| refund.key == key && refund.status == RefundStatus::Processing;
        let refund = charge.refunds.iter_mut().find(of_key)?;
        refund.status = RefundStatus::Refunded;
        charge.refunded += refund.amount;
        Some(refund.clone())
    }

    pub(crate) fn find(&self, key: &str) -> Option<&Charge> {
        self.charges.get(key)
    }

    pub(crate) fn find_refund(&self, key: &str) -> Option<&Refund> {
        let charge = self.charges.get(self.refunds.get(key)?)?;
        charge.refunds.iter().find(|refund| refund.key == key)
    }

    /// The oldest first.
    pub(crate) fn charges(&self) -> impl DoubleEndedIterator<Item = &Charge> {
        self.order.iter().filter_map(|key| self.charges.get(key))
    }

    pub(crate) fn totals(&self) -> Totals {
        let mut totals = self.forgotten;
        totals.forgotten = totals.charges;
        self.charges.values().for_each(|charge| totals.add(charge));
        totals
    }

    /// An event of that charge is sent for the first time.
    pub(crate) fn note_event(&mut self, charge_key: &str, kind: &'static str) -> String {
        let id = self.new_id("evt");
        if let Some(charge) = self.charges.get_mut(charge_key).filter(|charge| charge.events.len() < MOST_EVENTS) {
            charge.events.push(Event { id: id.clone(), kind, sent: 0, heard: 0 });
        }
        id
    }

    /// It was sent once more.
    pub(crate) fn note_sent(&mut self, charge_key: &str, event_id: &str, heard: bool) {
        let Some(charge) = self.charges.get_mut(charge_key) else { return };
        if let Some(event) = charge.events.iter_mut().find(|event| event.id == event_id) {
            event.sent = event.sent.saturating_add(1);
            event.heard = event.heard.saturating_add(u32::from(heard));
        }
    }

    fn remember(&mut self, charge: Charge) {
        self.order.push_back(charge.key.clone());
        self.charges.insert(charge.key.clone(), charge);
        while self.order.len() > self.keep {
            let Some(oldest) = self.order.pop_front().and_then(|key| self.charges.remove(&key)) else { continue };
            self.forgotten.add(&oldest);
            for refund in &oldest.refunds {
                self.refunds.remove(&refund.key);
            }
        }
    }

    fn new_id(&mut self, kind: &str) -> String {
        self.issued += 1;
        format!("{kind}_{:012x}{:08x}", self.issued, self.hasher.hash_one(self.issued) >> 32)
    }
}

impl Charge {
    fn end(&mut self, end: End, now: i64) {
        self.ended_at = Some(now);
        match end {
            End::Captured => self.status = Status::Captured,
            End::Declined(reason) => {
                self.status = Status::Declined;
                self.reason = Some(reason);
            }
        }
    }

    /// What has not been given back, and is not about to be.
    fn refundable(&self) -> i64 {
        let under_way = self.refunds.iter().filter(|refund| refund.status == RefundStatus::Processing);
        self.amount - self.refunded - under_way.map(|refund| refund.amount).sum::<i64>()
    }
}

#[cfg(test)]
mod tests;
