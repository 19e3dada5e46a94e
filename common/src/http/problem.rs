//! The error envelope: `code`, `message`, `errors[]`, the same for every refusal.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;

use super::code::{Code, codes};

/// A refusal, on its way to the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub status: StatusCode,
    pub message: String,
    pub errors: Vec<FieldError>,
    pub retry_after_seconds: Option<u32>,
}

/// What is wrong, where, and by which name programs may know it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldError {
    pub code: &'static Code,
    /// The path of the field, such as `items[1].quantity`; absent when the fault is not in one field.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    pub message: String,
}

impl FieldError {
    pub fn new(code: &'static Code, field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code, field: Some(field.into()), message: message.into() }
    }
}

#[derive(Serialize)]
struct Envelope<'a> {
    code: u16,
    message: &'a str,
    errors: &'a [FieldError],
}

impl Problem {
    /// A refusal with a single reason that lies in no one field.
    pub fn new(code: &'static Code, message: impl Into<String>) -> Self {
        let message = message.into();
        let errors = vec![FieldError { code, field: None, message: message.clone() }];
        Self { status: code.status, message, errors, retry_after_seconds: None }
    }

    /// The request was understood, and these fields are not acceptable.
    #[must_use]
    pub fn invalid(errors: Vec<FieldError>) -> Self {
        let message = match errors.as_slice() {
            [FieldError { field: Some(field), message, .. }] => format!("{field}: {message}"),
            _ => "The request has invalid fields; see errors".to_owned(),
        };
        Self { status: StatusCode::BAD_REQUEST, message, errors, retry_after_seconds: None }
    }

    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(codes::NOT_FOUND, message)
    }

    #[must_use]
    pub fn method_not_allowed() -> Self {
        Self::new(codes::METHOD_NOT_ALLOWED, "this address does not take this method")
    }

    /// Something we need is away: the client may safely try again.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self { retry_after_seconds: Some(1), ..Self::new(codes::UNAVAILABLE, message) }
    }

    /// There is more to do than can be done in time: the client may safely try again.
    pub fn overloaded(message: impl Into<String>) -> Self {
        Self { retry_after_seconds: Some(1), ..Self::new(codes::OVERLOADED, message) }
    }

    pub fn rate_limited(message: impl Into<String>, seconds: u32) -> Self {
        Self { retry_after_seconds: Some(seconds), ..Self::new(codes::RATE_LIMITED, message) }
    }

    #[must_use]
    pub fn internal() -> Self {
        Self::new(codes::INTERNAL, "something went wrong on our side; it has been logged under the request id")
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let envelope = Envelope { code: self.status.as_u16(), message: &self.message, errors: &self.errors };
        let mut response = (self.status, Json(envelope)).into_response();
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        // What is still to come of the request is not read as the next one.
        if [StatusCode::REQUEST_TIMEOUT, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE].contains(&self.status) {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        if let Some(seconds) = self.retry_after_seconds {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(first) = self.errors.first() {
            response.extensions_mut().insert(first.code);
        }
        response
    }
}
