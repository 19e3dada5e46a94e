use axum::http::Uri;

use super::refusal;
use crate::http::{Query, whole};

/// What stands behind the question mark of an address.
pub fn query(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(address) = format!("/api/orders?{text}").parse::<Uri>() else { return };
    let mut query = Query::of(&address);
    if let Some(limit) = query.optional("limit", |text| whole(text, 1..=100_u16)) {
        assert!((1..=100).contains(&limit));
    }
    if let Some(wait) = query.optional("wait", |text| whole(text, 0..=60_u64)) {
        assert!(wait <= 60);
    }
    query.optional("version", |text| whole(text, -1..=i32::MAX));
    query.optional("q", |text| Ok(text.to_owned()));
    if let Err(problem) = query.finish() {
        refusal(&problem);
        assert!(problem.errors.len() <= 5, "{problem:?}");
    }
}
