//! The chassis that every service of Conveyor stands on, and the wire contract they share.
//!
//! What may live here: what at least two services need *and* is a wire contract ([`events`], [`ids`], [`money`]) or a
//! runtime mechanism. Never a table that one service owns, never a business rule.

pub mod auth;
pub mod backoff;
pub mod breaker;
pub mod broker;
pub mod config;
pub mod consumer;
pub mod crash;
pub mod db;
pub mod events;
#[cfg(any(test, feature = "fuzzing"))]
#[allow(clippy::unwrap_used, clippy::panic, reason = "a property that does not hold ends the run")]
pub mod fuzzing;
pub mod html;
pub mod http;
pub mod ids;
pub mod money;
pub mod outbox;
pub mod pace;
mod pressure;
pub mod service;
pub mod signals;
pub mod telemetry;

pub use backoff::Backoff;
pub use telemetry::trace;
