use common::money::Money;
use proptest::prelude::*;

use super::*;

const STATES: [State; 5] = [State::Locked, State::Rejected, State::Confirmed, State::Restocked, State::Released];

fn id(text: &str) -> ProductId {
    ProductId::try_from(text.to_owned()).unwrap()
}

fn line(product: &str, quantity: i64) -> Line {
    Line { product_id: id(product), quantity, unit_price: Money(1) }
}

fn standing(state: State, version: i32) -> Standing {
    Standing { version, ..Standing::new(state) }
}

#[test]
fn lines_of_one_product_are_added_up() {
    let sums = quantities(&[line("A", 2), line("B", 1), line("A", 3)]).unwrap();
    assert_eq!(sums, Quantities::from([(id("A"), 5), (id("B"), 1)]));
    assert!(quantities(&[]).is_err());
    assert!(quantities(&[line("A", 0)]).is_err());
    assert!(quantities(&[line("A", i64::MAX), line("A", 1)]).is_err());
}

#[test]
fn an_order_gets_all_of_it_or_nothing() {
    let mut stock = Stock::new(BTreeMap::from([(id("A"), 5), (id("B"), 0)]));
    let shortages = stock.take(&Quantities::from([(id("A"), 2), (id("B"), 1), (id("C"), 1)])).unwrap_err();
    let short: Vec<_> = shortages.iter().map(|s| (s.product_id.as_str(), s.asked, s.available)).collect();
    assert_eq!(short, [("B", 1, 0), ("C", 1, 0)]);
    assert!(stock.take(&Quantities::from([(id("A"), 5)])).is_ok());
    assert!(stock.take(&Quantities::from([(id("A"), 1)])).is_err());
    assert_eq!(stock.taken(), Quantities::from([(id("A"), 5)]));
}

#[test]
fn a_settlement_heard_twice_changes_nothing_the_second_time() {
    for state in STATES {
        for settlement in [Settlement::Confirm, Settlement::Release] {
            if let Ok(Some(after)) = settle(Some(standing(state, 1)), settlement, 3) {
                assert_eq!(settle(Some(after), settlement, 3), Ok(None), "{state} {settlement:?}");
            }
        }
    }
}

#[test]
fn stock_that_was_never_held_for_the_order_is_never_sold() {
    assert!(settle(None, Settlement::Confirm, 3).is_err());
    let provisional = Standing { is_provisional: true, ..Standing::new(State::Locked) };
    assert!(settle(Some(provisional), Settlement::Confirm, 3).is_err());
    for state in [State::Rejected, State::Released, State::Restocked] {
        assert!(settle(Some(standing(state, 2)), Settlement::Confirm, 3).is_err(), "{state}");
    }
}

#[test]
fn a_paid_order_that_is_called_off_ends_with_its_stock_back_in_whatever_order_that_is_heard() {
    let (paid, off) = ((Settlement::Confirm, 3), (Settlement::Release, 4));
    for (heard, end) in [
        (vec![paid, off], State::Restocked),
        (vec![off, paid], State::Released),
        (vec![paid, off, paid, off], State::Restocked),
        (vec![off, off, paid, paid], State::Released),
    ] {
        let mut now = Standing::new(State::Locked);
        let (mut on_hand, mut reserved) = (10, 1);
        for (settlement, version) in heard {
            if let Some(next) = settle(Some(now), settlement, version).unwrap() {
                let Move { on_hand: more, reserved: held } = moves(now.state, next.state);
                on_hand += more;
                reserved += held;
                now = next;
            }
        }
        assert_eq!((now.state, on_hand, reserved), (end, 10, 0));
    }
}

#[test]
fn an_order_that_is_paid_but_refused_its_stock_is_reported_until_it_is_called_off() {
    let rejected = Standing::new(State::Rejected);
    assert!(settle(Some(rejected), Settlement::Confirm, 3).is_err());
    let off = settle(Some(rejected), Settlement::Release, 4).unwrap().unwrap();
    assert_eq!((off, moves(rejected.state, off.state)), (standing(State::Rejected, 4), Move::default()));
    assert_eq!(settle(Some(off), Settlement::Confirm, 3), Ok(None));
}

