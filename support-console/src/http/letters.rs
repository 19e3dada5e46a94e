//! `/letters/{id}`: a letter, everything that became of it, and what can be done with it.

use axum::{
    extract::{Path, RawQuery, State},
    response::{IntoResponse as _, Response},
};
use common::{html, html::Html};
use serde_json::Value;
use uuid::Uuid;

use super::{
    Pages, acts, audit, body,
    failures::kind,
    mask::Sight,
    mend, orders,
    page::{Csrf, Page, Place},
    person::Person,
    search::{order_link, user_link},
    shown::{Ago, At, cut, death, state_word},
    trouble::Trouble,
};
use crate::{Advice, Death, Helps, LetterPage, LetterRun, Role, State as Stands, people::Session};

pub(super) fn unknown() -> Trouble {
    Trouble::not_found("There is no such letter.")
}

pub(super) async fn show(
    State(pages): State<Pages>,
    Person(session): Person,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, Trouble> {
    let letter = pages.console.letter(Uuid::try_parse(&id).map_err(|_| unknown())?).await?;
    let sight = Sight::of(&session.who);
    let mut content = Html::default();
    head(&mut content, &letter, sight);
    html!(content, "<p class=\"hidden\" id=\"word\" data-part aria-live=\"polite\">This letter is " (state_word(letter.line.state))
        "</p>");
    acts::said(&mut content, &letter, query.as_deref());
    html!(content, "<div class=\"columns\"><div class=\"main\"><div id=\"state\" data-part>");
    actions(&mut content, &session, &letter);
    html!(content, "</div>");
    body::show(&mut content, &letter, sight);
    html!(content, "<div id=\"history\" data-part>");
    edits(&mut content, &letter, sight);
    deaths(&mut content, &letter, sight);
    runs(&mut content, &letter.runs);
    html!(content, "</div>");
    headers(&mut content, &letter, sight);
    html!(content, "<section class=\"card\" aria-labelledby=\"audit\"><h2 id=\"audit\">Who did what to it</h2>");
    audit::lines(&mut content, &letter.audit, sight);
    html!(content, "</section></div><aside class=\"side\" aria-label=\"About its order\">");
    facts(&mut content, &letter, sight);
    orders::beside(&mut content, &pages, &session, &letter.line.subject).await;
    html!(content, "</aside></div>");
    Ok(Page::new(&session, Place::Search, "A letter", content).live().into_response())
}

fn head(content: &mut Html, letter: &LetterPage, sight: Sight) {
    let line = &letter.line;
    let past = if matches!(line.state, Stands::Done | Stands::Discarded) { " past" } else { "" };
    html!(*content, "<p class=\"trail\"><a href=\"/\">Failures</a> <span aria-hidden=\"true\">/</span> <a href=\"/groups/" (line.group)
        "\">others that died alike</a></p><h1>" (kind(&line.kind)) " <span class=\"soft\">died in</span> <code>" (line.queue)
        "</code></h1><p class=\"why" (past) "\"><strong>" (death(&line.death)) "</strong><span class=\"message\">"
        (cut(&sight.text(&line.reason, &line.users), 4_000)) "</span></p>");
}

fn actions(content: &mut Html, session: &Session, letter: &LetterPage) {
    let line = &letter.line;
    html!(*content, "<section class=\"card do\" aria-label=\"State and what can be done\"><p class=\"state\">" (line.state)
        " <span class=\"soft\">" (Ago(line.state_since)) "</span>");
    if line.no_word {
        html!(*content, " <span class=\"chip failed\">no word yet</span>");
    }
    html!(*content, "</p>");
    if !line.note.is_empty() {
        html!(*content, "<p>Discarded because: <q class=\"message\">"
            (Sight::of(&session.who).text(&line.note, &line.users)) "</q></p>");
    }
    let helps = match line.state {
        Stands::Failed => advice(content, letter),
        _ => Helps::Retry,
    };
    match line.state {
        Stands::Retrying if line.no_word => {
            html!(*content, "<p>It was sent again, and there has been no word of it for long. Its "
            "worker may be down. If you take it back it is failed again, and can be retried; should the first retry arrive after "
            "all, that counts.</p>");
        }
        Stands::Retrying => html!(*content, "<p>It was sent again. Its worker says when it is done.</p>"),
        Stands::Done => html!(*content, "<p>Its worker has said that it is done. There is nothing to do.</p>"),
        Stands::Failed | Stands::Discarded => {}
    }
    if session.who.role < Role::Operator {
        html!(*content, "<p class=\"soft\">To do something about it takes the role operator.</p></section>");
        return;
    }
    html!(*content, "<div class=\"actions\">");
    match line.state {
        Stands::Failed => {
            let (edit, retry, label) = match helps {
                Helps::Retry => ("", "strong", "Retry this letter"),
                Helps::Edit => (" strong", "", "Retry it as it is"),
                Helps::Elsewhere => ("", "", "Retry it all the same"),
            };
            if line.readable {
                button(content, session, letter, "retry", label, retry);
            }
            html!(*content, "<a class=\"button" (edit) "\" id=\"edit\" href=\"/letters/" (line.id) "/edit\">Edit…</a></div>"
                "<form class=\"row\" method=\"post\" action=\"/letters/" (line.id) "/discard\">" (Csrf(session))
                "<input type=\"hidden\" name=\"version\" value=\"" (line.version) "\"><div class=\"grow\"><label for=\"reason\">Why "
                "nothing is to be done about it</label><input id=\"reason\" name=\"reason\" required maxlength=\"500\"></div>"
                "<button id=\"discard\">Discard</button></form></section>");
            return;
        }
        Stands::Discarded => button(content, session, letter, "restore", "Restore it", "strong"),
        Stands::Retrying if line.no_word => button(content, session, letter, "take-back", "Take it back", "strong"),
        Stands::Retrying | Stands::Done => {}
    }
    html!(*content, "</div></section>");
}

/// What is likely to help.
fn advice(content: &mut Html, letter: &LetterPage) -> Helps {
    let died = letter.line.died_at;
    if letter.line.readable && letter.edits.first().is_some_and(|edit| edit.at > died) {
        html!(*content, "<p class=\"advice\"><strong>What to do:</strong> It was edited since it failed. Retry it to see whether that "
            "was what it needed.</p>");
        return Helps::Retry;
    }
    let Some(Advice { text, helps }) = Advice::about(&letter.line.death, &letter.line.reason) else {
        return Helps::Retry;
    };
    html!(*content, "<p class=\"advice\"><strong>What to do:</strong> " (text) "</p>");
    helps
}

fn button(
    content: &mut Html,
    session: &Session,
    letter: &LetterPage,
    what: &'static str,
    label: &'static str,
    class: &'static str,
) {
    html!(*content, "<form method=\"post\" action=\"/letters/" (letter.line.id) "/" (what) "\">" (Csrf(session))
        "<input type=\"hidden\" name=\"version\" value=\"" (letter.line.version) "\"><button id=\"" (what) "\" class=\"" (class)
        "\">" (label) "</button></form>");
}

fn facts(content: &mut Html, letter: &LetterPage, sight: Sight) {
    let line = &letter.line;
    html!(*content, "<section class=\"card\"><h2>This letter</h2><dl class=\"facts\">");
    if !line.subject.is_empty() {
        html!(*content, "<div><dt>Order</dt><dd>");
        order_link(content, &line.subject);
        html!(*content, "</dd></div>");
    }
    if !line.users.is_empty() {
        html!(*content, "<div><dt>User</dt><dd>");
        for user in line.users.iter().take(5) {
            user_link(content, user, sight);
            html!(*content, " ");
        }
        html!(*content, "</dd></div>");
    }
    let mut fact = |name: &'static str, value: &str| {
        if !value.is_empty() {
            html!(*content, "<div><dt>" (name) "</dt><dd>" (cut(value, 300)) "</dd></div>");
        }
    };
    fact("Products", &line.products.iter().take(20).cloned().collect::<Vec<_>>().join(", "));
    fact("Given up by", &line.service);
    fact("Attempts", &line.attempts.to_string());
    fact("Retries by staff", &line.tries.to_string());
    fact("Event", &letter.event_id.map(|id| id.to_string()).unwrap_or_default());
    fact("Published to", &letter.exchange);
    fact("as", &letter.routing_key);
    html!(*content, "<div><dt>Died</dt><dd>" (At(line.died_at)) "</dd></div><div><dt>First seen</dt><dd>" (At(line.first_seen))
        "</dd></div></dl></section>");
}

