//! The consumer: whatever has arrived is handled as one batch, in one transaction, and acknowledged once it has
//! committed.
//!
//! - `handler`: what a worker writes: set-wise decisions, and verdicts from a closed vocabulary.
//! - `intake`: deliveries into batches; what came back before is handled alone.
//! - `judge`: a batch to verdicts, through outages, conflicts, faults and panics.
//! - `peers`: how far apart batches begin, and how many consumers share a queue.
//! - `report`: what staff have sent again and is done is said to be.
//! - `settle`: verdicts to acknowledgements, delayed retries and dead letters.
//! - `session`: one channel's life: begin narrow, widen, pace, stop.
//! - `width`: how much may be sent ahead.

mod handler;
mod intake;
mod judge;
mod peers;
mod report;
mod session;
mod settle;
mod width;

pub use handler::{EffectHandler, Failure, Handler, Step, Verdict};
pub(crate) use handler::{InTransaction, Process, ThreeSteps};
pub(crate) use session::{Consumer, Shared};
