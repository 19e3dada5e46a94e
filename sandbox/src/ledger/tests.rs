use super::*;
use crate::cards;

fn order(behaviour: &str, amount: i64) -> Order {
    let behaviour = cards::named(behaviour).expect("a behaviour of that name");
    Order {
        amount,
        currency: "USD".to_owned(),
        reference: "TXN1".to_owned(),
        order_id: "ORD1".to_owned(),
        callback_url: None,
        method: Method { kind: "card".to_owned(), brand: Some("visa"), last4: Some("1111".to_owned()), behaviour },
    }
}

fn charge(ledger: &mut Ledger, key: &str, behaviour: &str, amount: i64) -> Charge {
    ledger.charge(key, order(behaviour, amount), 1, 0).expect("a charge").it
}

#[test]
fn the_same_request_is_the_same_charge_and_another_one_is_refused() {
    let mut ledger = Ledger::new(10);
    let first = charge(&mut ledger, "a", "approved", 100);
    assert_eq!(first.status, Status::Captured);
    let again = ledger.charge("a", order("approved", 100), 1, 9).expect("the same");
    assert!(!again.is_new);
    assert_eq!((again.it.id, again.it.created_at), (first.id, 0));
    assert_eq!(ledger.charge("a", order("approved", 101), 1, 0).err(), Some(Refusal::OtherBody));
    assert_eq!(ledger.charge("a", order("approved", 100), 2, 0).err(), Some(Refusal::OtherBody), "another card");
    assert_eq!(ledger.totals().captured_amount, 100);
}

#[test]
fn a_void_is_final_whether_it_comes_before_or_amid() {
    let mut ledger = Ledger::new(10);
    assert_eq!(ledger.void("a", 0).status, Status::Voided);
    assert_eq!(charge(&mut ledger, "a", "approved", 100).status, Status::Voided);
    assert_eq!(charge(&mut ledger, "b", "async", 100).status, Status::Processing);
    assert_eq!(ledger.void("b", 1).status, Status::Voided);
    assert!(ledger.settle("b", 2).is_none(), "no capture follows");
    charge(&mut ledger, "c", "approved", 100);
    assert_eq!(ledger.void("c", 1).status, Status::Captured, "too late");
    charge(&mut ledger, "d", "declined", 100);
    assert_eq!(ledger.void("d", 1).status, Status::Declined);
    let totals = ledger.totals();
    assert_eq!((totals.charges, totals.voided, totals.captured, totals.captured_amount), (4, 2, 1, 100));
}

#[test]
fn what_is_processing_ends_once() {
    let mut ledger = Ledger::new(10);
    for (key, behaviour, end) in [
        ("a", "async", Status::Captured),
        ("b", "callback_first", Status::Captured),
        ("c", "async_declined", Status::Declined),
        ("d", "callback_lost", Status::Captured),
    ] {
        assert_eq!(charge(&mut ledger, key, behaviour, 5).status, Status::Processing);
        assert_eq!(ledger.settle(key, 1).map(|charge| charge.status), Some(end));
        assert!(ledger.settle(key, 2).is_none());
    }
    assert_eq!(ledger.find("c").and_then(|charge| charge.reason), Some("insufficient_funds"));
    assert_eq!(ledger.totals().captured_amount, 15);
}

#[test]
fn an_error_charges_nothing_and_the_next_request_does() {
    let mut ledger = Ledger::new(10);
    assert_eq!(ledger.charge("a", order("error", 5), 1, 0).err(), Some(Refusal::Stumbled));
    assert!(ledger.find("a").is_none());
    assert_eq!(charge(&mut ledger, "a", "error", 5).status, Status::Captured);
    assert_eq!(ledger.charge("b", order("error", 5), 1, 0).err(), Some(Refusal::Stumbled), "each key once");
    assert_eq!(ledger.void("b", 0).status, Status::Voided);
    assert_eq!(charge(&mut ledger, "b", "error", 5).status, Status::Voided);
}

