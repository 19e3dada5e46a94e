//! `/letters/{id}/edit`: changes what would be sent again. What was not applied is said, and what was typed is kept.

use axum::{
    extract::{Path, State},
    http::StatusCode,
    response::Response,
};
use common::{html, html::Html};
use uuid::Uuid;

use super::{
    Pages, acts,
    body::Shape,
    letters::unknown,
    mask::Sight,
    page::{Csrf, Page, Place},
    person::{Person, Signed},
    shown::bytes,
    trouble::{Trouble, sentence},
};
use crate::{Action, DiffLine, LetterPage, Refusal, Role, people::Session};

/// The largest body that is edited in a browser.
pub(super) const LARGEST: usize = 256 * 1024;

pub(super) async fn form(
    State(pages): State<Pages>,
    Person(session): Person,
    Path(id): Path<String>,
) -> Result<Response, Trouble> {
    let id = Uuid::try_parse(&id).map_err(|_| unknown())?;
    let back = format!("/letters/{id}");
    session.who.must_be(Role::Operator).map_err(|refusal| Trouble::from(refusal).back_to(&back))?;
    let letter = pages.console.letter(id).await?;
    if letter.body.len() > LARGEST {
        let message = format!(
            "a body of {} is too large for a page; the command line edits it from a file: \
             support-console edit {id} --body FILE",
            bytes(letter.body.len())
        );
        return Err(Trouble::from(Refusal::EditNotApplied(message)).back_to(back));
    }
    let text = as_text(&letter.body);
    let typed = Typed { version: letter.line.version, body: &text };
    Ok(page(&session, &letter, StatusCode::OK, &typed, None))
}

/// What stands in the form.
struct Typed<'a> {
    version: i32,
    body: &'a str,
}

pub(super) async fn edit(
    State(pages): State<Pages>,
    Path(id): Path<String>,
    Signed { session, form }: Signed,
) -> Result<Response, Trouble> {
    let id = Uuid::try_parse(&id).map_err(|_| unknown())?;
    let version = form.get("version").parse().unwrap_or_default();
    // A browser ends every line of a form with both.
    let body = form.get("body").replace("\r\n", "\n");
    let typed = Typed { version, body: &body };
    let letter = pages.console.letter(id).await?;
    if as_text(&letter.body) == body {
        let why = "nothing was changed, so there is nothing to apply";
        return Ok(page(&session, &letter, StatusCode::UNPROCESSABLE_ENTITY, &typed, Some(why)));
    }
    match pages.console.edit(&session.who, id, version, Some(body.as_bytes()), None).await {
        Ok(edited) if form.get("then") == "retry" => {
            let (who, edit) = (&session.who, edited.edit.to_string());
            match acts::begin(&pages, who, id, edited.version, Action::Retry, "").await {
                Ok(run) => Ok(acts::back(id, &[("edited", &edit), ("run", &run.to_string())])),
                Err(refusal) => {
                    let title = "The edit was applied, and the letter was not retried";
                    Err(acts::refused(id)(refusal).titled(title))
                }
            }
        }
        Ok(edited) => Ok(acts::back(id, &[("edited", &edited.edit.to_string())])),
        Err(refusal @ (Refusal::EditNotApplied(_) | Refusal::ChangedSince { .. } | Refusal::Invalid { .. })) => {
            let status = StatusCode::from_u16(refusal.status()).unwrap_or(StatusCode::CONFLICT);
            Ok(page(&session, &letter, status, &typed, Some(&refusal.to_string())))
        }
        Err(refusal) => Err(acts::refused(id)(refusal)),
    }
}

/// As it stands in the form; bytes that are no text cannot stand there.
fn as_text(body: &[u8]) -> String {
    match Shape::of(body, Sight::all(), &[]) {
        Shape::Json(text) | Shape::Text(text) => text,
        Shape::Bytes(_) => String::new(),
    }
}

fn page(session: &Session, letter: &LetterPage, status: StatusCode, typed: &Typed<'_>, why: Option<&str>) -> Response {
    let line = &letter.line;
    let mut content = Html::default();
    html!(content, "<p class=\"trail\"><a href=\"/letters/" (line.id) "\">Back to the letter</a></p><h1>Edit a letter of <code>"
        (line.queue) "</code></h1>");
    if let Some(why) = why {
        html!(content, "<div class=\"notice bad\" role=\"alert\" id=\"why\"><p><strong>The edit was not applied.</strong> "
            (sentence(why.trim_start_matches("the edit was not applied: "))) "</p><p>What you typed is still below; the letter is as "
            "it was.</p></div>");
    }
    if !line.readable {
        html!(content, "<p class=\"notice\">There is no event to be read in it. It can be retried once it is one event: a JSON object "
            "with <code>id</code>, <code>type</code>, <code>source</code>, <code>specversion</code> and <code>data</code>, or a list "
            "of one.</p>");
    }
    html!(content, "<form class=\"stack wide-form\" method=\"post\" action=\"/letters/" (line.id) "/edit\">" (Csrf(session))
        "<input type=\"hidden\" name=\"version\" value=\"" (typed.version) "\"><label for=\"typed\">Body: the event</label>"
        "<textarea id=\"typed\" name=\"body\" rows=\"24\" spellcheck=\"false\" autocapitalize=\"none\"");
    html!(content, " aria-describedby=\"");
    if why.is_some() {
        html!(content, "why ");
    }
    html!(content, "amounts\"");
    // A browser takes away the first line break.
    html!(content, ">\n" (typed.body) "</textarea><p class=\"soft\" id=\"amounts\">Amounts are in minor units: <code>10050</code> is "
        "100.50.</p><p class=\"soft\">The original is kept, and what changed is shown on the letter's page.</p>"
        "<div class=\"actions\"><button class=\"strong\" id=\"apply\">Apply the edit</button>"
        "<button id=\"apply-and-retry\" name=\"then\" value=\"retry\">Apply it and retry</button><a class=\"button\" href=\"/letters/" (line.id) "\">Leave it as it is</a></div></form>");
    Page::new(session, Place::Search, "Edit a letter", content).answer(status)
}

/// What changed, a line each.
pub(super) fn diff(content: &mut Html, lines: Option<&[DiffLine]>, sight: Sight) {
    if !sight.sees_all() {
        html!(
            *content,
            "<p class=\"soft\">What was changed may be personal data, which is hidden from the role reader.</p>"
        );
        return;
    }
    let Some(lines) = lines else {
        html!(*content, "<p class=\"soft\">It is too large to be compared here.</p>");
        return;
    };
    html!(*content, "<pre class=\"diff\" tabindex=\"0\" aria-label=\"What changed\">");
    for line in lines.iter().take(2_000) {
        match line {
            DiffLine::Same(text) => html!(*content, "<span>  " (text) "\n</span>"),
            DiffLine::Removed(text) => html!(*content, "<del>- " (text) "\n</del>"),
            DiffLine::Added(text) => html!(*content, "<ins>+ " (text) "\n</ins>"),
        }
    }
    html!(*content, "</pre>");
}
