//! Points at which a process can be made to die, and mistakes that it can be made to make: so that a test can show that
//! it may die anywhere, and that the test would see if it might not.
//!
//! All of it is there with the feature `crash-points` alone, which nothing that is shipped asks for. Then
//! `CONVEYOR_CRASH=outbox.committed:3` ends the process, as a crash would, when it comes by that point for the third time,
//! and `CONVEYOR_MISTAKE="delete before confirm"` has it do just that.

use std::time::Duration;

/// A place where a crash hurts if it hurts anywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Point {
    /// State and events are written, and not committed.
    OutboxWritten,
    /// They are committed, and nobody knows of the events yet.
    OutboxCommitted,
    /// The events are on their way to the broker, which has confirmed nothing.
    OutboxPublished,
    /// The broker has confirmed them, and their rows are still there.
    OutboxConfirmed,
    /// Their rows are deleted.
    OutboxDeleted,
    /// The sweeper has claimed what was left behind, and not published it.
    SweepClaimed,
    /// The sweeper has published it, and not deleted it.
    SweepPublished,
    /// A batch is in hand, and nothing is done about it.
    BatchTaken,
    /// A batch has failed, and is about to be split.
    BatchSplit,
    /// What was to be noted of a batch is committed, and what it announces may have left.
    BatchHandled,
    /// What could not be done is in the delay line or with the dead letters, and what it came from is not acknowledged.
    BatchHandedOver,
    /// A batch is acknowledged.
    BatchAcknowledged,
    /// What is to be done in the outside world is noted.
    EffectPrepared,
    /// It is done there, and not recorded here.
    EffectPerformed,
    /// It is recorded, and not acknowledged.
    EffectRecorded,
    /// The console has dead letters in hand, and nothing is written.
    LettersTaken,
    /// They are kept, and not acknowledged.
    LettersKept,
    /// An edit of a letter is written, and not committed.
    EditWritten,
    /// It is committed, and whoever made it has no answer.
    EditCommitted,
    /// It was looked at orders whose time is up, and what follows is not committed.
    LookWritten,
    /// It is committed.
    LookCommitted,
    /// Payments that nobody has answered for are taken, and nobody is asked yet.
    AskTaken,
    /// The gateway has answered, and that is not recorded.
    AskAnswered,
    /// It is recorded.
    AskRecorded,
    /// What the gateway says by itself is written, and not committed.
    CallbackWritten,
    /// It is committed, and the gateway has no answer.
    CallbackRecorded,
    /// The process was told to stop.
    StopBegun,
    /// Nothing is taken any more, and what was committed is on its way.
    StopDrained,
}

/// All of them, with their names.
pub const POINTS: [(Point, &str); 28] = [
    (Point::OutboxWritten, "outbox.written"),
    (Point::OutboxCommitted, "outbox.committed"),
    (Point::OutboxPublished, "outbox.published"),
    (Point::OutboxConfirmed, "outbox.confirmed"),
    (Point::OutboxDeleted, "outbox.deleted"),
    (Point::SweepClaimed, "sweep.claimed"),
    (Point::SweepPublished, "sweep.published"),
    (Point::BatchTaken, "batch.taken"),
    (Point::BatchSplit, "batch.split"),
    (Point::BatchHandled, "batch.handled"),
    (Point::BatchHandedOver, "batch.handed_over"),
    (Point::BatchAcknowledged, "batch.acknowledged"),
    (Point::EffectPrepared, "effect.prepared"),
    (Point::EffectPerformed, "effect.performed"),
    (Point::EffectRecorded, "effect.recorded"),
    (Point::LettersTaken, "letters.taken"),
    (Point::LettersKept, "letters.kept"),
    (Point::EditWritten, "edit.written"),
    (Point::EditCommitted, "edit.committed"),
    (Point::LookWritten, "look.written"),
    (Point::LookCommitted, "look.committed"),
    (Point::AskTaken, "ask.taken"),
    (Point::AskAnswered, "ask.answered"),
    (Point::AskRecorded, "ask.recorded"),
    (Point::CallbackWritten, "callback.written"),
    (Point::CallbackRecorded, "callback.recorded"),
    (Point::StopBegun, "stop.begun"),
    (Point::StopDrained, "stop.drained"),
];

/// What the invariants forbid. Of a worker with effects the first and the last are one mistake, seen at two points.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mistake {
    /// Whoever brought the work is told that it is done: a broker, or who waits for an answer.
    AckBeforeCommit,
    DeleteBeforeConfirm,
    /// Somebody sees what may never come to be.
    PublishBeforeCommit,
    RecordAfterAck,
    /// What is in hand is dropped at the stop, though it is acknowledged.
    StopBeforeDone,
}

/// How long a mistake is waited for to have its effect.
pub const LONG_ENOUGH: Duration = Duration::from_millis(700);

/// All of them, with their names.
pub const MISTAKES: [(Mistake, &str); 5] = [
    (Mistake::AckBeforeCommit, "ack before commit"),
    (Mistake::DeleteBeforeConfirm, "delete before confirm"),
    (Mistake::PublishBeforeCommit, "publish before commit"),
    (Mistake::RecordAfterAck, "record after ack"),
    (Mistake::StopBeforeDone, "stop before done"),
];

#[cfg(all(feature = "crash-points", not(debug_assertions)))]
compile_error!("crash points are for tests, and this is a release build: leave `e2e` out of it (`--exclude e2e`)");

#[cfg(feature = "crash-points")]
mod armed {
    use std::sync::{
        LazyLock,
        atomic::{AtomicU32, Ordering},
    };

    use super::{MISTAKES, Mistake, POINTS, Point};

    static CRASH: LazyLock<Option<(Point, u32)>> = LazyLock::new(|| {
        let text = std::env::var("CONVEYOR_CRASH").ok()?;
        let (name, times) = text.split_once(':')?;
        let (point, _) = POINTS.iter().find(|(_, its)| *its == name)?;
        Some((*point, times.parse().ok()?))
    });
    static MISTAKE: LazyLock<Option<Mistake>> = LazyLock::new(|| {
        let name = std::env::var("CONVEYOR_MISTAKE").ok()?;
        MISTAKES.iter().find(|(_, its)| *its == name).map(|(mistake, _)| *mistake)
    });
    static PASSED: AtomicU32 = AtomicU32::new(0);

    pub(super) fn here(point: Point) {
        if let Some((wanted, times)) = *CRASH
            && wanted == point
            && PASSED.fetch_add(1, Ordering::SeqCst) + 1 == times
        {
            std::process::abort();
        }
    }

    pub(super) fn makes(mistake: Mistake) -> bool {
        *MISTAKE == Some(mistake)
    }
}

impl Point {
    #[must_use]
    pub fn name(self) -> &'static str {
        POINTS.iter().find(|(point, _)| *point == self).map_or("", |(_, name)| name)
    }
}

/// Says that the process comes by.
#[inline]
pub fn here(point: Point) {
    #[cfg(feature = "crash-points")]
    armed::here(point);
    #[cfg(not(feature = "crash-points"))]
    let _ = point;
}

/// Whether the process is to make this mistake.
#[inline]
pub fn makes(mistake: Mistake) -> bool {
    #[cfg(feature = "crash-points")]
    return armed::makes(mistake);
    #[cfg(not(feature = "crash-points"))]
    {
        let _ = mistake;
        false
    }
}
