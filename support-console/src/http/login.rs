//! `/login` and `/logout`.

use axum::{
    extract::{RawQuery, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Redirect, Response},
};
use common::{
    html,
    html::Html,
    http::{Form, Visit, codes},
};
use secrecy::ExposeSecret as _;

use super::{
    Pages,
    page::{Page, Place},
    parameter,
    person::{Person, Signed, set_cookie, token},
    trouble::Trouble,
};
use crate::people::NoEntry;

pub(super) async fn form(person: Result<Person, Response>, RawQuery(query): RawQuery) -> Response {
    let next = parameter(query.as_deref(), "next");
    match person {
        Ok(_) => Redirect::to(inside(&next)).into_response(),
        Err(_) => page(StatusCode::OK, &next, "", None),
    }
}

pub(super) async fn log_in(
    State(pages): State<Pages>,
    visit: Visit,
    headers: HeaderMap,
    form: Result<Form, common::http::Problem>,
) -> Response {
    let form = match form {
        Ok(form) => form,
        Err(problem) => return Trouble::from(problem).into_response(),
    };
    let (name, next) = (form.get("name"), form.get("next"));
    let again = |status, why: String| page(status, next, name, Some(&why));
    let address = visit.address(&headers);
    let begun = pages.people.log_in(name, form.get("password").into(), address).await;
    match begun {
        Ok((_, new)) => {
            // Whoever sat here before is gone.
            if let Some(old) = token(&headers)
                && let Ok(Some(session)) = pages.people.session(old).await
                && let Err(error) = pages.people.log_out(&session).await
            {
                tracing::warn!(%error, "a session could not be ended");
            }
            let mut answer = Redirect::to(inside(next)).into_response();
            set_cookie(&headers, Some(new.expose_secret()), &mut answer);
            answer
        }
        Err(NoEntry::WrongNameOrPassword) => {
            again(StatusCode::UNAUTHORIZED, "The name or the password is wrong.".to_owned())
        }
        Err(NoEntry::TooManyAttempts { seconds }) => {
            let minutes = seconds.div_ceil(60);
            let why = format!("Too many attempts. Try again in {minutes} min, or ask an administrator.");
            let mut answer = again(StatusCode::TOO_MANY_REQUESTS, why);
            answer.headers_mut().insert(header::RETRY_AFTER, seconds.into());
            answer.extensions_mut().insert(codes::RATE_LIMITED);
            answer
        }
        Err(NoEntry::Crowded) => {
            let why = "Many people are logging in just now. Try again in a moment.".to_owned();
            let mut answer = again(StatusCode::SERVICE_UNAVAILABLE, why);
            answer.headers_mut().insert(header::RETRY_AFTER, 2.into());
            answer.extensions_mut().insert(codes::OVERLOADED);
            answer
        }
        Err(NoEntry::Db(error)) => Trouble::from(error).into_response(),
    }
}

pub(super) async fn log_out(
    State(pages): State<Pages>,
    headers: HeaderMap,
    signed: Signed,
) -> Result<Response, Trouble> {
    pages.people.log_out(&signed.session).await?;
    let mut answer = Redirect::to("/login?out=1").into_response();
    set_cookie(&headers, None, &mut answer);
    Ok(answer)
}

/// An address of ours, whatever was asked for: a login never leads to another site.
fn inside(next: &str) -> &str {
    let is_path = next.starts_with('/') && !next.starts_with("//") && !next.contains('\\');
    if is_path && next.bytes().all(|b| b.is_ascii_graphic()) { next } else { "/" }
}

fn page(status: StatusCode, next: &str, name: &str, trouble: Option<&str>) -> Response {
    let mut content = Html::default();
    html!(content, "<div class=\"alone\"><h1>Log in</h1>"
        "<p class=\"soft\">Dead letters of the order line: find them, mend them, see them arrive.</p>");
    if let Some(trouble) = trouble {
        html!(content, "<p class=\"notice bad\" role=\"alert\" id=\"trouble\">" (trouble) "</p>");
    }
    html!(content, "<form class=\"stack\" method=\"post\" action=\"/login\"><input type=\"hidden\" name=\"next\" value=\""
        (next) "\"><label for=\"name\">Account</label><input id=\"name\" name=\"name\" value=\"" (name)
        "\" required maxlength=\"63\" autocomplete=\"username\" autocapitalize=\"none\" spellcheck=\"false\"");
    if trouble.is_some() {
        html!(content, " aria-describedby=\"trouble\"");
    } else {
        html!(content, " autofocus");
    }
    html!(content, "><label for=\"password\">Password</label><input id=\"password\" name=\"password\" type=\"password\""
        " required maxlength=\"256\" autocomplete=\"current-password\"");
    if trouble.is_some() {
        html!(content, " aria-describedby=\"trouble\" autofocus");
    }
    html!(content, "><button class=\"strong\">Log in</button></form>"
        "<p class=\"soft\">No account, or no password? Whoever runs the console makes them at its shell:"
        " <code>support-console account --help</code>.</p></div>");
    Page { title: "Log in", place: Place::Nowhere, session: None, live: None, content }.answer(status)
}

#[cfg(test)]
mod tests {
    use super::inside;

    #[test]
    fn a_login_leads_to_no_other_site() {
        for (next, leads) in [
            ("/search?q=x", "/search?q=x"),
            ("", "/"),
            ("//evil.example", "/"),
            ("/\\evil.example", "/"),
            ("https://evil.example", "/"),
            ("javascript:alert(1)", "/"),
            ("/a\r\nset-cookie: x", "/"),
        ] {
            assert_eq!(inside(next), leads, "{next}");
        }
    }
}
