//! `/orders`: an order as the services know it, with its money and its notices, and the letters that are about it.

mod money;
mod told;

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
};
use crate::{
    LetterLine, Query, Role, State as Stands,
    orders::{call_off, is_to_be_paid},
    people::Session,
    services::{
        Answer, OrdersWanted, Refused,
        shapes::{Order, OrderPage},
    },
};

pub(super) use money::paid_back;
use told::timeline;

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
    // People write it in small letters, too.
    if let Ok(id) = wanted.parse::<OrderId>().or_else(|_| wanted.to_ascii_uppercase().parse()) {
        return Ok(Redirect::to(&format!("/orders/{id}")).into_response());
    }
    let cursor = Some(parameter(query, "after")).filter(|cursor| !cursor.is_empty());
    let stands = Some(parameter(query, "status")).filter(|status| STATUSES.contains(&status.as_str()));
    let mut content = Html::default();
    html!(content, "<h1>Orders</h1>");
    form(&mut content, wanted, stands.as_deref());
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
    let is_everybodys = user.is_none();
    let asked = OrdersWanted { user, status: stands.clone(), cursor, limit: Some(ON_A_PAGE) };
    let found = match pages.desk.services.orders_of(&session.who, &asked).await {
        Answer::Found(found) => found,
        Answer::NotFound => OrderPage { orders: Vec::new(), next_cursor: None },
        Answer::Away(why) => {
            away(&mut content, &why);
            return Ok(Page::new(&session, Place::Orders, "Orders", content).into_response());
        }
    };
    if is_everybodys && !found.orders.is_empty() {
        html!(content, "<p class=\"soft\">These are everybody's, the newest first.</p>");
    }
    list(&mut content, &found, wanted, stands.as_deref().unwrap_or_default(), Sight::of(&session.who));
    Ok(Page::new(&session, Place::Orders, "Orders", content).into_response())
}

/// All that an order's status can be.
const STATUSES: [&str; 9] = [
    "pending",
    "awaiting_payment",
    "paid",
    "rejected",
    "payment_failed",
    "expired",
    "cancelled",
    "refunding",
    "refunded",
];

fn form(content: &mut Html, wanted: &str, stands: Option<&str>) {
    html!(*content, "<form class=\"find large\" role=\"search\" action=\"/orders\"><label for=\"q\">An order's id, or a user's"
        "</label><input id=\"q\" name=\"q\" type=\"search\" maxlength=\"100\" spellcheck=\"false\" autocapitalize=\"none\" "
        "placeholder=\"ORD… or 123456\" value=\"" (wanted) "\"><label class=\"hidden\" for=\"status\">Status</label>"
        "<select id=\"status\" name=\"status\"><option value=\"\">any status</option>");
    for status in STATUSES {
        html!(*content, "<option value=\"" (status) "\"");
        if stands == Some(status) {
            html!(*content, " selected");
        }
        html!(*content, ">" (status.replace('_', " ")) "</option>");
    }
    html!(*content, "</select><button class=\"strong\">Find</button></form><p class=\"soft\">An order's id begins with <code>ORD</code> "
        "and leads to the order; anything else is taken for a user's id, and leads to all that this customer has ordered. By "
        "product, or by what went wrong, look for <a href=\"/search\">letters</a>.</p>");
}

fn list(content: &mut Html, found: &OrderPage, wanted: &str, stands: &str, sight: Sight) {
    if found.orders.is_empty() {
        html!(*content, "<div class=\"empty\"><p class=\"large\">" (nothing(found, wanted, stands)) "</p></div>");
    } else {
        lines(content, found, sight);
    }
    if let Some(next) = &found.next_cursor {
        let with = [("q", wanted), ("status", stands), ("after", next)];
        html!(*content, "<p class=\"more\"><a class=\"button\" rel=\"next\" href=\"" (address("/orders", &with)) "\">Older ones</a></p>");
    }
}

/// Where few orders have the status that is asked for, a page may be empty and lead to one that is not.
fn nothing(found: &OrderPage, wanted: &str, stands: &str) -> String {
    let whose = if wanted.is_empty() { String::new() } else { format!(" of user {}", cut(wanted, 100)) };
    let which =
        if stands.is_empty() { String::new() } else { format!(" with the status {}", stands.replace('_', " ")) };
    let is_like_an_orders = wanted.get(..3).is_some_and(|start| start.eq_ignore_ascii_case("ord"));
    match found.next_cursor {
        None if is_like_an_orders => {
            format!("There are no orders{whose}{which}. If it is an order's id: that is ORD and 32 more characters.")
        }
        Some(_) => {
            format!("Among the orders looked through so far there are none{whose}{which}. Look on among older ones.")
        }
        None => format!("There are no orders{whose}{which}."),
    }
}

