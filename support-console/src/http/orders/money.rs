//! An order's money on its page: what came and what went back, what is owed to the customer, and that a person has paid it
//! back.

use axum::{
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse as _, Redirect, Response},
};
use common::{html, html::Html, ids::TransactionId};

use super::{
    super::{
        Pages,
        mask::Sight,
        page::Csrf,
        person::Signed,
        shown::{Said, cut},
        trouble::Trouble,
    },
    away, order_id, refused,
};
use crate::{
    LetterLine, Role, State as Stands,
    orders::{Owed, pay_back},
    people::Session,
    services::{
        Answer, OrderStory, Refused,
        shapes::{Payment, Payments},
    },
};

/// What needs somebody: money that is owed, or was given twice, and the letters that it is about.
pub(super) fn needs(content: &mut Html, session: &Session, id: &str, story: &OrderStory, letters: &[LetterLine]) {
    let about_refunds = letters.iter().filter(|letter| {
        letter.queue == "payment.settle"
            && ["order.refund_due", "payment.refund_refused"].contains(&letter.kind.as_str())
    });
    let letters: Vec<&LetterLine> = about_refunds.collect();
    html!(*content, "<div id=\"owed\" data-part>");
    for owed in &story.owed {
        owing(content, session, id, owed, &letters);
    }
    if let Answer::Found(found) = &story.payments {
        for payment in &found.payments {
            given_back(content, session, payment, &found.currency, &letters, story.owed.is_empty());
        }
    }
    let is_refunding = matches!(&story.order, Answer::Found(order) if order.status == "refunding");
    if is_refunding && matches!(story.payments, Answer::Away(_)) {
        html!(
            *content,
            "<p class=\"notice bad\">The customer's money is to go back; whether it has cannot be told just now.</p>"
        );
    }
    html!(*content, "</div>");
}

fn owing(content: &mut Html, session: &Session, id: &str, owed: &Owed, letters: &[&LetterLine]) {
    let Owed { transaction_id, amount, currency, why, only_by_hand } = owed;
    html!(*content, "<section class=\"notice bad\" aria-label=\"Money that is owed\"><p><strong>" (amount.to_string()) " " (currency)
        " is owed to the customer:</strong> " (cut(why, 300)) ".</p>");
    for letter in letters {
        html!(*content, "<p>"(About(letter)));
        if letter.state == Stands::Discarded {
            html!(*content, " Somebody has put it away because: <q class=\"message\">"
                (Sight::of(&session.who).text(&cut(&letter.note, 500), &letter.users)) "</q> The money is owed all the same.");
        }
        html!(*content, "</p>");
    }
    if *only_by_hand {
        html!(*content, "<p>The gateway refuses for good. Pay the customer back in another way, such as a bank transfer, and note that "
            "here; it is no use to retry the letter, unless the gateway's people say that it would be now. An order that is off counts as refunded then, and its customer is told; one that another payment has "
            "paid stays paid.</p>");
        by_hand(content, session, id, transaction_id);
    }
    html!(*content, "</section>");
}

fn by_hand(content: &mut Html, session: &Session, id: &str, transaction_id: &str) {
    if session.who.role < Role::Operator {
        html!(*content, "<p class=\"soft\">To note that it was paid back takes the role operator.</p>");
        return;
    }
    html!(*content, "<details><summary>Paid back by hand…</summary><p>Say so once the money is on its way. This cannot be undone.</p><form class=\"row\" method=\"post\" action=\"/orders/" (id)
        "/paid-back\">" (Csrf(session)) "<input type=\"hidden\" name=\"transaction\" value=\"" (transaction_id)
        "\"><div class=\"grow\"><label for=\"note\">Number of the transfer, or another reference (the customer does not see it)</label>"
        "<input id=\"note\" name=\"note\" required maxlength=\"500\" autocomplete=\"off\"></div>"
        "<button id=\"paid-back\" class=\"strong\">It was paid back by hand</button></form></details>");
}

/// Of money that has gone back: whether it went twice, and which letters need nothing any more.
fn given_back(
    content: &mut Html,
    session: &Session,
    payment: &Payment,
    currency: &str,
    letters: &[&LetterLine],
    nothing_is_owed: bool,
) {
    let Some(by_hand) = &payment.paid_back else { return };
    let sight = Sight::of(&session.who);
    if payment.refund.as_deref() == Some("refunded") {
        html!(*content, "<p class=\"notice bad\"><strong>" (payment.amount.to_string()) " " (currency)
            " was given back twice:</strong> by " (cut(&by_hand.by, 64)) " on " (Said(&by_hand.at)) " (" (sight.text(&cut(&by_hand.note, 500), &[]))
            "), and then by the gateway all the same.</p>");
    }
    for letter in letters.iter().filter(|letter| nothing_is_owed && letter.state == Stands::Failed) {
        html!(*content, "<section class=\"notice\" aria-label=\"A letter that needs nothing any more\"><p>The money was paid back by "
            "hand. " (About(letter)) " It needs nothing any more, and can be put away.</p>");
        if session.who.role >= Role::Operator {
            html!(*content, "<form method=\"post\" action=\"/letters/" (letter.id) "/discard\">" (Csrf(session))
                "<input type=\"hidden\" name=\"version\" value=\"" (letter.version) "\"><input type=\"hidden\" name=\"reason\" value=\""
                (format!("Paid back by hand: {}", cut(&by_hand.note, 400))) "\"><button>Discard it</button></form>");
        }
        html!(*content, "</section>");
    }
}

