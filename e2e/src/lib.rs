//! The harness for tests against the real broker, the real database and the real binaries.
//!
//! Each test has a [`Database`] and a [`Vhost`] of its own, so tests run in parallel and in any order; what they make
//! is removed when it is dropped. Nothing here sleeps for a fixed time: [`eventually`] asks until it has the answer.
//! A harness has no errors to return: it panics, which is how a test hears of it.
#![expect(clippy::panic, clippy::expect_used, reason = "a harness fails by panicking")]

pub mod books;
mod browser;
mod clean;
mod console;
mod database;
mod environment;
pub mod http;
mod logs;
pub mod obedient;
mod process;
mod proxy;
pub mod sandbox;
mod server;
mod sign;
mod token;
mod vhost;
mod wait;

pub use browser::Browser;
pub use clean::assert_clean;
pub use console::{Console, Said};
pub use database::{Database, PASSWORD};
pub use logs::show_logs;
pub use process::{Process, service_settings};
pub use proxy::{Pass, Proxy};
pub use sandbox::Sandbox;
pub use server::Server;
pub use sign::{SIGNING_KEY, signed, verification_key};
pub use token::{TOKEN_SECRET, in_seconds, token, token_with, token_with_header};
pub use vhost::{Message, Vhost};
pub use wait::{LONG, eventually};
