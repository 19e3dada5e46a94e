//! What the services call things, in words for people. What is not known here is shown as it is.

use common::{html, html::Html};

use super::shown::cut;

/// What became of a notice: the word, and what it means.
pub(super) fn notice(status: &str) -> Html {
    let means = match status {
        "sent" => "",
        "pending" => "it is being sent, or will be",
        "superseded" => "not sent, for this was told before, or something newer was",
        "no_contact" => "not sent, for there is no address",
        "refused" => "not sent, for the address does not take it",
        _ => "",
    };
    let mut html = Html::default();
    if means.is_empty() {
        html!(html, (status.replace('_', " ")));
    } else {
        html!(html, "<span title=\"" (means) "\">" (status.replace('_', " ")) "</span> <span class=\"soft\">(" (means) ")</span>");
    }
    html
}

/// What brought a step of an order about, and what is known of it.
pub(super) fn step(cause: &str, detail: Option<&str>) -> String {
    match (cause, detail) {
        ("order.cancel_asked", Some(by)) => {
            match by.strip_prefix("by the shop (").and_then(|who| who.strip_suffix(')')) {
                Some("shop") => "called off by the shop".to_owned(),
                Some(who) => format!("called off by {} of the shop", cut(who, 64)),
                None => format!("called off {}", cut(by, 100)),
            }
        }
        (cause, Some(detail)) => format!("{}: {}", cut(cause, 100), cut(detail, 300)),
        (cause, None) => cut(cause, 100),
    }
}

/// What somebody did, as the audit log names it.
pub(super) fn deed(action: &str) -> String {
    match action {
        "cancel_order" => "call an order off".to_owned(),
        // What it was done to stands after these.
        "resume" => "go on with".to_owned(),
        "login" => "log in".to_owned(),
        "logout" => "log out".to_owned(),
        // `account.create`, `token.revoke` …
        other => match other.split_once('.') {
            Some((of, what)) => format!("{of}: {}", what.replace('_', " ")),
            None => other.replace('_', " "),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_services_words_are_explained() {
        assert!(notice("superseded").as_str().contains("title=\"not sent, for this was told"));
        assert!(notice("superseded").as_str().contains(">(not sent, for this was told"));
        assert_eq!(notice("sent").as_str(), "sent");
        let off = |detail| step("order.cancel_asked", Some(detail));
        assert_eq!(off("by the shop (olga)"), "called off by olga of the shop");
        assert_eq!(off("by the shop (shop)"), "called off by the shop");
        assert_eq!(off("by the customer"), "called off by the customer");
        assert_eq!(step("payment.failed", Some("card_declined")), "payment.failed: card_declined");
        assert_eq!(step("inventory.locked", None), "inventory.locked");
    }
}
