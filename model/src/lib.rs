//! The saga under a model checker.
//!
//! Two orders want the same product, and everything that may happen to them happens, in every order there is: messages
//! are delivered late, twice, again after everything else, or not for now; processes stop between any two steps and
//! others take up what they left; customers pay again and call off, the shop calls off what is paid, deadlines pass, the
//! gateway captures or declines whenever it likes, and its word arrives whenever it likes.
//!
//! Every decision is made by the function that makes it in production: `order_api::order::next`,
//! `inventory_worker::reservation::{lock, settle}` and `payment_worker::payment::*`. What is written here is only what their
//! callers do with the answers, a transaction as one step, and the world outside.
//!
//! - [`world`]: the state, and everything that may happen next.
//! - [`workers`]: what each handler does with one message, in one transaction.
//! - [`properties`]: what must hold in every state, and in every state in which all has settled.

pub mod properties;
pub mod workers;
pub mod world;
