//! What is done with one letter by the buttons of its page, and what the page says of it then.

use std::time::Duration;

use axum::{
    extract::{Path, State},
    response::{IntoResponse as _, Redirect, Response},
};
use common::{html, html::Html};
use uuid::Uuid;

use super::{Pages, letters::unknown, page::address, parameter, person::Signed, trouble::Trouble};
use crate::{
    Action, LetterPage, LetterRun, Refusal, Scope, State as Stands, Steps, Who,
    advice::{Advice, Helps},
};

/// So long the browser waits to show what became of it. What takes longer is seen when the page is loaded again.
const PATIENCE: Duration = Duration::from_millis(1_500);

pub(super) async fn retry(
    State(pages): State<Pages>,
    Path(id): Path<String>,
    signed: Signed,
) -> Result<Response, Trouble> {
    act(&pages, &id, &signed, Action::Retry).await
}

pub(super) async fn discard(
    State(pages): State<Pages>,
    Path(id): Path<String>,
    signed: Signed,
) -> Result<Response, Trouble> {
    act(&pages, &id, &signed, Action::Discard).await
}

pub(super) async fn restore(
    State(pages): State<Pages>,
    Path(id): Path<String>,
    signed: Signed,
) -> Result<Response, Trouble> {
    act(&pages, &id, &signed, Action::Restore).await
}

pub(super) async fn take_back(
    State(pages): State<Pages>,
    Path(id): Path<String>,
    Signed { session, .. }: Signed,
) -> Result<Response, Trouble> {
    let id = Uuid::try_parse(&id).map_err(|_| unknown())?;
    // Whether it can be is known better by now than on the screen.
    pages.console.take_back(&session.who, id).await.map_err(refused(id))?;
    Ok(back(id, &[("back", "1")]))
}

async fn act(pages: &Pages, id: &str, Signed { session, form }: &Signed, action: Action) -> Result<Response, Trouble> {
    let id = Uuid::try_parse(id).map_err(|_| unknown())?;
    let seen = form.get("version").parse().unwrap_or_default();
    let run = begin(pages, &session.who, id, seen, action, form.get("reason")).await.map_err(refused(id))?;
    Ok(back(id, &[("run", &run.to_string())]))
}

/// Begins it, if the letter is still as it was on the screen, and waits for what becomes of it.
pub(super) async fn begin(
    pages: &Pages,
    who: &Who,
    id: Uuid,
    seen: i32,
    action: Action,
    reason: &str,
) -> Result<Uuid, Refusal> {
    let console = &pages.console;
    let plan = console.plan(who, &Scope::Letter { id, seen: Some(seen) }, action).await?;
    let run = match action {
        Action::Retry => console.start_run(who, plan.id, &Steps::at_once()).await?,
        Action::Discard => console.discard(who, plan.id, reason).await?,
        Action::Restore => console.restore(who, plan.id).await?,
    };
    settled(pages, run).await;
    Ok(run)
}

/// Waits until a run has come to rest, or for as long as a browser should.
pub(super) async fn settled(pages: &Pages, run: Uuid) {
    if let Err(error) = pages.console.until_at_rest(run, PATIENCE).await {
        // It has begun, and that is what counts.
        tracing::debug!(%error, "a run that was begun cannot be looked at");
    }
}

/// A refusal, with the way back to the letter.
pub(super) fn refused(id: Uuid) -> impl Fn(Refusal) -> Trouble {
    move |refusal| Trouble::from(refusal).back_to(format!("/letters/{id}"))
}

/// To the letter's page, which is to say what was done.
pub(super) fn back(id: Uuid, done: &[(&str, &str)]) -> Response {
    Redirect::to(&address(&format!("/letters/{id}"), done)).into_response()
}

/// What was done just now, as it stands: the address only names it, so nothing is said that is not true.
pub(super) fn said(content: &mut Html, letter: &LetterPage, query: Option<&str>) {
    let named = |name| Uuid::try_parse(&parameter(query, name)).ok();
    let run = letter.runs.first().filter(|run| named("run") == Some(run.run));
    html!(*content, "<div id=\"said\" data-part>");
    if letter.edits.first().is_some_and(|edit| named("edited") == Some(edit.id)) {
        html!(*content, "<p class=\"notice good\" role=\"status\">The edit was applied. The original is kept below.");
        if run.is_none() {
            html!(*content, " Nothing was sent yet: retry the letter when you are ready.");
        }
        html!(*content, "</p>");
    }
    if parameter(query, "back") == "1" && letter.line.state == Stands::Failed {
        html!(
            *content,
            "<p class=\"notice good\" role=\"status\">It was taken back: it is failed again, and can be retried.</p>"
        );
    }
    if let Some(run) = run {
        let advice = Advice::about(&letter.line.death, &letter.line.reason);
        let (class, words) = outcome(run, advice.is_some_and(|advice| advice.helps == Helps::Elsewhere));
        html!(*content, "<p class=\"notice" (class) "\" role=\"status\">" (words) "</p>");
    }
    html!(*content, "</div>");
}

fn outcome(run: &LetterRun, is_put_right_elsewhere: bool) -> (&'static str, String) {
    let (class, words) = match (run.action.as_str(), run.state.as_str()) {
        ("retry", "sent") => {
            ("", "It was sent again. There is no word yet of what became of it: load the page again to see.")
        }
        ("retry", "done") => (" good", "It was sent again, and its worker has said that it is done."),
        ("retry", "failed") => (" bad", "It was sent again, and it failed again: how is said above and below."),
        ("discard", "done") if is_put_right_elsewhere => (
            " good",
            "It was discarded, and can be restored at any time. If its order still waits for something, such as money that \
             is owed, this has not put it right: see the order's page.",
        ),
        ("discard", "done") => (" good", "It was discarded. It can be restored at any time."),
        ("restore", "done") => (" good", "It was restored: it is failed again, and can be retried."),
        (_, "skipped") => return (" bad", format!("Nothing was done with it: {}.", run.why)),
        _ => ("", "It was taken down, and is done in a moment: load the page again to see."),
    };
    (class, words.to_owned())
}
