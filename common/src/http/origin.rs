//! Requests that a page of another site makes in somebody's browser.
//!
//! A browser says where a request comes from (`Sec-Fetch-Site`, `Origin`), and a page cannot change that. Whoever says
//! neither is no browser, and nobody's browser can be misused through them.

use std::{sync::Arc, time::Duration};

use axum::{
    extract::Request,
    http::{
        HeaderMap, HeaderName, HeaderValue, Method,
        header::{AUTHORIZATION, CONTENT_TYPE, ETAG, HOST, IF_NONE_MATCH, ORIGIN, RETRY_AFTER, WWW_AUTHENTICATE},
        uri::Authority,
    },
};
use tower_http::cors::{AllowOrigin, CorsLayer};

use super::{code::codes, entrance::REQUEST_ID, guard::TRACEPARENT, problem::Problem, rate};
use crate::config::ConfigError;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const IDEMPOTENT_REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// How long a browser may remember what it was told before a request.
const REMEMBERED: Duration = Duration::from_secs(600);

/// The sites whose pages may send anything, besides our own.
#[derive(Debug, Clone, Default)]
pub struct Origins(Arc<Vec<HeaderValue>>);

impl Origins {
    pub fn new(allowed: &[String]) -> Result<Self, ConfigError> {
        let origins = allowed.iter().map(|origin| {
            let bad = || {
                ConfigError(format!("http.allowed_origins: {origin:?} is not an origin such as https://shop.example"))
            };
            let (scheme, authority) = origin.split_once("://").ok_or_else(bad)?;
            let authority: Authority = authority.parse().map_err(|_| bad())?;
            let usual = match scheme {
                "http" => 80,
                "https" => 443,
                _ => return Err(bad()),
            };
            // As browsers write it; in any other way it would never be met with.
            let port_is_plain = match authority.port_u16() {
                Some(port) => port != usual,
                None => authority.as_str() == authority.host(),
            };
            if !port_is_plain || *origin != origin.to_lowercase() || authority.as_str().contains(['@', '*']) {
                return Err(bad());
            }
            HeaderValue::from_str(origin).map_err(|_| bad())
        });
        Ok(Self(Arc::new(origins.collect::<Result<_, _>>()?)))
    }

    /// Refuses what may change something, if a page of a foreign site asks for it.
    pub(super) fn admit(&self, request: &Request) -> Result<(), Problem> {
        if self.allow(request.method(), request.headers()) {
            return Ok(());
        }
        let message = "a page of another site may not do this; allow its origin, if it should";
        Err(Problem::new(codes::CROSS_SITE_REQUEST, message))
    }

    /// Lets the pages of allowed sites, if there are any, read what they are answered.
    pub(super) fn cors(&self) -> Option<CorsLayer> {
        let layer = CorsLayer::new()
            .allow_origin(AllowOrigin::list(self.0.iter().cloned()))
            .allow_methods([Method::GET, Method::POST, Method::PUT, Method::DELETE])
            .allow_headers([
                AUTHORIZATION,
                CONTENT_TYPE,
                IF_NONE_MATCH,
                REQUEST_ID,
                TRACEPARENT,
                IDEMPOTENCY_KEY,
                LAST_EVENT_ID,
            ])
            .expose_headers([
                ETAG,
                IDEMPOTENT_REPLAYED,
                RETRY_AFTER,
                WWW_AUTHENTICATE,
                REQUEST_ID,
                rate::LIMIT,
                rate::REMAINING,
                rate::RESET,
            ])
            .max_age(REMEMBERED);
        (!self.0.is_empty()).then_some(layer)
    }

    fn allow(&self, method: &Method, headers: &HeaderMap) -> bool {
        if method.is_safe() {
            return true;
        }
        let origin = headers.get(ORIGIN);
        if origin.is_some_and(|origin| self.0.contains(origin)) {
            return true;
        }
        match (headers.get(SEC_FETCH_SITE).map(HeaderValue::as_bytes), origin) {
            (Some(b"same-origin" | b"none"), _) | (None, None) => true,
            (Some(_), _) => false,
            // A browser of some years ago: it names the site, which is ours if its host is the one that was asked.
            (None, Some(origin)) => is_host(origin, headers.get(HOST)),
        }
    }
}

fn is_host(origin: &HeaderValue, host: Option<&HeaderValue>) -> bool {
    let (Ok(origin), Some(Ok(host))) = (origin.to_str(), host.map(HeaderValue::to_str)) else { return false };
    origin.split_once("://").is_some_and(|(_, authority)| authority.eq_ignore_ascii_case(host))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(method: &Method, headers: &[(&'static str, &'static str)]) -> bool {
        let origins = Origins::new(&["https://shop.example".to_owned()]).unwrap();
        let mut map = HeaderMap::from_iter([(HOST, HeaderValue::from_static("api.example:8080"))]);
        for (name, value) in headers {
            map.insert(*name, HeaderValue::from_static(value));
        }
        origins.allow(method, &map)
    }

    #[test]
    fn only_a_page_of_a_foreign_site_is_refused() {
        for (headers, allowed) in [
            (&[][..], true),
            (&[("sec-fetch-site", "same-origin"), ("origin", "https://api.example:8080")], true),
            (&[("sec-fetch-site", "none")], true),
            (&[("sec-fetch-site", "same-site"), ("origin", "https://other.example")], false),
            (&[("sec-fetch-site", "cross-site"), ("origin", "https://evil.example")], false),
            (&[("sec-fetch-site", "cross-site")], false),
            (&[("sec-fetch-site", "whatever comes one day")], false),
            (&[("sec-fetch-site", "cross-site"), ("origin", "https://shop.example")], true),
            (&[("origin", "https://shop.example")], true),
            (&[("origin", "http://shop.example")], false),
            (&[("origin", "https://shop.example.evil.example")], false),
            (&[("origin", "http://api.example:8080")], true),
            (&[("origin", "https://API.example:8080")], true),
            (&[("origin", "https://api.example")], false),
            (&[("origin", "null")], false),
            (&[("origin", "")], false),
        ] {
            for method in [Method::POST, Method::PUT, Method::DELETE, Method::PATCH] {
                assert_eq!(allows(&method, headers), allowed, "{method} {headers:?}");
            }
            assert!(allows(&Method::GET, headers) && allows(&Method::HEAD, headers), "{headers:?}");
        }
    }

    #[test]
    fn what_is_no_origin_stops_the_start() {
        for bad in [
            "*",
            "shop.example",
            "https://",
            "https://shop.example/",
            "ftp://shop.example",
            "https://Shop.example",
            "null",
            "https://u@shop.example",
            "https://a b",
            "https://*.shop.example",
            "https://shop.example:443",
            "http://shop.example:80",
            "https://shop.example:",
            "https://shop.example:port",
        ] {
            assert!(Origins::new(&[bad.to_owned()]).is_err(), "{bad}");
        }
        assert!(Origins::new(&["http://127.0.0.1:3000".to_owned(), "https://[::1]".to_owned()]).is_ok());
    }
}
