//! What is the same several times in a row, as one line with a count.

use crate::services::shapes::{Notification, Step};

/// Steps of a timeline, each with how often it was.
pub(crate) fn folded_steps(steps: &[Step]) -> impl Iterator<Item = (&Step, usize)> {
    counted(steps.chunk_by(|a, b| (&a.status, &a.cause, &a.detail) == (&b.status, &b.cause, &b.detail)))
}

/// Notices, each with how often it was: an order that is announced again and again makes one each time, which is
/// superseded.
pub(crate) fn folded_notices(notices: &[Notification]) -> impl Iterator<Item = (&Notification, usize)> {
    counted(
        notices.chunk_by(|a, b| {
            (&a.kind, &a.status, &a.channel, &a.reason) == (&b.kind, &b.status, &b.channel, &b.reason)
        }),
    )
}

fn counted<'a, T: 'a>(runs: impl Iterator<Item = &'a [T]>) -> impl Iterator<Item = (&'a T, usize)> {
    runs.filter_map(|run| run.first().map(|first| (first, run.len())))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn the_same_in_a_row_is_one_line() {
        let notice = |kind: &str, status: &str| -> Value {
            json!({"eventId": "1", "type": kind, "version": 4, "status": status, "createdAt": ""})
        };
        let notices = [
            notice("order.paid", "sent"),
            notice("order.cancelled", "sent"),
            notice("order.cancelled", "superseded"),
            notice("order.cancelled", "superseded"),
            notice("order.cancelled", "superseded"),
            notice("order.refunded", "sent"),
        ];
        let notices: Vec<Notification> =
            notices.into_iter().map(|notice| serde_json::from_value(notice).unwrap()).collect();
        let counts: Vec<usize> = folded_notices(&notices).map(|(_, times)| times).collect();
        assert_eq!(counts, [1, 1, 3, 1]);
        let step = |status: &str, at: &str| -> Step {
            serde_json::from_value(json!({"version": 1, "status": status, "at": at, "cause": "x"})).unwrap()
        };
        let steps = [step("pending", "1"), step("paid", "2"), step("paid", "3")];
        let folded: Vec<(&str, usize)> = folded_steps(&steps).map(|(step, times)| (step.at.as_str(), times)).collect();
        assert_eq!(folded, [("1", 1), ("2", 2)]);
    }
}
