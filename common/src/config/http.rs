use std::net::IpAddr;

use serde::Deserialize;

use super::{ConfigError, bounded, list_of_names, lists::list_of_addresses};

/// How requests are taken.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Http {
    /// Where to listen; empty means the service's usual port on loopback.
    pub bind: String,
    pub request_timeout_ms: u64,
    pub body_limit_bytes: usize,
    /// Sites whose pages may send anything and read the answers, such as `https://shop.example`.
    #[serde(deserialize_with = "list_of_names")]
    pub allowed_origins: Vec<String>,
    /// How long the first line and the headers may take, and how long a connection may be quiet before them.
    pub head_timeout_ms: u64,
    /// How long the body may take; the time for the answer begins after it.
    pub body_timeout_ms: u64,
    /// How long a client may take nothing of its answer.
    pub write_timeout_ms: u64,
    /// How often one user, and one address, may ask, and how much more for once; 0 for no limit.
    pub rate_per_user_per_second: u32,
    pub burst_per_user: u32,
    pub rate_per_address_per_second: u32,
    pub burst_per_address: u32,
    /// Proxies whose word (`X-Forwarded-For`) counts for whom they ask.
    #[serde(deserialize_with = "list_of_addresses")]
    pub trusted_proxies: Vec<IpAddr>,
    /// The most requests that are answered at once.
    pub most_requests: usize,
    /// The most connections; and from one address, where 0 is for no limit.
    pub most_connections: usize,
    pub most_connections_per_address: usize,
}

impl Default for Http {
    fn default() -> Self {
        Self {
            bind: String::new(),
            request_timeout_ms: 10_000,
            body_limit_bytes: 64 * 1024,
            allowed_origins: Vec::new(),
            head_timeout_ms: 10_000,
            body_timeout_ms: 10_000,
            write_timeout_ms: 10_000,
            rate_per_user_per_second: 50,
            burst_per_user: 100,
            rate_per_address_per_second: 200,
            burst_per_address: 400,
            trusted_proxies: Vec::new(),
            most_requests: 4_096,
            most_connections: 20_000,
            most_connections_per_address: 0,
        }
    }
}

impl Http {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        bounded("http.request_timeout_ms", self.request_timeout_ms, 10, 600_000)?;
        bounded("http.body_limit_bytes", self.body_limit_bytes, 1_024, 64 * 1024 * 1024)?;
        bounded("http.head_timeout_ms", self.head_timeout_ms, 10, 600_000)?;
        bounded("http.body_timeout_ms", self.body_timeout_ms, 10, 600_000)?;
        bounded("http.write_timeout_ms", self.write_timeout_ms, 10, 600_000)?;
        bounded("http.burst_per_user", self.burst_per_user, 1, 1_000_000)?;
        bounded("http.burst_per_address", self.burst_per_address, 1, 1_000_000)?;
        bounded("http.rate_per_user_per_second", self.rate_per_user_per_second, 0, 1_000_000)?;
        bounded("http.rate_per_address_per_second", self.rate_per_address_per_second, 0, 1_000_000)?;
        bounded("http.most_requests", self.most_requests, 1, 1_000_000)?;
        bounded("http.most_connections", self.most_connections, 1, 1_000_000)?;
        bounded("http.most_connections_per_address", self.most_connections_per_address, 0, 1_000_000)
    }
}
