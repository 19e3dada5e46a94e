//! How values are shown: times, states, money, what is too long, and what not everybody may see.

use common::{
    html,
    html::{Html, Show},
};
use time::{Duration, OffsetDateTime, format_description::well_known::Rfc3339};

use crate::State;

/// A moment, as long ago as it is and, for whoever wants to know, exactly.
pub(super) struct Ago(pub(super) OffsetDateTime);

impl Show for Ago {
    fn show(&self, html: &mut Html) {
        let exact = self.0.format(&Rfc3339).unwrap_or_default();
        html!(*html, "<time datetime=\"" (exact) "\" title=\"" (written(self.0)) "\">"
            (ago(OffsetDateTime::now_utc() - self.0)) "</time>");
    }
}

/// A moment, exactly.
pub(super) struct At(pub(super) OffsetDateTime);

impl Show for At {
    fn show(&self, html: &mut Html) {
        let exact = self.0.format(&Rfc3339).unwrap_or_default();
        html!(*html, "<time datetime=\"" (exact) "\">" (written(self.0)) "</time>");
    }
}

/// A moment as a service has said it; as it stands there if it is none.
pub(super) struct Said<'a>(pub(super) &'a str);

impl Show for Said<'_> {
    fn show(&self, html: &mut Html) {
        match OffsetDateTime::parse(self.0, &Rfc3339) {
            Ok(at) => At(at).show(html),
            Err(_) => self.0.show(html),
        }
    }
}

/// How long something lasts already.
pub(super) fn lasting(seconds: f64) -> String {
    ago(Duration::seconds_f64(seconds.clamp(0.0, 1e9))).replace("just now", "a moment").replace(" ago", "")
}

fn written(at: OffsetDateTime) -> String {
    let (hour, minute, second) = at.to_hms();
    format!("{} {hour:02}:{minute:02}:{second:02} UTC", at.date())
}

fn ago(passed: Duration) -> String {
    match passed.whole_seconds() {
        ..5 => "just now".to_owned(),
        seconds @ ..90 => format!("{seconds} s ago"),
        seconds @ ..5_400 => format!("{} min ago", seconds / 60),
        seconds @ ..172_800 => format!("{} h ago", seconds / 3_600),
        seconds => format!("{} days ago", seconds / 86_400),
    }
}

/// A count, in groups of three digits.
pub(super) struct Count(pub(super) i64);

impl Show for Count {
    fn show(&self, html: &mut Html) {
        let digits = self.0.unsigned_abs().to_string();
        let mut text = String::with_capacity(digits.len() + digits.len() / 3 + 1);
        if self.0 < 0 {
            text.push('-');
        }
        for (i, digit) in digits.chars().enumerate() {
            if i > 0 && (digits.len() - i).is_multiple_of(3) {
                text.push(',');
            }
            text.push(digit);
        }
        html.text(&text);
    }
}

/// `1 letter`, `2 letters`.
pub(super) struct Letters(pub(super) i64);

impl Show for Letters {
    fn show(&self, html: &mut Html) {
        html!(*html, (Count(self.0)));
        html.raw(if self.0 == 1 { " letter" } else { " letters" });
    }
}

pub(super) fn bytes(size: usize) -> String {
    match size {
        1 => "1 byte".to_owned(),
        0..10_000 => format!("{size} bytes"),
        10_000..10_240_000 => format!("{} KiB", size / 1_024),
        _ => format!("{} MiB", size / 1_048_576),
    }
}

/// A state, in a word and a colour.
impl Show for State {
    fn show(&self, html: &mut Html) {
        html!(*html, "<span class=\"chip " (self.name()) "\">" (state_word(*self)) "</span>");
    }
}

pub(super) fn state_word(state: State) -> &'static str {
    match state {
        State::Retrying => "in retry",
        state => state.name(),
    }
}

/// As much of a text as a line has room for.
pub(super) fn cut(text: &str, most: usize) -> String {
    let mut chars = text.chars();
    let mut start: String = chars.by_ref().take(most).collect();
    if chars.next().is_some() {
        start.push('…');
    }
    start
}

/// How much of a whole, as a bar.
pub(super) fn share(html: &mut Html, part: i64, whole: i64) {
    // In thousandths, so that what is little can still be seen.
    let width = (part.max(0) * 1_000 / whole.max(1)).clamp(i64::from(part > 0) * 8, 1_000);
    html!(*html, "<svg class=\"share\" viewBox=\"0 0 1000 10\" preserveAspectRatio=\"none\" aria-hidden=\"true\">"
        "<rect class=\"ground\" width=\"1000\" height=\"10\" rx=\"5\"/><rect width=\"" (width)
        "\" height=\"10\" rx=\"5\"/></svg>");
}

/// What a kind of death means, in words.
pub(crate) fn death(death: &str) -> &'static str {
    match death {
        "rejected" => "refused for good",
        "exhausted" => "all attempts used up",
        "unreadable" => "could not be read",
        "poison" => "its worker died of it",
        "delivery_limit" => "delivered too often",
        "unroutable" => "no queue takes it",
        "expired" => "waited too long",
        _ => "given up",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(what: impl Show) -> String {
        let mut html = Html::default();
        what.show(&mut html);
        html.as_str().to_owned()
    }

    #[test]
    fn numbers_are_easy_to_read() {
        let written = [0, 7, 999, 1_000, 12_345, 1_000_000, -1_234].map(|count| shown(Count(count)));
        assert_eq!(written, ["0", "7", "999", "1,000", "12,345", "1,000,000", "-1,234"]);
        assert_eq!([shown(Letters(1)), shown(Letters(1_500))], ["1 letter", "1,500 letters"]);
        assert_eq!([1, 9_999, 10_240, 20_000_000].map(bytes), ["1 byte", "9999 bytes", "10 KiB", "19 MiB"]);
    }

    #[test]
    fn a_time_is_as_exact_as_it_need_be() {
        let said = [0, 30, 120, 7_200, 400_000].map(|seconds| ago(Duration::seconds(seconds)));
        assert_eq!(said, ["just now", "30 s ago", "2 min ago", "2 h ago", "4 days ago"]);
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        assert_eq!((cut("äöü", 3).as_str(), cut("äöüß", 3).as_str()), ("äöü", "äöü…"));
    }
}
