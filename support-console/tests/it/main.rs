//! The console: the real binary, the real broker, the real database: `cargo xtask test -- -E 'package(support-console)'`.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail loudly")]

mod browser;
mod engine;
mod mending;
mod pages;
mod people;
mod visitor;
