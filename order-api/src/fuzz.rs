//! Whatever is sent, nothing panics: bodies, signatures, tokens, keys and names of requests, made of good ones by cutting
//! and mixing, or of nothing but chance.
//!
//! A few hundred cases of each are a part of every test run. The long mode, of a million each:
//! `PROPTEST_CASES=1000000 cargo test --release --package order-api fuzz`.

use std::collections::{BTreeMap, HashMap};

use axum::http::{HeaderMap, HeaderValue};
use common::{
    auth::Tokens,
    config::{Auth, Key},
    http::JsonText,
    ids::{ProductId, UserId},
    money::{Currency, Money},
};
use proptest::{collection::vec, prelude::*, sample::Index};

use crate::{
    http::CreateOrder,
    once::{self, Once},
    signing::{
        Canonical, Signed,
        key::{KeyId, PublicKey},
    },
};

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

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

proptest! {
    #[test]
    fn bodies(body in like(BODY)) {
        let prices = HashMap::from([(ProductId::try_from("P001".to_owned()).unwrap(), Money(3_525))]);
        if let Ok(order) = JsonText::from(body.clone()).parse::<CreateOrder>() {
            let _ = order.check_secrets();
            let _ = order.check(&prices, &Currency::default());
        }
        if let Ok(mut canonical) = Canonical::read(&body)
            && let Ok(form) = canonical.without("signature")
        {
            // The form of the form is the form.
            prop_assert_eq!(&Canonical::read(&form).unwrap().without("signature").unwrap(), &form);
            Once::new("k".to_owned(), &mut canonical).unwrap();
        }
    }

    #[test]
    fn signatures(signature in like(SIGNATURE)) {
        let user = UserId::try_from("u".to_owned()).unwrap();
        let _ = Signed::new(user, &text(&signature), Vec::new());
    }

    #[test]
    fn keys(pem in like(PEM), id in like("laptop-1")) {
        if let Ok(key) = PublicKey::from_pem(&text(&pem)) {
            prop_assert_eq!(PublicKey::from_pem(&key.to_pem().unwrap()), Ok(key));
        }
        let _ = text(&id).parse::<KeyId>();
    }

    #[test]
    fn tokens(token in like(TOKEN)) {
        let key = Key { secret: Some("a secret of thirty-two bytes, or more".to_owned().into()), ..Key::default() };
        let tokens = Tokens::new(&Auth { keys: BTreeMap::from([("main".to_owned(), key)]), ..Auth::default() }).unwrap();
        // Nobody signed it.
        prop_assert!(tokens.check(&text(&token)).is_err());
    }

    #[test]
    fn names_of_requests(key in like("\"8e03978e-40d5-43dd-bc93-6894a57f9324\"")) {
        if let Ok(value) = HeaderValue::from_bytes(&key) {
            let _ = once::key(&HeaderMap::from_iter([(axum::http::HeaderName::from_static("idempotency-key"), value)]));
        }
    }
}
