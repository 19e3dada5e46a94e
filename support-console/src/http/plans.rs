//! `/plans`: before many letters are retried, discarded or restored, it is shown which they are. What is started then is
//! exactly that, whatever comes meanwhile.

use axum::{
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse as _, Redirect, Response},
};
use common::{html, html::Html};
use uuid::Uuid;

use super::{
    Pages, acts,
    page::{Csrf, Page, Place, address},
    person::Signed,
    shown::{Count, Letters},
    trouble::Trouble,
};
use crate::{Action, Query, Refusal, Scope, Snapshot, Steps, people::Session};

/// The most letters a second that can be asked for.
const FASTEST: u32 = 100_000;

pub(super) fn word(action: Action) -> &'static str {
    match action {
        Action::Retry => "retry",
        Action::Discard => "discard",
        Action::Restore => "restore",
    }
}

fn action(word: &str) -> Result<Action, Trouble> {
    let all = [Action::Retry, Action::Discard, Action::Restore];
    all.into_iter()
        .find(|action| self::word(*action) == word)
        .ok_or_else(|| Trouble::not_found("There is no such action."))
}

pub(super) async fn plan(State(pages): State<Pages>, Signed { session, form }: Signed) -> Result<Response, Trouble> {
    let (scope, back) = match form.get("group") {
        "" => {
            let text = form.get("q");
            let query = text.parse::<Query>().map_err(Refusal::from)?;
            (Scope::Query(query), address("/search", &[("q", text)]))
        }
        key => {
            let key = Uuid::try_parse(key).map_err(|_| Trouble::not_found("There is no such group."))?;
            (Scope::Group(key), format!("/groups/{key}"))
        }
    };
    let plan = pages.console.plan(&session.who, &scope, action(form.get("action"))?).await;
    let plan = plan.map_err(|refusal| Trouble::from(refusal).back_to(&back))?;
    // One letter is its own canary.
    let first = if plan.count == 1 { "" } else { "1, 10" };
    let typed = Typed { first, rate: "0", tolerate: "0", reason: "" };
    Ok(page(&session, StatusCode::OK, &plan, &back, &typed, None))
}

/// What stands in the form.
struct Typed<'a> {
    first: &'a str,
    rate: &'a str,
    tolerate: &'a str,
    reason: &'a str,
}

impl Typed<'_> {
    fn steps(&self) -> Result<Steps, &'static str> {
        let first = self.first.split([',', ' ']).filter(|part| !part.is_empty());
        let first = first.map(|part| part.parse().ok().filter(|count| *count > 0)).collect::<Option<Vec<u32>>>();
        let number = |text: &str| text.trim().parse::<u32>().ok();
        Ok(Steps {
            first: first
                .filter(|first| first.len() <= 10)
                .ok_or("The first steps are up to ten whole numbers, such as 1, 10.")?,
            rate: number(self.rate)
                .filter(|rate| *rate <= FASTEST)
                .ok_or("The rate is a whole number from 0 to 100,000.")?,
            tolerate: number(self.tolerate).ok_or("How many may fail is a whole number.")?,
        })
    }
}

pub(super) async fn start(
    State(pages): State<Pages>,
    Path(id): Path<String>,
    Signed { session, form }: Signed,
) -> Result<Response, Trouble> {
    let id = Uuid::try_parse(&id).map_err(|_| Trouble::not_found("There is no such plan."))?;
    let (who, back) = (&session.who, inside(form.get("back")));
    let typed = Typed {
        first: form.get("first"),
        rate: form.get("rate"),
        tolerate: form.get("tolerate"),
        reason: form.get("reason"),
    };
    let action = action(form.get("action"))?;
    let again = |refusal: &str| {
        let number = |name: &str| form.get(name).parse().unwrap_or_default();
        let plan = Snapshot { id, action, count: number("count"), unreadable: number("unreadable") };
        page(&session, StatusCode::BAD_REQUEST, &plan, back, &typed, Some(refusal))
    };
    let started = match action {
        Action::Retry => match typed.steps() {
            Ok(steps) => pages.console.start_run(who, id, &steps).await,
            Err(why) => return Ok(again(why)),
        },
        Action::Discard => pages.console.discard(who, id, typed.reason).await,
        Action::Restore => pages.console.restore(who, id).await,
    };
    match started {
        Ok(run) => {
            if action != Action::Retry || typed.first.is_empty() {
                acts::settled(&pages, run).await;
            }
            Ok(Redirect::to(&format!("/runs/{run}")).into_response())
        }
        Err(Refusal::Invalid { message, .. }) => Ok(again(&super::trouble::sentence(&message))),
        Err(refusal) => Err(Trouble::from(refusal).back_to(back)),
    }
}

/// Back to one of our own pages, whatever the form says.
fn inside(back: &str) -> &str {
    if ["/groups/", "/search?", "/letters/"].iter().any(|start| back.starts_with(start)) { back } else { "/" }
}

