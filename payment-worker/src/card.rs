//! A customer's card, for as long as it takes to hand it on. It cannot be printed, stored or compared, and is wiped from
//! memory when it is dropped.

use secrecy::{ExposeSecret as _, SecretString};
use time::{Date, Month, OffsetDateTime, macros::format_description};

/// A card whose number, expiry and CVV could be a real one's. It has no `Debug`.
pub struct Card {
    number: SecretString,
    cvv: SecretString,
    pub expiry: Expiry,
}

/// The last month in which a card is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Expiry {
    pub year: i32,
    pub month: u8,
}

/// What is wrong with a card. It says which part, and repeats nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadCard {
    Number,
    Expiry,
    Expired,
    Cvv,
}

impl Card {
    /// Checks everything, and says everything that is wrong.
    pub fn check(
        number: SecretString,
        expiry: &SecretString,
        cvv: SecretString,
        today: Date,
    ) -> Result<Self, Vec<BadCard>> {
        let mut bad = Vec::new();
        if !is_card_number(number.expose_secret()) {
            bad.push(BadCard::Number);
        }
        let expiry = Expiry::parse(expiry.expose_secret());
        match expiry {
            None => bad.push(BadCard::Expiry),
            Some(expiry) if expiry < Expiry::of(today) => bad.push(BadCard::Expired),
            Some(_) => {}
        }
        if !(3..=4).contains(&cvv.expose_secret().len()) || !is_digits(cvv.expose_secret()) {
            bad.push(BadCard::Cvv);
        }
        match expiry {
            Some(expiry) if bad.is_empty() => Ok(Self { number, cvv, expiry }),
            _ => Err(bad),
        }
    }

    /// For the gateway, and nobody else.
    pub(crate) fn expose(&self) -> (&str, &str) {
        (self.number.expose_secret(), self.cvv.expose_secret())
    }
}

impl Expiry {
    /// `MM/YY`.
    fn parse(text: &str) -> Option<Self> {
        let (month, year) = text.split_once('/')?;
        if month.len() != 2 || year.len() != 2 || !is_digits(month) || !is_digits(year) {
            return None;
        }
        let month = month.parse().ok().filter(|month| (1..=12).contains(month))?;
        Some(Self { year: 2000 + year.parse::<i32>().ok()?, month })
    }

    fn of(date: Date) -> Self {
        Self { year: date.year(), month: u8::from(date.month()) }
    }
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

/// 12 to 19 digits, the last of which follows from the others (Luhn).
fn is_card_number(text: &str) -> bool {
    if !(12..=19).contains(&text.len()) || !is_digits(text) {
        return false;
    }
    let sum: u32 = text
        .bytes()
        .rev()
        .zip([false, true].into_iter().cycle())
        .map(|(digit, doubled)| {
            let digit = u32::from(digit - b'0') * if doubled { 2 } else { 1 };
            if digit > 9 { digit - 9 } else { digit }
        })
        .sum();
    sum.is_multiple_of(10)
}

/// Which day it is, for cards: today, unless a test says otherwise.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Calendar {
    pub pretended: Option<Date>,
}

impl Calendar {
    pub(crate) fn today(self) -> Date {
        self.pretended.unwrap_or_else(|| OffsetDateTime::now_utc().date())
    }
}

/// `2025-06-30`.
pub(crate) fn parse_day(text: &str) -> Option<Date> {
    Date::parse(text, format_description!("[year]-[month]-[day]")).ok().filter(|date| date.month() >= Month::January)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(number: &str, expiry: &str, cvv: &str) -> Result<(), Vec<BadCard>> {
        let today = parse_day("2025-12-31").unwrap();
        Card::check(number.into(), &expiry.into(), cvv.into(), today).map(drop)
    }

    #[test]
    fn the_documented_card_was_good_until_the_end_of_2025() {
        assert_eq!(check("4111111111111111", "12/25", "123"), Ok(()));
        assert_eq!(check("4111111111111111", "11/25", "123"), Err(vec![BadCard::Expired]));
        let after = parse_day("2026-01-01").unwrap();
        let card = Card::check("4111111111111111".into(), &"12/25".into(), "123".into(), after);
        assert_eq!(card.err(), Some(vec![BadCard::Expired]));
    }

    #[test]
    fn everything_that_is_wrong_with_a_card_is_said_at_once() {
        assert_eq!(check("4111111111111112", "13/25", "12"), Err(vec![BadCard::Number, BadCard::Expiry, BadCard::Cvv]));
        for number in ["", "0", "411111111111111a", "4111 1111 1111 1111", "４111111111111111", &"0".repeat(20)] {
            assert_eq!(check(number, "12/25", "1234"), Err(vec![BadCard::Number]), "{number}");
        }
        for number in ["378282246310005", "5555555555554444", "4000000000000028", "6304000000000000"] {
            assert_eq!(check(number, "01/99", "123"), Ok(()), "{number}");
        }
        for expiry in ["", "1/26", "12/2026", "12-26", "00/26", "+1/26", "12/2 ", "ab/cd"] {
            assert_eq!(check("4111111111111111", expiry, "123"), Err(vec![BadCard::Expiry]), "{expiry}");
        }
        for cvv in ["", "12", "12345", "12a", "１２３"] {
            assert_eq!(check("4111111111111111", "12/26", cvv), Err(vec![BadCard::Cvv]), "{cvv}");
        }
    }
}
