//! What travels between the gateway and us. What comes in is hostile: it is bounded, and believed only about the charge
//! that it was asked about.

use common::money::Money;
use secrecy::zeroize::Zeroizing;
use serde::{Deserialize, Serialize};

use super::{Answer, Means, NoToken, RefundAnswer, StoredMethod};
use crate::card::Card;

/// The longest name of the gateway's that is kept.
const LONGEST: usize = 100;
/// Room for a body with a card in it, so that it never moves in memory and leaves a copy behind.
const BODY: usize = 1_024;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ChargeBody<'a> {
    pub amount: i64,
    pub currency: &'a str,
    pub reference: String,
    pub order_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub callback_url: Option<&'a str>,
    pub method: Method<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Method<'a> {
    #[serde(rename_all = "camelCase")]
    Card {
        r#type: &'static str,
        number: &'a str,
        exp_month: u8,
        exp_year: i32,
        cvv: &'a str,
    },
    Token {
        r#type: &'static str,
        token: &'a str,
    },
    Other {
        r#type: &'a str,
    },
}

impl<'a> From<&'a Means> for Method<'a> {
    fn from(means: &'a Means) -> Self {
        match means {
            Means::Card(card) => card.into(),
            Means::Token(token) => Self::Token { r#type: "token", token },
            Means::Other(name) => Self::Other { r#type: name },
        }
    }
}

impl<'a> From<&'a Card> for Method<'a> {
    fn from(card: &'a Card) -> Self {
        let (number, cvv) = card.expose();
        Self::Card { r#type: "card", number, exp_month: card.expiry.month, exp_year: card.expiry.year, cvv }
    }
}

#[derive(Serialize)]
pub(super) struct VoidBody<'a> {
    pub key: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RefundBody<'a> {
    pub charge_key: &'a str,
    pub amount: i64,
}

/// A body that is wiped when the last who reads it is done.
pub(super) fn body(value: &impl Serialize) -> Result<bytes::Bytes, serde_json::Error> {
    let mut text = Zeroizing::new(Vec::with_capacity(BODY));
    serde_json::to_writer(&mut *text, value)?;
    Ok(bytes::Bytes::from_owner(text))
}

/// A charge as it stands.
#[derive(Deserialize)]
pub(crate) struct ChargeReply {
    pub id: String,
    pub key: String,
    pub status: String,
    pub amount: i64,
    pub reason: Option<String>,
}

impl ChargeReply {
    /// What it says, if it is about this charge.
    pub(crate) fn answer(self, key: &str, amount: Money) -> Answer {
        // What was voided before it was charged never had an amount.
        let is_amount = self.amount == amount.0 || self.status == "voided";
        if self.key != key || !is_amount {
            return Answer::Unknown { why: "the gateway answered for another charge".to_owned() };
        }
        match self.status.as_str() {
            "captured" => Answer::Captured { reference: name(&self.id) },
            "declined" => Answer::Declined { reason: reason(self.reason) },
            "voided" => Answer::Voided,
            "processing" => Answer::Processing,
            _ => Answer::Unknown { why: "the gateway answered with a status that is not known".to_owned() },
        }
    }
}

/// Why the gateway does not take what it was asked.
#[derive(Deserialize)]
pub(super) struct Refusal {
    pub error: String,
}

/// A refund as it stands.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RefundReply {
    pub charge_key: String,
    pub status: String,
    pub amount: i64,
    pub reason: Option<String>,
}

