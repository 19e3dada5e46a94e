//! What the readers of bytes from outside are held to, whatever those bytes are: see [`common::fuzzing`].

use std::sync::LazyLock;

use common::{
    fuzzing::refusal,
    http::{JsonText, Problem},
    ids::OrderId,
    money::{Currency, LARGEST, Money},
};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::{
    ABOUT, Payments,
    card::{Calendar, parse_day},
    gateway::{Answer, CallbackBody, Happened, MethodReply, RefundAnswer, attempt_of},
    http::{
        methods::NewMethod,
        paid_back::{self, Body},
        process::{self, ProcessPayment},
        signature::Signatures,
    },
};

/// What stays of a name that somebody else has given.
const LONGEST_NAME: usize = 100;
/// So many digits in a row may be a card's.
const CARD: usize = 12;
const SECRET: &str = "a secret of the fuzzers";
const NOW: i64 = 1_000_000_000;

static SIGNATURES: LazyLock<Signatures> = LazyLock::new(|| Signatures::new(SECRET.into(), 300));

/// A payment, a stored card, money that was paid back: whatever is wrong, nothing of a card is in the answer.
pub fn payment(body: &[u8]) {
    let calendar = Calendar { pretended: parse_day("2025-06-30") };
    let text = || JsonText::from(body.to_vec());
    let processed =
        text().parse::<ProcessPayment>().and_then(|request| process::check(request, &Currency::default(), calendar));
    match processed {
        Ok(wanted) => {
            assert!(wanted.amount >= Money(0) && wanted.method.len() <= 32);
            assert!(!may_hold_a_card(&wanted.method));
        }
        Err(problem) => says_no_card(&problem),
    }
    if let Err(problem) = text().parse::<NewMethod>().and_then(|method| method.check(calendar.today())) {
        says_no_card(&problem);
    }
    let order_id = OrderId::generate();
    match text().parse::<Body>().and_then(|body| paid_back::check(order_id, &body)) {
        Ok(wanted) => assert!((1..=500).contains(&wanted.note.chars().count())),
        Err(problem) => refusal(&problem),
    }
}

fn says_no_card(problem: &Problem) {
    refusal(problem);
    let is_silent = |text: &str| !may_hold_a_card(text);
    // The name of a field that there is not is said again: a card has no business there.
    let errors = || problem.errors.iter().filter(|error| error.code.name != "unknown_field");
    assert!(errors().all(|error| is_silent(&error.message)), "{problem:?}");
}

fn may_hold_a_card(text: &str) -> bool {
    // The largest amount has as many digits as the shortest card.
    text.replace(&LARGEST.to_string(), "").split(|c: char| !c.is_ascii_digit()).any(|digits| digits.len() >= CARD)
}

/// A callback, and what else the gateway says. The first line is the header: nobody can sign but who knows the secret, and
/// what is signed is believed about nothing but what was asked.
pub fn callback(bytes: &[u8]) {
    let line = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    let (header, rest) = bytes.split_at(line);
    let body = rest.get(1..).unwrap_or_default();
    let header = String::from_utf8_lossy(header);
    assert_eq!(SIGNATURES.good(&header, body, NOW), None, "nobody signed it: {header}");
    let signed = signed(body);
    assert!(SIGNATURES.good(&signed, body, NOW).is_some());
    assert_eq!(SIGNATURES.good(&format!("{signed},{header}"), body, NOW).is_some(), !has_part(&header));

    let text = || JsonText::from(body.to_vec());
    match text().parse::<CallbackBody>() {
        Ok(body) => believe(body),
        Err(problem) => refusal(&problem),
    }
    if let Ok(method) =
        serde_json::from_slice::<MethodReply>(body).map_err(drop).and_then(|it| it.stored().map_err(drop))
    {
        assert!(method.last4.len() == 4 && method.brand.len() <= 32);
        assert!(method.token.len() <= LONGEST_NAME && !method.token.bytes().all(|byte| byte.is_ascii_digit()));
        assert!((1..=12).contains(&method.exp_month) && (2000..3000).contains(&method.exp_year));
    }
}

fn signed(body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    mac.update(format!("{NOW}.").as_bytes());
    mac.update(body);
    let hex: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("t={NOW},v1={hex}")
}

/// Whether a header names something that must not be named twice.
fn has_part(header: &str) -> bool {
    header.split(',').any(|part| ["t=", "v1="].iter().any(|name| part.trim().starts_with(name)))
}

fn believe(body: CallbackBody) {
    let key = match body.happened() {
        Some(Happened::Charge(charge)) => {
            let (key, amount) = (charge.key.clone(), charge.amount);
            match charge.answer(&key, Money(amount)) {
                Answer::Captured { reference } => assert!(reference.len() <= LONGEST_NAME),
                Answer::Declined { reason } => is_a_reason(&reason),
                Answer::Unknown { why } => assert!(why.len() <= LONGEST_NAME),
                _ => {}
            }
            key
        }
        Some(Happened::Refund(refund)) => {
            let (key, amount) = (refund.charge_key.clone(), refund.amount);
            match refund.answer(&key, Money(amount)) {
                RefundAnswer::Refused { reason } => is_a_reason(&reason),
                RefundAnswer::Unknown { why } => assert!(why.len() <= LONGEST_NAME),
                _ => {}
            }
            key
        }
        None => return,
    };
    if let Some((order_id, number)) = attempt_of(&key) {
        assert_eq!(attempt_of(&format!("{order_id}-{number}")), Some((order_id, number)), "{key}");
    }
}

fn is_a_reason(reason: &str) {
    assert!((1..=64).contains(&reason.len()) && !may_hold_a_card(reason), "{reason}");
}

/// The whole configuration.
pub fn config(bytes: &[u8]) {
    common::fuzzing::config::<Payments>(ABOUT.section, bytes, |settings| {
        settings.own.check()?;
        settings.own.options()?;
        settings.own.callback_secret().map(drop)
    });
}

#[cfg(test)]
mod tests {
    use common::fuzzing::seeds;

    use super::*;

    #[test]
    fn every_seed_is_well() {
        seeds("payment", payment);
        seeds("callback", callback);
        seeds("config", config);
    }
}
