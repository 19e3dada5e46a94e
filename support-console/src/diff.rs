//! What an edit has changed, line by line, of JSON as people read it.

use serde_json::Value;

use crate::DiffLine;

/// More lines than this, beyond those that both begin and end with, are not compared one by one.
const COMPARED_MOST: usize = 500;
/// Larger bodies, in bytes, are not compared: whoever opens a letter has to wait for it.
pub(crate) const LARGEST: i32 = 128 * 1024;

/// None if it would be too much to look at.
pub(crate) fn diff(before: &[u8], after: &[u8]) -> Option<Vec<DiffLine>> {
    let is_small = |body: &[u8]| i32::try_from(body.len()).is_ok_and(|bytes| bytes <= LARGEST);
    (is_small(before) && is_small(after)).then(|| by_line(before, after))
}

fn by_line(before: &[u8], after: &[u8]) -> Vec<DiffLine> {
    let (before, after) = (readable(before), readable(after));
    let (before, after): (Vec<&str>, Vec<&str>) = (before.lines().collect(), after.lines().collect());
    let head = before.iter().zip(&after).take_while(|(one, other)| one == other).count();
    let (before_rest, after_rest) = (before.get(head..).unwrap_or_default(), after.get(head..).unwrap_or_default());
    let tail = before_rest.iter().rev().zip(after_rest.iter().rev()).take_while(|(one, other)| one == other).count();
    let (removed, end) = before_rest.split_at(before_rest.len() - tail);
    let (added, _) = after_rest.split_at(after_rest.len() - tail);
    let same = |lines: &[&str]| lines.iter().map(|line| DiffLine::Same((*line).to_owned())).collect::<Vec<_>>();
    let mut lines = same(before.get(..head).unwrap_or_default());
    if removed.len().saturating_mul(added.len()) <= COMPARED_MOST * COMPARED_MOST {
        compare(removed, added, &mut lines);
    } else {
        lines.extend(removed.iter().map(|line| DiffLine::Removed((*line).to_owned())));
        lines.extend(added.iter().map(|line| DiffLine::Added((*line).to_owned())));
    }
    lines.extend(same(end));
    lines
}

/// By the longest common subsequence.
fn compare(removed: &[&str], added: &[&str], lines: &mut Vec<DiffLine>) {
    let width = added.len() + 1;
    let mut common = vec![0_u32; (removed.len() + 1) * width];
    let at = |common: &[u32], i: usize, j: usize| common.get(i * width + j).copied().unwrap_or(0);
    for (i, one) in removed.iter().enumerate().rev() {
        for (j, other) in added.iter().enumerate().rev() {
            let longest = if one == other {
                at(&common, i + 1, j + 1) + 1
            } else {
                at(&common, i + 1, j).max(at(&common, i, j + 1))
            };
            if let Some(place) = common.get_mut(i * width + j) {
                *place = longest;
            }
        }
    }
    let (mut i, mut j) = (0, 0);
    loop {
        match (removed.get(i), added.get(j)) {
            (Some(one), Some(other)) if one == other => {
                lines.push(DiffLine::Same((*one).to_owned()));
                (i, j) = (i + 1, j + 1);
            }
            (Some(one), other) if other.is_none() || at(&common, i + 1, j) >= at(&common, i, j + 1) => {
                lines.push(DiffLine::Removed((*one).to_owned()));
                i += 1;
            }
            (_, Some(other)) => {
                lines.push(DiffLine::Added((*other).to_owned()));
                j += 1;
            }
            (_, None) => return,
        }
    }
}

fn readable(body: &[u8]) -> String {
    match serde_json::from_slice::<Value>(body).and_then(|value| serde_json::to_string_pretty(&value)) {
        Ok(pretty) => pretty,
        Err(_) => String::from_utf8_lossy(body).into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changed_stands_between_what_did_not() {
        let lines = by_line(br#"{"a":1,"b":[1,2],"c":3}"#, br#"{"a":1,"b":[1,5,2],"c":4}"#);
        let changed: Vec<_> = lines.iter().filter(|line| !matches!(line, DiffLine::Same(_))).collect();
        let [added, removed, other] = changed.as_slice() else { panic!("{lines:?}") };
        assert_eq!(**added, DiffLine::Added("    5,".to_owned()));
        assert_eq!(**removed, DiffLine::Removed("  \"c\": 3".to_owned()));
        assert_eq!(**other, DiffLine::Added("  \"c\": 4".to_owned()));
        assert!(by_line(b"\xff", b"\xff").iter().all(|line| matches!(line, DiffLine::Same(_))));
        assert_eq!(diff(b"a", &b"b".repeat(200_000)), None);
        assert_eq!(by_line(b"a", b"b"), [DiffLine::Removed("a".to_owned()), DiffLine::Added("b".to_owned())]);
    }
}
