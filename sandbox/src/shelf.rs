//! A place with room for so much: the oldest goes when the newest needs it, and is counted.

use std::collections::VecDeque;

/// All that is on one shelf, in bytes.
const ROOM: usize = 128 << 20;

pub(crate) trait Bulky {
    /// About how many bytes of memory it takes.
    fn size(&self) -> usize;
}

#[derive(Debug)]
pub(crate) struct Shelf<T> {
    items: VecDeque<(u64, T)>,
    most: usize,
    size: usize,
    next: u64,
    dropped: u64,
}

impl<T: Bulky> Shelf<T> {
    pub(crate) fn new(most: usize) -> Self {
        Self { items: VecDeque::new(), most: most.max(1), size: 0, next: 1, dropped: 0 }
    }

    /// Returns the number under which it is found again.
    pub(crate) fn put(&mut self, item: T) -> u64 {
        let number = self.next;
        self.next += 1;
        self.size += item.size();
        self.items.push_back((number, item));
        while self.items.len() > self.most || (self.size > ROOM && self.items.len() > 1) {
            if let Some((_, oldest)) = self.items.pop_front() {
                self.size -= oldest.size();
                self.dropped += 1;
            }
        }
        number
    }

    pub(crate) fn get(&self, number: u64) -> Option<&T> {
        let place = self.items.binary_search_by_key(&number, |(number, _)| *number).ok()?;
        self.items.get(place).map(|(_, item)| item)
    }

    /// The newest first.
    pub(crate) fn newest(&self) -> impl Iterator<Item = (u64, &T)> {
        self.items.iter().rev().map(|(number, item)| (*number, item))
    }

    pub(crate) fn len(&self) -> usize {
        self.items.len()
    }

    pub(crate) fn clear(&mut self) {
        self.items.clear();
        self.size = 0;
    }

    /// How many had to go for others.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Bulky for &str {
        fn size(&self) -> usize {
            self.len()
        }
    }

    #[test]
    fn the_oldest_goes_for_the_newest_and_is_counted() {
        let mut shelf = Shelf::new(2);
        let numbers = ["a", "b", "c"].map(|item| shelf.put(item));
        assert_eq!(numbers.map(|number| shelf.get(number).copied()), [None, Some("b"), Some("c")]);
        assert_eq!(shelf.newest().map(|(_, item)| *item).collect::<Vec<_>>(), ["c", "b"]);
        assert_eq!(shelf.dropped(), 1);
        shelf.clear();
        assert_eq!(shelf.newest().count(), 0);
        assert!(shelf.put("d") > numbers[2], "a number is never given twice");
    }
}
