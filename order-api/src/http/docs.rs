//! `/openapi.json` and `/docs`: what this service can do, for programs and for people.
//!
//! Both are rendered once, at the start, and need no token. The page loads nothing from anywhere else and runs no script.

mod page;

use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::Arc,
};

use axum::{
    Extension,
    body::Bytes,
    http::{
        HeaderMap, HeaderName, HeaderValue, StatusCode,
        header::{
            CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH, REFERRER_POLICY,
            X_CONTENT_TYPE_OPTIONS,
        },
    },
    response::{IntoResponse as _, Response},
};
use common::http::Problem;
use serde_json::Value;

/// Nothing but our own stylesheet: no script, no frame, no form, nothing from elsewhere.
const POLICY: &str = "default-src 'none'; style-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'";
/// Long enough for the next click, short enough for the next release.
const CACHED: &str = "public, max-age=300";

/// The documents, ready to be sent.
#[derive(Clone)]
pub(super) struct Documents(Arc<[Ready; 3]>);

struct Ready {
    body: Bytes,
    content_type: HeaderValue,
    etag: HeaderValue,
}

impl Documents {
    pub(super) fn new(document: &Value) -> Self {
        Self(Arc::new([
            Ready::new(json_text(document), "application/json"),
            Ready::new(page::render(document), "text/html; charset=utf-8"),
            Ready::new(include_str!("docs/style.css").to_owned(), "text/css; charset=utf-8"),
        ]))
    }
}

/// The document as it is sent, and as it lies in `docs/openapi.json`.
pub(super) fn json_text(document: &Value) -> String {
    format!("{document:#}\n")
}

/// The page, for tests of what is in it.
#[cfg(test)]
pub(super) fn page(document: &Value) -> String {
    page::render(document)
}

impl Ready {
    fn new(text: String, content_type: &'static str) -> Self {
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        let etag = HeaderValue::from_str(&format!("\"{:016x}\"", hasher.finish()));
        Self {
            body: text.into(),
            content_type: HeaderValue::from_static(content_type),
            etag: etag.unwrap_or(HeaderValue::from_static("\"\"")),
        }
    }

    fn answer(&self, request: &HeaderMap) -> Response {
        let always: [(HeaderName, HeaderValue); 5] = [
            (ETAG, self.etag.clone()),
            (CACHE_CONTROL, HeaderValue::from_static(CACHED)),
            (CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
            (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
            (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        ];
        if self.is_known_to(request) {
            return (StatusCode::NOT_MODIFIED, always).into_response();
        }
        (always, [(CONTENT_TYPE, self.content_type.clone())], self.body.clone()).into_response()
    }

    /// Whether the client has this very text already.
    fn is_known_to(&self, request: &HeaderMap) -> bool {
        let known = request.get_all(IF_NONE_MATCH).into_iter().filter_map(|value| value.to_str().ok());
        known
            .flat_map(|list| list.split(','))
            .map(|tag| tag.trim().trim_start_matches("W/"))
            .any(|tag| tag == "*" || tag.as_bytes() == self.etag.as_bytes())
    }
}

type Found = Option<Extension<Documents>>;

fn answer(documents: Found, which: impl Fn(&[Ready; 3]) -> &Ready, request: &HeaderMap) -> Response {
    documents.map_or_else(|| Problem::internal().into_response(), |it| which(&it.0.0).answer(request))
}

/// This document, for programs
#[utoipa::path(get, path = "/openapi.json", operation_id = "openapi", tag = "Documents", responses(
    (status = 200, description = "The OpenAPI document.", body = Object, content_type = "application/json",
        headers(("ETag" = String), ("Cache-Control" = String))),
    (status = 304, description = "You have it already (`If-None-Match`)."),
))]
pub(super) async fn openapi(documents: Found, headers: HeaderMap) -> Response {
    answer(documents, |[openapi, _, _]| openapi, &headers)
}

/// This document, for people
#[utoipa::path(get, path = "/docs", operation_id = "docs", tag = "Documents", responses(
    (status = 200, description = "A page.", body = String, content_type = "text/html",
        headers(("ETag" = String), ("Cache-Control" = String))),
    (status = 304, description = "You have it already (`If-None-Match`)."),
))]
pub(super) async fn docs(documents: Found, headers: HeaderMap) -> Response {
    answer(documents, |[_, page, _]| page, &headers)
}

/// How the page looks
#[utoipa::path(get, path = "/docs/style.css", operation_id = "docsStyle", tag = "Documents", responses(
    (status = 200, description = "A stylesheet.", body = String, content_type = "text/css",
        headers(("ETag" = String), ("Cache-Control" = String))),
    (status = 304, description = "You have it already (`If-None-Match`)."),
))]
pub(super) async fn style(documents: Found, headers: HeaderMap) -> Response {
    answer(documents, |[_, _, style]| style, &headers)
}
