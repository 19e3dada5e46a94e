//! `/search?q=…`: letters by what is known of them. The search is in the address, so it can be shared.

use axum::{
    extract::{RawQuery, State as Shared},
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use common::{html, html::Html, ids::OrderId};

use super::{
    Pages,
    failures::kind,
    mask::Sight,
    page::{Csrf, Page, Place, address},
    parameter,
    person::Person,
    shown::{Ago, Count, Letters, cut, death},
    trouble::{Trouble, sentence},
};
use crate::{
    Action, BadQuery, Cursor, LOOKED_AT_MOST, LetterLine, Page as Found, Query, Refusal, Role, State, people::Session,
};

pub(super) const ON_A_PAGE: usize = 50;
/// The longest search that is looked at.
const LONGEST: usize = 2_000;

pub(super) async fn search(
    Shared(pages): Shared<Pages>,
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
    if found.letters.is_empty() && found.next.is_some() {
        html!(*content, "<div class=\"empty\"><p class=\"large\">Nothing was found so far.</p><p>The newest "
            (Count(LOOKED_AT_MOST)) " letters from here on were looked through. Say more of what you look for, such as the order or "
            "the user, or look further.</p></div>");
        more(content, "/search", &[("q", text)], found);
        return;
    }
    if found.letters.is_empty() {
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
        actions(content, session, text, found);
    }
    letter_table(content, &found.letters, Sight::of(&session.who));
    more(content, "/search", &[("q", text)], found);
}

/// What can be done with some of what was found. Of what is on later pages nothing is known here.
fn actions(content: &mut Html, session: &Session, text: &str, found: &Found) {
    let is_any = |state: State| found.next.is_some() || found.letters.iter().any(|letter| letter.state == state);
    html!(*content, "<div class=\"actions\">");
    for (action, label, needs) in [
        (Action::Retry, "Retry what was found…", State::Failed),
        (Action::Discard, "Discard…", State::Failed),
        (Action::Restore, "Restore…", State::Discarded),
    ] {
        if is_any(needs) {
            html!(*content, "<form method=\"post\" action=\"/plans\">" (Csrf(session)) "<input type=\"hidden\" name=\"q\" value=\""
                (text) "\"><input type=\"hidden\" name=\"action\" value=\"" (super::plans::word(action)) "\"><button id=\"found-"
                (super::plans::word(action)) "\">" (label) "</button></form>");
        }
    }
    html!(*content, "</div>");
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
            order_link(content, &letter.subject);
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

/// What a letter is about, which leads to the order if it is one.
pub(super) fn order_link(content: &mut Html, subject: &str) {
    match subject.parse::<OrderId>() {
        Ok(id) => html!(*content, "<a href=\"/orders/" (id.to_string()) "\"><code>" (id.to_string()) "</code></a>"),
        Err(_) => html!(*content, "<code>" (cut(subject, 64)) "</code>"),
    }
}

/// A person, who leads to all letters about them; for readers, who may not see who it is, to nowhere.
pub(super) fn user_link(content: &mut Html, user: &str, sight: Sight) {
    if !sight.sees_all() {
        html!(*content, (sight.person(user)));
        return;
    }
    let of_them = Query::user(user.to_owned()).to_string();
    html!(*content, "<a href=\"" (address("/search", &[("q", &of_them)])) "\">" (cut(user, 64)) "</a>");
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
        "<input id=\"q\" name=\"q\" type=\"search\" maxlength=\"2000\" placeholder=\"An order, a user, any word\">"
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
        (
            "guest",
            "a word by itself is looked for everywhere: orders, users, products, events, queues, types, and words of the reason",
        ),
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
