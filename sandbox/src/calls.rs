//! When the gateway was asked, and how many asked at once: for whoever wants to see how it is treated.

use std::{
    collections::VecDeque,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use serde::Serialize;

use crate::world::now;

/// So many are remembered.
const MOST: usize = 10_000;

#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Call {
    /// Unix milliseconds.
    at: i64,
    /// How many were under way, with this one.
    at_once: usize,
}

#[derive(Debug, Default)]
pub(crate) struct Calls {
    under_way: AtomicUsize,
    newest: Mutex<VecDeque<Call>>,
}

/// A call that is under way until this is dropped, whether it was answered or its caller has left.
#[derive(Debug)]
pub(crate) struct UnderWay<'a>(&'a Calls);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Calls {
    pub(crate) fn begin(&self) -> UnderWay<'_> {
        let at_once = self.under_way.fetch_add(1, Ordering::Relaxed) + 1;
        let mut newest = self.newest();
        if newest.len() >= MOST {
            newest.pop_front();
        }
        newest.push_back(Call { at: now(), at_once });
        UnderWay(self)
    }

    /// Those that began then or later, the oldest first.
    pub(crate) fn since(&self, at: i64) -> Vec<Call> {
        self.newest().iter().filter(|call| call.at >= at).copied().collect()
    }

    fn newest(&self) -> MutexGuard<'_, VecDeque<Call>> {
        self.newest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
