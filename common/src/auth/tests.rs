use std::{collections::BTreeMap, fs, path::PathBuf};

use jsonwebtoken::{EncodingKey, Header, encode, get_current_timestamp};
use serde_json::{Value, json};

use super::*;

const SECRET: &str = "a secret that has more than thirty-two bytes";
const OTHER_SECRET: &str = "another secret of more than thirty-two bytes";

const ED_PRIVATE: &[u8] = b"-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g
-----END PRIVATE KEY-----";
const ED_PUBLIC: &str = "-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=
-----END PUBLIC KEY-----";

fn settings(keys: &[(&str, &str)]) -> config::Auth {
    let key = |secret: &str| config::Key { secret: Some(secret.into()), public_key_file: None };
    config::Auth {
        keys: keys.iter().map(|(name, secret)| ((*name).to_owned(), key(secret))).collect(),
        ..config::Auth::default()
    }
}

fn file(name: &str, content: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("conveyor-auth-{}-{name}", std::process::id()));
    fs::write(&path, content).unwrap();
    path
}

fn claims(change: Value) -> Value {
    let mut claims = json!({"sub": "123456", "exp": get_current_timestamp() + 60});
    for (name, value) in change.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims
}

fn signed(kid: Option<&str>, claims: &Value, secret: &str) -> String {
    let header = Header { kid: kid.map(str::to_owned), ..Header::default() };
    encode(&header, claims, &EncodingKey::from_secret(secret.as_bytes())).unwrap()
}

fn check(claims: &Value) -> Result<Caller, BadToken> {
    Tokens::new(&settings(&[("main", SECRET)])).unwrap().check(&signed(None, claims, SECRET))
}

#[test]
fn a_token_says_who_and_what_for() {
    let user = |name: &str| UserId::try_from(name.to_owned()).unwrap();
    let customer = check(&claims(json!({}))).unwrap();
    assert_eq!(customer.user_id, user("123456"));
    assert!(customer.has(Scope::Customer) && !customer.has(Scope::Staff));
    assert!(customer.may_see(&user("123456")) && !customer.may_see(&user("1234567")));

    let both = check(&claims(json!({"scope": "staff openid customer"}))).unwrap();
    assert!(both.has(Scope::Customer) && both.has(Scope::Staff) && !both.has(Scope::Admin));
    assert!(both.may_see(&user("somebody-else")));

    let nothing = check(&claims(json!({"scope": "openid"}))).unwrap();
    assert!(!nothing.has(Scope::Customer) && !nothing.may_see(&user("123456")));
}

#[test]
fn time_counts_with_a_small_leeway() {
    let now = get_current_timestamp();
    assert!(check(&claims(json!({"exp": now - 10}))).is_ok());
    assert_eq!(check(&claims(json!({"exp": now - 100}))), Err(BadToken::Expired));
    assert!(check(&claims(json!({"nbf": now + 10}))).is_ok());
    assert_eq!(check(&claims(json!({"nbf": now + 100}))), Err(BadToken::Invalid));
}

#[test]
fn to_know_a_token_is_not_to_know_one_that_resembles_it() {
    let tokens = Tokens::new(&settings(&[("main", SECRET)])).unwrap();
    let token = signed(None, &claims(json!({})), SECRET);
    let caller = tokens.check(&token).unwrap();
    assert_eq!(tokens.check(&token), Ok(caller));
    let (said, signature) = token.rsplit_once('.').unwrap();
    let staff = signed(None, &claims(json!({"scope": "staff"})), OTHER_SECRET);
    let (says_more, _) = staff.rsplit_once('.').unwrap();
    for forged in [format!("{says_more}.{signature}"), format!("{said}."), format!("{token}="), staff.clone()] {
        assert_eq!(tokens.check(&forged), Err(BadToken::Invalid), "{forged}");
        // Nor is it known the second time.
        assert_eq!(tokens.check(&forged), Err(BadToken::Invalid), "{forged}");
    }
    // Whoever has signed it, it was long ago.
    let expired = signed(None, &json!({"sub": "u", "exp": 1}), SECRET);
    assert_eq!([tokens.check(&expired), tokens.check(&expired)], [Err(BadToken::Expired), Err(BadToken::Expired)]);
}

