//! The frame that every page stands in.

use std::{
    fmt::Write as _,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::LazyLock,
};

use axum::{
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use common::{
    html,
    html::{Html, Show},
};

use crate::people::Session;

/// Style, script, forms and connections of our own; nothing else, from nowhere, whatever a letter says.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self' data:; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("live.js");

/// By what an address is told from that of an earlier release, whose answer a browser may have kept.
static RELEASE: LazyLock<String> = LazyLock::new(|| {
    let mut hasher = DefaultHasher::new();
    (STYLE, SCRIPT).hash(&mut hasher);
    format!("{:016x}", hasher.finish())
});

/// The parts of the console, and which of them a page belongs to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Failures,
    Search,
    Runs,
    Orders,
    Line,
    Audit,
    Account,
    Nowhere,
}

const PLACES: [(Place, &str, &str); 6] = [
    (Place::Failures, "/", "Failures"),
    (Place::Search, "/search", "Search"),
    (Place::Runs, "/runs", "Runs"),
    (Place::Orders, "/orders", "Orders"),
    (Place::Line, "/line", "Line"),
    (Place::Audit, "/audit", "Audit"),
];

/// A page: its title, its place, whom it is for, and what is on it.
pub(super) struct Page<'a> {
    pub(super) title: &'a str,
    pub(super) place: Place,
    pub(super) session: Option<&'a Session>,
    /// Where the page hears that something changed, if anything on it may.
    pub(super) live: Option<&'static str>,
    pub(super) content: Html,
}

impl<'a> Page<'a> {
    pub(super) fn new(session: &'a Session, place: Place, title: &'a str, content: Html) -> Self {
        Self { title, place, session: Some(session), live: None, content }
    }

    /// It shows what changes while somebody looks.
    pub(super) fn live(mut self) -> Self {
        self.live = Some("/live");
        self
    }

    pub(super) fn answer(self, status: StatusCode) -> Response {
        let Self { title, place, session, live, content } = self;
        let mut page = Html::default();
        html!(page, "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>" (title)
            " – Conveyor support</title><meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">"
            "<meta name=\"color-scheme\" content=\"light dark\"><link rel=\"icon\" href=\"data:,\">"
            "<link rel=\"stylesheet\" href=\"/style.css?v=" (RELEASE.as_str()) "\">");
        if live.is_some() {
            html!(page, "<script src=\"/live.js?v=" (RELEASE.as_str()) "\" defer></script>");
        }
        html!(page, "</head><body><a class=\"skip\" href=\"#content\">Skip to the content</a>");
        html!(page, "<header class=\"top\"><p class=\"name\"><a href=\"/\">Conveyor <span>support</span></a></p>");
        if let Some(session) = session {
            html!(page, "<nav aria-label=\"Console\"><ul>");
            for (of, address, name) in PLACES {
                let here = if of == place { Some(Here) } else { None };
                html!(page, "<li><a href=\"" (address) "\"" (here) ">" (name) "</a></li>");
            }
            html!(page, "</ul></nav><div class=\"me\"><a href=\"/account\"");
            if place == Place::Account {
                html!(page, (Here));
            }
            html!(page, "><span class=\"hidden\">Your account: </span>" (session.who.account) " <small>"
                (session.who.role.name()) "</small></a><form method=\"post\" action=\"/logout\">" (Csrf(session))
                "<button class=\"quiet\">Log out</button></form></div>");
        }
        html!(page, "</header><main id=\"content\" tabindex=\"-1\"");
        if let Some(live) = live {
            html!(page, " data-live=\"" (live) "\"");
        }
        html!(page, ">" (content) "</main></body></html>\n");
        (status, [(header::CONTENT_TYPE, "text/html; charset=utf-8")], page.whole()).into_response()
    }
}

impl IntoResponse for Page<'_> {
    fn into_response(self) -> Response {
        self.answer(StatusCode::OK)
    }
}

struct Here;

impl Show for Here {
    fn show(&self, html: &mut Html) {
        html.raw(" aria-current=\"page\"");
    }
}

/// What makes a form ours.
pub(super) struct Csrf<'a>(pub(super) &'a Session);

impl Show for Csrf<'_> {
    fn show(&self, html: &mut Html) {
        html!(*html, "<input type=\"hidden\" name=\"csrf\" value=\"" (self.0.csrf()) "\">");
    }
}

/// What every answer of the pages says to the browser.
pub(super) async fn guard(mut answer: Response) -> Response {
    const HEADERS: [(HeaderName, &str); 7] = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        // Not `no-referrer`: forms would then be sent as if from nowhere.
        (header::REFERRER_POLICY, "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (HeaderName::from_static("permissions-policy"), "camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
    ];
    let headers = answer.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    answer
}

const KEPT: (HeaderName, &str) = (header::CACHE_CONTROL, "public, max-age=31536000, immutable");

pub(super) async fn style() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/css; charset=utf-8"), KEPT], STYLE)
}

pub(super) async fn script() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/javascript; charset=utf-8"), KEPT], SCRIPT)
}

/// An address with what was asked, each value written as an address wants it.
pub(super) fn address(path: &str, query: &[(&str, &str)]) -> String {
    let mut address = path.to_owned();
    let mut written = form_urlencoded::Serializer::new(String::new());
    written.extend_pairs(query.iter().filter(|(_, value)| !value.is_empty()));
    let written = written.finish();
    if !written.is_empty() {
        let _ = write!(address, "?{written}");
    }
    address
}
