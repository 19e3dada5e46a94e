use common::{config::Database, db::Db};
use curve25519_dalek::{EdwardsPoint, Scalar, constants::EIGHT_TORSION, edwards::CompressedEdwardsY};
use ed25519_zebra::{SigningKey, VerificationKeyBytes};
use sha2::{Digest as _, Sha512};

use super::{
    key::{BadKey, PublicKey},
    *,
};

fn secret(n: u8) -> SigningKey {
    SigningKey::from([n; 32])
}

fn signed(n: u8, text: &str) -> Signed {
    signed_with("k", n, text, text)
}

/// What is said to be signed with a key of user `u`.
pub(crate) fn signed_with(key: &str, n: u8, signed: &str, text: &str) -> Signed {
    let signature = STANDARD.encode(secret(n).sign(signed.as_bytes()).to_bytes());
    Signed::new(name(key).0, &format!("{key}:{signature}"), text.into()).unwrap()
}

/// With one key in memory, and a database that cannot be reached.
pub(crate) fn knowing(one: &str, n: u8) -> Signatures {
    let nowhere = Database { url: "postgres://u:p@127.0.0.1:1/nowhere".into(), pool_size: 1 };
    let keys = Keys::new(Db::new(&nowhere, "a test", "orders").unwrap());
    keys.know(name(one), key(n).unwrap());
    Signatures::new(keys)
}

fn name(key: &str) -> Name {
    (UserId::try_from("u".to_owned()).unwrap(), key.parse().unwrap())
}

fn key(n: u8) -> Option<Arc<Key>> {
    Key::new(VerificationKeyBytes::from(&secret(n)).into()).map(Arc::new)
}

fn check(pairs: &[(&Signed, Option<Arc<Key>>)]) -> Vec<Result<(), BadSignature>> {
    let (signed, keys): (Vec<&Signed>, Vec<_>) = pairs.iter().cloned().unzip();
    check_together(&signed, &keys)
}

#[test]
fn each_gets_its_own_answer_whoever_stands_beside_it() {
    let good: Vec<Signed> = (0..20).map(|n| signed(n, "text")).collect();
    let mut pairs: Vec<_> = (0..).zip(&good).map(|(n, good)| (good, key(n))).collect();
    assert!(check(&pairs).iter().all(Result::is_ok));
    assert_eq!(check(&pairs[..1]), [Ok(())]);
    pairs[7].1 = key(8);
    pairs[13].1 = None;
    let answers = check(&pairs);
    for (i, answer) in answers.into_iter().enumerate() {
        let expected = match i {
            7 => Err(BadSignature::Wrong),
            13 => Err(BadSignature::UnknownKey),
            _ => Ok(()),
        };
        assert_eq!(answer, expected, "{i}");
    }
    assert_eq!(check(&[]), []);
}

/// Made by somebody with a key of their own who adds a point of small order: rules differ on it, and with most of them a
/// batch takes by chance what a single check refuses.
#[test]
fn a_signature_on_the_edge_counts_the_same_alone_and_in_any_company() {
    let scalar = Scalar::from(77_u64);
    let public = EdwardsPoint::mul_base(&scalar);
    let verification = || Key::new(public.compress().0).map(Arc::new);
    let good = signed(1, "text");
    for torsion in EIGHT_TORSION {
        let nonce = Scalar::from(5_u64);
        let r = (EdwardsPoint::mul_base(&nonce) + torsion).compress();
        let hash = Sha512::new().chain_update(r.0).chain_update(public.compress().0).chain_update(b"text").finalize();
        let k = Scalar::from_bytes_mod_order_wide(&hash.into());
        let bytes = [r.0, (nonce + k * scalar).to_bytes()].concat();
        let text = format!("k:{}", STANDARD.encode(bytes));
        let edge = Signed::new(UserId::try_from("u".to_owned()).unwrap(), &text, b"text".to_vec()).unwrap();
        let alone = check(&[(&edge, verification())]);
        for _ in 0..20 {
            let together = check(&[(&edge, verification()), (&good, key(1)), (&edge, verification())]);
            assert_eq!((together[0], together[1], together[2]), (alone[0], Ok(()), alone[0]));
        }
    }
}

