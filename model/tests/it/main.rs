//! Every state there is.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::{Duration, Instant};

use model::world::Saga;
use stateright::{Checker as _, Model as _};

/// One that takes longer would not have been looked at to its end.
const MOST: Duration = Duration::from_secs(240);

/// Looks at all of them, and says how many there were.
fn states_of(saga: Saga) -> usize {
    let began = Instant::now();
    let threads = std::thread::available_parallelism().unwrap().get();
    let checker = saga.checker().threads(threads).timeout(MOST).spawn_bfs().join();
    let (all, different, took) = (checker.state_count(), checker.unique_state_count(), began.elapsed());
    println!("{saga:?}: {all} states, {different} of them different, in {took:?}");
    checker.assert_properties();
    assert!(took < MOST, "not all of them were seen in time");
    all
}

#[test]
fn two_orders_with_stock_for_one() {
    assert!(states_of(Saga { stock: 1, orders: 2, may_come_once: false }) > 1_000_000);
}

#[test]
fn two_orders_with_stock_for_both() {
    assert!(states_of(Saga { stock: 2, orders: 2, may_come_once: false }) > 1_000_000);
}

#[test]
fn an_order_whose_messages_may_come_only_once() {
    assert!(states_of(Saga { stock: 1, orders: 1, may_come_once: true }) > 1_000);
}
