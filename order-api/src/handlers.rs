//! One file per queue.

mod progress;

pub(crate) use progress::Progress;
