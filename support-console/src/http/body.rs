//! A letter's body, whatever it is: JSON in lines, other text as it is, bytes as bytes; and never more of it than a page
//! can carry. The whole of it is a download, which no browser opens as a page.

use std::{fmt::Write as _, str};

use axum::{
    extract::{Path, State},
    http::{HeaderValue, header},
    response::{IntoResponse as _, Response},
};
use common::{html, html::Html, http::codes};
use serde::de::IgnoredAny;
use serde_json::Value;
use uuid::Uuid;

use super::{Pages, letters::unknown, mask::Sight, person::Person, shown::bytes, trouble::Trouble};
use crate::LetterPage;

/// So much of a body is on a page.
const SHOWN: usize = 48 * 1024;
/// So much of it may be laid out in lines.
const LAID_OUT: usize = 1024 * 1024;
/// So many bytes that are no text.
const DUMPED: usize = 2 * 1024;

/// A body, as people read it.
pub(crate) enum Shape {
    Json(String),
    Text(String),
    Bytes(String),
}

impl Shape {
    pub(crate) fn of(body: &[u8], sight: Sight, users: &[String]) -> Self {
        if body.len() <= LAID_OUT && is_json(body) {
            if sight.sees_all() {
                return Self::Json(laid_out(&String::from_utf8_lossy(body)));
            }
            if let Ok(mut value) = serde_json::from_slice::<Value>(body) {
                sight.json(&mut value, users);
                return Self::Json(format!("{value:#}"));
            }
        }
        let start = body.get(..body.len().min(SHOWN + 4)).unwrap_or_default();
        // The end may be in the middle of a character.
        let text = match str::from_utf8(start) {
            Ok(text) => Some(text),
            Err(error) if body.len() > start.len() && start.len() - error.valid_up_to() < 4 => {
                start.get(..error.valid_up_to()).and_then(|valid| str::from_utf8(valid).ok())
            }
            Err(_) => None,
        };
        match text.filter(|text| !text.contains('\0')) {
            Some(text) => Self::Text(sight.text(text, users).into_owned()),
            None => Self::Bytes(dump(body.get(..body.len().min(DUMPED)).unwrap_or_default())),
        }
    }
}

/// Whether it is one JSON value, of any depth. What is skipped is not looked at, so that it is text must be asked apart.
fn is_json(body: &[u8]) -> bool {
    str::from_utf8(body).is_ok_and(|text| serde_json::from_str::<IgnoredAny>(text).is_ok())
}

