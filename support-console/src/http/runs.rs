//! `/runs`: what is being done with many letters, and what became of it.

use axum::{
    extract::{Path, RawQuery, State},
    response::{IntoResponse as _, Redirect, Response},
};
use common::{html, html::Html};
use uuid::Uuid;

use super::{
    Pages,
    mask::Sight,
    page::{Csrf, Page, Place, address},
    parameter,
    person::{Person, Signed},
    search::letter_table,
    shown::{Ago, At, Count, Letters, cut},
    trouble::{Trouble, sentence},
};
use crate::{Action, Role, Run, RunPage, RunState, people::Session};

const ON_A_PAGE: usize = 100;

pub(super) async fn all(
    State(pages): State<Pages>,
    Person(session): Person,
    RawQuery(query): RawQuery,
) -> Result<Response, Trouble> {
    let before = parameter(query.as_deref(), "before");
    let runs = pages.console.runs(Uuid::try_parse(&before).ok()).await?;
    let mut content = Html::default();
    html!(
        content,
        "<h1>Runs</h1><p class=\"sub\">What was done with letters: retries, discards and restores, the latest first.</p><div id=\"runs\" data-part>"
    );
    if runs.is_empty() {
        html!(content, "<div class=\"empty\"><p class=\"large\">Nothing was done with any letter yet.</p><p>Open a group of <a href=\"/\">"
            "failures</a> or a <a href=\"/search\">search</a>, and retry or discard what it shows.</p></div>");
    } else {
        table(&mut content, &runs);
    }
    if let Some(last) = runs.last().filter(|_| runs.len() == ON_A_PAGE) {
        html!(content, "<p class=\"more\"><a class=\"button\" rel=\"next\" href=\""
            (address("/runs", &[("before", &last.id.to_string())])) "\">Older ones</a></p>");
    }
    html!(content, "</div>");
    Ok(Page::new(&session, Place::Runs, "Runs", content).live().into_response())
}

fn table(content: &mut Html, runs: &[Run]) {
    html!(*content, "<div class=\"wide\" role=\"region\" tabindex=\"0\" aria-label=\"Runs\"><table class=\"runs\"><thead><tr>"
        "<th scope=\"col\">What</th><th scope=\"col\">State</th><th scope=\"col\">How far</th><th scope=\"col\">By</th>"
        "<th scope=\"col\">Began</th></tr></thead><tbody>");
    for run in runs {
        html!(*content, "<tr><td class=\"reason\"><a href=\"/runs/" (run.id) "\">" (verb(run)) " " (Letters(run.total.into())) "</a><small>"
            (which(&run.scope, 120)) "</small></td><td>" (chip(run)) "</td><td class=\"far\" data-name=\"how far\">");
        progress(content, run);
        html!(*content, "</td><td data-name=\"by\">" (run.account) "</td><td data-name=\"began\">" (Ago(run.started_at)) "</td></tr>");
    }
    html!(*content, "</tbody></table></div>");
}

fn verb(run: &Run) -> &'static str {
    match run.action {
        Action::Retry => "Retry of",
        Action::Discard => "Discard of",
        Action::Restore => "Restore of",
    }
}

/// Which letters they were, in words.
pub(super) fn which(scope: &str, most: usize) -> Html {
    let mut html = Html::default();
    match scope.split_once(':') {
        Some(("letter", id)) if Uuid::try_parse(id).is_ok() => html.raw("the letter"),
        Some(("group", key)) if Uuid::try_parse(key).is_ok() => html.raw("letters that died alike"),
        _ if scope.is_empty() => html.raw("everything there was"),
        _ => html.raw("found by <code>").text(&cut(scope, most)).raw("</code>"),
    };
    html
}

/// Where they are.
fn way(scope: &str) -> String {
    match scope.split_once(':') {
        Some(("letter", id)) if Uuid::try_parse(id).is_ok() => format!("/letters/{id}"),
        Some(("group", key)) if Uuid::try_parse(key).is_ok() => format!("/groups/{key}"),
        _ => address("/search", &[("q", scope)]),
    }
}