#[test]
fn a_release_that_comes_first_is_where_the_lock_stops() {
    let fence = settle(None, Settlement::Release, 2).unwrap().unwrap();
    assert_eq!(fence, standing(State::Released, 2));
    let wanted = Quantities::from([(id("A"), 1)]);
    assert_eq!(lock(Some((fence, &Quantities::new())), &wanted), Lock::Keep);
    assert_eq!(lock_ahead(Some((fence.state, &Quantities::new())), &wanted), Ahead::Off);
}

#[test]
fn only_a_hold_ahead_of_the_order_is_adopted_or_replaced() {
    let (wanted, other) = (Quantities::from([(id("A"), 1)]), Quantities::from([(id("A"), 2)]));
    let ahead = Standing { is_provisional: true, ..Standing::new(State::Locked) };
    assert_eq!(lock(None, &wanted), Lock::Take);
    assert_eq!(lock(Some((ahead, &wanted)), &wanted), Lock::Adopt);
    assert_eq!(lock(Some((ahead, &other)), &wanted), Lock::Replace);
    for state in STATES {
        assert_eq!(lock(Some((standing(state, 0), &other)), &wanted), Lock::Keep, "{state}");
    }
    assert_eq!(lock_ahead(Some((State::Locked, &wanted)), &wanted), Ahead::Keep);
    assert_eq!(lock_ahead(Some((State::Confirmed, &wanted)), &wanted), Ahead::Keep);
    assert_eq!(lock_ahead(Some((State::Locked, &other)), &wanted), Ahead::OtherItems);
    assert_eq!(lock_ahead(Some((State::Rejected, &Quantities::new())), &wanted), Ahead::Rejected);
}

/// Few products, so that orders get into each other's way.
fn some_quantities() -> impl Strategy<Value = Quantities> {
    prop::collection::btree_map((0..4u8).prop_map(|n| id(&format!("P{n}"))), 1..20i64, 1..4)
}

proptest! {
    #[test]
    fn stock_is_shared_out_whole_never_oversold_and_to_the_piece(
        available in prop::collection::btree_map((0..4u8).prop_map(|n| id(&format!("P{n}"))), 0..60i64, 0..4),
        orders in prop::collection::vec((some_quantities(), any::<bool>()), 0..40),
    ) {
        let mut stock = Stock::new(available.clone());
        let mut left = available.clone();
        for (wanted, is_given_back) in &orders {
            let fits = wanted.iter().all(|(product, asked)| left.get(product).is_some_and(|there| there >= asked));
            match stock.take(wanted) {
                Ok(()) => {
                    prop_assert!(fits);
                    if *is_given_back {
                        stock.give_back(wanted);
                    } else {
                        wanted.iter().for_each(|(product, asked)| *left.get_mut(product).unwrap() -= asked);
                    }
                }
                Err(shortages) => {
                    prop_assert!(!fits && !shortages.is_empty());
                    for shortage in shortages {
                        let there = left.get(&shortage.product_id).copied().unwrap_or(0);
                        prop_assert_eq!((shortage.asked, shortage.available), (wanted[&shortage.product_id], there));
                        prop_assert!(shortage.available < shortage.asked);
                    }
                }
            }
        }
        let taken = stock.taken();
        for (product, there) in &available {
            let gone = taken.get(product).copied().unwrap_or(0);
            prop_assert!((0..=*there).contains(&gone));
            prop_assert_eq!(there - gone, left[product]);
        }
        prop_assert!(taken.keys().all(|product| available.contains_key(product)));
    }

    #[test]
    fn whatever_an_order_says_and_however_often_no_piece_is_lost_or_made(
        heard in prop::collection::vec((any::<bool>(), 1..6i32), 0..12),
    ) {
        let mut now = Standing::new(State::Locked);
        let (mut on_hand, mut reserved, mut away) = (1, 1, 0);
        for (is_paid, version) in heard {
            let settlement = if is_paid { Settlement::Confirm } else { Settlement::Release };
            if let Ok(Some(next)) = settle(Some(now), settlement, version) {
                let Move { on_hand: more, reserved: held } = moves(now.state, next.state);
                on_hand += more;
                away -= more;
                reserved += held;
                now = next;
            }
            prop_assert!((0..=on_hand).contains(&reserved));
            prop_assert_eq!(on_hand + away, 1);
            prop_assert_eq!(reserved, i64::from(now.state == State::Locked));
            prop_assert_eq!(away, i64::from(now.state == State::Confirmed));
        }
    }
}
