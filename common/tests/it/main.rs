//! The chassis against a real broker and a real database: `cargo xtask test -- -p common`.
//!
//! The handlers here do what their events ask of them (`e2e::obedient`), on a queue of the tests' own.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "tests fail loudly")]

mod consuming;
mod faults;
mod outages;
mod outbox;
mod poison;
mod publishing;
mod retries;
mod shutdown;
mod stage;
mod tracing;
mod transactions;
mod unreadable;
