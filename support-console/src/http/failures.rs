//! `/` and `/groups/{key}`: what failed, by what failed alike.

use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse as _, Response};
use common::{html, html::Html};
use uuid::Uuid;

use super::{
    Pages,
    mask::Sight,
    page::{Csrf, Page, Place, address},
    parameter,
    person::Person,
    search::{self, letter_table},
    shown::{Ago, At, Count, Letters, cut, death, share},
    trouble::Trouble,
};
use crate::{Action, Advice, Group, GroupFilter, Query, Role, people::Session};

pub(super) async fn all(
    State(pages): State<Pages>,
    Person(session): Person,
    RawQuery(query): RawQuery,
) -> Result<Response, Trouble> {
    let query = query.as_deref();
    let queue = parameter(query, "queue");
    let settled = parameter(query, "show") == "all";
    let filter = GroupFilter { queue: (!queue.is_empty()).then(|| queue.clone()), settled };
    let groups = pages.console.groups(&filter).await?;
    let mut content = Html::default();
    html!(content, "<div class=\"head\"><h1>Failures</h1>");
    search::small_form(&mut content);
    html!(content, "</div>");
    tabs(&mut content, &queue, settled);
    html!(content, "<div id=\"failures\" data-part>");
    sums(&mut content, &groups);
    if groups.is_empty() {
        nothing(&mut content, &queue, settled);
    } else {
        table(&mut content, &groups, Sight::of(&session.who));
    }
    html!(content, "</div>");
    Ok(Page::new(&session, Place::Failures, "Failures", content).live().into_response())
}

fn tabs(content: &mut Html, queue: &str, settled: bool) {
    html!(*content, "<nav class=\"tabs\" aria-label=\"Which failures\"><ul>");
    for (name, show, here) in [("To be seen to", "", !settled), ("All, also what is settled", "all", settled)] {
        html!(*content, "<li><a href=\"" (address("/", &[("queue", queue), ("show", show)])) "\"");
        if here {
            html!(*content, " aria-current=\"true\"");
        }
        html!(*content, ">" (name) "</a></li>");
    }
    html!(*content, "</ul></nav>");
    if !queue.is_empty() {
        html!(*content, "<p>Only what died in <code>" (queue) "</code>. <a href=\"/\">Every queue</a></p>");
    }
}

fn sums(content: &mut Html, groups: &[Group]) {
    let sum = |of: fn(&Group) -> i64| groups.iter().map(of).sum::<i64>();
    html!(*content, "<dl class=\"sums\">");
    for (name, class, count) in [
        ("Failed", "failed", sum(|group| group.failed)),
        ("In retry", "retrying", sum(|group| group.retrying)),
        ("Done after a retry", "done", sum(|group| group.done)),
        ("Discarded", "discarded", sum(|group| group.discarded)),
    ] {
        html!(*content, "<div class=\"" (class) "\"><dt>" (name) "</dt><dd>" (Count(count)) "</dd></div>");
    }
    html!(*content, "</dl>");
}

fn nothing(content: &mut Html, queue: &str, settled: bool) {
    html!(*content, "<div class=\"empty\"><p class=\"large\">");
    match (queue.is_empty(), settled) {
        (true, false) => {
            html!(*content, "Nothing waits for you.</p><p>Whatever could not go through would be here, with its "
            "reason. <a href=\"/?show=all\">What was settled before</a></p>");
        }
        (true, true) => {
            html!(*content, "Nothing has ever failed.</p><p>Whatever could not go through would be here.</p>");
        }
        (false, _) => html!(*content, "Nothing of this queue.</p><p><a href=\"/\">Look at every queue</a></p>"),
    }
    html!(*content, "</div>");
}

