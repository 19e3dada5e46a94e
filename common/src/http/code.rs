//! Why a request can be refused: the names that programs know the reasons by.
//!
//! A refusal is made from a [`Code`] and from nothing else, so there is none whose meaning is not written down.

use std::fmt;

use axum::http::StatusCode;
use serde::{Serialize, Serializer};

/// A reason, and what its reader should do about it.
#[derive(PartialEq, Eq)]
pub struct Code {
    /// It never changes: clients decide by it.
    pub name: &'static str,
    pub status: StatusCode,
    pub meaning: &'static str,
    pub advice: &'static str,
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name)
    }
}

/// Defines codes, and `ALL` of them.
#[macro_export]
macro_rules! codes {
    ($($constant:ident = $name:literal, $status:ident, $meaning:literal, $advice:literal;)*) => {
        $(pub const $constant: &$crate::http::Code = &$crate::http::Code {
            name: $name,
            status: axum::http::StatusCode::$status,
            meaning: $meaning,
            advice: $advice,
        };)*
        /// All of the above.
        pub const ALL: &[&$crate::http::Code] = &[$($constant),*];
    };
}

/// The reasons that every service may have.
pub mod codes {
    codes! {
        MALFORMED_JSON = "malformed_json", BAD_REQUEST,
            "The body is not one well-formed JSON value.",
            "The message says where it goes wrong. Send UTF-8 without a byte order mark.";
        UNREADABLE_BODY = "unreadable_body", BAD_REQUEST,
            "The body broke off.",
            "Send the request again.";
        INVALID_FIELD = "invalid_field", BAD_REQUEST,
            "A field or parameter has a type or a value that it cannot have.",
            "`field` names it, and the message says what it must be.";
        MISSING_FIELD = "missing_field", BAD_REQUEST,
            "A field that is required is not there.",
            "Add it.";
        UNKNOWN_FIELD = "unknown_field", BAD_REQUEST,
            "There is a field or parameter that means nothing here.",
            "Remove it, or see whether it is misspelt.";
        DUPLICATE_FIELD = "duplicate_field", BAD_REQUEST,
            "A field or parameter is there twice.",
            "Leave one of them: which one counts would be a guess.";
        MISSING_TOKEN = "missing_token", UNAUTHORIZED,
            "The request says nothing of who is asking.",
            "Send `Authorization: Bearer <token>`.";
        INVALID_TOKEN = "invalid_token", UNAUTHORIZED,
            "The token was not issued for this service, or was changed; or there are two.",
            "Get one from whoever issues your tokens; it must be a signed JWT with `sub` and `exp`. Send it in one `Authorization` header.";
        TOKEN_EXPIRED = "token_expired", UNAUTHORIZED,
            "The token was good once.",
            "Get a new one, and send the request again.";
        INSUFFICIENT_SCOPE = "insufficient_scope", FORBIDDEN,
            "The token does not allow this.",
            "The message names the scope that does.";
        CROSS_SITE_REQUEST = "cross_site_request", FORBIDDEN,
            "A page of another site asked for something that may change something.",
            "If that page is yours, have its origin added to `http.allowed_origins`.";
        NOT_FOUND = "not_found", NOT_FOUND,
            "There is no such thing, or none that you may see.",
            "Look at the address, and at whose token you are using.";
        METHOD_NOT_ALLOWED = "method_not_allowed", METHOD_NOT_ALLOWED,
            "The address is right, the method is not.",
            "Use one of those in the `Allow` header.";
        BODY_TOO_LARGE = "body_too_large", PAYLOAD_TOO_LARGE,
            "The body has more bytes than are taken.",
            "Send less at once.";
        HEAD_TOO_LARGE = "head_too_large", REQUEST_HEADER_FIELDS_TOO_LARGE,
            "The address and the headers of the request have more bytes than are taken.",
            "Send fewer or shorter headers; cookies of other programs on the same host are the usual cause.";
        REQUEST_TIMEOUT = "request_timeout", REQUEST_TIMEOUT,
            "The body of the request took too long to arrive.",
            "Send the request again, all of it at once. Nothing was stored.";
        RATE_LIMITED = "rate_limited", TOO_MANY_REQUESTS,
            "This user, or this address, asks more often than it may.",
            "Send the request again after `Retry-After` seconds; `RateLimit-Remaining` says in time when it gets close.";
        OVERLOADED = "overloaded", SERVICE_UNAVAILABLE,
            "There is more to do than can be done in time. Nothing was stored.",
            "Send the request again after `Retry-After` seconds, and wait longer each time that it happens.";
        UNSUPPORTED_MEDIA_TYPE = "unsupported_media_type", UNSUPPORTED_MEDIA_TYPE,
            "The body is not said to be what is read here, or is said to be two things, or is compressed.",
            "Send one `Content-Type`, `application/json` for all but a page's form, and no `Content-Encoding`.";
        INTERNAL = "internal", INTERNAL_SERVER_ERROR,
            "Something went wrong on our side.",
            "Tell us the `x-request-id` of the answer. Whether anything was stored is not certain: see `unavailable`.";
        UNAVAILABLE = "unavailable", SERVICE_UNAVAILABLE,
            "Something that is needed for this is away for the moment, or took too long.",
            "Send the request again after `Retry-After` seconds. If it is an order, send it with the same `Idempotency-Key`: it may have been stored all the same, when only the word of it was lost.";
    }
}
