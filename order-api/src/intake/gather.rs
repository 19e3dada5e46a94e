//! Which orders are written together. What is gathered here travels the whole line together, so this is the place to
//! wait for company.

use std::time::Duration;

use common::pace::Pace;
use tokio::{sync::mpsc, time::Instant};

use crate::Orders;

/// How closely orders follow each other where more are to be expected.
const RIGHT_BEHIND: Duration = Duration::from_millis(2);
/// Where no more than so many a second are to be written, they are written in groups of what comes in this time: in
/// larger ones, the last of a group would wait for as long as its group is allowed to take.
const SLOT: Duration = Duration::from_millis(20);
/// How much of what was allowed and not written, because writing took so long, is made up for.
const MADE_UP: Duration = Duration::from_millis(100);
/// After waiting in vain, so many groups at most are not made to wait.
const MOST_SPARED: u32 = 31;

pub(super) struct Gather {
    most: usize,
    /// So many are company enough: what is there then only waits for those right behind.
    enough: usize,
    pace: Pace,
    next: Instant,
    /// How far apart orders are written at least, on average; zero if as many may be as can.
    apart: Duration,
    /// When the next may be.
    allowed: Instant,
    /// Where every client has sent its order and waits for the answer, nobody is right behind. So many groups do not
    /// wait for them (ever more, as long as it is in vain), and so many already have not.
    spare: u32,
    spared: u32,
}

impl Gather {
    pub(super) fn new(settings: &Orders) -> Self {
        let most = settings.group_commit;
        let apart = match settings.most_per_second {
            0 => Duration::ZERO,
            per_second => Duration::from_secs(1) / per_second,
        };
        Self {
            most,
            enough: settings.pace_until.min(most),
            pace: Pace::new(Duration::from_millis(settings.pace_ms), settings.pace_half_per_second),
            next: Instant::now(),
            apart,
            allowed: Instant::now(),
            spare: 0,
            spared: 0,
        }
    }

    /// The next group; none when nobody can send any more. Whenever more have come, `look` is shown all that are there.
    pub(super) async fn group<T>(
        &mut self,
        queue: &mut mpsc::Receiver<T>,
        mut look: impl FnMut(&[T]),
    ) -> Option<Vec<T>> {
        let mut group = Vec::with_capacity(self.enough);
        let most = self.may_have().await;
        if queue.recv_many(&mut group, most).await == 0 {
            return None;
        }
        look(&group);
        while group.len() < self.enough && self.more(queue, &mut group, most, self.next).await {
            look(&group);
        }
        // A group that is whole, or late, waits for nobody, which says nothing about who is coming.
        if group.len() >= self.enough && group.len() < most && Instant::now() < self.next {
            if self.spared < self.spare {
                self.spared += 1;
            } else {
                let there = group.len();
                while self.more(queue, &mut group, most, self.next.min(Instant::now() + RIGHT_BEHIND)).await {
                    look(&group);
                }
                self.spare = if group.len() > there { 0 } else { (2 * self.spare + 1).min(MOST_SPARED) };
                self.spared = 0;
            }
        }
        let now = Instant::now();
        self.next = self.pace.begin(now, group.len());
        if !self.apart.is_zero() {
            let from = self.allowed.max(now.checked_sub(MADE_UP).unwrap_or(now));
            self.allowed = from + self.apart * u32::try_from(group.len()).unwrap_or(u32::MAX);
        }
        Some(group)
    }

    /// Waits until another group may be written. How many it may have.
    async fn may_have(&self) -> usize {
        if self.apart.is_zero() {
            return self.most;
        }
        tokio::time::sleep_until(self.allowed).await;
        let missed = self.allowed.elapsed().min(MADE_UP);
        let allowed = (SLOT + missed).as_secs_f64() / self.apart.as_secs_f64();
        self.most.min((allowed.ceil() as usize).max(1))
    }

