//! `/account`: one's own sessions, password and tokens.

use axum::{
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Redirect, Response},
};
use common::{html, html::Html, http::Visit};
use secrecy::ExposeSecret as _;
use uuid::Uuid;

use super::{
    Pages,
    page::{Csrf, Page, Place},
    person::{Person, Signed},
    shown::{Ago, At, Count},
    trouble::Trouble,
};
use crate::{
    By,
    people::{AccountName, ChangeError, NoEntry, PeopleError, Session, mint_token, revoke_token, tokens},
};

/// What was done just now, or why not.
enum Word<'a> {
    None,
    Good(&'a str),
    Bad(&'a str),
    /// A new token, to be read this once.
    Token(&'a str),
}

pub(super) async fn show(State(pages): State<Pages>, Person(session): Person) -> Result<Response, Trouble> {
    page(&pages, &session, StatusCode::OK, Word::None).await
}

pub(super) async fn password(
    State(pages): State<Pages>,
    visit: Visit,
    headers: HeaderMap,
    Signed { session, form }: Signed,
) -> Result<Response, Trouble> {
    let (new, again) = (form.get("new"), form.get("again"));
    if new != again {
        let why = Word::Bad("The new password and its repetition differ, so nothing was changed.");
        return page(&pages, &session, StatusCode::BAD_REQUEST, why).await;
    }
    let address = visit.address(&headers);
    let changed = pages.people.change_password(&session, form.get("present").into(), &new.into(), address).await;
    let (status, why) = match changed {
        Ok(()) => {
            let done = Word::Good("The password was changed; every other session of yours has ended.");
            return page(&pages, &session, StatusCode::OK, done).await;
        }
        Err(ChangeError::No(NoEntry::WrongNameOrPassword)) => {
            (StatusCode::FORBIDDEN, "The present password is wrong, so nothing was changed.".to_owned())
        }
        Err(ChangeError::No(NoEntry::TooManyAttempts { seconds })) => {
            let why = format!("Too many attempts. Try again in {} min.", seconds.div_ceil(60));
            (StatusCode::TOO_MANY_REQUESTS, why)
        }
        Err(ChangeError::No(NoEntry::Crowded)) => {
            (StatusCode::SERVICE_UNAVAILABLE, "Too many passwords are being checked. Try again in a moment.".to_owned())
        }
        Err(ChangeError::No(NoEntry::Db(error)) | ChangeError::People(PeopleError::Db(error))) => {
            return Err(error.into());
        }
        Err(ChangeError::People(error)) => (StatusCode::BAD_REQUEST, format!("Nothing was changed: {error}.")),
    };
    page(&pages, &session, status, Word::Bad(&why)).await
}

pub(super) async fn log_out_others(
    State(pages): State<Pages>,
    Signed { session, .. }: Signed,
) -> Result<Response, Trouble> {
    let ended = pages.people.log_out_others(&session).await?;
    let word = if ended == 0 { "There was no other session." } else { "Every other session of yours has ended." };
    page(&pages, &session, StatusCode::OK, Word::Good(word)).await
}

pub(super) async fn mint(State(pages): State<Pages>, Signed { session, form }: Signed) -> Result<Response, Trouble> {
    let days = form.get("days").parse().unwrap_or_default();
    let by = (session.who.account.as_str(), By::Page);
    let minted = mint_token(pages.console.db(), by, &name(&session)?, form.get("label"), days).await;
    match minted {
        Ok(token) => page(&pages, &session, StatusCode::OK, Word::Token(token.expose_secret())).await,
        Err(PeopleError::Db(error)) => Err(error.into()),
        Err(error) => {
            let why = format!("No token was made: {error}.");
            page(&pages, &session, StatusCode::BAD_REQUEST, Word::Bad(&why)).await
        }
    }
}

pub(super) async fn revoke(State(pages): State<Pages>, Signed { session, form }: Signed) -> Result<Response, Trouble> {
    let unknown = || Trouble::not_found("There is no such token, or it was revoked already.");
    let id = Uuid::try_parse(form.get("token")).map_err(|_| unknown())?;
    let by = (session.who.account.as_str(), By::Page);
    match revoke_token(pages.console.db(), by, &name(&session)?, id).await {
        Ok(()) => Ok(Redirect::to("/account").into_response()),
        Err(PeopleError::Db(error)) => Err(error.into()),
        Err(_) => Err(unknown()),
    }
}

fn name(session: &Session) -> Result<AccountName, Trouble> {
    session.who.account.parse().map_err(|_| Trouble::not_found("There is no such account."))
}

async fn page(pages: &Pages, session: &Session, status: StatusCode, word: Word<'_>) -> Result<Response, Trouble> {
    let mut content = Html::default();
    html!(content, "<h1>Your account</h1>");
    match word {
        Word::None => {}
        Word::Good(text) => html!(content, "<p class=\"notice good\" role=\"status\">" (text) "</p>"),
        Word::Bad(text) => html!(content, "<p class=\"notice bad\" role=\"alert\">" (text) "</p>"),
        Word::Token(token) => {
            html!(content, "<div class=\"notice good\" role=\"status\"><p>This is the token. It is shown "
            "this once; keep it where you keep passwords.</p><p><code class=\"secret\">" (token) "</code></p></div>");
        }
    }
    html!(content, "<dl class=\"facts\"><div><dt>Account</dt><dd>" (session.who.account) "</dd></div><div><dt>Role</dt><dd>"
        (session.who.role.name()) "</dd></div></dl>");
    sessions(&mut content, pages, session).await?;
    html!(content, "<section class=\"card\"><h2>Password</h2>"
        "<form class=\"stack\" method=\"post\" action=\"/account/password\">" (Csrf(session)));
    for (field, label, complete) in [
        ("present", "Present password", "current-password"),
        ("new", "New password (12 characters or more)", "new-password"),
        ("again", "New password again", "new-password"),
    ] {
        html!(content, "<label for=\"" (field) "\">" (label) "</label><input id=\"" (field) "\" name=\"" (field)
            "\" type=\"password\" required maxlength=\"256\" autocomplete=\"" (complete) "\">");
    }
    html!(content, "<button>Change the password</button></form></section>");
    own_tokens(&mut content, pages, session).await?;
    Ok(Page::new(session, Place::Account, "Your account", content).answer(status))
}

async fn sessions(content: &mut Html, pages: &Pages, session: &Session) -> Result<(), Trouble> {
    let open = pages.people.open_sessions(session).await?;
    html!(*content, "<section class=\"card\"><h2>Where you are logged in</h2><ul class=\"plain lines\">");
    for one in &open {
        html!(*content, "<li>from <code>" (one.address) "</code>, since " (At(one.begun_at)) ", used " (Ago(one.used_at)));
        if one.is_this {
            html!(*content, " <span class=\"chip\">this one</span>");
        }
        html!(*content, "</li>");
    }
    html!(*content, "</ul>");
    if open.len() > 1 {
        html!(*content, "<form method=\"post\" action=\"/account/log-out-others\">" (Csrf(session))
            "<button>End the other " (Count(i64::try_from(open.len()).unwrap_or(2) - 1)) "</button></form>");
    }
    html!(*content, "</section>");
    Ok(())
}

async fn own_tokens(content: &mut Html, pages: &Pages, session: &Session) -> Result<(), Trouble> {
    let tokens = match tokens(pages.console.db(), &name(session)?).await {
        Ok(tokens) => tokens,
        Err(PeopleError::Db(error)) => return Err(error.into()),
        Err(_) => Vec::new(),
    };
    html!(*content, "<section class=\"card\"><h2>Tokens for the command line</h2>"
        "<p class=\"soft\">A token may do what you may do. Anything done with it is in the audit log under your name.</p>");
    if !tokens.is_empty() {
        html!(*content, "<ul class=\"plain lines\">");
        for token in &tokens {
            html!(*content, "<li><form class=\"inline\" method=\"post\" action=\"/account/tokens/revoke\">" (Csrf(session))
                "<input type=\"hidden\" name=\"token\" value=\"" (token.id) "\"><span><strong>" (token.label)
                "</strong> made " (Ago(token.created_at)) ", good until " (At(token.expires_at)));
            match token.used_at {
                Some(used) => html!(*content, ", used "(Ago(used))),
                None => html!(*content, ", never used"),
            }
            html!(*content, "</span><button>Revoke<span class=\"hidden\"> " (token.label) "</span></button></form></li>");
        }
        html!(*content, "</ul>");
    }
    html!(*content, "<form class=\"row\" method=\"post\" action=\"/account/tokens\">" (Csrf(session))
        "<div><label for=\"label\">What for</label><input id=\"label\" name=\"label\" required maxlength=\"100\"></div>"
        "<div><label for=\"days\">Good for, in days</label><input id=\"days\" name=\"days\" type=\"number\" min=\"1\" "
        "max=\"3650\" value=\"90\" required></div><button>Make a token</button></form></section>");
    Ok(())
}