fn table(content: &mut Html, groups: &[Group], sight: Sight) {
    let most = groups.iter().map(|group| group.failed).max().unwrap_or(0);
    html!(*content, "<div class=\"wide\" role=\"region\" tabindex=\"0\" aria-label=\"Groups\"><table class=\"groups\"><thead><tr>"
        "<th scope=\"col\">Reason</th><th scope=\"col\">Died in</th><th scope=\"col\" class=\"number\">Failed</th>"
        "<th scope=\"col\">Others</th><th scope=\"col\">Last</th><th scope=\"col\">First</th></tr></thead><tbody>");
    for group in groups {
        html!(*content, "<tr><td class=\"reason\"><a href=\"/groups/" (group.key) "\">"
            (cut(&sight.text(&group.pattern, &[]), 160)) "</a><small>" (death(&group.death)) "</small></td><td><code>"
            (group.queue) "</code><small>" (kind(&group.kind)) "</small></td><td class=\"number\" data-name=\"failed\"><strong>"
            (Count(group.failed)) "</strong>");
        share(content, group.failed, most);
        html!(*content, "</td><td class=\"others\">");
        others(content, group);
        html!(*content, "</td><td data-name=\"last\">" (Ago(group.last_seen)) "</td><td data-name=\"first\">"
            (Ago(group.first_seen)) "</td></tr>");
    }
    html!(*content, "</tbody></table></div>");
}

fn others(content: &mut Html, group: &Group) {
    for (count, class, name) in [
        (group.retrying, "retrying", "in retry"),
        (group.done, "done", "done"),
        (group.discarded, "discarded", "discarded"),
    ] {
        if count > 0 {
            html!(*content, "<span class=\"chip " (class) "\">" (Count(count)) " " (name) "</span> ");
        }
    }
}

/// An event's type, or what it is instead.
pub(super) fn kind(kind: &str) -> &str {
    if kind.is_empty() { "no readable event" } else { kind }
}

pub(super) async fn one(
    State(pages): State<Pages>,
    Person(session): Person,
    Path(key): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, Trouble> {
    let unknown = || Trouble::not_found("There is no such group.");
    let key = Uuid::try_parse(&key).map_err(|_| unknown())?;
    let group = pages.console.group(key).await?;
    let after = search::cursor(query.as_deref())?;
    let found = pages.console.search(&Query::group(key), after, search::ON_A_PAGE).await?;
    let sight = Sight::of(&session.who);
    let mut content = Html::default();
    html!(content, "<p class=\"trail\"><a href=\"/\">Failures</a></p><h1 class=\"reason\">"
        (cut(&sight.text(&group.pattern, &[]), 300)) "</h1><div id=\"group\" data-part><p class=\"sub\"><code>" (group.queue)
        "</code> " (kind(&group.kind)) ", " (death(&group.death)) "</p>");
    sums(&mut content, std::slice::from_ref(&group));
    if let Some(Advice { text, .. }) = Advice::about(&group.death, &group.example).filter(|_| group.failed > 0) {
        html!(content, "<p class=\"advice\"><strong>What to do:</strong> " (text) "</p>");
    }
    actions(&mut content, &session, &group);
    html!(content, "<dl class=\"facts\"><div><dt>First</dt><dd>" (At(group.first_seen)) "</dd></div><div><dt>Last</dt><dd>"
        (At(group.last_seen)) " (" (Ago(group.last_seen)) ")</dd></div><div><dt>For example</dt><dd class=\"message\">"
        (cut(&sight.text(&group.example, &[]), 2_000)) "</dd></div></dl>");
    html!(content, "<h2>Its letters</h2>");
    letter_table(&mut content, &found.letters, sight);
    search::more(&mut content, &format!("/groups/{key}"), &[], &found);
    html!(content, "</div>");
    Ok(Page::new(&session, Place::Failures, "A group of failures", content).live().into_response())
}

fn actions(content: &mut Html, session: &Session, group: &Group) {
    html!(*content, "<div class=\"actions\">");
    if session.who.role >= Role::Operator {
        for (action, count, label, class) in [
            (Action::Retry, group.failed, "Retry ", "strong"),
            (Action::Discard, group.failed, "Discard ", ""),
            (Action::Restore, group.discarded, "Restore ", ""),
        ] {
            if count > 0 {
                html!(*content, "<form method=\"post\" action=\"/plans\">" (Csrf(session))
                    "<input type=\"hidden\" name=\"group\" value=\"" (group.key)
                    "\"><input type=\"hidden\" name=\"action\" value=\"" (super::plans::word(action))
                    "\"><button id=\"" (super::plans::word(action)) "\" class=\"" (class) "\">" (label)
                    (Letters(count)) "…</button></form>");
            }
        }
    } else {
        html!(*content, "<p class=\"soft\">To retry or discard them takes the role operator.</p>");
    }
    html!(*content, "<a class=\"button\" href=\"" (address("/search", &[("q", &format!("group:{}", group.key))]))
        "\">Search in it</a></div>");
}
