//! Reading a JSON body, with refusals that name the field and never repeat a value.

use std::{fmt, marker::PhantomData};

use axum::{
    body::Body,
    extract::{FromRequest, Request},
    http::{HeaderMap, HeaderValue, header},
};
use futures_util::StreamExt as _;
use hyper::body::Body as _;
use secrecy::zeroize::Zeroize as _;
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, MapAccess, Visitor, value::MapAccessDeserializer},
};
use serde_json::error::Category;

use super::{
    code::codes,
    problem::{FieldError, Problem},
    visit::{DISCARDED, Visit},
};

/// A value that is read from a JSON object and from nothing else: by itself, serde would read a struct from an array of
/// its fields as well.
#[derive(Debug)]
pub struct Object<T>(pub T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OnlyMaps<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for OnlyMaps<T> {
            type Value = T;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map))
            }
        }

        deserializer.deserialize_map(OnlyMaps(PhantomData)).map(Self)
    }
}

/// A request body of type `T`, taken from a JSON object.
#[derive(Debug)]
pub struct JsonBody<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for JsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        JsonText::from_request(request, state).await?.parse().map(Self)
    }
}

/// A request body that is said to be JSON, as it was sent: for whoever needs its bytes as well. There may be a secret in
/// it, so it is wiped when it is dropped.
pub struct JsonText(Vec<u8>);

impl Drop for JsonText {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl From<Vec<u8>> for JsonText {
    fn from(text: Vec<u8>) -> Self {
        Self(text)
    }
}

impl JsonText {
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        parse(&self.0)
    }

    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl<S: Send + Sync> FromRequest<S> for JsonText {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        read(request, "application/json").await.map(Self)
    }
}

/// The most bytes a body may have, where that is not what the settings say: an [`Extension`](axum::Extension) of a route.
#[derive(Debug, Clone, Copy)]
pub struct BodyLimit(pub usize);

/// Reads a body that says that it is a `content_type`.
pub(super) async fn read(request: Request, content_type: &str) -> Result<Vec<u8>, Problem> {
    let visit = request.extensions().get::<Visit>().cloned().ok_or_else(Problem::internal)?;
    if !says_it_is(request.headers(), content_type) {
        visit.discard(request.into_body()).await;
        let message = format!("send the body, not compressed, with one Content-Type: {content_type}");
        return Err(Problem::new(codes::UNSUPPORTED_MEDIA_TYPE, message));
    }
    let limit = request.extensions().get::<BodyLimit>().map_or(visit.house.largest_body, |limit| limit.0);
    let too_large = || Problem::new(codes::BODY_TOO_LARGE, format!("the body is larger than {limit} bytes"));
    let declared = usize::try_from(request.body().size_hint().lower()).unwrap_or(usize::MAX);
    // Whoever asks first need not send what will not be read.
    if declared > limit && request.headers().contains_key(header::EXPECT) {
        visit.seat.linger();
        return Err(too_large());
    }
    let mut size = 0;
    let read = visit.read(read_all(&visit, request.into_body(), limit, &mut size)).await;
    // That it is too large is known, whether the rest of it came in time or not.
    if size.max(declared) > limit { Err(too_large()) } else { read }
}

/// Reads it, and how large it is, and keeps no more of it than it may have.
async fn read_all(visit: &Visit, body: Body, limit: usize, size: &mut usize) -> Result<Vec<u8>, Problem> {
    let mut stream = body.into_data_stream();
    let mut body = Vec::new();
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|_| Problem::new(codes::UNREADABLE_BODY, "the body could not be read"))?;
        *size = size.saturating_add(chunk.len());
        if *size <= limit {
            body.extend_from_slice(&chunk);
        } else if *size > DISCARDED {
            visit.seat.linger();
            break;
        }
    }
    Ok(body)
}

