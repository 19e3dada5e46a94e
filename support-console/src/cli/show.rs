//! The console's answers, for people.

use std::fmt::Write as _;

use serde_json::Value;

use super::{outcome::Answer, table::Table};
use crate::{http::body::laid_out, plain::plain};

pub(super) fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(values) => values.iter().map(text).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

/// A moment, to the second.
pub(super) fn moment(value: &Value) -> String {
    moment_of(&text(value))
}

pub(super) fn moment_of(text: &str) -> String {
    match (text.get(..19), text.ends_with('Z')) {
        (Some(to_the_second), true) => format!("{}Z", to_the_second.replace('T', " ")),
        _ => text.to_owned(),
    }
}

fn array(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

pub(super) fn message(answer: &Answer) -> String {
    format!("{}\n", plain(&text(&answer["message"]), 500))
}

pub(super) fn whoami(answer: &Answer) -> String {
    format!("{} ({})\n", plain(&text(&answer["account"]), 100), plain(&text(&answer["role"]), 100))
}

pub(super) fn groups(answer: &Answer) -> String {
    let mut table = Table::new(&["GROUP", "QUEUE", "TYPE", "WAIT", "RETRY", "DONE", "AWAY", "LAST", "REASON"]);
    for group in array(&answer["groups"]) {
        table.add([
            text(&group["key"]),
            text(&group["queue"]),
            text(&group["kind"]),
            text(&group["failed"]),
            text(&group["retrying"]),
            text(&group["done"]),
            text(&group["discarded"]),
            moment(&group["lastSeen"]),
            text(&group["pattern"]),
        ]);
    }
    if table.is_empty() { "Nothing waits: no message has been given up.\n".to_owned() } else { table.text() }
}

fn letter_rows<'a>(letters: impl Iterator<Item = &'a Value>) -> Table {
    let mut table = Table::new(&["LETTER", "QUEUE", "TYPE", "ORDER", "STATE", "DIED", "REASON"]);
    for letter in letters {
        let state = if letter["noWord"] == true { "no word yet".to_owned() } else { text(&letter["state"]) };
        table.add([
            text(&letter["id"]),
            text(&letter["queue"]),
            text(&letter["kind"]),
            text(&letter["subject"]),
            state,
            moment(&letter["diedAt"]),
            text(&letter["reason"]),
        ]);
    }
    table
}

pub(super) fn letters(answer: &Answer) -> String {
    let table = letter_rows(array(&answer["letters"]));
    let mut shown = if table.is_empty() { "Nothing found.\n".to_owned() } else { table.text() };
    if let Some(total) = answer["total"].as_i64() {
        let _ = writeln!(shown, "{total} in all");
    }
    if let Some(next) = answer["next"].as_str() {
        let _ = writeln!(shown, "There is more: --after {next}");
    }
    shown
}

pub(super) fn letter(answer: &Answer) -> String {
    let letter = &answer["letter"];
    let mut shown = String::new();
    for (name, value) in [
        ("letter", text(&letter["id"])),
        ("state", text(&letter["state"])),
        ("version", text(&letter["version"])),
        ("queue", text(&letter["queue"])),
        ("published to", format!("{} {}", text(&letter["exchange"]), text(&letter["routingKey"]))),
        ("type", text(&letter["kind"])),
        ("order", text(&letter["subject"])),
        ("users", text(&letter["users"])),
        ("products", text(&letter["products"])),
        ("group", text(&letter["group"])),
        ("event", text(&letter["eventId"])),
        ("attempts", format!("{}, and {} retries by staff", text(&letter["attempts"]), text(&letter["tries"]))),
        ("discarded", text(&letter["note"])),
    ] {
        if !value.trim().is_empty() {
            let _ = writeln!(shown, "{name:<13} {}", plain(value.trim(), 300));
        }
    }
    if letter["state"] == "failed" && letter["advice"]["text"].is_string() {
        let _ = writeln!(shown, "\nWhat to do\n{}", plain(&text(&letter["advice"]["text"]), 1_000));
    }
    shown.push_str("\nWhat went wrong, the newest first\n");
    let mut deaths = Table::new(&["AT", "HOW", "WHERE", "ATTEMPTS", "REASON"]);
    for death in array(&letter["deaths"]) {
        deaths.add([
            moment(&death["diedAt"]),
            text(&death["death"]),
            text(&death["service"]),
            text(&death["attempts"]),
            text(&death["reason"]),
        ]);
    }
    shown.push_str(&deaths.text());
    let mut done = Table::new(&["AT", "WHO", "WHAT", "CAME TO"]);
    for run in array(&letter["runs"]) {
        let came_to = format!("{} {}", text(&run["state"]), text(&run["why"]));
        done.add([moment(&run["at"]), text(&run["account"]), text(&run["action"]), came_to]);
    }
    for edit in array(&letter["edits"]) {
        done.add([moment(&edit["at"]), text(&edit["account"]), "edit".to_owned(), String::new()]);
    }
    if !done.is_empty() {
        let _ = write!(shown, "\nWhat was done\n{}", done.text());
    }
    let _ = write!(shown, "\nBody, {} bytes\n{}", text(&letter["bodyBytes"]), body(&letter["body"]));
    shown
}

