//! Requests that are made once, however often they are sent: the `Idempotency-Key`.
//!
//! The key is kept in the row of the order that came of it, so it counts exactly as long as the order exists, across
//! processes and restarts. A refusal makes no order, and so leaves the key free.

use axum::http::{HeaderMap, HeaderName};
use common::http::Problem;
use sha2::{Digest as _, Sha256};

use crate::{http::codes, signing::Canonical};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const LONGEST: usize = 255;

/// What a client calls its request, and what the request says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Once {
    pub key: String,
    pub hash: [u8; 32],
}

impl Once {
    /// Compared are requests without what changes when a token is renewed. `body` has no signature any more.
    pub(crate) fn new(key: String, body: &mut Canonical) -> serde_json::Result<Self> {
        let hash = Sha256::digest(body.without("token")?);
        Ok(Self { key, hash: hash.into() })
    }
}

/// The key of a request, if it has one.
pub(crate) fn key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut values = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let text = value.to_str().ok().filter(|_| values.next().is_none()).map(unquoted);
    let is_key = |text: &&str| (1..=LONGEST).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
    match text.filter(is_key) {
        Some(key) => Ok(Some(key.to_owned())),
        None => Err(Problem::new(
            codes::INVALID_IDEMPOTENCY_KEY,
            format!("Idempotency-Key must be given once, with 1 to {LONGEST} visible ASCII characters"),
        )),
    }
}

/// By the IETF's draft the key stands in quotation marks; most clients send it without.
fn unquoted(text: &str) -> &str {
    text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn of(values: &[&str]) -> Result<Option<String>, &'static str> {
        let values = values.iter().map(|value| (IDEMPOTENCY_KEY, HeaderValue::from_bytes(value.as_bytes()).unwrap()));
        key(&values.collect::<HeaderMap>()).map_err(|problem| problem.errors[0].code.name)
    }

    #[test]
    fn a_key_is_the_same_with_quotation_marks_and_without() {
        assert_eq!(of(&[]), Ok(None));
        assert_eq!(of(&["8e03978e-40d5"]), Ok(Some("8e03978e-40d5".to_owned())));
        assert_eq!(of(&["\"8e03978e-40d5\""]), Ok(Some("8e03978e-40d5".to_owned())));
        assert!(of(&[&"x".repeat(255)]).is_ok());
    }

    #[test]
    fn what_is_not_a_key_is_refused() {
        for bad in [&[""] as &[_], &["\"\""], &["a b"], &["é"], &[&"x".repeat(256)], &["a", "b"], &["a", "a"]] {
            assert_eq!(of(bad), Err("invalid_idempotency_key"), "{bad:?}");
        }
    }

    #[test]
    fn a_renewed_token_makes_no_other_request() {
        let once = |body: &str| {
            let mut body = Canonical::read(body.as_bytes()).unwrap();
            body.without("signature").unwrap();
            Once::new("k".to_owned(), &mut body).unwrap()
        };
        let first = once(r#"{"token":"a","signature":"b","orderAmount":100.50,"userId":"u"}"#);
        assert_eq!(first, once(r#"{ "userId":"u","orderAmount":100.5, "token":"c","signature":"d"}"#));
        assert_ne!(first, once(r#"{"token":"a","signature":"b","orderAmount":100.51,"userId":"u"}"#));
    }
}
