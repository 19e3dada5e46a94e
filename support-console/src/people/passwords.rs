//! Passwords: hashed slowly on purpose, and never so many at once that nothing else gets done.

use std::sync::Arc;

use argon2::{
    Argon2,
    password_hash::{PasswordHasher as _, PasswordVerifier as _, phc::PasswordHash},
};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::Semaphore;

use super::{AccountName, PeopleError};

pub const SHORTEST_PASSWORD: usize = 12;
pub const LONGEST_PASSWORD: usize = 256;

/// So many may wait for their turn, for each that is being checked. Whoever comes then is told to come again.
const WAITING_PER_CHECK: usize = 8;

pub(super) struct Passwords {
    checks: Arc<Semaphore>,
    places: Semaphore,
    /// Of a password that nobody knows: what an account without one is compared with, so that it takes as long.
    nobodys: String,
}

/// Too many passwords wait to be checked.
#[derive(Debug)]
pub(super) struct Crowded;

impl Passwords {
    pub(super) fn new(at_once: usize) -> Result<Self, String> {
        let nobodys = Argon2::default().hash_password(super::secret::new("").expose_secret().as_bytes());
        Ok(Self {
            checks: Arc::new(Semaphore::new(at_once)),
            places: Semaphore::new(at_once * WAITING_PER_CHECK),
            nobodys: nobodys.map_err(|error| error.to_string())?.to_string(),
        })
    }

    /// Whether it is the password of which the hash was kept. Where there is none, it takes as long to say no.
    pub(super) async fn check(&self, hash: Option<String>, password: SecretString) -> Result<bool, Crowded> {
        let _place = self.places.try_acquire().map_err(|_| Crowded)?;
        let turn = Arc::clone(&self.checks).acquire_owned().await.map_err(|_| Crowded)?;
        let is_known = hash.is_some();
        let hash = hash.unwrap_or_else(|| self.nobodys.clone());
        let checked = tokio::task::spawn_blocking(move || {
            // The turn lasts as long as the work, also when nobody waits for it any more.
            let _turn = turn;
            let hash = PasswordHash::new(&hash).ok();
            let password = password.expose_secret().as_bytes();
            hash.is_some_and(|hash| Argon2::default().verify_password(password, &hash).is_ok())
        });
        Ok(checked.await.unwrap_or(false) && is_known)
    }
}

/// What is kept of a password that an account is to have.
pub(super) async fn hash(name: &AccountName, password: &SecretString) -> Result<String, PeopleError> {
    let length = password.expose_secret().chars().count();
    if !(SHORTEST_PASSWORD..=LONGEST_PASSWORD).contains(&length) {
        return Err(PeopleError::BadPassword);
    }
    if password.expose_secret().eq_ignore_ascii_case(name.as_str()) {
        return Err(PeopleError::PasswordIsName);
    }
    let password = password.clone();
    let hashed = tokio::task::spawn_blocking(move || {
        Argon2::default().hash_password(password.expose_secret().as_bytes()).map(|hash| hash.to_string())
    });
    match hashed.await {
        Ok(hashed) => hashed.map_err(|error| PeopleError::Hashing(error.to_string())),
        Err(error) => Err(PeopleError::Hashing(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_password_itself_is_right() {
        let name: AccountName = "ann".parse().unwrap();
        let password = SecretString::from("correct horse battery");
        let kept = hash(&name, &password).await.unwrap();
        assert!(kept.starts_with("$argon2id$v=19$m=19456,t=2,p=1$") && !kept.contains("horse"), "{kept}");
        assert_ne!(kept, hash(&name, &password).await.unwrap(), "no salt");
        let passwords = Passwords::new(1).unwrap();
        assert!(passwords.check(Some(kept.clone()), password.clone()).await.unwrap());
        assert!(!passwords.check(Some(kept), "correct horse batterx".into()).await.unwrap());
        assert!(!passwords.check(None, password.clone()).await.unwrap());
        assert!(!passwords.check(Some("nonsense".to_owned()), password).await.unwrap());
    }

    #[tokio::test]
    async fn what_is_too_short_too_long_or_the_name_is_no_password() {
        let name: AccountName = "ann.lee.the.first".parse().unwrap();
        for bad in ["", "elevenchars", "Ann.Lee.The.First", &"x".repeat(257)] {
            assert!(hash(&name, &bad.into()).await.is_err(), "{bad}");
        }
    }

    #[tokio::test]
    async fn those_who_would_wait_too_long_are_sent_away() {
        let passwords = Arc::new(Passwords::new(1).unwrap());
        // Nobody's turn comes while this is held.
        let _held = Arc::clone(&passwords.checks).acquire_owned().await.unwrap();
        let waiting: Vec<_> = (0..WAITING_PER_CHECK)
            .map(|_| {
                let passwords = Arc::clone(&passwords);
                tokio::spawn(async move { passwords.check(None, "x".into()).await })
            })
            .collect();
        while passwords.places.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        assert!(passwords.check(None, "x".into()).await.is_err());
        waiting.into_iter().for_each(|one| one.abort());
    }
}
