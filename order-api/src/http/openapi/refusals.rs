//! From codes to the answers that they are given in.
//!
//! What any request can be refused for follows from what the operation is: whether it has a body, needs a token, or
//! changes something. A new code of the chassis has its place in one of the lists below; a code of ours is named beside
//! the handlers that use it. A test finds the code that has neither.

use std::collections::BTreeMap;

use common::http::{Code, codes as any};
use serde_json::{Map, Value, json};

use super::{OWN_CODES, schemas};
use crate::http::codes as own;

/// Every code there is, in the order in which they are documented.
pub(in crate::http) fn known() -> impl Iterator<Item = &'static Code> {
    any::ALL.iter().chain(own::ALL).copied()
}

/// Anything can be refused for these.
const ALWAYS: &[&Code] = &[
    any::METHOD_NOT_ALLOWED,
    any::HEAD_TOO_LARGE,
    any::RATE_LIMITED,
    any::INTERNAL,
    any::UNAVAILABLE,
    any::OVERLOADED,
];
/// What has a body.
const WITH_BODY: &[&Code] = &[
    any::MALFORMED_JSON,
    any::UNREADABLE_BODY,
    any::INVALID_FIELD,
    any::MISSING_FIELD,
    any::UNKNOWN_FIELD,
    any::DUPLICATE_FIELD,
    any::BODY_TOO_LARGE,
    any::REQUEST_TIMEOUT,
    any::UNSUPPORTED_MEDIA_TYPE,
];
/// What needs a token in its head.
const WITH_TOKEN: &[&Code] = &[any::MISSING_TOKEN, any::INVALID_TOKEN, any::TOKEN_EXPIRED];
/// What may change something.
const CHANGING: &[&Code] = &[any::CROSS_SITE_REQUEST];

const HEADERS: [(&str, &str); 4] = [
    ("x-request-id", "Names this exchange in our logs. One that you send (up to 64 of `A-Z a-z 0-9 - _ .`) is kept."),
    ("WWW-Authenticate", "What kind of token is asked for: `Bearer`."),
    ("Allow", "The methods that this address takes."),
    ("Retry-After", "After how many seconds the request may be sent again."),
];

/// Gives every operation its refusals, and every answer its headers; lists all codes.
pub(super) fn add(document: &mut Value) {
    for item in objects(&mut document["paths"]) {
        for (method, operation) in item.iter_mut().filter(|(_, operation)| operation["responses"].is_object()) {
            let by_status = codes_of(method, operation);
            for (status, codes) in by_status {
                add_answer(&mut operation["responses"][status.to_string()], &codes);
            }
            for (status, answer) in operation["responses"].as_object_mut().into_iter().flatten() {
                add_headers(status, answer);
            }
        }
    }
    document["x-error-codes"] = known().map(entry).collect();
    let components = &mut document["components"];
    components["headers"] = HEADERS.iter().map(|(name, description)| (*name, header(name, description))).collect();
    components["examples"] = known().map(|code| (code.name, example(code))).collect();
}

/// The members of an object that are objects.
fn objects(value: &mut Value) -> impl Iterator<Item = &mut Map<String, Value>> {
    value.as_object_mut().into_iter().flat_map(|object| object.values_mut()).filter_map(Value::as_object_mut)
}

fn codes_of(method: &str, operation: &mut Value) -> BTreeMap<u16, Vec<&'static Code>> {
    let its_own = operation.as_object_mut().and_then(|operation| operation.remove(OWN_CODES)).unwrap_or_default();
    let has_body = operation["requestBody"].is_object();
    let has_token = operation["security"].as_array().is_some_and(|all| all.iter().any(|it| it["bearer"].is_array()));
    let is_safe = matches!(method, "get" | "head");
    let applies = |code: &Code| {
        ALWAYS.contains(&code)
            || (has_body && WITH_BODY.contains(&code))
            || (has_token && WITH_TOKEN.contains(&code))
            || (!is_safe && CHANGING.contains(&code))
            || its_own.as_array().is_some_and(|names| names.iter().any(|name| name == code.name))
    };
    let mut by_status = BTreeMap::<u16, Vec<_>>::new();
    for code in known().filter(|code| applies(code)) {
        by_status.entry(code.status.as_u16()).or_default().push(code);
    }
    by_status
}

/// Makes the answer that carries these codes. One that was there already may have either shape.
fn add_answer(answer: &mut Value, codes: &[&Code]) {
    let refusal = json!({"$ref": "#/components/schemas/Refusal"});
    let described = answer["content"]["application/json"]["schema"].take();
    let schema = if described.is_null() { refusal } else { json!({"anyOf": [described, refusal]}) };
    let lines: Vec<String> = codes.iter().map(|code| format!("- `{}`: {}", code.name, code.meaning)).collect();
    let own_words = answer["description"].as_str().map(|words| format!("{words}\n\n")).unwrap_or_default();
    answer["description"] = Value::from(own_words + &lines.join("\n"));
    let examples =
        codes.iter().map(|code| (code.name, json!({"$ref": format!("#/components/examples/{}", code.name)})));
    answer["content"]["application/json"] = json!({"schema": schema, "examples": examples.collect::<Value>()});
    answer["x-codes"] = codes.iter().map(|code| code.name).collect();
}

fn add_headers(status: &str, answer: &mut Value) {
    let named = match status {
        "401" => Some("WWW-Authenticate"),
        "405" => Some("Allow"),
        "429" | "503" => Some("Retry-After"),
        _ => None,
    };
    for name in named.into_iter().chain(["x-request-id"]) {
        answer["headers"][name] = json!({"$ref": format!("#/components/headers/{name}")});
    }
}

fn header(name: &str, description: &str) -> Value {
    let schema =
        if name == "Retry-After" { json!({"type": "integer", "minimum": 1}) } else { json!({"type": "string"}) };
    // Not every 503 says when to come back.
    json!({"description": description, "required": name != "Retry-After", "schema": schema})
}

fn entry(code: &'static Code) -> Value {
    json!({"code": code.name, "status": code.status.as_u16(), "meaning": code.meaning, "advice": code.advice})
}

fn example(code: &Code) -> Value {
    json!({"summary": code.meaning, "value": schemas::example(code)})
}

/// The codes that no operation can answer with: they are in none of the lists.
#[cfg(test)]
pub(super) fn homeless(document: &Value) -> Vec<&'static str> {
    let answers = document["paths"].as_object().into_iter().flat_map(|paths| paths.values());
    let answers = answers.flat_map(|item| item.as_object().into_iter().flat_map(|item| item.values()));
    let answers =
        answers.flat_map(|operation| operation["responses"].as_object().into_iter().flat_map(|all| all.values()));
    let used: Vec<&str> =
        answers.flat_map(|it| it["x-codes"].as_array().into_iter().flatten()).filter_map(Value::as_str).collect();
    known().map(|code| code.name).filter(|name| !used.contains(name)).collect()
}