#[test]
fn no_more_is_given_back_than_was_captured_to_the_cent() {
    let mut ledger = Ledger::new(10);
    charge(&mut ledger, "a", "approved", 100);
    assert_eq!(ledger.refund("r1", "a", 60).map(|entry| entry.it.status), Ok(RefundStatus::Refunded));
    assert_eq!(ledger.refund("r1", "a", 60).map(|entry| entry.is_new), Ok(false));
    assert_eq!(ledger.refund("r1", "a", 40).err(), Some(Refusal::OtherBody));
    assert_eq!(ledger.refund("r2", "a", 41).err(), Some(Refusal::MoreThanCaptured));
    assert_eq!(ledger.refund("r2", "a", 40).map(|entry| entry.it.status), Ok(RefundStatus::Refunded));
    assert_eq!(ledger.refund("r3", "a", 1).err(), Some(Refusal::MoreThanCaptured));
    assert_eq!(ledger.refund("r3", "nothing", 1).err(), Some(Refusal::NotFound));
    charge(&mut ledger, "b", "declined", 100);
    assert_eq!(ledger.refund("r3", "b", 1).err(), Some(Refusal::NotCaptured));
    let totals = ledger.totals();
    assert_eq!((totals.captured_amount, totals.refunded_amount, totals.net_amount), (100, 100, 0));
}

#[test]
fn a_refund_that_is_under_way_counts_and_is_done_once() {
    let mut ledger = Ledger::new(10);
    charge(&mut ledger, "a", "refund_async", 100);
    assert_eq!(ledger.refund("r1", "a", 70).map(|entry| entry.it.status), Ok(RefundStatus::Processing));
    assert_eq!(ledger.refund("r2", "a", 31).err(), Some(Refusal::MoreThanCaptured));
    assert_eq!(ledger.totals().refunded_amount, 0);
    assert_eq!(ledger.settle_refund("r1").map(|refund| refund.status), Some(RefundStatus::Refunded));
    assert!(ledger.settle_refund("r1").is_none());
    assert_eq!(ledger.find("a").map(|charge| charge.refunded), Some(70));
}

#[test]
fn a_refused_refund_gives_nothing_back() {
    let mut ledger = Ledger::new(10);
    charge(&mut ledger, "a", "refund_refused", 100);
    for key in ["r1", "r2", "r1"] {
        assert_eq!(ledger.refund(key, "a", 100).map(|entry| entry.it.status), Ok(RefundStatus::Refused));
    }
    assert_eq!(ledger.totals().net_amount, 100);
}

#[test]
fn what_is_forgotten_still_counts() {
    let mut ledger = Ledger::new(2);
    for (key, amount) in [("a", 1), ("b", 20), ("c", 300)] {
        charge(&mut ledger, key, "approved", amount);
        assert!(ledger.refund(&format!("r{key}"), key, amount / 10 + 1).is_ok());
    }
    assert!(ledger.find("a").is_none() && ledger.find_refund("ra").is_none());
    assert_eq!(ledger.charges().map(|charge| charge.key.as_str()).collect::<Vec<_>>(), ["b", "c"]);
    let totals = ledger.totals();
    assert_eq!((totals.charges, totals.forgotten), (3, 1));
    assert_eq!((totals.captured_amount, totals.refunded_amount, totals.net_amount), (321, 35, 286));
}

#[test]
fn events_are_counted_where_they_belong() {
    let mut ledger = Ledger::new(2);
    charge(&mut ledger, "a", "async", 1);
    let id = ledger.note_event("a", "charge.captured");
    ledger.note_sent("a", &id, false);
    ledger.note_sent("a", &id, true);
    ledger.note_sent("b", &id, true);
    let events = ledger.find("a").map(|charge| charge.events.clone()).unwrap_or_default();
    assert_eq!(events.len(), 1);
    assert!(events.iter().all(|event| event.sent == 2 && event.heard == 1));
}
