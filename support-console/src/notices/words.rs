//! A notice in words. What a message said of itself is quoted and bounded, for it may say anything.

use std::fmt::Write as _;

use super::{look::Told, send::Notice};
use crate::plain::plain;

const MOST: usize = 300;

/// One line, without anything that could break it.
pub(super) fn subject(notice: &Notice) -> String {
    let text = match notice.groups.as_slice() {
        [] => "Messages were given up".to_owned(),
        [one] if notice.unnamed == 0 => match one.what.as_str() {
            "grown" => format!("{} messages wait in {}", one.failed, one.queue),
            _ if one.since == 1 => format!("A message was given up in {}", one.queue),
            _ => format!("{} messages were given up in {}", one.since, one.queue),
        },
        [first, ..] => {
            let groups = i64::try_from(notice.groups.len()).unwrap_or(i64::MAX).saturating_add(notice.unnamed);
            format!("Messages were given up in {groups} groups, first {}", first.queue)
        }
    };
    plain(&text, MOST)
}

pub(super) fn text(notice: &Notice, public_url: &str) -> String {
    let mut text = String::new();
    for group in &notice.groups {
        let Told { queue, kind, pattern, failed, key, .. } = group;
        let _ = writeln!(text, "{}", happened(group));
        let _ = writeln!(text, "  queue    {}", plain(queue, MOST));
        if !kind.is_empty() {
            let _ = writeln!(text, "  event    {}", plain(kind, MOST));
        }
        let _ = writeln!(text, "  reason   {}", plain(pattern, MOST));
        let _ = writeln!(text, "  waiting  {failed}");
        let _ = writeln!(text, "  see      {public_url}/groups/{key}\n");
    }
    if notice.unnamed > 0 {
        let _ = writeln!(text, "And {} more groups: {public_url}/\n", notice.unnamed);
    }
    text.push_str("More of the same is told of later, or when there are many.\n");
    text
}

fn happened(group: &Told) -> String {
    match group.what.as_str() {
        "grown" => format!("{} messages of a kind wait now, {} or more", group.failed, group.threshold),
        "more" => format!("{} more of a kind that was told of before", group.since),
        _ if group.since == 1 => "A message was given up".to_owned(),
        _ => format!("{} messages were given up", group.since),
    }
}

#[cfg(test)]
mod tests {
    use time::OffsetDateTime;
    use uuid::Uuid;

    use super::*;

    fn told(what: &str, since: i64, pattern: &str) -> Told {
        Told {
            what: what.to_owned(),
            key: Uuid::nil(),
            queue: "payment.charge".to_owned(),
            kind: "order.payment_due".to_owned(),
            pattern: pattern.to_owned(),
            failed: 120,
            total: 130,
            since,
            threshold: 100,
        }
    }

    #[test]
    fn a_notice_says_what_happened_and_where_to_look() {
        let notice = |groups, unnamed| Notice { id: Uuid::nil(), at: OffsetDateTime::UNIX_EPOCH, groups, unnamed };
        let one = notice(vec![told("new", 1, "no\r\nBcc: thief@example.test\u{1b}[2J")], 0);
        assert_eq!(subject(&one), "A message was given up in payment.charge");
        let text_of_one = text(&one, "http://127.0.0.1:8084");
        assert!(text_of_one.contains("http://127.0.0.1:8084/groups/00000000-0000-0000-0000-000000000000\n"));
        assert!(text_of_one.contains("  reason   no  Bcc: thief@example.test [2J\n"), "{text_of_one:?}");
        assert_eq!(subject(&notice(vec![told("grown", 5, "x")], 0)), "120 messages wait in payment.charge");
        let many = notice(vec![told("new", 7, "x"), told("more", 2, "y")], 3);
        assert_eq!(subject(&many), "Messages were given up in 5 groups, first payment.charge");
        assert!(text(&many, "http://x").contains("And 3 more groups: http://x/"));
    }
}
