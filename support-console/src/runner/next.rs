//! What a run does next: a pure function of where it stands.

use crate::Action;

/// How many letters are sent in one transaction.
const HANDFUL: i32 = 500;

/// Where a run stands.
#[derive(Debug, Clone)]
pub(super) struct At {
    pub action: Action,
    /// How many letters each of the first steps takes.
    pub steps: Vec<i32>,
    pub tolerate: i32,
    pub step: i32,
    pub step_sent: i32,
    pub step_settled: i32,
    pub step_failed: i32,
    /// The first letter that was not looked at yet, of so many.
    pub position: i32,
    pub total: i32,
    /// The most that may be under way.
    pub most: i32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Move {
    /// Send at most so many.
    Send(i32),
    /// For word of what is under way.
    Wait,
    /// To the next step.
    Advance,
    /// Too many have failed, and there are more that would.
    Stop,
    Finish,
}

impl At {
    /// How many letters the step takes; `None` for all that are left.
    fn takes(&self) -> Option<i32> {
        self.steps.get(usize::try_from(self.step).unwrap_or(usize::MAX)).copied()
    }

    pub(super) fn is_last_step(&self) -> bool {
        self.takes().is_none()
    }
}

pub(super) fn next(at: &At) -> Move {
    let under_way = at.step_sent - at.step_settled;
    let left = at.total - at.position;
    if left > 0 && at.step_failed > at.tolerate {
        return Move::Stop;
    }
    let wanted = at.takes().map_or(i32::MAX, |takes| takes - at.step_sent).min(left);
    if wanted > 0 {
        let room = at.most - under_way;
        return if room > 0 { Move::Send(wanted.min(room).min(HANDFUL)) } else { Move::Wait };
    }
    match (under_way > 0, left > 0) {
        (true, _) => Move::Wait,
        (false, true) => Move::Advance,
        (false, false) => Move::Finish,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(step: i32, sent: i32, settled: i32, failed: i32, position: i32) -> At {
        At {
            action: Action::Retry,
            steps: vec![1, 10],
            tolerate: 0,
            step,
            step_sent: sent,
            step_settled: settled,
            step_failed: failed,
            position,
            total: 1_000,
            most: 600,
        }
    }

    #[test]
    fn a_step_begins_when_all_of_the_one_before_is_known_and_good() {
        assert_eq!(next(&at(0, 0, 0, 0, 0)), Move::Send(1));
        assert_eq!(next(&at(0, 1, 0, 0, 1)), Move::Wait);
        assert_eq!(next(&at(0, 1, 1, 0, 1)), Move::Advance);
        assert_eq!(next(&at(0, 1, 1, 1, 1)), Move::Stop);
        // The canary was somebody else's: the next one is.
        assert_eq!(next(&at(0, 0, 0, 0, 1)), Move::Send(1));
        assert_eq!(next(&at(1, 4, 2, 0, 5)), Move::Send(6));
        assert_eq!(next(&At { tolerate: 2, ..at(1, 10, 10, 2, 11) }), Move::Advance);
        assert_eq!(next(&At { tolerate: 2, ..at(1, 10, 9, 3, 11) }), Move::Stop);
    }

    #[test]
    fn the_rest_goes_by_handfuls_with_so_many_under_way_and_ends_when_all_is_known() {
        assert_eq!(next(&at(2, 0, 0, 0, 11)), Move::Send(500));
        assert_eq!(next(&at(2, 500, 0, 0, 511)), Move::Send(100));
        assert_eq!(next(&at(2, 600, 0, 0, 611)), Move::Wait);
        assert_eq!(next(&at(2, 700, 650, 1, 711)), Move::Stop);
        assert_eq!(next(&at(2, 989, 988, 1, 1_000)), Move::Wait);
        assert_eq!(next(&at(2, 989, 989, 1, 1_000)), Move::Finish);
        // One letter, which is its own canary.
        assert_eq!(next(&At { total: 1, ..at(0, 1, 1, 1, 1) }), Move::Finish);
        assert_eq!(next(&At { total: 1, ..at(0, 0, 0, 0, 1) }), Move::Finish);
    }
}
