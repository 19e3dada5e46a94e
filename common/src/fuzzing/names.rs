use std::net::{IpAddr, Ipv4Addr};

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    http::{Origins, asked_by},
    ids::{OrderId, ProductId, TransactionId, UserId},
    trace,
};

/// The peer, and the one proxy that is believed.
const PROXY: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Ids, and what stands in headers: the trace, the address behind a proxy, the site of a page.
pub fn names(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Ok(id) = text.parse::<OrderId>() {
        assert!(id.to_string().eq_ignore_ascii_case(&text), "{text}");
        assert_eq!(again(&id), id);
    }
    if let Ok(id) = text.parse::<TransactionId>() {
        assert!(id.to_string().eq_ignore_ascii_case(&text), "{text}");
        assert_eq!(again(&id), id);
    }
    // In JSON, escapes and all.
    if let Ok(id) = serde_json::from_str::<OrderId>(&text) {
        assert_eq!(again(&id), id);
    }
    if let Ok(id) = serde_json::from_str::<UserId>(&text) {
        assert_eq!(again(&id), id);
    }
    let is_harmless = |byte: u8| byte.is_ascii_alphanumeric() || b"._@:+-".contains(&byte);
    let is_name = (1..=64).contains(&text.len()) && text.bytes().all(is_harmless);
    assert_eq!(UserId::try_from(text.clone().into_owned()).is_ok(), is_name, "{text:?}");
    assert_eq!(ProductId::try_from(text.clone().into_owned()).is_ok(), is_name, "{text:?}");

    let traced = trace::of_request(Some(&text));
    assert_eq!(traced.len(), 55, "{text:?}");
    assert_eq!(trace::of_request(Some(&traced)), traced, "{text:?}");

    if let Ok(value) = HeaderValue::from_bytes(bytes) {
        let headers = HeaderMap::from_iter([(HeaderName::from_static("x-forwarded-for"), value)]);
        let stranger = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));
        assert_eq!(asked_by(stranger, &headers, &[PROXY]), stranger, "nobody else is believed");
        asked_by(PROXY, &headers, &[PROXY]);
    }
    if Origins::new(&[text.clone().into_owned()]).is_ok() {
        assert!(text.starts_with("http://") || text.starts_with("https://"), "{text:?}");
    }
}

fn again<T: Serialize + DeserializeOwned>(value: &T) -> T {
    serde_json::from_str(&serde_json::to_string(value).unwrap()).unwrap()
}
