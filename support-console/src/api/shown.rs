//! What is shown: a letter's body, as JSON can carry it, and anything as somebody may see it.

use axum::{
    Json,
    response::{IntoResponse as _, Response},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use common::http::Problem;
use serde::Serialize;
use serde_json::{Value, json, value::RawValue};

use crate::{Who, http::mask::Sight};

/// More of it is to be had at `/body`.
const MOST_SHOWN: usize = 256 * 1024;

/// JSON as it is, other text as text, anything else in base64; and whether that is all of it.
pub(super) fn body(bytes: &[u8], sight: Sight, users: &[String]) -> Value {
    if !sight.sees_all() {
        return masked(bytes, sight, users);
    }
    let whole = bytes.len() <= MOST_SHOWN;
    let shown = bytes.get(..MOST_SHOWN).unwrap_or(bytes);
    // Numbers keep their digits, and an odd depth does no harm: it is checked, and passed on as text.
    if whole && serde_json::from_slice::<&RawValue>(shown).is_ok() {
        return json!({"json": String::from_utf8_lossy(shown), "whole": true});
    }
    match std::str::from_utf8(shown) {
        Ok(text) if !text.contains('\0') => json!({"text": text, "whole": whole}),
        _ => json!({"base64": STANDARD.encode(shown), "whole": whole}),
    }
}

/// For readers: without what is personal, and so not character by character what it was.
fn masked(bytes: &[u8], sight: Sight, users: &[String]) -> Value {
    let shown = bytes.get(..MOST_SHOWN).unwrap_or(bytes);
    if let Ok(mut value) = serde_json::from_slice::<Value>(shown) {
        sight.json(&mut value, users);
        return json!({"json": value.to_string(), "whole": true});
    }
    match std::str::from_utf8(shown) {
        Ok(text) if !text.contains('\0') => {
            json!({"text": sight.text(text, users), "whole": shown.len() == bytes.len()})
        }
        _ => json!({"hidden": "bytes that are no text are for operators", "whole": false}),
    }
}

/// As this person may see it. Whoever sees all of it gets it as it was said: amounts keep their digits.
pub(super) fn seen_by(who: &Who, answer: impl Serialize) -> Result<Response, Problem> {
    let sight = Sight::of(who);
    if sight.sees_all() {
        return Ok(Json(answer).into_response());
    }
    let mut answer = serde_json::to_value(answer).map_err(|_| Problem::internal())?;
    sight.json(&mut answer, &[]);
    Ok(Json(answer).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{By, Role, Who};

    fn whole(bytes: &[u8]) -> Value {
        body(bytes, Sight::all(), &[])
    }

    #[test]
    fn a_body_is_shown_whatever_it_is() {
        assert_eq!(whole(br#"[{"a":1.50}]"#), json!({"json": r#"[{"a":1.50}]"#, "whole": true}));
        assert_eq!(whole(b"[{"), json!({"text": "[{", "whole": true}));
        assert_eq!(whole(b"\xff\0"), json!({"base64": "/wA=", "whole": true}));
        let large = vec![b'x'; MOST_SHOWN + 1];
        assert_eq!(whole(&large)["whole"], false);
        assert_eq!(whole(&large)["text"].as_str().map(str::len), Some(MOST_SHOWN));
    }

    #[test]
    fn readers_are_shown_no_person() {
        let reader = Sight::of(&Who { account: "ann".to_owned(), role: Role::Reader, by: By::Cli });
        let shown = body(br#"[{"userId":"123456","amount":1}]"#, reader, &[]).to_string();
        assert!(!shown.contains("123456") && shown.contains("amount"), "{shown}");
        let shown = body(b"no json: jane@example.test of 123456", reader, &["123456".to_owned()]).to_string();
        assert!(!shown.contains("jane") && !shown.contains("123456"), "{shown}");
        assert!(body(b"\xff123456", reader, &[]).to_string().contains("hidden"));
    }
}
