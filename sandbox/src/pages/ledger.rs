//! The gateway's books.

use std::sync::Arc;

use axum::{
    extract::{RawQuery, State},
    http::StatusCode,
    response::Response,
};

use super::{Html, MOST_LINES, page, search, table};
use crate::{
    ledger::{Charge, RefundStatus, Status, Totals},
    requests::parameter,
    world::{World, written},
};

const COLUMNS: [&str; 8] = ["Began", "Order", "Amount", "Status", "Method", "Refunds", "Callbacks", "Key"];

/// The newest first; those of which something begins with what is looked for.
pub(super) async fn ledger(State(world): State<Arc<World>>, RawQuery(query): RawQuery) -> Response {
    let wanted = parameter(query.as_deref(), "q").unwrap_or_default();
    let mut lines = Html::default();
    let mut count = 0;
    let (totals, more) = {
        let ledger = world.ledger();
        let begins = |charge: &Charge| {
            let Charge { id, key, order_id, reference, .. } = charge;
            [id, key, order_id, reference].iter().any(|text| text.starts_with(wanted.trim()))
        };
        for charge in ledger.charges().rev().filter(|charge| begins(charge)).take(MOST_LINES) {
            count += 1;
            line(&mut lines, charge);
        }
        (ledger.totals(), count == MOST_LINES)
    };
    let mut html = Html::default();
    sums(&mut html, totals);
    search(&mut html, "/ledger", "Search for an order, reference or key", &wanted);
    if count == 0 {
        html.raw("<p>There are none.</p>");
    } else {
        if more {
            html.raw("<p>The newest ones; a search finds others.</p>");
        }
        table(&mut html, "Charges", &COLUMNS, lines);
    }
    page(&world, StatusCode::OK, "/ledger", "Ledger", html)
}

fn sums(html: &mut Html, totals: Totals) {
    let Totals { charges, processing, captured, declined, voided, captured_amount, refunded_amount, .. } = totals;
    html.raw("<dl class=\"sums\">");
    for (name, value) in [
        ("Charges", charges),
        ("processing", processing),
        ("captured", captured),
        ("declined", declined),
        ("voided", voided),
    ] {
        html.raw("<div><dt>").raw(name).raw("</dt><dd>").number(value).raw("</dd></div>");
    }
    for (name, amount) in
        [("captured, minor units", captured_amount), ("refunded", refunded_amount), ("net", totals.net_amount)]
    {
        html.raw("<div><dt>").raw(name).raw("</dt><dd>").number(amount).raw("</dd></div>");
    }
    html.raw("</dl>");
}

fn line(html: &mut Html, charge: &Charge) {
    let Charge { key, order_id, amount, currency, method, reason, .. } = charge;
    html.raw("<tr><td>").text(&written(charge.created_at)).raw("</td><td>").text(order_id);
    html.raw("</td><td class=\"amount\">").text(&money(*amount, currency)).raw("</td><td>");
    html.raw(match charge.status {
        Status::Processing => "processing",
        Status::Captured => "captured",
        Status::Declined => "declined",
        Status::Voided => "voided",
    });
    if let Some(reason) = reason {
        html.raw(": ").raw(reason);
    }
    html.raw("</td><td>");
    if let Some(method) = method {
        html.text(&method.kind).raw(" ").raw(method.brand.unwrap_or_default());
        if let Some(last4) = &method.last4 {
            html.raw(" …").text(last4);
        }
        html.raw(" (").raw(method.behaviour.name).raw(")");
    }
    html.raw("</td><td>");
    for refund in &charge.refunds {
        html.text(&money(refund.amount, currency)).raw(match refund.status {
            RefundStatus::Processing => " processing<br>",
            RefundStatus::Refunded => " refunded<br>",
            RefundStatus::Refused => " refused<br>",
        });
    }
    html.raw("</td><td>");
    for event in &charge.events {
        html.raw(event.kind).raw(": sent ").number(event.sent).raw(", heard ").number(event.heard).raw("<br>");
    }
    html.raw("</td><td><code>").text(key).raw("</code></td></tr>");
}

/// In major units, with as many decimals as ISO 4217 gives the currency.
fn money(amount: i64, currency: &str) -> String {
    let decimals: usize = match currency {
        "" => return String::new(),
        "JPY" | "KRW" | "VND" | "CLP" | "ISK" => 0,
        "BHD" | "JOD" | "KWD" | "OMR" | "TND" => 3,
        _ => 2,
    };
    let digits = format!("{amount:0>width$}", width = decimals + 1);
    match digits.split_at_checked(digits.len() - decimals) {
        Some((whole, part)) if decimals > 0 => format!("{whole}.{part} {currency}"),
        _ => format!("{digits} {currency}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_is_written_as_its_currency_wants_it() {
        let written = [(10_050, "USD"), (5, "EUR"), (0, "USD"), (1200, "JPY"), (1, "KWD"), (0, "")]
            .map(|(amount, currency)| money(amount, currency));
        assert_eq!(written, ["100.50 USD", "0.05 EUR", "0.00 USD", "1200 JPY", "0.001 KWD", ""]);
    }
}
