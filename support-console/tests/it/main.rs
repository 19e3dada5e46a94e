//! The console: the real binary, the real broker, the real database.
#![expect(clippy::panic, clippy::expect_used, clippy::unwrap_used, reason = "a test fails by panicking")]

mod browser;
mod pages;
mod people;
mod visitor;
