//! The last minutes of each queue, and what can be concluded from them: rates, and how long the oldest message has waited.
//!
//! RabbitMQ does not tell the age of what waits in a quorum queue, and to take a message out and put it back would count
//! against it. But a queue is first in, first out: if ten have left it, the oldest is the eleventh that came, and it came
//! between the two looks before and after the eleventh was counted.

use std::{
    collections::{BTreeMap, VecDeque},
    time::{Duration, Instant},
};

use serde::Serialize;

use super::{QueueKind, QueueLine, broker::Counted};

/// Rates are of so long, for the broker counts only every few seconds.
const RATE_OVER: Duration = Duration::from_secs(10);
/// So many points are enough for a small picture.
const POINTS: usize = 60;

/// How long the oldest message has been there, as far as it can be known.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Oldest {
    pub seconds: f64,
    /// It was there before we looked first, so it may be older.
    pub at_least: bool,
    pub known_by: &'static str,
}

/// In, out and what is there, at a moment.
#[derive(Debug, Clone, Copy)]
struct Sample {
    at: Instant,
    /// How many have ever come, and left, since some moment.
    came: u64,
    left: u64,
    held: u64,
}

pub(super) struct Histories {
    keep: Duration,
    of: BTreeMap<String, VecDeque<Sample>>,
}

impl Histories {
    pub(super) fn new(keep: Duration) -> Self {
        Self { keep, of: BTreeMap::new() }
    }

    /// Notes what was counted now, and says what the board shows of it.
    pub(super) fn add(&mut self, counted: Vec<Counted>) -> Vec<QueueLine> {
        self.add_at(Instant::now(), counted)
    }

    fn add_at(&mut self, at: Instant, mut counted: Vec<Counted>) -> Vec<QueueLine> {
        self.of.retain(|name, _| counted.iter().any(|queue| queue.name == *name));
        counted.sort_by_key(|queue| queue.kind.place(&queue.name));
        counted.into_iter().map(|queue| self.add_queue(at, queue)).collect()
    }

    fn add_queue(&mut self, at: Instant, queue: Counted) -> QueueLine {
        let sample = sample(at, &queue);
        let samples = self.of.entry(queue.name.clone()).or_default();
        // Counters that go back began anew: what was before cannot be compared with what is now. A little they may, for
        // depths and counters are not of the very same moment.
        let slack = 1_000;
        if samples.back().is_some_and(|last| sample.left + slack < last.left || sample.came + slack < last.came) {
            samples.clear();
        }
        samples.push_back(sample);
        while samples.front().is_some_and(|first| at.duration_since(first.at) > self.keep) {
            samples.pop_front();
        }
        let (rate_in, rate_out) = rates(samples);
        QueueLine {
            kind: queue.kind,
            ready: queue.ready,
            unacked: queue.unacked,
            consumers: queue.consumers,
            rate_in,
            rate_out,
            oldest: oldest(samples, queue.kind),
            picture: picture(samples),
            name: queue.name,
        }
    }
}

fn sample(at: Instant, queue: &Counted) -> Sample {
    let held = queue.ready + queue.unacked;
    match queue.kind {
        // Nobody consumes it, and what expires is not counted: what was published, and is not there, has left.
        QueueKind::Delay { .. } => {
            Sample { at, came: queue.published.max(held), left: queue.published.saturating_sub(held), held }
        }
        // What the broker itself puts into a queue is not counted as published: what is there, or has been acknowledged,
        // has come.
        _ => Sample { at, came: queue.acked + held, left: queue.acked, held },
    }
}

/// Messages a second, in and out.
fn rates(samples: &VecDeque<Sample>) -> (f64, f64) {
    let Some(now) = samples.back() else { return (0.0, 0.0) };
    let then = samples.iter().rev().find(|then| now.at.duration_since(then.at) >= RATE_OVER).or(samples.front());
    let Some(then) = then else { return (0.0, 0.0) };
    let seconds = now.at.duration_since(then.at).as_secs_f64();
    if seconds < 0.5 {
        return (0.0, 0.0);
    }
    let rate = |now: u64, then: u64| (now.saturating_sub(then) as f64 / seconds * 10.0).round() / 10.0;
    (rate(now.came, then.came), rate(now.left, then.left))
}

