use std::str;

use serde_json::value::RawValue;

use crate::money::{BadMoney, Currency, LARGEST, Money};

/// Exponents beyond this are not laid out in digits.
const LAID_OUT: u64 = 1_000;

/// The decimal places of the currency, and the text of an amount: it is judged by value, as by another way of reckoning.
pub fn money(bytes: &[u8]) {
    let Some((exponent, text)) = bytes.split_first() else { return };
    let Ok(text) = str::from_utf8(text) else { return };
    let currency = Currency { code: "XXX".to_owned(), exponent: exponent % 5 };
    let parsed = currency.parse(text);
    if let Ok(money) = parsed {
        assert!((0..=largest(&currency)).contains(&i128::from(money.0)), "{text}: {money:?}");
        assert_eq!(currency.parse(&currency.format(money)), Ok(money), "{text}");
    }
    // An amount is a JSON value, of whatever kind.
    if serde_json::from_str::<&RawValue>(text).is_ok_and(|raw| raw.get() == text)
        && let Some(expected) = laid_out(&currency, text)
    {
        assert_eq!(parsed, expected, "{text}");
    }
}

fn largest(currency: &Currency) -> i128 {
    i128::from(LARGEST) * 10_i128.pow(currency.exponent.into())
}

/// By its digits, written out with their point. None where those would be too many.
fn laid_out(currency: &Currency, text: &str) -> Option<Result<Money, BadMoney>> {
    if !text.starts_with(|c: char| c == '-' || c.is_ascii_digit()) {
        return Some(Err(BadMoney::NotANumber));
    }
    let (negative, text) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (mantissa, power) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let power = power.parse::<i64>().ok().filter(|power| power.unsigned_abs() <= LAID_OUT)?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let point = i64::try_from(whole.len()).ok()? + power;
    let before = usize::try_from(point).unwrap_or(0);
    let leading = "0".repeat(usize::try_from(-point).unwrap_or(0));
    let (whole, fraction) = match digits.split_at_checked(before) {
        Some((whole, fraction)) => (whole.to_owned(), format!("{leading}{fraction}")),
        None => (format!("{digits:0<before$}"), String::new()),
    };
    let fraction = fraction.trim_end_matches('0');
    let places = usize::from(currency.exponent);
    let minor = format!("{whole}{fraction:0<places$}");
    let minor = minor.trim_start_matches('0');
    Some(if minor.is_empty() {
        Ok(Money(0))
    } else if negative {
        Err(BadMoney::Negative)
    } else if fraction.len() > places {
        Err(BadMoney::TooPrecise(currency.exponent))
    } else {
        let minor = minor.parse::<i128>().ok().filter(|minor| *minor <= largest(currency));
        minor.and_then(|minor| i64::try_from(minor).ok()).map(Money).ok_or(BadMoney::TooLarge)
    })
}
