//! Signatures: that an order says what its customer signed, byte for byte.
//!
//! What is signed is the body without its `signature`, in the form that RFC 8785 gives every JSON value. Signatures are
//! checked many at a time, which takes half as long. That must never make an answer depend on a request's neighbours, so
//! the rule is the one under which a batch and a single check cannot differ (ZIP 215), keys are of the kind that leaves
//! it no room (see [`key`]), and when a batch fails its signatures are checked one by one.

pub(crate) mod key;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use common::{db::DbError, ids::UserId};
use ed25519_zebra::{Signature, VerificationKey, VerificationKeyBytes, batch};
use rand_core::OsRng;
use serde_json::{Map, Value};

use self::key::{KeyId, Keys};

/// So many are checked together, in about a millisecond; then others have their turn.
const TOGETHER: usize = 32;

/// Why a signature does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadSignature {
    #[error("must be <key id>:<base64 of the 64 bytes of an Ed25519 signature>")]
    Malformed,
    #[error("is by a key that is not registered for this user, or not any more")]
    UnknownKey,
    #[error("is not that of this body: sign its RFC 8785 form without `signature`")]
    Wrong,
}

/// A body in the form that is signed, and who is said to have signed it.
pub(crate) struct Signed {
    user_id: UserId,
    key_id: KeyId,
    signature: Signature,
    text: Vec<u8>,
}

impl Signed {
    /// `text` is what was signed.
    pub(crate) fn new(user_id: UserId, signature: &str, text: Vec<u8>) -> Result<Self, BadSignature> {
        let (key_id, signature) = parse(signature).ok_or(BadSignature::Malformed)?;
        Ok(Self { user_id, key_id, signature, text })
    }
}

fn parse(text: &str) -> Option<(KeyId, Signature)> {
    let (key_id, signature) = text.split_once(':')?;
    let bytes: [u8; 64] = STANDARD.decode(signature).ok()?.try_into().ok()?;
    // One signature, one text: nobody can turn it into another that counts as well.
    let (r, _) = bytes.split_first_chunk::<32>()?;
    is_canonical(r).then_some((key_id.parse().ok()?, Signature::from_bytes(&bytes)))
}

/// Whether a point's coordinate is below 2^255 - 19. (The other half of a signature is checked with it.)
fn is_canonical(point: &[u8; 32]) -> bool {
    let [first, middle @ .., last] = point;
    !(*first >= 0xed && middle.iter().all(|byte| *byte == 0xff) && last & 0x7f == 0x7f)
}

/// A JSON object of which parts are left out before it is written in its RFC 8785 form.
pub(crate) struct Canonical(Map<String, Value>);

impl Canonical {
    /// An error means that there is a number in it beyond those of RFC 8785.
    pub(crate) fn read(body: &[u8]) -> serde_json::Result<Self> {
        serde_json::from_slice(body).map(Self)
    }

    /// Leaves a field out from now on, and writes the rest.
    pub(crate) fn without(&mut self, field: &str) -> serde_json::Result<Vec<u8>> {
        self.0.remove(field);
        serde_json_canonicalizer::to_vec(&self.0)
    }
}

/// Checks signatures.
#[derive(Clone)]
pub(crate) struct Signatures {
    keys: Keys,
}

impl Signatures {
    pub(crate) fn new(keys: Keys) -> Self {
        Self { keys }
    }

    /// Says of each whether it counts.
    pub(crate) async fn check(&self, signed: &[&Signed]) -> Result<Vec<Result<(), BadSignature>>, DbError> {
        let names = signed.iter().map(|signed| (&signed.user_id, &signed.key_id));
        let keys = self.keys.find(names.collect()).await?;
        let mut answers = Vec::with_capacity(signed.len());
        for (signed, keys) in signed.chunks(TOGETHER).zip(keys.chunks(TOGETHER)) {
            if !answers.is_empty() {
                tokio::task::yield_now().await;
            }
            answers.extend(check_together(signed, keys));
        }
        Ok(answers)
    }
}

fn check_together(signed: &[&Signed], keys: &[Option<VerificationKey>]) -> Vec<Result<(), BadSignature>> {
    let pairs = || signed.iter().zip(keys);
    let mut known = 0;
    let mut batch = batch::Verifier::new();
    for (signed, key) in pairs().filter_map(|(signed, key)| Some((signed, (*key)?))) {
        batch.queue((VerificationKeyBytes::from(key), signed.signature, &signed.text));
        known += 1;
    }
    // By itself, one takes less time than a batch of one.
    let all_good = known > 1 && batch.verify(OsRng).is_ok();
    let check = |(signed, key): (&&Signed, &Option<VerificationKey>)| {
        let key = key.ok_or(BadSignature::UnknownKey)?;
        if all_good { Ok(()) } else { key.verify(&signed.signature, &signed.text).map_err(|_| BadSignature::Wrong) }
    };
    pairs().map(check).collect()
}

#[cfg(test)]
mod tests;
