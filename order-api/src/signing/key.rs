//! The keys that orders are signed with: which can be registered, and which are.

use std::{
    collections::{BTreeSet, HashMap},
    fmt,
    str::FromStr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use common::{
    db::{Db, DbError},
    ids::UserId,
};
use curve25519_dalek::edwards::CompressedEdwardsY;
use ed25519_dalek::{Signature, VerifyingKey};
use ed25519_zebra::VerificationKey;
use pkcs8::{
    AlgorithmIdentifierRef, Document, LineEnding, ObjectIdentifier, SubjectPublicKeyInfoRef,
    der::{asn1::BitStringRef, pem::PemLabel as _},
};

/// RFC 8410.
const ED25519: AlgorithmIdentifierRef<'_> =
    AlgorithmIdentifierRef { oid: ObjectIdentifier::new_unwrap("1.3.101.112"), parameters: None };
/// How long a key that was found is believed. One that was revoked may count for as long as that and as its order's group
/// gathers.
const BELIEVED: Duration = Duration::from_millis(500);
/// How many keys are kept in memory.
const MOST_KEPT: usize = 10_000;

/// What a user calls one of their keys.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct KeyId(String);

impl KeyId {
    pub(crate) const SHAPE: &'static str = "must be 1 to 64 characters out of A-Z a-z 0-9 . _ -";

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for KeyId {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
        let is_name = (1..=64).contains(&text.len()) && text.bytes().all(is_plain);
        if is_name { Ok(Self(text.to_owned())) } else { Err(Self::SHAPE) }
    }
}

/// A public key that may be registered.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct PublicKey(pub [u8; 32]);

/// Why a key may not be registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadKey {
    #[error("must be the PEM of an Ed25519 public key (-----BEGIN PUBLIC KEY-----)")]
    NotOne,
    #[error("is a weak key: it would take signatures that nobody made, or that mean something else to others")]
    Weak,
}

impl PublicKey {
    pub(crate) fn from_pem(pem: &str) -> Result<Self, BadKey> {
        let (label, document) = Document::from_pem(pem.trim()).map_err(|_| BadKey::NotOne)?;
        let key: SubjectPublicKeyInfoRef<'_> = document.decode_msg().map_err(|_| BadKey::NotOne)?;
        let bytes = key.subject_public_key.as_bytes().and_then(|bytes| bytes.try_into().ok());
        let is_one = label == SubjectPublicKeyInfoRef::PEM_LABEL && key.algorithm == ED25519;
        Self::sound(bytes.filter(|_| is_one).ok_or(BadKey::NotOne)?)
    }

    pub(crate) fn to_pem(self) -> Option<String> {
        let subject_public_key = BitStringRef::from_bytes(&self.0).ok()?;
        let document = Document::try_from(SubjectPublicKeyInfoRef { algorithm: ED25519, subject_public_key }).ok()?;
        document.to_pem(SubjectPublicKeyInfoRef::PEM_LABEL, LineEnding::LF).ok()
    }

    /// Written in the one right way, and in the group of prime order: for such a key all rules that Ed25519 signatures
    /// are checked by come to the same.
    fn sound(bytes: [u8; 32]) -> Result<Self, BadKey> {
        let point = CompressedEdwardsY(bytes).decompress().ok_or(BadKey::NotOne)?;
        let is_sound = point.compress().0 == bytes && point.is_torsion_free() && !point.is_small_order();
        if is_sound { Ok(Self(bytes)) } else { Err(BadKey::Weak) }
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A public key, taken apart for checking signatures.
pub(super) struct Key {
    pub(super) for_batches: VerifyingKey,
    alone: VerificationKey,
}

impl Key {
    pub(super) fn new(bytes: [u8; 32]) -> Option<Self> {
        Some(Self {
            for_batches: VerifyingKey::from_bytes(&bytes).ok()?,
            alone: VerificationKey::try_from(bytes).ok()?,
        })
    }

    pub(super) fn has_signed(&self, signature: &Signature, text: &[u8]) -> bool {
        self.alone.verify(&signature.to_bytes().into(), text).is_ok()
    }
}

/// Of a key, among those of all users.
pub(super) type Name = (UserId, KeyId);

#[derive(Clone)]
struct Found {
    key: Arc<Key>,
    at: Instant,
}

/// The registered keys. Those of users who order often are not read for every group of orders.
#[derive(Clone)]
pub(crate) struct Keys {
    db: Db,
    found: Arc<Mutex<HashMap<Name, Found>>>,
}

impl Keys {
    pub(crate) fn new(db: Db) -> Self {
        Self { db, found: Arc::default() }
    }

    /// However long a test takes.
    #[cfg(test)]
    pub(super) fn know(&self, name: Name, key: Arc<Key>) {
        self.keep(&HashMap::from([(name, Found { key, at: Instant::now() + BELIEVED * 1_000 })]));
    }

    /// The keys of those names, in their order, as far as they are in memory and fresh enough to be believed.
    pub(super) fn known(&self, names: &[&Name]) -> Vec<Option<Arc<Key>>> {
        let found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = |name: &Name| found.get(name).filter(|found| found.at.elapsed() < BELIEVED);
        names.iter().map(|name| fresh(name).map(|found| Arc::clone(&found.key))).collect()
    }

    /// The keys of those names, in their order: asked for once, if there are any that are not in memory.
    pub(super) async fn find(&self, names: &[&Name]) -> Result<Vec<Option<Arc<Key>>>, DbError> {
        let mut keys = self.known(names);
        let missing: BTreeSet<&Name> =
            names.iter().zip(&keys).filter_map(|(name, key)| key.is_none().then_some(*name)).collect();
        if !missing.is_empty() {
            let read = self.read(&missing).await?;
            self.keep(&read);
            for (name, key) in names.iter().zip(&mut keys) {
                if key.is_none() {
                    *key = read.get(*name).map(|found| Arc::clone(&found.key));
                }
            }
        }
        Ok(keys)
    }

    async fn read(&self, names: &BTreeSet<&Name>) -> Result<HashMap<Name, Found>, DbError> {
        // From before the question: what is revoked after it counts for no longer than it may.
        let at = Instant::now();
        let users: Vec<&str> = names.iter().map(|(user, _)| user.as_str()).collect();
        let ids: Vec<&str> = names.iter().map(|(_, key)| key.as_str()).collect();
        let rows = self.db.query(include_str!("../store/find_keys.sql"), &[&users, &ids]).await?;
        let mut found = HashMap::with_capacity(rows.len());
        for row in rows {
            let user: UserId = row.try_get::<_, String>(0)?.try_into().map_err(DbError::unexpected)?;
            let id: KeyId = row.try_get::<_, &str>(1)?.parse().map_err(DbError::unexpected)?;
            let bytes = row.try_get::<_, &[u8]>(2)?.try_into().map_err(DbError::unexpected)?;
            match Key::new(bytes) {
                Some(key) => drop(found.insert((user, id), Found { key: Arc::new(key), at })),
                None => {
                    tracing::error!(%user, key = id.as_str(), "a registered signing key is none; it counts as unknown");
                }
            }
        }
        Ok(found)
    }

    fn keep(&self, read: &HashMap<Name, Found>) {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        if found.len() + read.len() > MOST_KEPT {
            found.retain(|_, found| found.at.elapsed() < BELIEVED);
        }
        if found.len() + read.len() <= MOST_KEPT {
            found.extend(read.iter().map(|(name, found)| (name.clone(), found.clone())));
        }
    }
}