#[test]
fn a_signature_has_one_text() {
    let user = || UserId::try_from("u".to_owned()).unwrap();
    let new = |text: &str| Signed::new(user(), text, Vec::new()).err();
    let bytes = secret(1).sign(b"").to_bytes();
    let text = STANDARD.encode(bytes);
    assert_eq!(new(&format!("laptop-1:{text}")), None);
    let bad = Some(BadSignature::Malformed);
    let no_point = STANDARD.encode([[0xff; 32], [0; 32]].concat());
    for other in [
        text.clone(),
        format!(":{text}"),
        format!("a b:{text}"),
        format!("k:{}", text.trim_end_matches('=')),
        format!("k:{text}="),
        format!("k: {text}"),
        format!("k:{}", STANDARD.encode(&bytes[..63])),
        format!("{}:{text}", "k".repeat(65)),
        format!("k:{no_point}"),
        "k:".to_owned(),
    ] {
        assert_eq!(new(&other), bad, "{other}");
    }
    // The number in its second half must be below the order of the group: the same one with the order added is refused.
    let mut larger = bytes;
    let order = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let mut carry = 0;
    for (byte, add) in larger[32..].iter_mut().zip(order) {
        let sum = u16::from(*byte) + add + carry;
        (*byte, carry) = (sum as u8, sum >> 8);
    }
    let larger = Signed::new(user(), &format!("k:{}", STANDARD.encode(larger)), Vec::new()).unwrap();
    assert_eq!(check(&[(&larger, key(1))]), [Err(BadSignature::Wrong)]);
}

#[test]
fn the_form_that_is_signed_is_the_one_of_rfc_8785() {
    let body = r#"{ "signature":"s", "b":[1e2, 100.50, 0.000001, 1e21], "a":{"z":"\u00e9\u000f","\u20ac":"/"} }"#;
    let text = Canonical::read(body.as_bytes()).unwrap().without("signature").unwrap();
    assert_eq!(
        String::from_utf8(text).unwrap(),
        "{\"a\":{\"z\":\"é\\u000f\",\"€\":\"/\"},\"b\":[100,100.5,0.000001,1e+21]}"
    );
    assert!(Canonical::read(br#"{"a":1e400}"#).is_err());
}

#[test]
fn only_sound_keys_can_be_registered() {
    let sound = PublicKey(secret(1).verification_key().into());
    let pem = sound.to_pem().unwrap();
    assert_eq!(PublicKey::from_pem(&pem), Ok(sound));
    assert_eq!(PublicKey::from_pem(&format!("\n{pem}\n")), Ok(sound));
    let of = |point: EdwardsPoint| PublicKey(point.compress().0).to_pem().unwrap();
    for torsion in EIGHT_TORSION {
        assert_eq!(PublicKey::from_pem(&of(torsion)), Err(BadKey::Weak));
    }
    let mixed = EdwardsPoint::mul_base(&Scalar::from(9_u64)) + EIGHT_TORSION[1];
    assert_eq!(PublicKey::from_pem(&of(mixed)), Err(BadKey::Weak));
    // y = p + 1 is another way to write y = 1.
    let mut other = [0xff; 32];
    (other[0], other[31]) = (0xee, 0x7f);
    assert!(CompressedEdwardsY(other).decompress().is_some());
    assert!(PublicKey(other).to_pem().is_none_or(|pem| PublicKey::from_pem(&pem).is_err()));
    for no_key in ["", "x", "-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----", &pem.replace("PUBLIC", "PRIVATE")] {
        assert_eq!(PublicKey::from_pem(no_key), Err(BadKey::NotOne), "{no_key}");
    }
}
