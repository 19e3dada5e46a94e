//! The same with good ones that were cut and mixed, and with nothing but chance: a few hundred cases of each in every test
//! run. `cargo xtask fuzz` looks longer, and where it has not been.

use common::fuzzing::seeds;
use proptest::{collection::vec, prelude::*, sample::Index};

use super::*;
use crate::signing::key::KeyId;

const BODY: &str = r#"{"userId":"123456","token":"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln","signature":"k:c2ln","orderAmount":100.50,"items":[{"productId":"P001","quantity":2},{"productId":"P002","quantity":1e0}]}"#;
const SIGNATURE: &str =
    "laptop:5VZDAMNgrHKQhuLMgG6CioSHfx645dl02HPgZSJJAVVfuIIVkKM7rMYeOXAc+bRr0lv18FlbviRlUUFDjnoQCw==";
const TOKEN: &str = "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTYiLCJleHAiOjQxMDI0NDQ4MDB9.SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV_adQssw5c";
const PEM: &str = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n-----END PUBLIC KEY-----\n";

/// What breaks parsers.
const PIECES: [&str; 20] = [
    "{", "}", "[", "]", "\"", "\\", "\\u0000", "\\ud800", ":", ",", ".", "-", "e", "1e400", "-0", "null", "true",
    "\u{feff}", "=", "é",
];

#[derive(Debug, Clone)]
enum Edit {
    Put(Index, Vec<u8>),
    Cut(Index, usize),
    Repeat(Index, usize),
    Flip(Index, u8),
}

fn edit() -> impl Strategy<Value = Edit> {
    let bytes = prop_oneof![
        prop::sample::select(&PIECES[..]).prop_map(|piece| piece.as_bytes().to_vec()),
        vec(any::<u8>(), 1..4),
    ];
    prop_oneof![
        (any::<Index>(), bytes).prop_map(|(at, bytes)| Edit::Put(at, bytes)),
        (any::<Index>(), 1..20_usize).prop_map(|(at, count)| Edit::Cut(at, count)),
        (any::<Index>(), 1..40_usize).prop_map(|(at, count)| Edit::Repeat(at, count)),
        (any::<Index>(), any::<u8>()).prop_map(|(at, mask)| Edit::Flip(at, mask)),
    ]
}

/// The example with a few changes, or something else altogether.
fn like(example: &'static str) -> impl Strategy<Value = Vec<u8>> {
    let changed = vec(edit(), 0..6).prop_map(move |edits| {
        let mut text = example.as_bytes().to_vec();
        for edit in edits {
            let end = text.len();
            match edit {
                Edit::Put(at, bytes) => {
                    let at = at.index(end + 1);
                    text.splice(at..at, bytes);
                }
                Edit::Cut(at, count) => {
                    let at = at.index(end + 1);
                    text.drain(at..(at + count).min(end));
                }
                Edit::Repeat(at, count) => {
                    let at = at.index(end + 1);
                    let piece = text[at..(at + count).min(end)].to_vec();
                    text.splice(at..at, piece);
                }
                Edit::Flip(at, mask) if end > 0 => text[at.index(end)] ^= mask,
                Edit::Flip(..) => {}
            }
        }
        text
    });
    prop_oneof![9 => changed, 1 => vec(any::<u8>(), 0..200)]
}

proptest! {
    #[test]
    fn bodies(body in like(BODY)) {
        order(&body);
        canonical(&body);
    }

    #[test]
    fn signatures(bytes in like(SIGNATURE)) {
        signature(&bytes);
    }

    #[test]
    fn keys(pem in like(PEM), id in like("laptop-1")) {
        signature(&pem);
        let _ = String::from_utf8_lossy(&id).parse::<KeyId>();
    }

    #[test]
    fn tokens(token in like(TOKEN)) {
        common::fuzzing::token(&token);
    }

    #[test]
    fn names_of_requests(key in like("\"8e03978e-40d5-43dd-bc93-6894a57f9324\"")) {
        orders(&key);
    }
}

#[test]
fn every_seed_is_well() {
    seeds("order", order);
    seeds("canonical", canonical);
    seeds("signature", signature);
    seeds("product", product);
    seeds("orders", orders);
    seeds("config", config);
}