fn state(state: RunState) -> (&'static str, &'static str) {
    match state {
        RunState::Planned => ("planned", "discarded"),
        RunState::Running => ("running", "retrying"),
        RunState::Paused => ("paused", "discarded"),
        RunState::Stopped => ("stopped by itself", "failed"),
        RunState::Cancelled => ("cancelled", "discarded"),
        RunState::Finished => ("finished", "done"),
    }
}

fn chip(run: &Run) -> Html {
    let (name, class) = state(run.state);
    let mut html = Html::default();
    if run.state == RunState::Finished && run.failed > 0 {
        html!(html, "<span class=\"chip failed\">" (name) ", " (Count(run.failed.into())) " failed again</span>");
    } else {
        html!(html, "<span class=\"chip " (class) "\">" (name) "</span>");
    }
    html
}

/// How many letters need no more waiting.
fn settled(run: &Run) -> i32 {
    run.done.saturating_add(run.failed).saturating_add(run.skipped).min(run.total)
}

fn progress(content: &mut Html, run: &Run) {
    let settled = settled(run);
    html!(*content, "<progress max=\"" (run.total.max(1)) "\" value=\"" (settled) "\" aria-label=\"How far it is\"></progress> <small>"
        (Count(settled.into())) " of " (Count(run.total.into())) "</small>");
}

pub(super) async fn show(
    State(pages): State<Pages>,
    Person(session): Person,
    Path(id): Path<String>,
) -> Result<Response, Trouble> {
    let page = pages.console.run(id_of(&id)?).await?;
    let run = &page.run;
    let mut content = Html::default();
    html!(content, "<p class=\"trail\"><a href=\"/runs\">Runs</a></p><h1>" (verb(run)) " " (Letters(run.total.into())) "</h1>"
        "<p class=\"sub\"><a href=\"" (way(&run.scope)) "\">" (which(&run.scope, 300)) "</a> · by " (run.account) ", " (At(run.started_at)) "</p>");
    // Said when it changes, and no oftener: the state, not every count.
    html!(content, "<p class=\"hidden\" id=\"word\" data-part aria-live=\"polite\">It is " (state(run.state).0) "</p>");
    html!(content, "<div id=\"run\" data-part>");
    standing(&mut content, &session, run);
    steps(&mut content, run);
    rest(&mut content, &page, Sight::of(&session.who));
    html!(content, "</div>");
    Ok(Page::new(&session, Place::Runs, "A run", content).live().into_response())
}

fn standing(content: &mut Html, session: &Session, run: &Run) {
    html!(*content, "<section class=\"card do\" aria-label=\"How it stands\"><p class=\"state\">"(chip(run)));
    if let Some(finished) = run.finished_at {
        html!(*content, " "(Ago(finished)));
    }
    html!(*content, "</p>");
    if !run.why.is_empty() {
        html!(*content, "<p class=\"notice");
        if run.state == RunState::Stopped {
            html!(*content, " bad");
        }
        html!(*content, "\">" (sentence(&cut(&run.why, 1_000))) "</p>");
    }
    if !run.note.is_empty() {
        html!(*content, "<p>Because: <q class=\"message\">" (run.note) "</q></p>");
    }
    let settled = settled(run);
    html!(*content, "<progress class=\"large\" max=\"" (run.total.max(1)) "\" value=\"" (settled) "\" aria-label=\"How far it is\">"
        "</progress><dl class=\"sums\"><div><dt>Letters</dt><dd>" (Count(run.total.into())) "</dd></div><div><dt>Sent</dt><dd>"
        (Count(run.sent.into())) "</dd></div><div class=\"done\"><dt>Done</dt><dd>" (Count(run.done.into())) "</dd></div>"
        "<div class=\"failed\"><dt>Failed again</dt><dd>" (Count(run.failed.into())) "</dd></div><div class=\"discarded\"><dt>Left out</dt>"
        "<dd>" (Count(run.skipped.into())) "</dd></div></dl>");
    let can: &[(&str, &str, &str)] = match run.state {
        RunState::Running => &[("pause", "Pause", ""), ("cancel", "Cancel", "")],
        RunState::Paused => &[("resume", "Go on", "strong"), ("cancel", "Cancel", "")],
        RunState::Stopped => &[("resume", "Go on all the same", ""), ("cancel", "Cancel", "")],
        RunState::Planned | RunState::Cancelled | RunState::Finished => &[],
    };
    if !can.is_empty() && session.who.role >= Role::Operator {
        html!(*content, "<form class=\"actions\" method=\"post\" action=\"/runs/" (run.id) "\">" (Csrf(session)));
        for (word, label, class) in can {
            html!(*content, "<button id=\"" (*word) "\" class=\"" (*class) "\" name=\"do\" value=\"" (*word) "\">" (*label) "</button>");
        }
        html!(*content, "</form>");
    }
    html!(*content, "</section>");
}

