//! `/line`: every queue and every service, as they are.

use axum::{
    extract::State,
    response::{IntoResponse as _, Response},
};
use common::{html, html::Html};

use super::{
    Pages,
    page::{Page, Place},
    person::Person,
    shown::{Ago, Count, cut, lasting},
    trouble::sentence,
};
use crate::board::{QueueKind, QueueLine, ServiceLine, ServiceState};

pub(super) async fn show(State(pages): State<Pages>, Person(session): Person) -> Response {
    let board = pages.desk.board.now();
    let mut content = Html::default();
    html!(content, "<h1>The line</h1><div id=\"line\" data-part>");
    if let Some(why) = &board.broker_away {
        html!(content, "<p class=\"notice bad\">"(sentence(&cut(why, 300))));
        if let Some(at) = board.queues_at {
            html!(content, " The queues are shown as they were " (Ago(at)) ".");
        }
        html!(content, "</p>");
    }
    services(&mut content, &board.services);
    type Which = fn(QueueKind) -> bool;
    let kinds: [(&str, Which); 3] = [
        ("Work queues and their dead letters", |kind| matches!(kind, QueueKind::Work | QueueKind::DeadLetters)),
        ("Delay line", |kind| matches!(kind, QueueKind::Delay { .. })),
        ("Unroutable", |kind| kind == QueueKind::Unroutable),
    ];
    for (name, is_one) in kinds {
        let lines: Vec<_> = board.queues.iter().filter(|queue| is_one(queue.kind)).collect();
        if !lines.is_empty() {
            html!(content, "<h2>" (name) "</h2>");
            queues(&mut content, name, &lines);
        }
    }
    html!(content, "</div>");
    Page::new(&session, Place::Line, "The line", content).live().into_response()
}

fn services(content: &mut Html, services: &[ServiceLine]) {
    html!(*content, "<ul class=\"tiles plain\">");
    for service in services {
        let (class, word) = match &service.state {
            ServiceState::Ready => ("done", "ready"),
            ServiceState::NotReady(_) => ("retrying", "not ready"),
            ServiceState::Away(_) => ("failed", "away"),
        };
        html!(*content, "<li class=\"card\"><strong>" (service.name) "</strong> <span class=\"chip " (class) "\">" (word) "</span>");
        if let ServiceState::NotReady(why) | ServiceState::Away(why) = &service.state {
            html!(*content, "<small class=\"message\">" (cut(why, 300)) "</small>");
        }
        match &service.outbox {
            Some(outbox) if outbox.parcels > 0 => {
                html!(*content, "<small>outbox: " (Count(count(outbox.parcels))) ", the oldest for "
                    (lasting(outbox.oldest_seconds)) "</small>");
            }
            Some(_) => html!(*content, "<small>outbox: empty</small>"),
            None => {}
        }
        html!(*content, "</li>");
    }
    html!(*content, "</ul>");
}

fn queues(content: &mut Html, name: &'static str, lines: &[&QueueLine]) {
    html!(*content, "<div class=\"wide\" role=\"region\" tabindex=\"0\" aria-label=\"" (name) "\"><table class=\"queues\"><thead><tr>"
        "<th scope=\"col\">Queue</th><th scope=\"col\" class=\"number\">Waiting</th><th scope=\"col\" class=\"number\">Being handled</th>"
        "<th scope=\"col\" class=\"number\">In /s</th><th scope=\"col\" class=\"number\">Out /s</th><th scope=\"col\" class=\"number\">"
        "Consumers</th><th scope=\"col\">Oldest</th><th scope=\"col\">Last minutes</th></tr></thead><tbody>");
    for line in lines {
        html!(*content, "<tr><th scope=\"row\"><code>" (line.name) "</code>" (after(line.kind)) "</th><td class=\"number\" data-name=\"waiting\"><strong>"
            (Count(count(line.ready))) "</strong></td><td class=\"number\" data-name=\"being handled\">" (Count(count(line.unacked)))
            "</td><td class=\"number\" data-name=\"in/s\">" (rate(line.rate_in)) "</td><td class=\"number\" data-name=\"out/s\">"
            (rate(line.rate_out)) "</td><td class=\"number\" data-name=\"consumers\">");
        if line.consumers == 0 && matches!(line.kind, QueueKind::Work) {
            html!(*content, "<span class=\"chip failed\">nobody</span>");
        } else {
            html!(*content, (Count(count(line.consumers))));
        }
        html!(*content, "</td><td data-name=\"oldest\">");
        match &line.oldest {
            Some(oldest) => {
                if oldest.at_least {
                    html!(*content, "at least ");
                }
                html!(*content, (lasting(oldest.seconds)));
            }
            None => html!(*content, "<span class=\"soft\">empty</span>"),
        }
        html!(*content, "</td><td>");
        picture(content, &line.picture);
        html!(*content, "</td></tr>");
    }
    html!(*content, "</tbody></table></div>");
}

/// When what waits in the delay line comes back.
fn after(kind: QueueKind) -> Html {
    let mut html = Html::default();
    if let QueueKind::Delay { ms } = kind {
        html!(html, "<small>comes back after " (lasting(std::time::Duration::from_millis(ms).as_secs_f64())) "</small>");
    }
    html
}

fn count(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn rate(rate: f64) -> String {
    if rate < 0.05 { "0".to_owned() } else { format!("{rate:.1}") }
}

/// How many there were, minute by minute, as a line.
fn picture(content: &mut Html, counts: &[u64]) {
    let most = counts.iter().copied().max().unwrap_or(0);
    if counts.len() < 2 || most == 0 {
        return;
    }
    let last = counts.len() as u64 - 1;
    let point = |(i, count): (usize, &u64)| format!("{},{}", i as u64 * 100 / last, 20 - count * 18 / most);
    let points: Vec<String> = counts.iter().enumerate().map(point).collect();
    html!(*content, "<svg class=\"spark\" viewBox=\"0 0 100 22\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"At most "
        (Count(count(most))) "\"><polyline points=\"" (points.join(" ")) "\"/></svg>");
}
