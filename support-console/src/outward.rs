//! Asking others over HTTP, each time within a time and for no more than so many bytes. What went wrong is told in words
//! that a person can be shown.

use std::time::Duration;

use axum::http::{Request, StatusCode, Uri};
use bytes::Bytes;
use common::config::ConfigError;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};

/// Connections are kept, and shared by all clones.
#[derive(Clone)]
pub(crate) struct Outward(Client<HttpsConnector<HttpConnector>, Full<Bytes>>);

pub(crate) struct Answer {
    pub status: StatusCode,
    pub body: Bytes,
}

/// Why there is no answer. It never holds what was sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoAnswer {
    #[error("it cannot be reached")]
    Unreachable,
    #[error("it did not answer within {} ms", .0.as_millis())]
    TooSlow(Duration),
    #[error("its answer broke off or has more than {0} bytes")]
    Unreadable(usize),
}

impl Outward {
    pub(crate) fn new(connect_within: Duration) -> Result<Self, ConfigError> {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(connect_within));
        connector.set_nodelay(true);
        connector.enforce_http(false);
        let https = HttpsConnectorBuilder::new()
            .with_native_roots()
            .map_err(|error| ConfigError(format!("there are no certificates to trust: {error}")))?
            .https_or_http()
            .enable_http1()
            .wrap_connector(connector);
        let client = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(Duration::from_secs(20))
            .pool_timer(TokioTimer::new())
            .build(https);
        Ok(Self(client))
    }

    pub(crate) async fn ask(
        &self,
        request: Request<Full<Bytes>>,
        within: Duration,
        most_bytes: usize,
    ) -> Result<Answer, NoAnswer> {
        let exchange = async {
            let response = self.0.request(request).await.map_err(|_| NoAnswer::Unreachable)?;
            let (parts, body) = response.into_parts();
            let body = Limited::new(body, most_bytes).collect().await.map_err(|_| NoAnswer::Unreadable(most_bytes))?;
            Ok(Answer { status: parts.status, body: body.to_bytes() })
        };
        tokio::time::timeout(within, exchange).await.map_err(|_| NoAnswer::TooSlow(within))?
    }
}

/// An address of the configuration: `http://…` or `https://…`, without the last slash. `key` names it in a refusal, which
/// does not repeat it: there may be a password in it.
pub(crate) fn base_url(key: &str, url: &str) -> Result<String, ConfigError> {
    let url = url.trim_end_matches('/');
    let uri: Option<Uri> = url.parse().ok();
    let fits = uri.is_some_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some_and(|host| !host.is_empty())
    });
    if fits {
        Ok(url.to_owned())
    } else {
        Err(ConfigError(format!("{key}: is not a URL such as http://127.0.0.1:8080")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_address_is_refused_and_not_repeated() {
        for url in ["", "nonsense", "ftp://x", "http://", "user:secret@host"] {
            let refusal = base_url("support.services.orders", url).unwrap_err().to_string();
            assert!(refusal.contains("support.services.orders") && !refusal.contains("secret"), "{refusal}");
        }
        assert_eq!(base_url("x", "https://a.example/b/").unwrap(), "https://a.example/b");
    }
}