/// What it is, laid out if it is JSON; bytes that are no text are not shown.
fn body(body: &Value) -> String {
    let harmless = |text: &str| -> String {
        text.chars().map(|c| if c.is_control() && c != '\n' && c != '\t' { '\u{fffd}' } else { c }).collect()
    };
    let mut shown = match (body["json"].as_str(), body["text"].as_str()) {
        (Some(json), _) => harmless(&laid_out(json)),
        (None, Some(text)) => harmless(text),
        (None, None) => "(no text; `show LETTER --body > FILE` gives the bytes)".to_owned(),
    };
    if body["whole"] == false {
        shown.push_str("\n… (`show LETTER --body` gives all of it)");
    }
    shown.push('\n');
    shown
}

pub(super) fn edited(answer: &Answer) -> String {
    let edited = &answer["edited"];
    let mut shown = String::new();
    for line in array(&edited["diff"]) {
        let mark = match line["is"].as_str() {
            Some("removed") => '-',
            Some("added") => '+',
            _ => ' ',
        };
        let _ = writeln!(shown, "{mark} {}", plain(&text(&line["text"]), 400));
    }
    let _ = writeln!(shown, "The edit was applied; the letter is at version {}.", text(&edited["version"]));
    if edited["readable"] == false {
        shown.push_str("No event can be read in it yet, so it cannot be retried: edit it again.\n");
    }
    shown
}

pub(super) fn audit(answer: &Answer) -> String {
    let mut table = Table::new(&["AT", "WHO", "BY", "WHAT", "LETTER OR RUN", "DETAILS"]);
    for line in array(&answer["audit"]) {
        let of = if line["letter"].is_null() { &line["run"] } else { &line["letter"] };
        table.add([
            moment(&line["at"]),
            text(&line["account"]),
            text(&line["by"]),
            text(&line["action"]),
            text(of),
            text(&line["details"]),
        ]);
    }
    let mut shown = table.text();
    if let Some(next) = answer["next"].as_str() {
        let _ = writeln!(shown, "There is more: --before {next}");
    }
    shown
}

pub(super) fn board(answer: &Answer) -> String {
    let mut shown = String::new();
    if let Some(why) = answer["brokerAway"].as_str() {
        let at = moment(&answer["queuesAt"]);
        let _ = writeln!(
            shown,
            "{}{}",
            plain(why, 200),
            if at.is_empty() { String::new() } else { format!("; as of {at}") }
        );
    }
    let mut queues = Table::new(&["QUEUE", "READY", "UNACKED", "CONSUMERS", "IN/S", "OUT/S", "OLDEST"]);
    for queue in array(&answer["queues"]) {
        let oldest = &queue["oldest"];
        let age = oldest["seconds"].as_f64().map(age).unwrap_or_default();
        let least = if oldest["atLeast"] == true { "at least " } else { "" };
        queues.add([
            text(&queue["name"]),
            text(&queue["ready"]),
            text(&queue["unacked"]),
            text(&queue["consumers"]),
            text(&queue["rateIn"]),
            text(&queue["rateOut"]),
            format!("{least}{age}"),
        ]);
    }
    shown.push_str(&queues.text());
    let mut services = Table::new(&["SERVICE", "OUTBOX", "OLDEST", "STATE"]);
    for service in array(&answer["services"]) {
        let outbox = &service["outbox"];
        let state = match service["state"]["is"].as_str() {
            Some("ready") => "ready".to_owned(),
            Some("notReady") => format!("not ready: {}", text(&service["state"]["why"])),
            _ => format!("away: {}", text(&service["state"]["why"])),
        };
        let oldest = outbox["oldestSeconds"].as_f64().filter(|seconds| *seconds > 0.0).map(age);
        services.add([text(&service["name"]), text(&outbox["parcels"]), oldest.unwrap_or_default(), state]);
    }
    let _ = write!(shown, "\n{}", services.text());
    shown
}