/// It says once what it is, not in two headers and not in a list, and is not compressed: nobody unpacks it here.
fn says_it_is(headers: &HeaderMap, content_type: &str) -> bool {
    let mut types = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(said), None) = (types.next().and_then(|said| said.to_str().ok()), types.next()) else { return false };
    let essence = said.split(';').next().unwrap_or_default().trim();
    let is_plain = |encoding: &HeaderValue| encoding.as_bytes().eq_ignore_ascii_case(b"identity");
    essence.eq_ignore_ascii_case(content_type)
        && !said.contains(',')
        && headers.get_all(header::CONTENT_ENCODING).iter().all(is_plain)
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    // The ordinary request pays for one plain parse; only a refused one is parsed again, to find the field.
    if let Ok(Object(value)) = serde_json::from_slice(body) {
        return Ok(value);
    }
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let error = match serde_path_to_error::deserialize::<_, Object<T>>(&mut deserializer) {
        Ok(_) => return Err(malformed("there is something after the end of the JSON value")),
        Err(error) => error,
    };
    let path = error.path().to_string();
    let inner = error.into_inner();
    match inner.classify() {
        Category::Data => Err(Problem::invalid(vec![field_error(&path, &inner)])),
        _ => {
            Err(malformed(&format!("it breaks off or goes wrong at line {}, column {}", inner.line(), inner.column())))
        }
    }
}

fn malformed(what: &str) -> Problem {
    Problem::new(codes::MALFORMED_JSON, format!("the body is not well-formed JSON: {what}"))
}

/// serde's messages quote what was sent. Only what was expected, which they end with, and names of our own fields, are
/// passed on.
fn field_error(path: &str, error: &serde_json::Error) -> FieldError {
    let text = error.to_string();
    let text = text.rsplit_once(" at line ").map_or(text.as_str(), |(text, _)| text);
    let named = || text.split('`').nth(1).unwrap_or_default().to_owned();
    let at = |name: String| match path {
        "." | "" => name,
        path if path.ends_with(&name) => path.to_owned(),
        path => format!("{path}.{name}"),
    };
    if text.starts_with("missing field") {
        FieldError::new(codes::MISSING_FIELD, at(named()), "is required")
    } else if text.starts_with("duplicate field") {
        FieldError::new(codes::DUPLICATE_FIELD, at(named()), "is given more than once")
    } else if text.starts_with("unknown field") {
        let expected = text.rsplit_once(", expected ").map_or("", |(_, expected)| expected);
        FieldError::new(codes::UNKNOWN_FIELD, short(path), format!("there is no such field; expected {expected}"))
    } else {
        let message = match text.rsplit_once(", expected ") {
            Some((_, expected)) => format!("must be {expected}"),
            // A refusal in our own words.
            None => text.to_owned(),
        };
        FieldError::new(codes::INVALID_FIELD, if path == "." { "body" } else { path }, message)
    }
}

/// A name that the client made up, cut to a harmless length.
fn short(name: &str) -> String {
    name.chars().take(64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Outer {
        #[expect(dead_code, reason = "only its parsing is tested")]
        items: Vec<Object<Inner>>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Inner {
        #[expect(dead_code, reason = "only its parsing is tested")]
        quantity: u32,
    }

    fn refusal(body: &str) -> (&'static str, Option<String>) {
        let problem = parse::<Outer>(body.as_bytes()).unwrap_err();
        let error = problem.errors.into_iter().next().unwrap();
        assert!(!error.message.contains("secret"), "{}", error.message);
        (error.code.name, error.field)
    }

    #[test]
    fn a_refusal_names_the_field_and_repeats_no_value() {
        let field = |name: &str| Some(name.to_owned());
        assert_eq!(
            refusal(r#"{"items":[{"quantity":1},{"quantity":"secret"}]}"#),
            ("invalid_field", field("items[1].quantity"))
        );
        assert_eq!(refusal(r#"{"items":[{"quantity":1.5}]}"#), ("invalid_field", field("items[0].quantity")));
        assert_eq!(refusal(r#"{"items":[{}]}"#), ("missing_field", field("items[0].quantity")));
        assert_eq!(refusal(r#"{"items":"x, expected secret"}"#), ("invalid_field", field("items")));
        assert_eq!(refusal(r#"{"items":[],"x, expected secret":1}"#).0, "unknown_field");
        assert_eq!(refusal("{}"), ("missing_field", field("items")));
        assert_eq!(refusal(r#"{"items":[],"items":[]}"#), ("duplicate_field", field("items")));
        assert_eq!(refusal(r#"{"items":[],"more":1}"#), ("unknown_field", field("more")));
        assert_eq!(refusal("[[]]"), ("invalid_field", field("body")));
        assert_eq!(refusal(r#"{"items":[[1]]}"#), ("invalid_field", field("items[0]")));
        for body in ["", "{", "{\"items\":[}", "nul", "{\"items\":[]} x", "\u{feff}{}"] {
            assert_eq!(refusal(body), ("malformed_json", None), "{body:?}");
        }
    }
}