fn page(
    session: &Session,
    status: StatusCode,
    plan: &Snapshot,
    back: &str,
    typed: &Typed<'_>,
    why: Option<&str>,
) -> Response {
    let verb = match plan.action {
        Action::Retry => "Retry",
        Action::Discard => "Discard",
        Action::Restore => "Restore",
    };
    let mut content = Html::default();
    html!(content, "<p class=\"trail\"><a href=\"" (back) "\">Back</a></p><h1>" (verb) " " (Letters(plan.count)) "</h1>");
    if let Some(why) = why {
        html!(content, "<p class=\"notice bad\" role=\"alert\" id=\"why\">" (why) "</p>");
    }
    if plan.count == 1 {
        html!(content, "<p>Exactly the one that there was when you asked. If it changes before that, it is left alone, and you are "
            "told.</p>");
    } else {
        html!(content, "<p>Exactly those " (Count(plan.count)) " that there were when you asked. What comes later is not among them, "
            "and what changes before its turn is left out and named.</p>");
    }
    if plan.unreadable > 0 && plan.count == 1 {
        html!(
            content,
            "<p class=\"notice\">It cannot be read and would be left alone: only an edit makes it readable.</p>"
        );
    } else if plan.unreadable > 0 {
        html!(content, "<p class=\"notice\">" (Letters(plan.unreadable)) " of them cannot be read and would be left out: only an edit "
            "makes them readable.</p>");
    }
    html!(content, "<form class=\"stack card\" method=\"post\" action=\"/plans/" (plan.id) "\">" (Csrf(session)));
    for (name, value) in [("count", plan.count), ("unreadable", plan.unreadable)] {
        html!(content, "<input type=\"hidden\" name=\"" (name) "\" value=\"" (value) "\">");
    }
    html!(content, "<input type=\"hidden\" name=\"action\" value=\"" (word(plan.action)) "\"><input type=\"hidden\" name=\"back\" value=\""
        (back) "\">");
    let them = if plan.count == 1 { "it" } else { "them" };
    match plan.action {
        Action::Retry if plan.count == 1 => {
            for (name, value) in [("first", ""), ("rate", "0"), ("tolerate", "0")] {
                html!(content, "<input type=\"hidden\" name=\"" (name) "\" value=\"" (value) "\">");
            }
            html!(content, "<p>It is sent again, with one attempt; the next page says what becomes of it.</p>");
        }
        Action::Retry => {
            html!(content, "<label for=\"first\">First steps: how many letters each takes</label><p class=\"soft\" "
            "id=\"first-help\">The next step begins only when all of the one before are done. The last step takes the rest. Leave it "
            "empty to send all of them at once.</p><input id=\"first\" name=\"first\" value=\"" (typed.first) "\" maxlength=\"100\" "
            "inputmode=\"numeric\" aria-describedby=\"first-help\"><label for=\"rate\">Letters a second in the last step</label>"
            "<p class=\"soft\" id=\"rate-help\">0 is as fast as it goes.</p><input id=\"rate\" name=\"rate\" type=\"number\" min=\"0\" "
            "max=\"100000\" value=\"" (typed.rate) "\" aria-describedby=\"rate-help\"><label for=\"tolerate\">How many of a step may fail "
            "before it stops by itself</label><input id=\"tolerate\" name=\"tolerate\" type=\"number\" min=\"0\" max=\"1000000\" value=\""
            (typed.tolerate) "\">");
        }
        Action::Discard => {
            html!(content, "<label for=\"reason\">Why nothing is to be done about " (them) "</label><input id=\"reason\" "
            "name=\"reason\" required maxlength=\"500\" value=\"" (typed.reason) "\">");
        }
        Action::Restore if plan.count == 1 => html!(content, "<p>It is failed again then, and can be retried.</p>"),
        Action::Restore => html!(content, "<p>They are failed again then, and can be retried.</p>"),
    }
    html!(content, "<div class=\"actions\"><button class=\"strong\" id=\"start\">" (verb) " " (Letters(plan.count)) "</button>"
        "<a class=\"button\" href=\"" (back) "\">Do nothing</a></div></form>");
    Page::new(session, Place::Runs, verb, content).answer(status)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(first: &str, rate: &str, tolerate: &str) -> Result<Steps, &'static str> {
        Typed { first, rate, tolerate, reason: "" }.steps()
    }

    #[test]
    fn steps_are_numbers() {
        assert_eq!(steps("1, 10", "0", "0").unwrap(), Steps { first: vec![1, 10], rate: 0, tolerate: 0 });
        assert_eq!(steps("", "50", " 2 ").unwrap(), Steps { first: vec![], rate: 50, tolerate: 2 });
        for (first, rate, tolerate) in [
            ("0", "0", "0"),
            ("x", "0", "0"),
            ("1", "-1", "0"),
            ("1", "", "0"),
            ("1", "1e9", "0"),
            ("1", "0", "x"),
            ("1,1,1,1,1,1,1,1,1,1,1", "0", "0"),
        ] {
            assert!(steps(first, rate, tolerate).is_err(), "{first} {rate} {tolerate}");
        }
    }

    #[test]
    fn back_is_one_of_our_pages() {
        for (back, leads) in
            [("/search?q=x", "/search?q=x"), ("https://evil.example", "/"), ("//evil.example", "/"), ("", "/")]
        {
            assert_eq!(inside(back), leads);
        }
    }
}
