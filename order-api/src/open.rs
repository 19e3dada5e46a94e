//! Orders of whoever says who they are: `orders.require_token = false`, for measurements on one machine.

use std::net::SocketAddr;

use common::config::{ConfigError, Http};

use crate::ABOUT;

/// Refuses to be reached from elsewhere, and says loudly what is going on.
pub(crate) fn check(http: &Http) -> Result<(), ConfigError> {
    let bind = if http.bind.is_empty() { ABOUT.bind } else { &http.bind };
    let is_loopback = bind.parse().is_ok_and(|address: SocketAddr| address.ip().is_loopback());
    if !is_loopback {
        let why = "without it anybody could order in anybody's name, so http.bind must be a loopback address";
        return Err(ConfigError(format!("orders.require_token: {why}, which {bind} is not")));
    }
    if !http.trusted_proxies.is_empty() {
        let why = "without it anybody could order in anybody's name, so no proxy may bring requests from elsewhere";
        return Err(ConfigError(format!("orders.require_token: {why}, and http.trusted_proxies has one")));
    }
    tracing::warn!(
        "TOKENS ARE NOT CHECKED: anybody on this machine can order in anybody's name (orders.require_token = false)"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_may_be_open() {
        let on = |bind: &str| check(&Http { bind: bind.to_owned(), ..Http::default() }).is_ok();
        assert!(on("") && on("127.0.0.1:8080") && on("[::1]:0"));
        for bind in
            ["0.0.0.0:8080", "[::]:8080", "10.0.0.1:8080", "localhost:8080", "127.0.0.1", "[::ffff:127.0.0.1]:1"]
        {
            assert!(!on(bind), "{bind}");
        }
        let trusted_proxies = vec!["127.0.0.1".parse().unwrap()];
        assert!(check(&Http { trusted_proxies, ..Http::default() }).is_err());
    }
}