#[test]
fn a_token_is_known_no_longer_than_it_is_good() {
    let tokens = Tokens::new(&settings(&[("main", SECRET)])).unwrap();
    let Tokens(keys) = &tokens;
    let exp = get_current_timestamp() + 60;
    let token = signed(None, &claims(json!({"exp": exp})), SECRET);
    let mark = Mark::of(&token);
    let caller = tokens.check(&token).unwrap();
    assert_eq!(keys.known.get(&mark, exp as f64 + 29.0), Some(caller.clone()));
    assert_eq!(keys.known.get(&mark, exp as f64 + 30.0), None);

    // What is known of others, and for how long, is what is believed of them.
    let now = get_current_timestamp() as f64;
    for (until, is_believed) in [(now, false), (now + 10.0, true)] {
        keys.known.put(Mark::of("another"), caller.clone(), until);
        assert_eq!(tokens.check("another").is_ok(), is_believed, "{until}");
    }
}

#[test]
fn what_lacks_a_claim_or_is_for_somebody_else_is_refused() {
    for change in [
        json!({"exp": null}),
        json!({"exp": "tomorrow"}),
        json!({"sub": null}),
        json!({"sub": ""}),
        json!({"sub": 5}),
        json!({"sub": "a\u{0}b"}),
        json!({"scope": ["staff"]}),
        json!({"aud": "another shop"}),
    ] {
        assert_eq!(check(&claims(change.clone())), Err(BadToken::Invalid), "{change}");
    }
    let strict = config::Auth {
        issuer: Some("https://id.example".to_owned()),
        audience: Some("conveyor".to_owned()),
        ..settings(&[("main", SECRET)])
    };
    let tokens = Tokens::new(&strict).unwrap();
    let ours = json!({"iss": "https://id.example", "aud": ["conveyor", "other"]});
    assert!(tokens.check(&signed(None, &claims(ours.clone()), SECRET)).is_ok());
    for (name, value) in [("iss", json!(null)), ("iss", json!("x")), ("aud", json!(null)), ("aud", json!("x"))] {
        let mut foreign = claims(ours.clone());
        foreign[name] = value;
        assert_eq!(tokens.check(&signed(None, &foreign, SECRET)), Err(BadToken::Invalid), "{foreign}");
    }
}

#[test]
fn only_the_algorithm_of_the_key_counts() {
    let public = file("pinned.pem", ED_PUBLIC);
    let mut both = settings(&[("main", SECRET)]);
    both.keys.insert("ed".to_owned(), config::Key { secret: None, public_key_file: Some(public) });
    let tokens = Tokens::new(&both).unwrap();
    let claims = claims(json!({}));
    let header = Header::new(Algorithm::EdDSA);
    let eddsa = encode(&header, &claims, &EncodingKey::from_ed_pem(ED_PRIVATE).unwrap()).unwrap();
    assert!(tokens.check(&eddsa).is_ok());

    // The old confusion: an HMAC whose secret is the public key.
    for secret in [ED_PUBLIC.as_bytes(), ED_PUBLIC.trim().as_bytes()] {
        let header = Header { kid: Some("ed".to_owned()), ..Header::default() };
        let confused = encode(&header, &claims, &EncodingKey::from_secret(secret)).unwrap();
        assert_eq!(tokens.check(&confused), Err(BadToken::Invalid));
    }
    let stronger = encode(&Header::new(Algorithm::HS512), &claims, &EncodingKey::from_secret(SECRET.as_bytes()));
    assert_eq!(tokens.check(&stronger.unwrap()), Err(BadToken::Invalid));

    // {"alg":"none","typ":"JWT"}, with and without what remains of a signature.
    let hmac = signed(None, &claims, SECRET);
    let (_, rest) = hmac.split_once('.').unwrap();
    let (payload, signature) = rest.split_once('.').unwrap();
    for unsigned in ["", signature] {
        let token = format!("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{payload}.{unsigned}");
        assert_eq!(tokens.check(&token), Err(BadToken::Invalid));
    }
}

#[test]
fn an_rsa_key_is_good_for_rs256_alone() {
    let mut settings = settings(&[]);
    let public = file("rsa.pem", include_str!("fixtures/rsa.pub.pem"));
    settings.keys = BTreeMap::from([("rsa".to_owned(), config::Key { secret: None, public_key_file: Some(public) })]);
    let tokens = Tokens::new(&settings).unwrap();
    let key = EncodingKey::from_rsa_pem(include_bytes!("fixtures/rsa.pem")).unwrap();
    for (algorithm, good) in [(Algorithm::RS256, true), (Algorithm::RS512, false), (Algorithm::PS256, false)] {
        let token = encode(&Header::new(algorithm), &claims(json!({})), &key).unwrap();
        assert_eq!(tokens.check(&token).is_ok(), good, "{algorithm:?}");
    }
}

