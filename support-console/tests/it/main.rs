//! The console against a real broker and a real database: `cargo xtask test -- -E 'package(support-console)'`.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "tests fail loudly")]

mod engine;