fn oldest(samples: &VecDeque<Sample>, kind: QueueKind) -> Option<Oldest> {
    let now = samples.back().filter(|now| now.held > 0)?;
    // From the last look at which it had not come yet, the next is the first that saw it.
    let before = samples.iter().rposition(|sample| sample.came <= now.left);
    let first_seen = samples.get(before.map_or(0, |before| before + 1)).unwrap_or(now);
    let seconds = now.at.duration_since(first_seen.at).as_secs_f64();
    let oldest = Oldest { seconds, at_least: before.is_none(), known_by: "counted in and out, to a few seconds" };
    Some(match kind {
        QueueKind::Delay { ms } if oldest.at_least || seconds * 1_000.0 > ms as f64 => {
            let seconds = seconds.min(ms as f64 / 1_000.0);
            Oldest { seconds, at_least: false, known_by: "it holds nothing for longer" }
        }
        _ => oldest,
    })
}

/// The most that it held, in each of so many stretches of time.
fn picture(samples: &VecDeque<Sample>) -> Vec<u64> {
    let per_point = samples.len().div_ceil(POINTS).max(1);
    let held: Vec<u64> = samples.iter().map(|sample| sample.held).collect();
    // From the end, so that the last point is always whole.
    let mut points: Vec<u64> = held.rchunks(per_point).map(|some| some.iter().copied().max().unwrap_or(0)).collect();
    points.reverse();
    points
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Looks every two seconds at (acked or published, held).
    fn last(name: &str, looks: &[(u64, u64)]) -> QueueLine {
        let (mut histories, began) = (Histories::new(Duration::from_secs(900)), Instant::now());
        let mut lines = Vec::new();
        for (i, (counter, held)) in looks.iter().enumerate() {
            let kind = QueueKind::of(name).unwrap();
            let queue = Counted {
                name: name.to_owned(),
                kind,
                ready: *held,
                unacked: 0,
                consumers: 1,
                published: *counter,
                acked: *counter,
            };
            lines = histories.add_at(began + Duration::from_secs(2 * i as u64), vec![queue]);
        }
        lines.pop().unwrap()
    }

    #[test]
    fn the_oldest_is_the_one_after_those_that_have_left() {
        // Five come, and nobody takes them; after six seconds one does.
        let line = last("payment.charge", &[(0, 0), (0, 5), (0, 5), (0, 5), (1, 4)]);
        assert_eq!(line.oldest.map(|it| (it.seconds, it.at_least)), Some((6.0, false)));
        // Five more came, and all of the first are gone.
        let line = last("payment.charge", &[(0, 0), (0, 5), (0, 5), (0, 10), (5, 5), (5, 5)]);
        assert_eq!(line.oldest.map(|it| (it.seconds, it.at_least)), Some((4.0, false)));
        // They were there before anybody looked.
        let line = last("payment.charge", &[(7, 5), (8, 4), (9, 3)]);
        assert_eq!(line.oldest.map(|it| (it.seconds, it.at_least)), Some((4.0, true)));
        assert_eq!(last("payment.charge", &[(0, 5), (5, 0)]).oldest, None);
        // The broker began anew.
        let line = last("payment.charge", &[(50_000, 0), (50_000, 5), (0, 5)]);
        assert_eq!(line.oldest.map(|it| (it.seconds, it.at_least)), Some((0.0, true)));
    }

    #[test]
    fn a_delay_line_holds_nothing_for_longer_than_it_does() {
        let line = last("delay.1000", &[(100, 5), (100, 5), (100, 5)]);
        assert_eq!(line.oldest.map(|it| (it.seconds, it.at_least)), Some((1.0, false)));
        let line = last("delay.600000", &[(100, 0), (103, 3), (103, 3)]);
        assert_eq!(line.oldest.map(|it| (it.seconds, it.at_least)), Some((2.0, false)));
    }

    #[test]
    fn rates_are_what_came_and_what_left() {
        let line = last("payment.charge", &[(0, 0), (10, 10), (20, 20), (30, 30)]);
        assert_eq!((line.rate_in, line.rate_out), (10.0, 5.0));
        let line = last("delay.1000", &[(0, 0), (20, 20), (40, 20)]);
        assert_eq!((line.rate_in, line.rate_out), (10.0, 5.0));
        assert_eq!(last("payment.charge", &[(5, 5)]).rate_in, 0.0);
    }

    #[test]
    fn a_picture_is_small_and_ends_now() {
        let looks: Vec<(u64, u64)> = (0..400).map(|i| (0, i)).collect();
        let picture = last("payment.charge", &looks).picture;
        assert!(picture.len() <= POINTS && picture.last() == Some(&399), "{picture:?}");
    }
}
