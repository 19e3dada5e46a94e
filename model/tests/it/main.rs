//! Every state there is, for stock for one of the two orders, and for both.
#![expect(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use model::world::Saga;
use stateright::{Checker as _, Model as _};

fn check(stock: i64) {
    let began = std::time::Instant::now();
    let threads = std::thread::available_parallelism().unwrap().get();
    let checker = Saga { stock }.checker().threads(threads).timeout(Duration::from_secs(280)).spawn_bfs().join();
    println!(
        "stock for {stock}: {} states, {} of them different, in {:?}",
        checker.state_count(),
        checker.unique_state_count(),
        began.elapsed()
    );
    assert!(checker.is_done(), "not all of them were seen in time");
    checker.assert_properties();
    assert!(checker.unique_state_count() > 100_000, "{}", checker.unique_state_count());
}

#[test]
fn with_stock_for_one() {
    check(1);
}

#[test]
fn with_stock_for_both() {
    check(2);
}
