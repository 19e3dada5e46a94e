//! What a process tells about itself: logs, metrics, traces.

mod logs;
mod metrics;
mod otlp;
pub mod trace;

pub use logs::start as start_logs;
pub use metrics::{Exporter, start as start_metrics};