impl RefundReply {
    pub(crate) fn answer(self, key: &str, amount: Money) -> RefundAnswer {
        if self.charge_key != key || self.amount != amount.0 {
            return RefundAnswer::Unknown { why: "the gateway answered for another refund".to_owned() };
        }
        match self.status.as_str() {
            "refunded" => RefundAnswer::Refunded,
            "refused" => RefundAnswer::Refused { reason: reason(self.reason) },
            "processing" => RefundAnswer::Processing,
            _ => RefundAnswer::Unknown { why: "the gateway answered with a status that is not known".to_owned() },
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MethodReply {
    token: String,
    brand: String,
    last4: String,
    exp_month: i32,
    exp_year: i32,
}

impl MethodReply {
    /// What may be kept of it. A token that is a number is a number too many.
    pub(crate) fn stored(self) -> Result<StoredMethod, NoToken> {
        let is_last4 = self.last4.len() == 4 && self.last4.bytes().all(|b| b.is_ascii_digit());
        let is_token = name(&self.token) == self.token && self.token.bytes().any(|b| b.is_ascii_alphabetic());
        let is_date = (1..=12).contains(&self.exp_month) && (2000..3000).contains(&self.exp_year);
        if !is_last4 || !is_token || !is_date {
            return Err(NoToken::Away { why: "the gateway answered with something that is no method".to_owned() });
        }
        Ok(StoredMethod {
            brand: reason(Some(self.brand)).chars().take(32).collect(),
            token: self.token,
            last4: self.last4,
            exp_month: self.exp_month,
            exp_year: self.exp_year,
        })
    }
}

/// The body of a callback.
#[derive(Deserialize)]
pub(crate) struct CallbackBody {
    pub id: String,
    #[serde(rename = "type")]
    pub kind: String,
    charge: Option<ChargeReply>,
    refund: Option<RefundReply>,
}

/// What a callback tells.
pub(crate) enum Happened {
    Charge(ChargeReply),
    Refund(RefundReply),
}

impl CallbackBody {
    /// None where its type and its contents do not belong together.
    pub(crate) fn happened(self) -> Option<Happened> {
        match (self.kind.as_str(), self.charge, self.refund) {
            ("charge.captured" | "charge.declined", Some(charge), None) => Some(Happened::Charge(charge)),
            ("refund.refunded" | "refund.refused", None, Some(refund)) => Some(Happened::Refund(refund)),
            _ => None,
        }
    }
}

/// A reason is a short name: anything else is not passed on.
fn reason(given: Option<String>) -> String {
    let is_name = |text: &String| {
        (1..=64).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    };
    // A long number has no place in a reason.
    let is_harmless = |text: &String| text.bytes().filter(u8::is_ascii_digit).count() < 8;
    given.filter(is_name).filter(is_harmless).unwrap_or_else(|| "declined".to_owned())
}

fn name(given: &str) -> String {
    given.chars().filter(char::is_ascii_graphic).take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gateway_is_believed_only_about_what_it_was_asked() {
        let reply = |key: &str, status: &str, amount| ChargeReply {
            id: "ch_1".to_owned(),
            key: key.to_owned(),
            status: status.to_owned(),
            amount,
            reason: Some("a 4111111111111111 b".to_owned()),
        };
        let answer = |reply: ChargeReply| reply.answer("k", Money(5));
        assert_eq!(answer(reply("k", "captured", 5)), Answer::Captured { reference: "ch_1".to_owned() });
        assert_eq!(answer(reply("k", "declined", 5)), Answer::Declined { reason: "declined".to_owned() });
        assert_eq!(answer(reply("k", "voided", 0)), Answer::Voided);
        for other in
            [reply("j", "voided", 5), reply("j", "captured", 5), reply("k", "captured", 6), reply("k", "new", 5)]
        {
            assert!(matches!(answer(other), Answer::Unknown { .. }));
        }
    }

    #[test]
    fn a_token_that_is_a_number_is_not_kept() {
        let reply = |token: &str, last4: &str| MethodReply {
            token: token.to_owned(),
            brand: "visa".to_owned(),
            last4: last4.to_owned(),
            exp_month: 12,
            exp_year: 2030,
        };
        assert!(reply("pm_1", "1111").stored().is_ok());
        assert!(reply("4111111111111111", "1111").stored().is_err());
        assert!(reply("pm_1", "4111111111111111").stored().is_err());
    }
}
