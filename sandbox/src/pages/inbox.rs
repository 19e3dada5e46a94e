//! Mails and SMS.

use std::sync::Arc;

use axum::{
    extract::{Path, RawQuery, State},
    http::StatusCode,
    response::Response,
};

use super::{Html, MOST_LINES, page, search, table};
use crate::{
    inbox::Mail,
    requests::{Words, parameter},
    sms::Sms,
    world::{World, written},
};

/// The newest first; those in which every word that is looked for is found.
pub(super) async fn all(State(world): State<Arc<World>>, RawQuery(query): RawQuery) -> Response {
    let wanted = parameter(query.as_deref(), "q").unwrap_or_default();
    let words = Words::of(&wanted);
    let mut html = Html::default();
    search(&mut html, "/", "Search in addresses, subjects and texts", &wanted);
    html.raw("<h2>Mails</h2>");
    mails(&mut html, &world, &words);
    html.raw("<h2>SMS</h2>");
    sms(&mut html, &world, &words);
    page(&world, StatusCode::OK, "/", "Inbox", html)
}

fn mails(html: &mut Html, world: &World, words: &Words) {
    let mut lines = Html::default();
    let mut count = 0;
    let inbox = world.inbox();
    let found = inbox.newest().filter(|(_, mail)| words.are_in(&mail.texts()));
    for (number, Mail { to, subject, received_at, .. }) in found.take(MOST_LINES) {
        count += 1;
        lines.raw("<tr><td>").text(&written(*received_at)).raw("</td><td>").text(to);
        lines.raw("</td><td><a href=\"/mails/").number(number).raw("\">");
        lines.text(if subject.is_empty() { "(no subject)" } else { subject }).raw("</a></td></tr>");
    }
    drop(inbox);
    found_so_many(html, count);
    if count > 0 {
        table(html, "Mails", &["Received", "To", "Subject"], lines);
    }
}

fn sms(html: &mut Html, world: &World, words: &Words) {
    let mut lines = Html::default();
    let mut count = 0;
    let phones = world.sms();
    let found = phones.newest().filter(|(_, sms)| words.are_in(&[&sms.to, &sms.text]));
    for (_, Sms { to, text, received_at, .. }) in found.take(MOST_LINES) {
        count += 1;
        lines.raw("<tr><td>").text(&written(*received_at)).raw("</td><td>").text(to);
        lines.raw("</td><td class=\"message\">").text(text).raw("</td></tr>");
    }
    drop(phones);
    found_so_many(html, count);
    if count > 0 {
        table(html, "SMS", &["Received", "To", "Text"], lines);
    }
}

fn found_so_many(html: &mut Html, count: usize) {
    match count {
        0 => html.raw("<p>There are none.</p>"),
        MOST_LINES => html.raw("<p>The newest ones; a search finds others.</p>"),
        _ => html,
    };
}

pub(super) async fn mail(State(world): State<Arc<World>>, Path(number): Path<String>) -> Response {
    let mail = number.parse().ok().and_then(|number| world.inbox().get(number).cloned());
    let mut html = Html::default();
    html.raw("<p><a href=\"/\">Back to the inbox</a></p>");
    let Some(Mail { message_id, to, from, subject, text, received_at }) = mail else {
        html.raw("<p>It is not there, or not any more.</p>");
        return page(&world, StatusCode::NOT_FOUND, "/", "No such mail", html);
    };
    html.raw("<dl>");
    for (name, value) in
        [("From", &from), ("To", &to), ("Received", &written(received_at)), ("Message-ID", &message_id)]
    {
        html.raw("<div><dt>").raw(name).raw("</dt><dd>").text(value).raw("</dd></div>");
    }
    html.raw("</dl><pre class=\"message\">").text(&text).raw("</pre>");
    page(&world, StatusCode::OK, "/", if subject.is_empty() { "(no subject)" } else { &subject }, html)
}
