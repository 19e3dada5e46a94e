//! A letter's body, as JSON can carry it.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json, value::RawValue};

/// More of it is to be had at `/body`.
const MOST_SHOWN: usize = 256 * 1024;

/// JSON as it is, other text as text, anything else in base64; and whether that is all of it.
pub(super) fn body(bytes: &[u8]) -> Value {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_shown_whatever_it_is() {
        assert_eq!(body(br#"[{"a":1.50}]"#), json!({"json": r#"[{"a":1.50}]"#, "whole": true}));
        assert_eq!(body(b"[{"), json!({"text": "[{", "whole": true}));
        assert_eq!(body(b"\xff\0"), json!({"base64": "/wA=", "whole": true}));
        let large = vec![b'x'; MOST_SHOWN + 1];
        assert_eq!(body(&large)["whole"], false);
        assert_eq!(body(&large)["text"].as_str().map(str::len), Some(MOST_SHOWN));
    }
}
