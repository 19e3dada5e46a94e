//! Who sits at the browser: a session by its cookie, and a form that is really theirs.

use axum::{
    extract::{FromRequest, FromRequestParts, Request},
    http::{
        HeaderMap, HeaderValue, Method, Uri,
        header::{COOKIE, HOST, SET_COOKIE},
        request::Parts,
    },
    response::{IntoResponse, Redirect, Response},
};
use common::http::{Form, codes, discard};

use super::{Pages, page::address, trouble::Trouble};
use crate::people::Session;

/// A browser takes a cookie of this name only if it came encrypted and is for this host alone.
const SECURE: &str = "__Host-session";
/// On localhost nothing is encrypted.
const LOCAL: &str = "session";

/// Somebody who is logged in.
pub(super) struct Person(pub(super) Session);

/// A form that somebody who is logged in sent from one of our pages.
pub(super) struct Signed {
    pub(super) session: Session,
    pub(super) form: Form,
}

impl FromRequestParts<Pages> for Person {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, pages: &Pages) -> Result<Self, Response> {
        let found = match token(&parts.headers) {
            Some(token) => pages.people.session(token).await.map_err(|error| Trouble::from(error).into_response())?,
            None => None,
        };
        found.map(Self).ok_or_else(|| log_in_first(&parts.method, &parts.uri))
    }
}

impl FromRequest<Pages> for Signed {
    type Rejection = Response;

    async fn from_request(request: Request, pages: &Pages) -> Result<Self, Response> {
        let (mut parts, body) = request.into_parts();
        let person = Person::from_request_parts(&mut parts, pages).await;
        let request = Request::from_parts(parts, body);
        let Person(session) = match person {
            Ok(person) => person,
            Err(refused) => {
                discard(request).await;
                return Err(refused);
            }
        };
        let form =
            Form::from_request(request, pages).await.map_err(|problem| Trouble::from(problem).into_response())?;
        if !session.may_be_from(form.get("csrf")) {
            let message = "This form was not made for your session, so nothing was done. \
                           Go back, load the page again, and send it once more.";
            return Err(Trouble::new(codes::CROSS_SITE_REQUEST, "Not sent from here", message).into_response());
        }
        Ok(Self { session, form })
    }
}

/// A page is shown after the login; what was to be done is not done then.
fn log_in_first(method: &Method, uri: &Uri) -> Response {
    let wanted = uri.path_and_query().map_or("/", |it| it.as_str());
    let next = if method == Method::GET && wanted != "/" && wanted != "/live" { wanted } else { "" };
    Redirect::to(&address("/login", &[("next", next)])).into_response()
}

/// The token of the session that the browser says it has.
pub(super) fn token(headers: &HeaderMap) -> Option<&str> {
    let name = cookie_name(headers);
    let cookies = headers.get_all(COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    cookies
        .flat_map(|line| line.split(';'))
        .filter_map(|cookie| cookie.trim().split_once('='))
        .find(|(key, value)| *key == name && !value.is_empty() && value.len() <= 100)
        .map(|(_, value)| value)
}

/// Gives the browser its token, or takes it away.
pub(super) fn set_cookie(request: &HeaderMap, token: Option<&str>, answer: &mut Response) {
    let secure = if is_local(request) { "" } else { "; Secure" };
    let lasts = if token.is_some() { "" } else { "; Max-Age=0" };
    let cookie = format!(
        "{}={}; Path=/; HttpOnly; SameSite=Lax{secure}{lasts}",
        cookie_name(request),
        token.unwrap_or_default(),
    );
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        answer.headers_mut().append(SET_COOKIE, cookie);
    }
}

fn cookie_name(headers: &HeaderMap) -> &'static str {
    if is_local(headers) { LOCAL } else { SECURE }
}

/// Whether the browser asked this very machine, by one of its own names.
fn is_local(headers: &HeaderMap) -> bool {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    matches!(name, "localhost" | "127.0.0.1" | "[::1]")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(host: &'static str, cookie: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(HOST, HeaderValue::from_static(host)), (COOKIE, HeaderValue::from_static(cookie))])
    }

    #[test]
    fn only_on_localhost_a_cookie_may_travel_in_the_clear() {
        for (host, local) in [
            ("localhost:8084", true),
            ("127.0.0.1", true),
            ("[::1]:8084", true),
            ("support.example", false),
            ("localhost.example:443", false),
            ("127.0.0.1.example", false),
            ("", false),
        ] {
            let headers = asked(host, "");
            assert_eq!(is_local(&headers), local, "{host}");
            let mut answer = ().into_response();
            set_cookie(&headers, Some("x"), &mut answer);
            let cookie = answer.headers()[SET_COOKIE].to_str().unwrap().to_owned();
            assert_eq!(cookie.starts_with("__Host-session=x; ") && cookie.ends_with("; Secure"), !local, "{cookie}");
            assert!(cookie.contains("; HttpOnly; SameSite=Lax"), "{cookie}");
        }
    }

    #[test]
    fn a_token_is_found_among_other_cookies() {
        assert_eq!(token(&asked("localhost", "a=b; session=abc; c=d")), Some("abc"));
        assert_eq!(token(&asked("localhost", "__Host-session=abc; sessions=x; session=")), None);
        assert_eq!(token(&asked("support.example", "session=abc; __Host-session=def")), Some("def"));
    }
}
