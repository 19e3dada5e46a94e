//! Signatures: that an order says what its customer signed, byte for byte.
//!
//! What is signed is the body without its `signature`, in the form that RFC 8785 gives every JSON value. Signatures are
//! checked many at a time, which takes half as long. That must never make an answer depend on a request's neighbours: the
//! rule is ZIP 215, when a batch fails its signatures are checked one by one, and what a batch lets pass, that rule lets
//! pass as well. (A batch may fail by chance over a signature on the edge, made so by the owner of the key; then it is
//! the single check that says yes.) Keys are of the kind that leaves forgers no room: see [`key`].

mod canonical;
pub(crate) mod key;

use std::sync::Arc;

pub(crate) use self::canonical::Canonical;
use self::key::{Key, KeyId, Keys, Name};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use common::{db::DbError, ids::UserId};
use ed25519_dalek::{Signature, verify_batch};

/// So many are checked together, in less than a millisecond; then others have their turn.
pub(crate) const TOGETHER: usize = 32;

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
    /// Of the key that it is said to be signed with.
    key: Name,
    signature: Signature,
    text: Vec<u8>,
}

impl Signed {
    /// `text` is what was signed.
    pub(crate) fn new(user_id: UserId, signature: &str, text: Vec<u8>) -> Result<Self, BadSignature> {
        let (key_id, signature) = parse(signature).ok_or(BadSignature::Malformed)?;
        Ok(Self { key: (user_id, key_id), signature, text })
    }
}

pub(crate) fn parse(text: &str) -> Option<(KeyId, Signature)> {
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

/// Checks signatures.
#[derive(Clone)]
pub(crate) struct Signatures {
    keys: Keys,
}

impl Signatures {
    pub(crate) fn new(keys: Keys) -> Self {
        Self { keys }
    }

    /// Says of each whether it counts, if all of their keys are in memory.
    pub(crate) fn check_known(&self, signed: &[&Signed]) -> Option<Vec<Result<(), BadSignature>>> {
        let keys = self.keys.known(&names(signed));
        keys.iter().all(Option::is_some).then(|| check_together(signed, &keys))
    }

    /// Says of each whether it counts.
    pub(crate) async fn check(&self, signed: &[&Signed]) -> Result<Vec<Result<(), BadSignature>>, DbError> {
        let keys = self.keys.find(&names(signed)).await?;
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

fn names<'a>(signed: &[&'a Signed]) -> Vec<&'a Name> {
    signed.iter().map(|signed| &signed.key).collect()
}

/// Each with the key that it is said to be signed with, if that is known.
fn check_together(signed: &[&Signed], keys: &[Option<Arc<Key>>]) -> Vec<Result<(), BadSignature>> {
    let pairs = || signed.iter().zip(keys);
    let known = || pairs().filter_map(|(signed, key)| Some((signed, key.as_ref()?)));
    let texts: Vec<&[u8]> = known().map(|(signed, _)| signed.text.as_slice()).collect();
    let signatures: Vec<Signature> = known().map(|(signed, _)| signed.signature).collect();
    let for_batches: Vec<_> = known().map(|(_, key)| key.for_batches).collect();
    // By itself, one takes less time than a batch of one.
    let all_good = texts.len() > 1 && verify_batch(&texts, &signatures, &for_batches).is_ok();
    let check = |(signed, key): (&&Signed, &Option<Arc<Key>>)| {
        let key = key.as_ref().ok_or(BadSignature::UnknownKey)?;
        if all_good || key.has_signed(&signed.signature, &signed.text) { Ok(()) } else { Err(BadSignature::Wrong) }
    };
    pairs().map(check).collect()
}

#[cfg(test)]
pub(crate) mod tests;
