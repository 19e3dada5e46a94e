//! What people look at: inbox, ledger, cards. Plain HTML that needs neither scripts nor the network. What is shown was
//! written by anybody, mails above all: see [`common::html`].

mod inbox;
mod ledger;

use std::sync::Arc;

use axum::{
    Router,
    extract::State,
    http::{HeaderName, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use common::html::Html;

use crate::{cards, faults::Faults, world::World};

/// So many lines are on a page; a search finds others.
const MOST_LINES: usize = 200;

/// Style and forms of our own; nothing else, from nowhere, whatever a mail says.
const POLICY: &str =
    "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

const PAGES: [(&str, &str); 3] = [("/", "Inbox"), ("/ledger", "Ledger"), ("/cards", "Cards")];

pub(crate) fn routes() -> Router<Arc<World>> {
    Router::new()
        .route("/", get(inbox::all))
        .route("/mails/{number}", get(inbox::mail))
        .route("/ledger", get(ledger::ledger))
        .route("/cards", get(all_cards))
        .route("/style.css", get(style))
}

async fn style() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], include_str!("pages/style.css"))
}

/// A whole page: `here` is the one of [`PAGES`] that it belongs to.
fn page(world: &World, status: StatusCode, here: &'static str, title: &str, content: Html) -> Response {
    let mut html = Html::default();
    html.raw("<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>");
    html.text(title).raw(" – Conveyor sandbox</title>");
    html.raw("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">");
    html.raw("<link rel=\"stylesheet\" href=\"/style.css\"></head><body>");
    html.raw("<a class=\"skip\" href=\"#content\">To the content</a><header><p class=\"name\">Conveyor sandbox</p>");
    html.raw("<nav aria-label=\"Pages\"><ul>");
    for (address, name) in PAGES {
        html.raw("<li><a href=\"").raw(address).raw("\"");
        if address == here {
            html.raw(" aria-current=\"page\"");
        }
        html.raw(">").raw(name).raw("</a></li>");
    }
    html.raw("</ul></nav></header><main id=\"content\"><h1>").text(title).raw("</h1>");
    warn(&mut html, world.faults.now());
    html.add(content).raw("</main></body></html>");
    let headers: [(HeaderName, &str); 5] = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (status, headers, html.whole()).into_response()
}

/// Somebody may wonder why nothing arrives.
fn warn(html: &mut Html, faults: Faults) {
    if faults == Faults::default() {
        return;
    }
    let Faults { gateway, smtp, sms } = faults;
    html.raw("<p class=\"warning\" role=\"status\">Put out of order on purpose: ");
    html.text(&format!("gateway {gateway:?}, smtp {smtp:?}, sms {sms:?}").to_lowercase());
    html.raw(" (<code>PUT /sandbox/faults</code> changes it).</p>");
}

/// A table that scrolls by itself where it is too wide, also with the keyboard.
fn table(html: &mut Html, name: &'static str, columns: &[&'static str], lines: Html) {
    html.raw("<div class=\"wide\" role=\"region\" tabindex=\"0\" aria-label=\"").raw(name).raw("\"><table><thead><tr>");
    for column in columns {
        html.raw("<th scope=\"col\">").raw(column).raw("</th>");
    }
    html.raw("</tr></thead><tbody>").add(lines).raw("</tbody></table></div>");
}

fn search(html: &mut Html, address: &'static str, label: &'static str, wanted: &str) {
    html.raw("<form role=\"search\" action=\"").raw(address).raw("\"><label for=\"q\">").raw(label);
    html.raw("</label><input id=\"q\" name=\"q\" type=\"search\" value=\"").text(wanted);
    html.raw("\"><button>Search</button></form>");
}

async fn all_cards(State(world): State<Arc<World>>) -> Response {
    let mut lines = Html::default();
    for behaviour in cards::all() {
        lines.raw("<tr><td><code>").raw(behaviour.number).raw("</code></td><td>").raw(behaviour.name);
        lines.raw("</td><td>").raw(behaviour.tells).raw("</td></tr>");
    }
    let mut html = Html::default();
    html.raw("<p>The number of a card decides what becomes of it, with any expiry to come and any CVV. A token ");
    html.raw("<code>pm_sandbox_NAME_LAST4</code> does the same as the card of that name.</p>");
    table(&mut html, "Cards", &["Number", "Name", "What happens"], lines);
    page(&world, StatusCode::OK, "/cards", "Cards", html)
}
