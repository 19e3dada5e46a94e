//! Tests over the whole line: the real binaries, the real broker, the real database.
#![expect(clippy::panic, clippy::expect_used, clippy::unwrap_used, reason = "a test fails by panicking")]

mod codes;
mod conflicts;
mod crashes;
mod happy;
mod line;
mod origins;
mod outages;
mod refusals;
mod replay;
mod rights;
mod shutdown;
mod start;
mod tokens;