/// Where a letter about a refund is, and how it stands.
struct About<'a>(&'a LetterLine);

impl html::Show for About<'_> {
    fn show(&self, html: &mut Html) {
        html!(*html, "<a href=\"/letters/" (self.0.id) "\">The letter about its refund</a> is " (self.0.state.name()) ".");
    }
}

/// Every attempt to pay.
pub(super) fn payments(content: &mut Html, payments: &Answer<Payments>, sight: Sight) {
    html!(*content, "<section class=\"card\" aria-labelledby=\"payments\"><h2 id=\"payments\">Payments</h2>");
    match payments {
        Answer::Found(found) if !found.payments.is_empty() => {
            html!(*content, "<ol class=\"steps\">");
            for payment in found.payments.iter().take(100) {
                attempt(content, payment, &found.currency, sight);
            }
            html!(*content, "</ol>");
        }
        Answer::Found(_) | Answer::NotFound => html!(*content, "<p>There was no attempt to pay yet.</p>"),
        Answer::Away(why) => away(content, why),
    }
    html!(*content, "</section>");
}

fn attempt(content: &mut Html, payment: &Payment, currency: &str, sight: Sight) {
    html!(*content, "<li><p><strong>" (payment.status) "</strong> " (payment.amount.to_string()) " " (currency)
        " <span class=\"soft\">attempt " (payment.attempt) ", " (cut(&payment.method, 60)) "</span> <small>");
    match (payment.status.as_str(), &payment.captured_at) {
        ("captured", Some(at)) => html!(*content, (Said(at))),
        ("captured", None) => html!(*content, "begun "(Said(&payment.created_at))),
        ("open", _) => html!(*content, "since "(Said(&payment.created_at))),
        _ => html!(*content, (Said(&payment.updated_at))),
    }
    html!(*content, "</small></p>");
    match &payment.refund {
        Some(refund) => {
            html!(*content, "<p>"(in_words(refund)));
            if let Some(reason) = payment.reason.as_ref().filter(|_| refund == "refused" || refund == "paid_back") {
                html!(*content, " (" (cut(reason, 200)) ")");
            }
            if let Some(tried) = &payment.refund_tried_at {
                let when = if refund == "refunded" { "" } else { "last tried " };
                html!(*content, " <small>" (when) (Said(tried)) "</small>");
            }
            html!(*content, "</p>");
        }
        None => {
            if let Some(reason) = &payment.reason {
                html!(*content, "<p class=\"soft\">" (cut(reason, 200)) ".</p>");
            }
        }
    }
    if let Some(by_hand) = &payment.paid_back {
        html!(*content, "<p>Paid back by hand by " (cut(&by_hand.by, 64)) ": <q class=\"message\">" (sight.text(&cut(&by_hand.note, 500), &[])) "</q> <small>"
            (Said(&by_hand.at)) "</small></p>");
    }
    html!(*content, "<p class=\"soft\"><code>" (payment.transaction_id) "</code></p></li>");
}

/// What has become of captured money.
fn in_words(refund: &str) -> String {
    match refund {
        "due" => "To be given back; the gateway has not done so yet.".to_owned(),
        "refunded" => "Given back by the gateway.".to_owned(),
        "refused" | "paid_back" => "The gateway refuses for good to give it back".to_owned(),
        other => format!("Refund: {}.", cut(other, 60)),
    }
}

pub(in super::super) async fn paid_back(
    State(pages): State<Pages>,
    Path(id): Path<String>,
    Signed { session, form }: Signed,
) -> Result<Response, Trouble> {
    let id = order_id(&id)?;
    let back = format!("/orders/{id}");
    let title = "It was not noted";
    let transaction: TransactionId = form.get("transaction").parse().map_err(|_| {
        Trouble::with(StatusCode::BAD_REQUEST, title, "That is no transaction's id.").back_to(back.clone())
    })?;
    let unknown = "It is not known whether it was noted";
    let noted = pay_back(&pages.console, &pages.desk.services, &session.who, id, transaction, form.get("note")).await;
    match noted {
        Ok(_) => Ok(Redirect::to(&format!("{back}?back=1")).into_response()),
        Err(why @ Refused::Away(_)) => Err(refused(unknown, &why).back_to(back)),
        Err(why) => Err(refused(title, &why).back_to(back)),
    }
}