/// The body on the letter's page.
pub(super) fn show(content: &mut Html, letter: &LetterPage, sight: Sight) {
    let shape = Shape::of(&letter.body, sight, &letter.line.users);
    html!(
        *content,
        "<section class=\"card\" aria-labelledby=\"body\"><div class=\"head\"><h2 id=\"body\">Body</h2><p class=\"soft\">"(
            bytes(letter.body.len())
        )
    );
    if sight.sees_all() {
        html!(*content, " · <a href=\"/letters/" (letter.line.id) "/body\" download>Download</a>");
    }
    html!(*content, "</p></div>");
    let (text, is_text) = match &shape {
        Shape::Json(text) => (text, true),
        Shape::Text(text) => {
            html!(*content, "<p class=\"notice\">This is no JSON.</p>");
            (text, true)
        }
        Shape::Bytes(text) => {
            html!(*content, "<p class=\"notice\">This is no text. Its first bytes, in hexadecimal:</p>");
            (text, false)
        }
    };
    let end = (0..=SHOWN.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    let shown = text.get(..end).unwrap_or_default();
    html!(*content, "<pre class=\"body\" tabindex=\"0\" aria-label=\"Body\"><code>" (shown) "</code></pre>");
    let is_cut =
        if is_text { shown.len() < text.len() || letter.body.len() > LAID_OUT } else { letter.body.len() > DUMPED };
    if is_cut {
        html!(*content, "<p class=\"notice\">Only its beginning is shown.");
        if sight.sees_all() {
            html!(*content, " <a href=\"/letters/" (letter.line.id) "/body\" download>Download all of it</a>.");
        }
        html!(*content, "</p>");
    }
    if is_text && sight.sees_all() && matches!(shape, Shape::Json(_)) {
        let raw = String::from_utf8_lossy(letter.body.get(..letter.body.len().min(SHOWN)).unwrap_or_default());
        html!(*content, "<details><summary>As it was sent</summary><pre class=\"body wrap\" tabindex=\"0\" aria-label=\"Body, as it "
            "was sent\"><code>" (raw) "</code></pre></details>");
    }
    if !sight.sees_all() {
        html!(*content, "<p class=\"soft\">Personal data is hidden from the role reader.</p>");
    }
    html!(*content, "</section>");
}

/// Deeper than that nothing is set in any further: of a body that is nothing but brackets each line would be as long as
/// half of the body.
const DEEPEST: usize = 64;

/// JSON in lines, every number and text as it stands there, in the order in which it stands there.
pub(crate) fn laid_out(json: &str) -> String {
    let mut out = String::with_capacity(json.len() * 2);
    let (mut depth, mut in_text, mut escaped) = (0_usize, false, false);
    let mut chars = json.chars().peekable();
    let new_line = |out: &mut String, depth: usize| {
        out.push('\n');
        out.extend(std::iter::repeat_n("  ", depth.min(DEEPEST)));
    };
    while let Some(c) = chars.next() {
        if in_text {
            out.push(c);
            in_text = escaped || c != '"';
            escaped = !escaped && c == '\\';
            continue;
        }
        match c {
            '"' => {
                in_text = true;
                out.push(c);
            }
            '{' | '[' => {
                out.push(c);
                while chars.peek().is_some_and(char::is_ascii_whitespace) {
                    chars.next();
                }
                if !matches!(chars.peek(), Some('}' | ']')) {
                    depth += 1;
                    new_line(&mut out, depth);
                }
            }
            '}' | ']' => {
                if !out.ends_with(['{', '[']) {
                    depth = depth.saturating_sub(1);
                    new_line(&mut out, depth);
                }
                out.push(c);
            }
            ',' => {
                out.push(c);
                new_line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            c if c.is_ascii_whitespace() => {}
            c => out.push(c),
        }
    }
    out
}

/// Sixteen bytes a line: where, which, and what they are if they are letters.
fn dump(bytes: &[u8]) -> String {
    let mut text = String::new();
    for (i, line) in bytes.chunks(16).enumerate() {
        let _ = write!(text, "{:06x} ", i * 16);
        for place in 0..16 {
            let gap = if place == 8 { "  " } else { " " };
            match line.get(place) {
                Some(byte) => {
                    let _ = write!(text, "{gap}{byte:02x}");
                }
                None => {
                    let _ = write!(text, "{gap}  ");
                }
            }
        }
        text.push_str("  ");
        text.extend(line.iter().map(|byte| if byte.is_ascii_graphic() { char::from(*byte) } else { '.' }));
        text.push('\n');
    }
    text
}

/// All of it, for whoever may see it.
pub(super) async fn download(
    State(pages): State<Pages>,
    Person(session): Person,
    Path(id): Path<String>,
) -> Result<Response, Trouble> {
    let id = Uuid::try_parse(&id).map_err(|_| unknown())?;
    if !Sight::of(&session.who).sees_all() {
        let message = "A body may hold personal data: to have all of it takes the role operator.";
        return Err(Trouble::new(codes::INSUFFICIENT_SCOPE, "Not with your role", message));
    }
    let letter = pages.console.letter(id).await?;
    let disposition = format!("attachment; filename=\"letter-{id}.bin\"");
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream")),
        (
            header::CONTENT_DISPOSITION,
            HeaderValue::from_str(&disposition).unwrap_or(HeaderValue::from_static("attachment")),
        ),
    ];
    Ok((headers, letter.body).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{By, Role, Who};

    fn sight(role: Role) -> Sight {
        Sight::of(&Who { account: "ann".to_owned(), role, by: By::Page })
    }

    #[test]
    fn json_is_laid_out_and_nothing_of_it_changed() {
        let json = r#"[{"b":1e400,"a":[],"t":"{\"x\": \\","n":[ 1,{} ]}]"#;
        let expected = "[\n  {\n    \"b\": 1e400,\n    \"a\": [],\n    \"t\": \"{\\\"x\\\": \\\\\",\n    \"n\": [\n      1,\n      {}\n    ]\n  }\n]";
        assert_eq!(laid_out(json), expected);
    }

    #[test]
    fn whatever_it_is_it_has_a_shape() {
        let operator = sight(Role::Operator);
        assert!(matches!(Shape::of(b"[1]", operator, &[]), Shape::Json(_)));
        assert!(matches!(Shape::of(b"hello", operator, &[]), Shape::Text(text) if text == "hello"));
        assert!(matches!(Shape::of(b"\xff\xfe\0", operator, &[]), Shape::Bytes(dump) if dump.contains("ff fe 00")));
        assert!(matches!(Shape::of(b"a\0b", operator, &[]), Shape::Bytes(_)));
        assert!(matches!(Shape::of(b"[\"\xff\"]", operator, &[]), Shape::Bytes(_)), "JSON is text");
        let long = "ä".repeat(SHOWN);
        assert!(matches!(Shape::of(long.as_bytes(), operator, &[]), Shape::Text(_)));
        assert!(matches!(Shape::of(&[b"[".repeat(200_000), vec![]].concat(), operator, &[]), Shape::Text(_)));
        let deep = [b"[".repeat(60_000), b"]".repeat(60_000)].concat();
        assert!(matches!(Shape::of(&deep, operator, &[]), Shape::Json(text) if text.len() < 20_000_000));
        let Shape::Json(masked) = Shape::of(br#"{"userId":"123456"}"#, sight(Role::Reader), &[]) else { panic!() };
        assert!(!masked.contains("123456"), "{masked}");
    }
}