/// `3 s`, `12 min`, `5 h`.
fn age(seconds: f64) -> String {
    match seconds {
        ..120.0 => format!("{seconds:.0} s"),
        ..7_200.0 => format!("{:.0} min", seconds / 60.0),
        _ => format!("{:.0} h", seconds / 3_600.0),
    }
}

pub(super) fn runs(answer: &Answer) -> String {
    let mut table = Table::new(&["RUN", "WHO", "WHAT", "STATE", "TOTAL", "SENT", "DONE", "FAILED", "SKIPPED", "OF"]);
    for run in array(&answer["runs"]) {
        table.add([
            text(&run["id"]),
            text(&run["account"]),
            text(&run["action"]),
            text(&run["state"]),
            text(&run["total"]),
            text(&run["sent"]),
            text(&run["done"]),
            text(&run["failed"]),
            text(&run["skipped"]),
            text(&run["scope"]),
        ]);
    }
    if table.is_empty() { "There were no runs.\n".to_owned() } else { table.text() }
}

/// How a run goes, in one line.
pub(super) fn progress(run: &Value) -> String {
    let why = plain(&text(&run["why"]), 200);
    let why = if why.is_empty() { why } else { format!(" ({why})") };
    format!(
        "{}{why}: {} of {} sent, {} done, {} failed, {} skipped",
        text(&run["state"]),
        text(&run["sent"]),
        text(&run["total"]),
        text(&run["done"]),
        text(&run["failed"]),
        text(&run["skipped"]),
    )
}

pub(super) fn run(answer: &Answer) -> String {
    let run = &answer["run"];
    let mut shown =
        format!("run {}, {} by {}\n{}\n", text(&run["id"]), text(&run["action"]), text(&run["account"]), progress(run));
    for (what, letters) in [("Failed again", &run["failures"]), ("No word yet", &run["unanswered"])] {
        let table = letter_rows(array(letters));
        if !table.is_empty() {
            let _ = write!(shown, "\n{what}\n{}", table.text());
        }
    }
    let mut skips = Table::new(&["LETTER", "WHY"]);
    for skip in array(&run["skips"]) {
        skips.add([text(&skip["letter"]), text(&skip["why"])]);
    }
    if !skips.is_empty() {
        let _ = write!(shown, "\nSkipped\n{}", skips.text());
    }
    shown
}

pub(super) fn plan(answer: &Answer) -> String {
    let plan = &answer["plan"];
    let mut shown = format!("{} letters to {}\n", text(&plan["count"]), text(&plan["action"]));
    if plan["unreadable"].as_i64().is_some_and(|count| count > 0) {
        let _ = writeln!(
            shown,
            "{} of them cannot be read, and would be skipped: edit them first",
            text(&plan["unreadable"])
        );
    }
    shown
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn whatever_is_missing_or_odd_is_shown_somehow() {
        for show in [whoami, groups, letters, letter, edited, audit, board, runs, run, plan, message] {
            for odd in [json!({}), json!([]), json!(null), json!({"groups": 5, "letter": "x", "run": [1]})] {
                assert!(!show(&odd.into()).contains('\u{1b}'));
            }
        }
    }

    #[test]
    fn a_body_cannot_steer_the_terminal() {
        let shown = letter(&json!({"letter": {"body": {"text": "a\u{1b}[2Jb", "whole": true}}}).into());
        assert!(shown.contains("a\u{fffd}[2Jb"), "{shown:?}");
    }

    #[test]
    fn a_moment_is_shown_to_the_second() {
        assert_eq!(moment(&json!("2026-11-22T18:00:01.123456Z")), "2026-11-22 18:00:01Z");
        assert_eq!(moment(&json!("odd")), "odd");
        assert_eq!((age(3.4), age(200.0), age(9_000.0)), ("3 s".to_owned(), "3 min".to_owned(), "2 h".to_owned()));
    }
}
