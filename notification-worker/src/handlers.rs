//! One file per queue.

mod send;

pub(crate) use send::Send;