#[test]
fn keys_are_exchanged_without_a_gap() {
    let tokens = Tokens::new(&settings(&[("new", SECRET), ("old", OTHER_SECRET)])).unwrap();
    let claims = claims(json!({}));
    for (kid, secret, good) in [
        (Some("new"), SECRET, true),
        (Some("old"), OTHER_SECRET, true),
        (None, SECRET, true),
        (None, OTHER_SECRET, true),
        (Some("old"), SECRET, false),
        (Some("unknown"), SECRET, false),
        (None, "a secret that nobody has ever heard of here", false),
    ] {
        assert_eq!(tokens.check(&signed(kid, &claims, secret)).is_ok(), good, "{kid:?}");
    }
    // Expired is what the one says who signed it, whatever the others say.
    let expired = signed(None, &json!({"sub": "u", "exp": 1}), SECRET);
    assert_eq!(tokens.check(&expired), Err(BadToken::Expired));
}

#[test]
fn a_key_set_is_as_good_as_keys_by_name() {
    let set = json!({"keys": [
        {"kty": "oct", "kid": "a", "k": "YSBzZWNyZXQgdGhhdCBoYXMgbW9yZSB0aGFuIHRoaXJ0eS10d28gYnl0ZXM", "alg": "HS256"},
        {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo", "use": "sig"},
        {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo", "use": "enc"},
    ]});
    let with = |name: &str, set: &Value| config::Auth {
        jwks_file: Some(file(name, &set.to_string())),
        ..config::Auth::default()
    };
    let tokens = Tokens::new(&with("set.json", &set)).unwrap();
    assert!(tokens.check(&signed(Some("a"), &claims(json!({})), SECRET)).is_ok());
    let header = Header { kid: Some("whatever".to_owned()), ..Header::new(Algorithm::EdDSA) };
    let eddsa = encode(&header, &claims(json!({})), &EncodingKey::from_ed_pem(ED_PRIVATE).unwrap()).unwrap();
    assert!(tokens.check(&eddsa).is_ok());

    for (name, broken) in [
        ("none.json", json!({"keys": []})),
        ("short.json", json!({"keys": [{"kty": "oct", "k": "c2VjcmV0"}]})),
        ("alg.json", json!({"keys": [{"kty": "oct", "k": set["keys"][0]["k"], "alg": "HS512"}]})),
        ("no.json", json!("keys")),
        ("x.json", json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "AAAA"}]})),
        ("ec.json", json!({"keys": [{"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}]})),
    ] {
        assert!(Tokens::new(&with(name, &broken)).is_err(), "{broken}");
    }
}

#[test]
fn a_bad_key_is_named_and_never_shown() {
    let none = settings(&[]);
    let short = settings(&[("main", "too short")]);
    let mut neither = settings(&[]);
    neither.keys = BTreeMap::from([("main".to_owned(), config::Key::default())]);
    let mut wrong = settings(&[]);
    let key = config::Key { secret: None, public_key_file: Some(file("not.pem", "MIIsecret")) };
    wrong.keys = BTreeMap::from([("main".to_owned(), key)]);
    let mut private = settings(&[]);
    let key =
        config::Key { secret: None, public_key_file: Some(file("private.pem", include_str!("fixtures/rsa.pem"))) };
    private.keys = BTreeMap::from([("main".to_owned(), key)]);
    let mut absent = settings(&[]);
    absent.jwks_file = Some("/nowhere/keys.json".into());
    for (settings, named) in [
        (none, "auth.keys"),
        (short, "auth.keys.main"),
        (neither, "auth.keys.main"),
        (wrong, "auth.keys.main"),
        (private, "auth.keys.main"),
        (absent, "auth.jwks_file"),
    ] {
        let Err(error) = Tokens::new(&settings) else { panic!("{named}") };
        let text = error.to_string();
        assert!(text.contains(named) && !text.contains("too short") && !text.contains("MIIsecret"), "{text}");
    }
}

#[test]
fn what_is_no_token_is_refused() {
    let tokens = Tokens::new(&settings(&[("main", SECRET)])).unwrap();
    let long = "a".repeat(LONGEST_TOKEN + 1);
    for text in ["", ".", "..", "...", "a.b.c", "user authentication token", "\u{0}", "eyJhbGciOiJIUzI1NiJ9..", &long] {
        assert_eq!(tokens.check(text), Err(BadToken::Invalid), "{text:?}");
    }
}