/// The steps: which are behind it, which it is at, which are to come.
fn steps(content: &mut Html, run: &Run) {
    if run.action != Action::Retry || run.steps.first.is_empty() {
        return;
    }
    let total = i64::from(run.total);
    let mut left = total;
    html!(
        *content,
        "<section class=\"card\" aria-labelledby=\"steps\"><h2 id=\"steps\">Steps</h2><ol class=\"stairs\">"
    );
    let sizes = run.steps.first.iter().map(|size| i64::from(*size)).chain([i64::MAX]);
    for (i, size) in sizes.enumerate() {
        let size = size.min(left);
        if size == 0 {
            break;
        }
        left -= size;
        let at = usize::try_from(run.step).unwrap_or(0);
        let (class, word) = match (i.cmp(&at), run.state) {
            (std::cmp::Ordering::Less, _) | (_, RunState::Finished) => ("done", "done"),
            (std::cmp::Ordering::Equal, RunState::Running) => ("now", "under way"),
            (std::cmp::Ordering::Equal, RunState::Stopped) => ("failed", "failed"),
            (std::cmp::Ordering::Equal, RunState::Paused) => ("now", "paused"),
            (std::cmp::Ordering::Equal, RunState::Cancelled) => ("failed", "cancelled"),
            _ => ("", "to come"),
        };
        html!(*content, "<li class=\"" (class) "\"");
        if class == "now" {
            html!(*content, " aria-current=\"step\"");
        }
        html!(*content, "><strong>");
        match (i, size == total) {
            (_, true) => html!(*content, "All"),
            (0, _) => html!(*content, "Canary"),
            _ if left == 0 => html!(*content, "The rest"),
            _ => html!(*content, "A few"),
        }
        html!(*content, "</strong> <span>" (Letters(size)) "</span> <span class=\"soft\">" (word) "</span></li>");
    }
    html!(*content, "</ol>");
    if run.steps.rate > 0 {
        html!(*content, "<p class=\"soft\">At most " (Count(run.steps.rate.into())) " a second in the last step.</p>");
    }
    html!(*content, "</section>");
}

fn rest(content: &mut Html, page: &RunPage, sight: Sight) {
    if !page.failures.is_empty() {
        html!(*content, "<h2>Failed again</h2>");
        letter_table(content, &page.failures, sight);
    }
    if !page.unanswered.is_empty() {
        html!(*content, "<h2>No word yet</h2>");
        letter_table(content, &page.unanswered, sight);
    }
    if !page.skips.is_empty() {
        html!(*content, "<h2>Left out</h2><ul class=\"plain lines\">");
        for skip in &page.skips {
            html!(*content, "<li><a href=\"/letters/" (skip.letter) "\"><code>" (skip.letter) "</code></a> "
                (cut(&skip.why, 200)) "</li>");
        }
        html!(*content, "</ul>");
    }
}

fn id_of(text: &str) -> Result<Uuid, Trouble> {
    Uuid::try_parse(text).map_err(|_| Trouble::not_found("There is no such run."))
}

pub(super) async fn steer(
    State(pages): State<Pages>,
    Path(id): Path<String>,
    Signed { session, form }: Signed,
) -> Result<Response, Trouble> {
    let (id, who) = (id_of(&id)?, &session.who);
    let back = format!("/runs/{id}");
    let done = match form.get("do") {
        "pause" => pages.console.pause(who, id).await,
        "resume" => pages.console.resume(who, id).await,
        "cancel" => pages.console.cancel(who, id).await,
        _ => return Err(Trouble::not_found("There is no such action.").back_to(back)),
    };
    done.map_err(|refusal| Trouble::from(refusal).back_to(&back))?;
    Ok(Redirect::to(&back).into_response())
}
