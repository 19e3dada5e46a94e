//! What went wrong, as a page that says what to do now.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::{HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use common::{
    db::DbError,
    html,
    html::Html,
    http::{Code, Problem, codes},
};

use super::{
    Pages,
    page::{Page, Place},
    person,
};
use crate::Refusal;

#[derive(Debug)]
pub(super) struct Trouble {
    status: StatusCode,
    title: &'static str,
    message: String,
    /// By which name the chassis counts it.
    code: Option<&'static Code>,
    retry_after_seconds: Option<u32>,
    back: Option<String>,
}

impl Trouble {
    pub(super) fn with(status: StatusCode, title: &'static str, message: impl Into<String>) -> Self {
        Self { status, title, message: message.into(), code: None, retry_after_seconds: None, back: None }
    }

    pub(super) fn new(code: &'static Code, title: &'static str, message: impl Into<String>) -> Self {
        Self { code: Some(code), ..Self::with(code.status, title, message) }
    }

    pub(super) fn not_found(message: impl Into<String>) -> Self {
        Self::new(codes::NOT_FOUND, "Not here", message)
    }

    fn after(mut self, seconds: u32) -> Self {
        self.retry_after_seconds = Some(seconds);
        self
    }

    pub(super) fn titled(mut self, title: &'static str) -> Self {
        self.title = title;
        self
    }

    /// Where somebody may go from here.
    pub(super) fn back_to(mut self, address: impl Into<String>) -> Self {
        self.back = Some(address.into());
        self
    }
}

impl From<DbError> for Trouble {
    fn from(error: DbError) -> Self {
        if let DbError::Outage(why) | DbError::Conflict(why) = &error {
            tracing::warn!(why, "a page cannot be made");
            let message = "The database cannot be reached just now. Nothing is lost; try again in a moment.";
            return Self::new(codes::UNAVAILABLE, "Not available", message).after(5);
        }
        tracing::error!(%error, "a page could not be made");
        Self::new(codes::INTERNAL, "Something went wrong", "Something went wrong on our side; it has been logged.")
    }
}

/// What the chassis refuses before a page is asked for.
impl From<Problem> for Trouble {
    fn from(problem: Problem) -> Self {
        let trouble = Self::with(problem.status, "That did not work", problem.message);
        Self {
            code: problem.errors.first().map(|error| error.code),
            retry_after_seconds: problem.retry_after_seconds,
            ..trouble
        }
    }
}

/// What the engine refuses.
impl From<Refusal> for Trouble {
    fn from(refusal: Refusal) -> Self {
        let title = match refusal {
            Refusal::Database(error) => return error.into(),
            Refusal::NotFound(_) => "Not here",
            Refusal::Forbidden { .. } => "Not with your role",
            Refusal::ChangedSince { .. } => "It has changed meanwhile",
            Refusal::EditNotApplied(_) => "The edit was not applied",
            _ => "That was not done",
        };
        let status = StatusCode::from_u16(refusal.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self::with(status, title, sentence(&refusal.to_string()))
    }
}

/// With a capital letter in front and a full stop behind.
pub(super) fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(char::to_uppercase).into_iter().flatten();
    let mut sentence: String = first.chain(chars).collect();
    if !sentence.ends_with(['.', '!', '?']) {
        sentence.push('.');
    }
    sentence
}

/// What a page says that was made without knowing for whom.
#[derive(Clone)]
struct Unframed {
    title: &'static str,
    content: Arc<Html>,
}

/// Gives whoever is logged in the usual frame around what went wrong, so that there is a way on.
pub(super) async fn frame(State(pages): State<Pages>, request: Request, next: Next) -> Response {
    let token = person::token(request.headers()).map(str::to_owned);
    let mut answer = next.run(request).await;
    let Some(unframed) = answer.extensions_mut().remove::<Unframed>() else { return answer };
    let Some(token) = token else { return answer };
    // Without the database there is nobody to be known.
    let Ok(Some(session)) = pages.people.session(&token).await else { return answer };
    let mut content = Html::default();
    html!(content, (*unframed.content));
    *answer.body_mut() =
        Page::new(&session, Place::Nowhere, unframed.title, content).answer(answer.status()).into_body();
    answer
}

impl IntoResponse for Trouble {
    fn into_response(self) -> Response {
        let Self { status, title, message, code, retry_after_seconds, back } = self;
        let mut content = Html::default();
        html!(content, "<div class=\"alone\"><h1>" (title) "</h1><p role=\"alert\">" (message) "</p><p class=\"actions\">");
        if let Some(back) = back {
            html!(content, "<a class=\"button strong\" href=\"" (back) "\">Back</a>");
        }
        html!(content, "<a class=\"button\" href=\"/\">To the failures</a></p></div>");
        let unframed = Unframed { title, content: Arc::new(content) };
        let mut content = Html::default();
        html!(content, (*unframed.content));
        let page = Page { title, place: Place::Nowhere, session: None, live: None, content };
        let mut answer = page.answer(status);
        answer.extensions_mut().insert(unframed);
        if let Some(seconds) = retry_after_seconds {
            answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(code) = code {
            answer.extensions_mut().insert(code);
        }
        answer
    }
}
