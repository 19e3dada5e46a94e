//! One file per queue.

mod charge;
mod settle;

pub(crate) use charge::Charge;
pub(crate) use settle::Settle;
