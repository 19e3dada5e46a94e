//! `/orders`: an order as the services know it, with its money and its notices, and the letters that are about it.

use axum::{
    extract::{Path, RawQuery, State},
    http::StatusCode,
    response::{IntoResponse as _, Redirect, Response},
};
use common::{
    html,
    html::Html,
    ids::{OrderId, UserId},
};

use super::{
    Pages,
    mask::Sight,
    page::{Csrf, Page, Place, address},
    parameter,
    person::{Person, Signed},
    search::letter_table,
    shown::{Said, cut},
    trouble::{Trouble, sentence},
    words,
};
use crate::{
    Query, Role,
    orders::call_off,
    people::Session,
    services::{
        Answer, OrdersWanted, Refused,
        shapes::{Notifications, Order, OrderPage, Payments, Step},
    },
};

const ON_A_PAGE: u16 = 50;
/// So many of its letters are on an order's page.
const LETTERS: usize = 50;

pub(super) async fn all(
    State(pages): State<Pages>,
    Person(session): Person,
    RawQuery(query): RawQuery,
) -> Result<Response, Trouble> {
    let query = query.as_deref();
    let wanted = parameter(query, "q");
    let wanted = wanted.trim();
    if let Ok(id) = wanted.parse::<OrderId>() {
        return Ok(Redirect::to(&format!("/orders/{id}")).into_response());
    }
    let cursor = Some(parameter(query, "after")).filter(|cursor| !cursor.is_empty());
    let mut content = Html::default();
    html!(content, "<h1>Orders</h1><form class=\"find large\" role=\"search\" action=\"/orders\"><label for=\"q\">An order's id, or a "
        "user's</label><input id=\"q\" name=\"q\" type=\"search\" maxlength=\"100\" spellcheck=\"false\" autocapitalize=\"none\" "
        "placeholder=\"ORD… or 123456\" value=\"" (wanted) "\"><button class=\"strong\">Find</button></form>");
    let user = match wanted {
        "" => None,
        wanted => match UserId::try_from(wanted.to_owned()) {
            Ok(user) => Some(user),
            Err(error) => {
                html!(content, "<p class=\"notice bad\" role=\"alert\">That is neither an order's id nor a user's: " (error.to_string())
                    ".</p>");
                return Ok(Page::new(&session, Place::Orders, "Orders", content).answer(StatusCode::BAD_REQUEST));
            }
        },
    };
    let of_user = user.is_some();
    let asked = OrdersWanted { user, status: None, cursor, limit: Some(ON_A_PAGE) };
    let found = pages.desk.services.orders_of(&session.who, &asked).await;
    match found {
        Answer::Found(found) => list(&mut content, &found, wanted, Sight::of(&session.who)),
        Answer::NotFound => html!(content, "<p>There are none.</p>"),
        Answer::Away(why) => away(&mut content, &why),
    }
    if !of_user {
        html!(content, "<p class=\"soft\">These are everybody's, the newest first.</p>");
    }
    Ok(Page::new(&session, Place::Orders, "Orders", content).into_response())
}

fn list(content: &mut Html, found: &OrderPage, wanted: &str, sight: Sight) {
    if found.orders.is_empty() && found.next_cursor.is_none() {
        html!(*content, "<div class=\"empty\"><p class=\"large\">There are no orders.</p><p>An id begins with <code>ORD</code> and has 32 "
            "more characters; anything else is taken for a user's id.</p></div>");
        return;
    }
    html!(*content, "<div class=\"wide\" role=\"region\" tabindex=\"0\" aria-label=\"Orders\"><table><thead><tr><th scope=\"col\">Order"
        "</th><th scope=\"col\">Status</th><th scope=\"col\" class=\"number\">Amount</th><th scope=\"col\">User</th><th scope=\"col\">"
        "Placed</th></tr></thead><tbody>");
    for order in &found.orders {
        html!(*content, "<tr><td class=\"ids\"><a href=\"/orders/" (order.order_id) "\"><code>" (order.order_id) "</code></a></td><td>"
            (status(&order.status)) "</td><td class=\"number\">" (order.order_amount.to_string()) " " (order.currency)
            "</td><td data-name=\"user\">" (sight.person(&order.user_id)) "</td><td>" (Said(&order.created_at)) "</td></tr>");
    }
    html!(*content, "</tbody></table></div>");
    if let Some(next) = &found.next_cursor {
        html!(*content, "<p class=\"more\"><a class=\"button\" rel=\"next\" href=\"" (address("/orders", &[("q", wanted), ("after", next)]))
            "\">Older ones</a></p>");
    }
}

/// An order's status, in a word and a colour.
fn status(status: &str) -> Html {
    let class = match status {
        "paid" | "refunded" => "done",
        "pending" | "awaiting_payment" | "refunding" => "retrying",
        "rejected" | "payment_failed" => "failed",
        _ => "discarded",
    };
    let mut html = Html::default();
    html!(html, "<span class=\"chip " (class) "\">" (status.replace('_', " ")) "</span>");
    html
}