fn deaths(content: &mut Html, letter: &LetterPage, sight: Sight) {
    html!(
        *content,
        "<section class=\"card\" aria-labelledby=\"deaths\"><h2 id=\"deaths\">How it failed</h2><ol class=\"steps\">"
    );
    for Death { died_at, death: how, reason, service, attempts, retry_id, .. } in &letter.deaths {
        html!(*content, "<li><p><strong>" (death(how)) "</strong> " (At(*died_at)));
        if !service.is_empty() {
            html!(*content, " <span class=\"soft\">by " (cut(service, 100)) "</span>");
        }
        if retry_id.is_some() {
            html!(*content, " <span class=\"chip\">a retry by staff</span>");
        } else {
            html!(*content, " <span class=\"soft\">after attempt " (*attempts) "</span>");
        }
        html!(*content, "</p><p class=\"message\">" (cut(&sight.text(reason, &letter.line.users), 2_000)) "</p></li>");
    }
    html!(*content, "</ol></section>");
}

fn edits(content: &mut Html, letter: &LetterPage, sight: Sight) {
    if letter.edits.is_empty() {
        return;
    }
    html!(*content, "<section class=\"card\" aria-labelledby=\"edits\"><h2 id=\"edits\">What was edited</h2>");
    for edit in &letter.edits {
        html!(*content, "<details open><summary>" (edit.account) ", " (At(edit.at)) "</summary>");
        mend::diff(content, edit.diff.as_deref(), sight);
        html!(*content, "</details>");
    }
    html!(*content, "</section>");
}

