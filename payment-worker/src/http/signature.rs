//! Who sent a callback, and when: `Gateway-Signature: t=<unix seconds>,v1=<hex HMAC-SHA256 of "<t>.<body>">`.

use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::Sha256;

pub(crate) struct Signatures {
    secret: SecretString,
    tolerance_s: i64,
}

impl Signatures {
    pub(crate) fn new(secret: SecretString, tolerance_s: i64) -> Self {
        Self { secret, tolerance_s }
    }

    /// For so long after it was made a signature may still be good, by any clock that is not too wrong.
    pub(super) fn keep_s(&self) -> i64 {
        // It may be made that long before now and after.
        self.tolerance_s.saturating_mul(2).saturating_add(60)
    }

    /// The signature, if the body was signed with the secret, at about this time. Compared in a time that tells nothing.
    pub(crate) fn good(&self, header: &str, body: &[u8], now: i64) -> Option<Vec<u8>> {
        let part = |name: &str| {
            let mut values = header.split(',').filter_map(|part| part.trim().strip_prefix(name)?.strip_prefix('='));
            // Two of one name would let the sender choose which is looked at.
            values.next().filter(|_| values.next().is_none())
        };
        let (time, given) = (part("t")?, part("v1").and_then(from_hex)?);
        let is_now = time.parse::<i64>().is_ok_and(|at| now.abs_diff(at) <= self.tolerance_s.unsigned_abs());
        let mut mac = Hmac::<Sha256>::new_from_slice(self.secret.expose_secret().as_bytes()).ok()?;
        mac.update(time.as_bytes());
        mac.update(b".");
        mac.update(body);
        (is_now && mac.verify_slice(&given).is_ok()).then_some(given)
    }
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let bytes = text.as_bytes();
    if bytes.len() != 64 {
        return None;
    }
    bytes.chunks_exact(2).map(|pair| Some(digit(*pair.first()?)? << 4 | digit(*pair.last()?)?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn are_good(signatures: &Signatures, header: &str, body: &[u8], now: i64) -> bool {
        signatures.good(header, body, now).is_some()
    }

    #[test]
    fn only_what_was_signed_with_the_secret_and_lately_is_good() {
        let signatures = Signatures::new("a secret of the tests".into(), 300);
        // printf '%s' '1000.{"id":"evt_1"}' | openssl dgst -sha256 -hmac 'a secret of the tests'
        let good = "92f2067cf55409d793e176885c8a20d00ebb1c6662f15e38ecb1316e57485495";
        let body = br#"{"id":"evt_1"}"#;
        let header = format!("t=1000,v1={good}");
        for now in [1_000, 1_300, 700] {
            assert!(are_good(&signatures, &header, body, now), "{now}");
        }
        for now in [1_301, 699, i64::MAX, i64::MIN] {
            assert!(!are_good(&signatures, &header, body, now), "{now}");
        }
        assert!(are_good(&signatures, &header.to_uppercase().replace("T=", "t=").replace("V1=", "v1="), body, 1_000));
        assert!(!are_good(&signatures, &header, br#"{"id":"evt_2"}"#, 1_000));
        for bad in [
            "",
            "t=1000",
            &format!("v1={good}"),
            &format!("t=1001,v1={good}"),
            &format!("t=1000,v1={}", good.replace('a', "b")),
            &format!("t=1000,v1={good},v1={good}"),
            &format!("t=9999999999999999999,v1={good}"),
            "t=1000,v1=",
            "t=1000,v1=zz",
        ] {
            assert!(!are_good(&signatures, bad, body, 1_000), "{bad}");
        }
        assert!(!are_good(&Signatures::new("another secret of them".into(), 300), &header, body, 1_000));
    }
}
