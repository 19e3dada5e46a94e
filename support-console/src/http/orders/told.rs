//! What became of an order and what its customer was told, step by step. What is the same several times in a row is one
//! line with a count: an order that waits for somebody is announced again and again.

use common::{html, html::Html};

use super::{
    super::{
        mask::Sight,
        shown::{Said, cut},
        words,
    },
    away, status,
};
use crate::{
    orders::{folded_notices, folded_steps},
    services::{
        Answer,
        shapes::{Notifications, Step},
    },
};

/// Its steps, the first one first.
pub(in super::super) fn timeline(content: &mut Html, history: &[Step]) {
    html!(*content, "<ol class=\"steps\">");
    for (step, times) in folded_steps(history).take(200) {
        html!(*content, "<li><p>" (status(&step.status)) " <small>" (Said(&step.at)) "</small>" (Times(times)) "</p><p class=\"soft\">"
            (words::step(&step.cause, step.detail.as_deref())) "</p></li>");
    }
    html!(*content, "</ol>");
}

pub(super) fn notifications(content: &mut Html, notifications: &Answer<Notifications>, sight: Sight) {
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
                for (notice, times) in folded_notices(&found.notifications).take(200) {
                    html!(*content, "<li><p><strong>" (notice.kind) "</strong> " (words::notice(&notice.status)) " <small>"
                        (Said(notice.sent_at.as_deref().unwrap_or(&notice.created_at))) "</small>" (Times(times)) "</p>");
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

/// How often the same, where it was more than once.
struct Times(usize);

impl html::Show for Times {
    fn show(&self, html: &mut Html) {
        if self.0 > 1 {
            html!(*html, " <span class=\"chip\">" (self.0.to_string()) " times</span>");
        }
    }
}
