//! Who sent a callback, and when: `Gateway-Signature: t=<unix seconds>,v1=<hex HMAC-SHA256 of "<t>.<body>">`.

use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::Sha256;

pub(super) struct Signatures {
    secret: SecretString,
    tolerance_s: i64,
}

impl Signatures {
    pub(super) fn new(secret: SecretString, tolerance_s: i64) -> Self {
        Self { secret, tolerance_s }
    }

    /// Whether the body was signed with the secret, at about this time. Compared in a time that tells nothing.
    pub(super) fn are_good(&self, header: &str, body: &[u8], now: i64) -> bool {
        let part = |name: &str| {
            let mut values = header.split(',').filter_map(|part| part.trim().strip_prefix(name)?.strip_prefix('='));
            // Two of one name would let the sender choose which is looked at.
            values.next().filter(|_| values.next().is_none())
        };
        let (Some(time), Some(given)) = (part("t"), part("v1").and_then(from_hex)) else { return false };
        let is_now = time.parse::<i64>().is_ok_and(|at| now.abs_diff(at) <= self.tolerance_s.unsigned_abs());
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(self.secret.expose_secret().as_bytes()) else { return false };
        mac.update(time.as_bytes());
        mac.update(b".");
        mac.update(body);
        is_now && mac.verify_slice(&given).is_ok()
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

    #[test]
    fn only_what_was_signed_with_the_secret_and_lately_is_good() {
        let signatures = Signatures::new("a secret of the tests".into(), 300);
        // printf '%s' '1000.{"id":"evt_1"}' | openssl dgst -sha256 -hmac 'a secret of the tests'
        let good = "92f2067cf55409d793e176885c8a20d00ebb1c6662f15e38ecb1316e57485495";
        let body = br#"{"id":"evt_1"}"#;
        let header = format!("t=1000,v1={good}");
        for now in [1_000, 1_300, 700] {
            assert!(signatures.are_good(&header, body, now), "{now}");
        }
        for now in [1_301, 699, i64::MAX, i64::MIN] {
            assert!(!signatures.are_good(&header, body, now), "{now}");
        }
        assert!(signatures.are_good(&header.to_uppercase().replace("T=", "t=").replace("V1=", "v1="), body, 1_000));
        assert!(!signatures.are_good(&header, br#"{"id":"evt_2"}"#, 1_000));
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
            assert!(!signatures.are_good(bad, body, 1_000), "{bad}");
        }
        assert!(!Signatures::new("another secret of them".into(), 300).are_good(&header, body, 1_000));
    }
}
