//! RabbitMQ: the topology as data, supervised connections, and publishing with confirms.

mod ask;
mod connection;
mod publisher;
pub mod topology;
mod watch;

pub use ask::Depth;
pub use connection::{BrokerError, Lane, Link, LinkState};
pub use publisher::{NotPublished, Publisher};
pub use watch::watch_depths;

/// The content type of every parcel.
pub const CONTENT_TYPE: &str = "application/cloudevents-batch+json";
