//! Tokens that were found to be in order. A client sends the same one with request after request: what its signature says
//! need not be found out each time, only whether it has expired since.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use sha2::{Digest as _, Sha256};

use super::Caller;

/// About 1 MB. Beyond that all are forgotten, and found to be in order once more.
const MOST: usize = 4_096;

/// What a token is known by: not itself, for whoever has it is believed.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Mark([u8; 32]);

impl Mark {
    pub(super) fn of(token: &str) -> Self {
        Self(Sha256::digest(token).into())
    }
}

/// Whose a token is, and until when it is good, in seconds since 1970.
struct Good {
    caller: Caller,
    until: f64,
}

#[derive(Default)]
pub(super) struct Known(Mutex<HashMap<Mark, Good>>);

impl Known {
    pub(super) fn get(&self, mark: &Mark, now: f64) -> Option<Caller> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(mark).filter(|good| now < good.until).map(|good| good.caller.clone())
    }

    pub(super) fn put(&self, mark: Mark, caller: Caller, until: f64) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(mark, Good { caller, until });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{auth::Scope, ids::UserId};

    fn caller(name: &str) -> Caller {
        Caller { user_id: UserId::try_from(name.to_owned()).unwrap(), scopes: vec![Scope::Customer] }
    }

    #[test]
    fn what_is_known_is_known_until_it_expires() {
        let known = Known::default();
        let mark = Mark::of("a token");
        assert_eq!(known.get(&mark, 0.0), None);
        known.put(mark, caller("anna"), 100.0);
        assert_eq!(known.get(&mark, 99.0), Some(caller("anna")));
        assert_eq!(known.get(&mark, 100.0), None);
        assert_eq!(known.get(&Mark::of("a tokem"), 99.0), None);
    }

    #[test]
    fn no_more_are_kept_than_there_is_room_for() {
        let known = Known::default();
        for number in 0..=MOST {
            known.put(Mark::of(&number.to_string()), caller("anna"), 100.0);
        }
        assert_eq!(known.get(&Mark::of(&MOST.to_string()), 0.0), Some(caller("anna")));
        assert_eq!(known.get(&Mark::of("0"), 0.0), None);
    }
}
