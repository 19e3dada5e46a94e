//! What has to be read, written and checked for an order, whoever does it: each event is written once, and read once for
//! each who hears it; and where orders are signed, their signatures are checked, in the batches that are checked fastest.
//! Nothing is decided, nothing is looked up, and what the events say is not even looked into: a limit, not an aim.

use anyhow::{Context as _, Result, ensure};
use common::events::{Opened, open};
use ed25519_dalek::{Signature, VerifyingKey, verify_batch};

use super::counted::{Published, Sample, bodies};
use crate::{
    customer::{self, CUSTOMERS},
    measure,
};

/// Larger batches are slower again.
const CHECKED_TOGETHER: usize = 32;

/// CPU seconds for 1,000 orders.
pub fn words(sample: &Sample, published: &[Published], orders: usize, signed: bool) -> Result<f64> {
    let all: Vec<(Vec<Vec<u8>>, u64)> = published
        .iter()
        .map(|published| {
            let events = sample.get(&published.kind).map(Vec::as_slice).unwrap_or_default();
            (bodies(events, published), published.queues)
        })
        .collect();
    let customers = signed.then(customers).transpose()?;
    let used = || measure::cpu_seconds_of_this_thread().context("no CPU time");
    let before = used()?;
    for (bodies, readers) in &all {
        for body in bodies {
            let mut events = Vec::new();
            for _ in 0..(*readers).max(1) {
                events = open(body).map_err(anyhow::Error::msg)?;
            }
            let mut written = Vec::with_capacity(body.len());
            for event in &events {
                let Opened::Event(event) = event else { anyhow::bail!("an event that cannot be read") };
                serde_json::to_writer(&mut written, event)?;
            }
            ensure!(!written.is_empty(), "a message without events");
        }
    }
    if let Some(customers) = customers {
        check(&customers, orders)?;
    }
    Ok((used()? - before) * 1e3 / orders as f64)
}

/// What a customer has signed, the signature, and whose it is.
type Signed = (Vec<u8>, Signature, VerifyingKey);

fn customers() -> Result<Vec<Signed>> {
    let signed = |number| {
        let (text, signature, key) = customer::signed(number)?;
        Ok((text, Signature::from_bytes(&signature), VerifyingKey::from_bytes(&key)?))
    };
    (0..CUSTOMERS).map(signed).collect()
}

fn check(customers: &[Signed], orders: usize) -> Result<()> {
    let mut customers = customers.iter().cycle();
    let mut left = orders;
    while left > 0 {
        let some: Vec<_> = customers.by_ref().take(left.min(CHECKED_TOGETHER)).collect();
        let texts: Vec<&[u8]> = some.iter().map(|(text, ..)| text.as_slice()).collect();
        let signatures: Vec<Signature> = some.iter().map(|(_, signature, _)| *signature).collect();
        let keys: Vec<VerifyingKey> = some.iter().map(|(.., key)| *key).collect();
        verify_batch(&texts, &signatures, &keys)?;
        left -= some.len();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use common::{
        events::{Event, InventoryLocked},
        ids::OrderId,
    };

    use super::*;

    #[test]
    fn signatures_cost_more_than_none() {
        let order_id = OrderId::generate();
        let event = Event::new("/bench", order_id.to_string(), None, &InventoryLocked { order_id }).unwrap();
        let kind = event.kind.clone();
        let sample: Sample = [(kind.clone(), vec![serde_json::to_string(&event).unwrap()])].into();
        let published = [Published { kind, messages: 10, events: 1_000, queues: 2 }];
        let [signed, unsigned] = [true, false].map(|signed| words(&sample, &published, 10_000, signed).unwrap());
        assert!(signed > unsigned, "{signed} {unsigned}");
    }
}