fn runs(content: &mut Html, runs: &[LetterRun]) {
    if runs.is_empty() {
        return;
    }
    html!(
        *content,
        "<section class=\"card\" aria-labelledby=\"runs\"><h2 id=\"runs\">In which runs it was</h2><ul class=\"plain lines\">"
    );
    for run in runs {
        html!(*content, "<li><a href=\"/runs/" (run.run) "\">" (run.action) "</a> by " (run.account) ", " (At(run.at)) ": "
            (run.state));
        if !run.why.is_empty() {
            html!(*content, " (" (cut(&run.why, 200)) ")");
        }
        html!(*content, "</li>");
    }
    html!(*content, "</ul></section>");
}

fn headers(content: &mut Html, letter: &LetterPage, sight: Sight) {
    html!(
        *content,
        "<section class=\"card\" aria-labelledby=\"headers\"><h2 id=\"headers\">Headers and properties</h2>"
        "<details><summary>What the message carried besides its body</summary>"
    );
    let mut all = letter.headers.clone();
    sight.json(&mut all, &letter.line.users);
    for (part, name) in [("headers", "Header"), ("properties", "Property")] {
        let Some(Value::Object(fields)) = all.get(part) else { continue };
        if fields.is_empty() {
            continue;
        }
        html!(*content, "<div class=\"wide\" role=\"region\" tabindex=\"0\" aria-label=\"" (part) "\"><table class=\"pairs\"><thead><tr>"
            "<th scope=\"col\">" (name) "</th><th scope=\"col\">Value</th></tr></thead><tbody>");
        for (name, value) in fields.iter().take(100) {
            let value = value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
            html!(*content, "<tr><th scope=\"row\"><code>" (cut(name, 200)) "</code></th><td class=\"message\">" (cut(&value, 2_000))
                "</td></tr>");
        }
        html!(*content, "</tbody></table></div>");
    }
    html!(*content, "</details></section>");
}
