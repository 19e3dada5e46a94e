//! One file per queue.

mod lock;
mod settle;

pub(crate) use lock::Lock;
pub(crate) use settle::Settle;
