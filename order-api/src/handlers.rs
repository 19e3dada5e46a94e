//! One file per queue.

mod progress;
mod timeout;

pub(crate) use progress::Progress;
pub(crate) use timeout::Timeout;
