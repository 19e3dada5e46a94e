//! One file per queue.

mod charge;

pub(crate) use charge::Charge;
