//! Tests over the whole line: the real binaries, the real broker, the real database.
#![expect(clippy::panic, clippy::expect_used, clippy::unwrap_used, reason = "a test fails by panicking")]

mod alone;
mod cancelling;
mod cluster;
mod codes;
mod conflicts;
mod crash_points;
mod crashes;
mod desk;
mod happy;
mod line;
mod mails;
mod once;
mod origins;
mod outages;
mod payments;
mod products;
mod protection;
mod reading;
mod refusals;
mod replay;
mod rights;
mod saga;
mod shutdown;
mod signatures;
mod snippets;
mod start;
mod stock;
mod stock_races;
mod streams;
mod times;
mod tokens;
mod world;