fn lines(content: &mut Html, found: &OrderPage, sight: Sight) {
    html!(*content, "<div class=\"wide\" role=\"region\" tabindex=\"0\" aria-label=\"Orders\"><table><thead><tr><th scope=\"col\">Order"
        "</th><th scope=\"col\">Status</th><th scope=\"col\" class=\"number\">Amount</th><th scope=\"col\">User</th><th scope=\"col\">"
        "Placed</th></tr></thead><tbody>");
    for order in &found.orders {
        html!(*content, "<tr><td class=\"ids\"><a href=\"/orders/" (order.order_id) "\"><code>" (order.order_id) "</code></a></td><td>"
            (status(&order.status)) "</td><td class=\"number\">" (order.order_amount.to_string()) " " (order.currency)
            "</td><td data-name=\"user\">" (sight.person(&order.user_id)) "</td><td>" (Said(&order.created_at)) "</td></tr>");
    }
    html!(*content, "</tbody></table></div>");
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
    // What an address says was done is said only if it was.
    let is_off = matches!(&story.order, Answer::Found(order) if is_off(&order.status));
    if is_off && parameter(query.as_deref(), "off") == "1" {
        html!(content, "<p class=\"notice good\" role=\"status\">The order was called off. What was paid goes back, and its goods are "
            "free again.</p>");
    }
    let is_back =
        matches!(&story.payments, Answer::Found(found) if found.payments.iter().any(|p| p.paid_back.is_some()));
    if is_back && parameter(query.as_deref(), "back") == "1" {
        html!(content, "<p class=\"notice good\" role=\"status\">It is noted that the customer was paid back by hand. The order hears of it "
            "in a moment, and the customer is told.</p>");
    }
    money::needs(&mut content, &session, &id.to_string(), &story, &letters.letters);
    html!(content, "<div id=\"order\" data-part><div class=\"columns\"><div class=\"main\">");
    html!(content, "<section class=\"card\" aria-labelledby=\"letters\"><h2 id=\"letters\">Letters about it</h2>");
    if letters.letters.is_empty() {
        html!(content, "<p>Nothing of this order has failed for good.</p>");
    } else {
        letter_table(&mut content, &letters.letters, sight);
        put_away(&mut content, &letters.letters, sight);
    }
    html!(content, "</section><section class=\"card\" aria-labelledby=\"timeline\"><h2 id=\"timeline\">Timeline</h2>");
    match &story.order {
        Answer::Found(order) => timeline(&mut content, &order.history),
        Answer::NotFound => html!(content, "<p>order-api knows of no such order.</p>"),
        Answer::Away(why) => away(&mut content, why),
    }
    html!(content, "</section>");
    money::payments(&mut content, &story.payments, sight);
    told::notifications(&mut content, &story.notifications, sight);
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

/// Why letters were discarded: that is the last that somebody has said of them.
fn put_away(content: &mut Html, letters: &[LetterLine], sight: Sight) {
    for letter in letters.iter().filter(|letter| letter.state == Stands::Discarded && !letter.note.is_empty()) {
        html!(*content, "<p><a href=\"/letters/" (letter.id) "\">" (cut(&letter.kind, 100)) "</a> was discarded because: <q class=\"message\">"
            (sight.text(&cut(&letter.note, 500), &letter.users)) "</q></p>");
    }
}

fn order_id(text: &str) -> Result<OrderId, Trouble> {
    text.parse().map_err(|_| Trouble::not_found("That is no order's id.").back_to("/orders"))
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
    html!(*content, "</dd></div><div><dt>Placed</dt><dd>" (Said(&order.created_at)) "</dd></div>");
    if is_to_be_paid(&order.status) {
        html!(*content, "<div><dt>To be paid by</dt><dd>" (Said(&order.deadline)) "</dd></div>");
    }
    html!(*content, "</dl></section>");
}

fn is_off(status: &str) -> bool {
    !["pending", "awaiting_payment", "paid"].contains(&status)
}

fn calling_off(content: &mut Html, session: &Session, order: &Order) {
    if is_off(&order.status) || session.who.role < Role::Operator {
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
        Err(why) => Err(refused("The order was not called off", &why).back_to(back)),
    }
}

/// What a service, or the console, has refused somebody.
fn refused(title: &'static str, refused: &Refused) -> Trouble {
    let status = match refused {
        Refused::Role => StatusCode::FORBIDDEN,
        Refused::NotFound => StatusCode::NOT_FOUND,
        Refused::Refused(_) => StatusCode::CONFLICT,
        Refused::Away(_) => StatusCode::SERVICE_UNAVAILABLE,
    };
    Trouble::with(status, title, sentence(&refused.to_string()))
}
