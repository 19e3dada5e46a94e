//! `/search?q=…`: letters by what is known of them. The search is in the address, so it can be shared.

use axum::{
    extract::{RawQuery, State},
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use common::{html, html::Html};

use super::{
    Pages,
    failures::kind,
    mask::Sight,
    page::{Csrf, Page, Place, address},
    parameter,
    person::Person,
    shown::{Ago, Letters, cut, death},
    trouble::{Trouble, sentence},
};
use crate::{Action, BadQuery, Cursor, LetterLine, Page as Found, Query, Refusal, Role, people::Session};

pub(super) const ON_A_PAGE: usize = 50;
/// The longest search that is looked at.
const LONGEST: usize = 2_000;

pub(super) async fn search(
    State(pages): State<Pages>,
    Person(session): Person,
    RawQuery(asked): RawQuery,
) -> Result<Response, Trouble> {
    let text = cut(parameter(asked.as_deref(), "q").trim(), LONGEST);
    let mut content = Html::default();
    html!(content, "<h1>Search</h1>");
    let query = match text.parse::<Query>() {
        Ok(query) => query,
        Err(bad) => {
            form(&mut content, &text, Some(&bad));
            help(&mut content, true);
            let page = Page::new(&session, Place::Search, "Search", content);
            return Ok(page.answer(StatusCode::BAD_REQUEST));
        }
    };
    let after = cursor(asked.as_deref())?;
    let found = pages.console.search(&query, after, ON_A_PAGE).await;
    let found = match found {
        Err(Refusal::Query(bad)) => {
            form(&mut content, &text, Some(&bad));
            help(&mut content, true);
            let page = Page::new(&session, Place::Search, "Search", content);
            return Ok(page.answer(StatusCode::BAD_REQUEST));
        }
        found => found?,
    };
    form(&mut content, &text, None);
    html!(content, "<div id=\"found\" data-part>");
    result(&mut content, &session, &text, &found, after.is_none());
    html!(content, "</div>");
    help(&mut content, text.is_empty() || found.letters.is_empty());
    Ok(Page::new(&session, Place::Search, "Search", content).live().into_response())
}

fn result(content: &mut Html, session: &Session, text: &str, found: &Found, is_first: bool) {
    if found.letters.is_empty() && found.next.is_none() {
        html!(*content, "<div class=\"empty\"><p class=\"large\">Nothing was found.</p><p>");
        html!(*content, "Every word must be met; with OR between them one is enough. What went through is not here: <a href=\""
            "/orders\">look for the order</a> to see how it stands.</p></div>");
        return;
    }
    // What is all on one page need not be counted anywhere else.
    let here = i64::try_from(found.letters.len()).ok().filter(|_| is_first && found.next.is_none());
    if let Some(total) = found.total.or(here) {
        html!(*content, "<p role=\"status\"><strong>" (Letters(total)) "</strong> found.</p>");
    }
    if session.who.role >= Role::Operator {
        html!(*content, "<div class=\"actions\">");
        for (action, label) in
            [(Action::Retry, "Retry what was found…"), (Action::Discard, "Discard…"), (Action::Restore, "Restore…")]
        {
            html!(*content, "<form method=\"post\" action=\"/plans\">" (Csrf(session)) "<input type=\"hidden\" name=\"q\" value=\""
                (text) "\"><input type=\"hidden\" name=\"action\" value=\"" (super::plans::word(action)) "\"><button id=\"found-"
                (super::plans::word(action)) "\">" (label) "</button></form>");
        }
        html!(*content, "</div>");
    }
    letter_table(content, &found.letters, Sight::of(&session.who));
    more(content, "/search", &[("q", text)], found);
}

/// Letters, a line each.
pub(super) fn letter_table(content: &mut Html, letters: &[LetterLine], sight: Sight) {
    if letters.is_empty() {
        html!(*content, "<p class=\"soft\">There are none here.</p>");
        return;
    }
    html!(*content, "<div class=\"wide\" role=\"region\" tabindex=\"0\" aria-label=\"Letters\"><table class=\"letters\"><thead><tr>"
        "<th scope=\"col\">Letter</th><th scope=\"col\">Order</th><th scope=\"col\">Reason</th><th scope=\"col\">State</th>"
        "<th scope=\"col\">Died</th></tr></thead><tbody>");
    for letter in letters {
        html!(*content, "<tr><td><a href=\"/letters/" (letter.id) "\">" (kind(&letter.kind)) "</a><small><code>" (letter.queue)
            "</code></small></td><td class=\"ids\">");
        if letter.subject.is_empty() {
            html!(*content, "<span class=\"soft\">none</span>");
        } else {
            html!(*content, "<code>" (cut(&letter.subject, 64)) "</code>");
        }
        if let Some(user) = letter.users.first() {
            html!(*content, "<small>user " (cut(&sight.person(user), 64)) "</small>");
        }
        html!(*content, "</td><td class=\"reason\">" (cut(&sight.text(&letter.reason, &letter.users), 140)) "<small>"
            (death(&letter.death)) "</small></td><td>" (letter.state));
        if letter.no_word {
            html!(*content, " <span class=\"chip failed\">no word yet</span>");
        }
        html!(*content, "</td><td data-name=\"died\">" (Ago(letter.died_at)) "</td></tr>");
    }
    html!(*content, "</tbody></table></div>");
}

/// The way to the next page, if there is one.
pub(super) fn more(content: &mut Html, path: &str, with: &[(&str, &str)], found: &Found) {
    if let Some(next) = &found.next {
        let mut query = with.to_vec();
        query.push(("after", next));
        html!(*content, "<p class=\"more\"><a class=\"button\" rel=\"next\" href=\"" (address(path, &query))
            "\">Older ones</a></p>");
    }
}

pub(super) fn cursor(query: Option<&str>) -> Result<Option<Cursor>, Trouble> {
    let after = parameter(query, "after");
    if after.is_empty() { Ok(None) } else { Ok(Some(after.parse()?)) }
}

/// Where a search begins on other pages.
pub(super) fn small_form(content: &mut Html) {
    html!(*content, "<form class=\"find\" role=\"search\" action=\"/search\"><label class=\"hidden\" for=\"q\">Search letters</label>"
        "<input id=\"q\" name=\"q\" type=\"search\" maxlength=\"2000\" placeholder=\"An order, or words of the reason\">"
        "<button>Search</button></form>");
}

fn form(content: &mut Html, text: &str, bad: Option<&BadQuery>) {
    html!(*content, "<form class=\"find large\" role=\"search\" action=\"/search\"><label for=\"q\">What is known of the letters"
        "</label><input id=\"q\" name=\"q\" type=\"search\" maxlength=\"2000\" spellcheck=\"false\" autocapitalize=\"none\" value=\""
        (text) "\"");
    if bad.is_some() {
        html!(*content, " aria-invalid=\"true\" aria-describedby=\"bad\" autofocus");
    }
    html!(*content, "><button class=\"strong\">Search</button></form>");
    if let Some(bad) = bad {
        point_at(content, text, bad);
    }
}

/// Shows the place where a search goes wrong.
fn point_at(content: &mut Html, text: &str, bad: &BadQuery) {
    let before: String = text.chars().take(bad.position).collect();
    let mut rest = text.chars().skip(bad.position);
    let at = rest.next().map_or_else(|| " ".to_owned(), String::from);
    let after: String = rest.collect();
    html!(*content, "<div class=\"notice bad\" role=\"alert\" id=\"bad\"><p>" (sentence(&bad.message))
        "</p><p class=\"place\"><code>" (before) "<mark>" (at) "</mark>" (after) "</code> <span class=\"soft\">at character "
        (bad.position + 1) "</span></p></div>");
}

fn help(content: &mut Html, open: bool) {
    html!(*content, "<details class=\"help\"");
    if open {
        html!(*content, " open");
    }
    html!(*content, "><summary>How to search</summary><dl class=\"syntax\">");
    for (example, tells) in [
        ("timeout", "a word without a field is an order, an event or a word of the reason, by what it looks like"),
        ("order:ORD… user:123456 product:P001", "what the letter is about; together, which is what AND means, too"),
        (
            "queue:payment.charge type:order.paid",
            "where it died, and what it is; payment.* finds every name that begins so",
        ),
        ("reason:\"gateway timeout\"", "words of the reason, one after the other"),
        ("state:failed", "or retrying, done, discarded"),
        ("after:2026-11-01 before:2026-11-02T12:00:00Z", "when it died, in UTC"),
        ("attempts:>=3 tries:1", "how often the line tried it, and how often staff retried it"),
        ("(reason:timeout OR user:123456) NOT state:done", "either, in brackets; and what it must not be"),
    ] {
        html!(*content, "<div><dt><code>" (example) "</code></dt><dd>" (tells) "</dd></div>");
    }
    html!(*content, "</dl></details>");
}