fn away(content: &mut Html, why: &str) {
    html!(*content, "<p class=\"notice\">This cannot be told just now: " (cut(why, 300)) ".</p>");
}

pub(super) async fn show(
    State(pages): State<Pages>,
    Person(session): Person,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, Trouble> {
    let id = order_id(&id)?;
    let text = format!("order:{id}");
    let wanted = text.parse::<Query>().map_err(crate::Refusal::from)?;
    let (story, letters) =
        tokio::join!(pages.desk.services.story(&session.who, id), pages.console.search(&wanted, None, LETTERS));
    let (letters, sight) = (letters?, Sight::of(&session.who));
    let mut content = Html::default();
    html!(content, "<p class=\"trail\"><a href=\"/orders\">Orders</a></p><h1>Order <code>" (id.to_string()) "</code></h1>");
    if parameter(query.as_deref(), "off") == "1" {
        html!(content, "<p class=\"notice good\" role=\"status\">The order was called off. What was paid goes back, and its goods are "
            "free again.</p>");
    }
    html!(content, "<div id=\"order\" data-part><div class=\"columns\"><div class=\"main\">");
    html!(content, "<section class=\"card\" aria-labelledby=\"letters\"><h2 id=\"letters\">Letters about it</h2>");
    if letters.letters.is_empty() {
        html!(content, "<p>Nothing of this order has failed for good.</p>");
    } else {
        letter_table(&mut content, &letters.letters, sight);
    }
    html!(content, "</section><section class=\"card\" aria-labelledby=\"timeline\"><h2 id=\"timeline\">Timeline</h2>");
    match &story.order {
        Answer::Found(order) => timeline(&mut content, &order.history),
        Answer::NotFound => html!(content, "<p>order-api knows of no such order.</p>"),
        Answer::Away(why) => away(&mut content, why),
    }
    html!(content, "</section>");
    payments(&mut content, &story.payments);
    notifications(&mut content, &story.notifications, sight);
    html!(content, "</div><aside class=\"side\" aria-label=\"The order\">");
    if let Answer::Found(order) = &story.order {
        facts(&mut content, order, sight);
        calling_off(&mut content, &session, order);
    }
    html!(content, "</aside></div></div>");
    let status = if story.order == Answer::NotFound && letters.letters.is_empty() { 404 } else { 200 };
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
    Ok(Page::new(&session, Place::Orders, "An order", content).live().answer(status))
}

fn order_id(text: &str) -> Result<OrderId, Trouble> {
    text.parse().map_err(|_| Trouble::not_found("That is no order's id.").back_to("/orders"))
}

/// Its steps, the first one first.
pub(super) fn timeline(content: &mut Html, history: &[Step]) {
    html!(*content, "<ol class=\"steps\">");
    for step in history.iter().take(200) {
        html!(*content, "<li><p>" (status(&step.status)) " <small>" (Said(&step.at)) "</small></p><p class=\"soft\">"
            (words::step(&step.cause, step.detail.as_deref())) "</p></li>");
    }
    html!(*content, "</ol>");
}

/// An order's timeline beside a letter about it.
pub(super) async fn beside(content: &mut Html, pages: &Pages, session: &Session, subject: &str) {
    let Ok(id) = subject.parse::<OrderId>() else { return };
    html!(*content, "<section class=\"card\"><h2>Its order</h2><p><a href=\"/orders/" (id.to_string()) "\">Timeline, payments and "
        "notices</a></p>");
    // A letter is worth looking at without its order.
    let asked = pages.desk.services.order(&session.who, id);
    match tokio::time::timeout(std::time::Duration::from_secs(1), asked).await {
        Ok(Answer::Found(order)) => {
            html!(*content, "<p>It is " (status(&order.status)) ", over " (order.order_amount.to_string()) " " (order.currency)
                ".</p>");
            timeline(content, &order.history);
        }
        Ok(Answer::NotFound) => html!(*content, "<p>order-api knows of no such order.</p>"),
        Ok(Answer::Away(why)) => away(content, &why),
        Err(_) => away(content, "order-api is slow"),
    }
    html!(*content, "</section>");
}

fn facts(content: &mut Html, order: &Order, sight: Sight) {
    html!(*content, "<section class=\"card\"><h2>As it stands</h2><dl class=\"facts\"><div><dt>Status</dt><dd>" (status(&order.status))
        "</dd></div><div><dt>Amount</dt><dd>" (order.order_amount.to_string()) " " (order.currency) "</dd></div><div><dt>User</dt><dd>");
    if sight.sees_all() {
        html!(*content, "<a href=\"" (address("/orders", &[("q", &order.user_id)])) "\">" (order.user_id) "</a>");
    } else {
        html!(*content, (sight.person(&order.user_id)));
    }
    html!(*content, "</dd></div><div><dt>Items</dt><dd>");
    for item in order.items.iter().take(100) {
        html!(*content, (item.quantity) " × <code>" (item.product_id) "</code> at " (item.unit_price.to_string()) "<br>");
    }
    html!(*content, "</dd></div><div><dt>Placed</dt><dd>" (Said(&order.created_at)) "</dd></div><div><dt>To be paid by</dt><dd>"
        (Said(&order.deadline)) "</dd></div></dl></section>");
}

fn payments(content: &mut Html, payments: &Answer<Payments>) {
    html!(*content, "<section class=\"card\" aria-labelledby=\"payments\"><h2 id=\"payments\">Payments</h2>");
    match payments {
        Answer::Found(found) if !found.payments.is_empty() => {
            html!(*content, "<ol class=\"steps\">");
            for payment in found.payments.iter().take(100) {
                html!(*content, "<li><p><strong>" (payment.status) "</strong> " (payment.amount.to_string()) " " (found.currency)
                    " <span class=\"soft\">attempt " (payment.attempt) ", " (cut(&payment.method, 60)) "</span> <small>"
                    (Said(&payment.updated_at)) "</small></p><p class=\"soft\">");
                if let Some(reason) = &payment.reason {
                    html!(*content, (cut(reason, 200)) ". ");
                }
                if let Some(refund) = &payment.refund {
                    html!(*content, "Refund: " (cut(refund, 60)) ". ");
                }
                html!(*content, "<code>" (payment.transaction_id) "</code></p></li>");
            }
            html!(*content, "</ol>");
        }
        Answer::Found(_) | Answer::NotFound => html!(*content, "<p>There was no attempt to pay yet.</p>"),
        Answer::Away(why) => away(content, why),
    }
    html!(*content, "</section>");
}

fn notifications(content: &mut Html, notifications: &Answer<Notifications>, sight: Sight) {
    html!(
        *content,
        "<section class=\"card\" aria-labelledby=\"notices\"><h2 id=\"notices\">What the customer was told</h2>"
    );
    match notifications {
        Answer::Found(found) => {
            if let Some(contact) = &found.contact {
                let at = contact.email.iter().chain(&contact.phone).map(|at| sight.person(at)).collect::<Vec<_>>();
                html!(*content, "<p>By " (contact.channel) ": " (at.join(", ")) "</p>");
            }
            if found.notifications.is_empty() {
                html!(*content, "<p>Nothing yet.</p>");
            } else {
                html!(*content, "<ol class=\"steps\">");
                for notice in found.notifications.iter().take(200) {
                    html!(*content, "<li><p><strong>" (notice.kind) "</strong> " (words::notice(&notice.status)) " <small>"
                        (Said(notice.sent_at.as_deref().unwrap_or(&notice.created_at))) "</small></p>");
                    if let Some(reason) = &notice.reason {
                        html!(*content, "<p class=\"soft\">" (sight.text(&cut(reason, 300), &[])) "</p>");
                    }
                    html!(*content, "</li>");
                }
                html!(*content, "</ol>");
            }
        }
        Answer::NotFound => html!(*content, "<p>Nothing yet.</p>"),
        Answer::Away(why) => away(content, why),
    }
    html!(*content, "</section>");
}

fn calling_off(content: &mut Html, session: &Session, order: &Order) {
    let is_off = !["pending", "awaiting_payment", "paid"].contains(&order.status.as_str());
    if is_off || session.who.role < Role::Operator {
        return;
    }
    html!(*content, "<section class=\"card\"><details><summary>Call this order off…</summary><p>");
    if order.status == "paid" {
        html!(
            *content,
            "It is paid: the money goes back to the customer, and the goods into the stock. This cannot be undone."
        );
    } else {
        html!(*content, "Nothing is charged any more, and its goods are free again. This cannot be undone.");
    }
    html!(*content, "</p><form method=\"post\" action=\"/orders/" (order.order_id) "/cancel\">" (Csrf(session))
        "<button id=\"cancel\">Call it off</button></form></details></section>");
}

pub(super) async fn cancel(
    State(pages): State<Pages>,
    Path(id): Path<String>,
    Signed { session, .. }: Signed,
) -> Result<Response, Trouble> {
    let id = order_id(&id)?;
    let back = format!("/orders/{id}");
    match call_off(&pages.console, &pages.desk.services, &session.who, id).await {
        Ok(_) => Ok(Redirect::to(&format!("{back}?off=1")).into_response()),
        Err(refused) => {
            let status = match &refused {
                Refused::Role => StatusCode::FORBIDDEN,
                Refused::NotFound => StatusCode::NOT_FOUND,
                Refused::Refused(_) => StatusCode::CONFLICT,
                Refused::Away(_) => StatusCode::SERVICE_UNAVAILABLE,
            };
            Err(Trouble::with(status, "The order was not called off", sentence(&refused.to_string())).back_to(back))
        }
    }
}
