//! What the gateway is asked, and whether it makes sense. Cards are here and nowhere else: nothing here can be printed.

use serde::Deserialize;

use crate::{
    callbacks::Address,
    cards::{self, APPROVED, Behaviour, EXPIRED},
    ledger::{self, LARGEST_AMOUNT, Order},
    requests::{Refused, key_in, text},
};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct WantedCharge {
    amount: i64,
    currency: String,
    reference: String,
    order_id: String,
    callback_url: Option<String>,
    method: WantedMethod,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct WantedMethod {
    #[serde(rename = "type")]
    kind: String,
    number: Option<String>,
    exp_month: Option<u8>,
    exp_year: Option<i32>,
    cvv: Option<String>,
    token: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct WantedVoid {
    pub(super) key: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct WantedRefund {
    pub(super) charge_key: String,
    pub(super) amount: i64,
}

pub(super) enum Method {
    Card(Card),
    Token { behaviour: &'static Behaviour, last4: String },
    Other(String),
}

pub(super) struct Card {
    pub(super) number: String,
    pub(super) exp_month: u8,
    pub(super) exp_year: i32,
    cvv: String,
}

/// Of a method, what makes it another one though it does the same. Goes into a hash of this process and no further.
#[derive(Hash)]
pub(super) struct Secret(Option<(String, u8, i32, String)>);

impl WantedCharge {
    pub(super) fn checked(self, today: (i32, u8)) -> Result<(Order, Secret), Refused> {
        amount(self.amount)?;
        if self.currency.len() != 3 || !self.currency.bytes().all(|byte| byte.is_ascii_uppercase()) {
            return Err(Refused::bad("bad_request", "currency must be three capital letters"));
        }
        if self.callback_url.as_deref().is_some_and(|url| url.len() > 500 || Address::parse(url).is_none()) {
            return Err(Refused::bad("bad_request", "callbackUrl must be http://host[:port]/path"));
        }
        let (method, secret) = self.method.checked()?.known(today);
        let order = Order {
            amount: self.amount,
            currency: self.currency,
            reference: text(&self.reference, 100, "reference")?,
            order_id: text(&self.order_id, 100, "orderId")?,
            callback_url: self.callback_url,
            method,
        };
        Ok((order, secret))
    }
}

impl WantedRefund {
    pub(super) fn checked(self) -> Result<Self, Refused> {
        amount(self.amount)?;
        key_in(&self.charge_key, "chargeKey")?;
        Ok(self)
    }
}

fn amount(amount: i64) -> Result<(), Refused> {
    if (1..=LARGEST_AMOUNT).contains(&amount) {
        return Ok(());
    }
    Err(Refused::bad("bad_amount", format!("amount must be 1 to {LARGEST_AMOUNT}, in minor units")))
}

impl WantedMethod {
    pub(super) fn checked(self) -> Result<Method, Refused> {
        match self.kind.as_str() {
            "card" => Card::checked(self).map(Method::Card),
            "token" => {
                let known = self.token.as_deref().and_then(cards::of_token);
                let (behaviour, last4) = known.ok_or_else(|| Refused::bad("bad_token", "there is no such token"))?;
                Ok(Method::Token { behaviour, last4: last4.to_owned() })
            }
            kind if (1..=32).contains(&kind.len())
                && kind.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_') =>
            {
                Ok(Method::Other(self.kind))
            }
            _ => Err(Refused::bad("bad_method", "type must be card, token, or another method's name such as paypal")),
        }
    }
}

impl Method {
    fn known(self, today: (i32, u8)) -> (ledger::Method, Secret) {
        match self {
            Self::Card(card) => {
                let method = ledger::Method {
                    kind: "card".to_owned(),
                    brand: Some(cards::brand(&card.number)),
                    last4: Some(cards::last4(&card.number).to_owned()),
                    behaviour: card.behaviour(today),
                };
                (method, Secret(Some((card.number, card.exp_month, card.exp_year, card.cvv))))
            }
            Self::Token { behaviour, last4 } => {
                let kind = "token".to_owned();
                (ledger::Method { kind, brand: None, last4: Some(last4), behaviour }, Secret(None))
            }
            Self::Other(kind) => {
                (ledger::Method { kind, brand: None, last4: None, behaviour: &APPROVED }, Secret(None))
            }
        }
    }
}

impl Card {
    fn checked(wanted: WantedMethod) -> Result<Self, Refused> {
        let number = wanted.number.filter(|number| cards::is_number(number));
        let exp_month = wanted.exp_month.filter(|month| (1..=12).contains(month));
        let exp_year = wanted.exp_year.filter(|year| (2000..=2099).contains(year));
        let is_cvv = |cvv: &String| (3..=4).contains(&cvv.len()) && cvv.bytes().all(|byte| byte.is_ascii_digit());
        let cvv = wanted.cvv.filter(is_cvv);
        let wrong = |what: &str| Refused::bad("bad_card", what);
        Ok(Self {
            number: number.ok_or_else(|| wrong("number is not the number of a card"))?,
            exp_month: exp_month.ok_or_else(|| wrong("expMonth must be 1 to 12"))?,
            exp_year: exp_year.ok_or_else(|| wrong("expYear must be 2000 to 2099"))?,
            cvv: cvv.ok_or_else(|| wrong("cvv must be 3 or 4 digits"))?,
        })
    }

    /// A card is good until its month is over.
    pub(super) fn behaviour(&self, today: (i32, u8)) -> &'static Behaviour {
        if (self.exp_year, self.exp_month) < today { &EXPIRED } else { cards::of_number(&self.number) }
    }
}