    /// Waits for more. Says whether any came while there was room and time.
    async fn more<T>(&self, queue: &mut mpsc::Receiver<T>, group: &mut Vec<T>, most: usize, until: Instant) -> bool {
        let room = most.saturating_sub(group.len());
        room > 0 && tokio::time::timeout_at(until, queue.recv_many(group, room)).await.is_ok_and(|came| came > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Orders {
        Orders { group_commit: 256, pace_until: 64, pace_ms: 36, pace_half_per_second: 600, ..Orders::default() }
    }

    fn filled(orders: usize) -> (mpsc::Sender<()>, mpsc::Receiver<()>) {
        let (sender, queue) = mpsc::channel(1_000);
        (0..orders).for_each(|_| sender.try_send(()).unwrap());
        (sender, queue)
    }

    #[tokio::test(start_paused = true)]
    async fn what_comes_alone_waits_for_nothing() {
        let (sender, mut queue) = filled(0);
        let mut gather = Gather::new(&settings());
        for _ in 0..20 {
            tokio::time::advance(Duration::from_millis(200)).await;
            sender.try_send(()).unwrap();
            let began = Instant::now();
            assert_eq!(gather.group(&mut queue, |_| ()).await.unwrap().len(), 1);
            assert_eq!(began.elapsed(), Duration::ZERO);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_more_arrive_the_more_gather_and_the_last_are_not_forgotten() {
        let (sender, mut queue) = filled(0);
        tokio::spawn(async move {
            let mut tick = tokio::time::interval(Duration::from_millis(1));
            for _ in 0..2_000 {
                tick.tick().await;
                for _ in 0..4 {
                    sender.send(()).await.unwrap();
                }
            }
        });
        let mut gather = Gather::new(&settings());
        let mut sizes = Vec::new();
        while let Some(group) = gather.group(&mut queue, |_| ()).await {
            sizes.push(group.len());
        }
        assert_eq!(sizes.iter().sum::<usize>(), 8_000);
        let later = &sizes[sizes.len() / 2..sizes.len() - 1];
        assert!(later.iter().all(|size| (100..160).contains(size)), "{sizes:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_are_written_than_are_allowed_and_no_fewer() {
        let (_sender, mut queue) = filled(1_000);
        let mut gather = Gather::new(&Orders { most_per_second: 500, ..settings() });
        let began = Instant::now();
        let mut written = 0;
        while began.elapsed() < Duration::from_secs(1) {
            let group = gather.group(&mut queue, |_| ()).await.unwrap().len();
            assert!(group <= 12, "{group}");
            written += group;
            tokio::time::advance(Duration::from_millis(3)).await;
        }
        assert!((500..=530).contains(&written), "{written}");
        // Where writing is slow, groups are larger and no fewer orders are written.
        let (began, before) = (Instant::now(), written);
        while began.elapsed() < Duration::from_millis(800) {
            tokio::time::advance(Duration::from_millis(80)).await;
            written += gather.group(&mut queue, |_| ()).await.unwrap().len();
        }
        assert!((380..=450).contains(&(written - before)), "{}", written - before);
    }

    #[tokio::test(start_paused = true)]
    async fn where_all_clients_wait_for_their_answers_hardly_a_group_waits_for_more() {
        let (sender, mut queue) = filled(64);
        let mut gather = Gather::new(&settings());
        let mut waited = Duration::ZERO;
        for _ in 0..200 {
            let began = Instant::now();
            assert_eq!(gather.group(&mut queue, |_| ()).await.unwrap().len(), 64);
            waited += began.elapsed();
            tokio::time::advance(Duration::from_millis(5)).await;
            (0..64).for_each(|_| sender.try_send(()).unwrap());
        }
        assert_eq!(gather.spare, MOST_SPARED);
        // Some ten of the 200 looked whether anybody was right behind.
        assert!(waited > RIGHT_BEHIND && waited < 14 * (RIGHT_BEHIND + Duration::from_millis(1)), "{waited:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_whole_group_or_a_late_one_says_nothing_about_who_is_coming() {
        let (_sender, mut queue) = filled(600);
        let mut gather = Gather::new(&settings());
        let mut sizes = Vec::new();
        for _ in 0..3 {
            sizes.push(gather.group(&mut queue, |_| ()).await.unwrap().len());
            tokio::time::advance(Duration::from_millis(100)).await;
        }
        assert_eq!((sizes, gather.spare), (vec![256, 256, 88], 0));
    }
}
