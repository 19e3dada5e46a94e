//! `/audit`: who did what, when, to which letters. It can be read, and nothing else.

use axum::{
    extract::{RawQuery, State},
    response::{IntoResponse as _, Response},
};
use common::{html, html::Html};
use serde_json::Value;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{
    Pages,
    mask::Sight,
    page::{Page, Place, address},
    parameter,
    person::Person,
    runs,
    shown::{At, cut},
    trouble::Trouble,
    words,
};
use crate::{AuditFilter, Audited, Cursor};

const ON_A_PAGE: i64 = 100;

pub(super) async fn show(
    State(pages): State<Pages>,
    Person(session): Person,
    RawQuery(query): RawQuery,
) -> Result<Response, Trouble> {
    let query = query.as_deref();
    let (account, after) = (parameter(query, "account"), parameter(query, "after"));
    let before = if after.is_empty() { None } else { Some(after.parse::<Cursor>()?) };
    let filter = AuditFilter {
        account: (!account.is_empty()).then(|| account.clone()),
        before: before.map(|cursor| (cursor.died_at, cursor.id)),
        limit: Some(ON_A_PAGE),
        ..AuditFilter::default()
    };
    let found = pages.console.audit(&filter).await?;
    let mut content = Html::default();
    html!(content, "<h1>Audit log</h1><form class=\"find large\" action=\"/audit\"><label for=\"account\">Only what this account did</label>"
        "<input id=\"account\" name=\"account\" maxlength=\"63\" autocapitalize=\"none\" value=\"" (account) "\"><button>Show</button>"
        "</form>");
    lines(&mut content, &found, Sight::of(&session.who));
    if let Some(last) = found.last().filter(|_| i64::try_from(found.len()).unwrap_or(0) == ON_A_PAGE) {
        let after = next(last.at, last.id);
        html!(content, "<p class=\"more\"><a class=\"button\" rel=\"next\" href=\""
            (address("/audit", &[("account", &account), ("after", &after)])) "\">Older ones</a></p>");
    }
    Ok(Page::new(&session, Place::Audit, "Audit log", content).into_response())
}

fn next(at: OffsetDateTime, id: Uuid) -> String {
    Cursor { died_at: at, id }.to_string()
}

pub(super) fn lines(content: &mut Html, lines: &[Audited], sight: Sight) {
    if lines.is_empty() {
        html!(*content, "<p class=\"soft\">Nothing is noted.</p>");
        return;
    }
    html!(*content, "<div class=\"wide\" role=\"region\" tabindex=\"0\" aria-label=\"Audit log\"><table class=\"audit\"><thead><tr>"
        "<th scope=\"col\">When</th><th scope=\"col\">Who</th><th scope=\"col\">What</th><th scope=\"col\">Details</th></tr></thead>"
        "<tbody>");
    for line in lines {
        html!(*content, "<tr><td>" (At(line.at)) "</td><td>" (cut(&line.account, 64)) "<small>" (through(&line.by)) "</small></td><td>"
            (words::deed(&line.action)));
        if let Some(letter) = line.letter {
            html!(*content, " <a href=\"/letters/" (letter) "\">letter</a>");
        }
        if let Some(run) = line.run {
            html!(*content, " <a href=\"/runs/" (run) "\">run</a>");
        }
        html!(*content, "</td><td class=\"message\">");
        details(content, &line.details, sight);
        html!(*content, "</td></tr>");
    }
    html!(*content, "</tbody></table></div>");
}

fn through(by: &str) -> &'static str {
    match by {
        "page" => "by the pages",
        "cli" => "by the command line",
        _ => "by itself",
    }
}

fn details(content: &mut Html, details: &Value, sight: Sight) {
    let mut details = details.clone();
    sight.json(&mut details, &[]);
    let Value::Object(fields) = details else { return };
    for (name, value) in fields.iter().take(20) {
        match (name.as_str(), value.as_str()) {
            // Where they are, the run's page says.
            ("scope", Some(scope)) => {
                if !scope.starts_with("letter:") {
                    html!(*content, "<span class=\"pair\"><span class=\"soft\">of</span> " (runs::which(scope, 300)) "</span> ");
                }
                continue;
            }
            // What only programs know it by.
            ("edit" | "retry", _) => continue,
            _ => {}
        }
        let value = value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
        html!(*content, "<span class=\"pair\"><span class=\"soft\">" (cut(name, 60)) "</span> " (cut(&value, 300)) "</span> ");
    }
}
