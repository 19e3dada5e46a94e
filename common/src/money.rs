//! Money: whole minor units of the shop's one currency. Never a float, on the way in or out.

use serde::{Deserialize, Serialize};

/// An amount in minor units (cents, for an exponent of 2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Money(pub i64);

/// The largest amount taken, in whole units of the currency.
pub const LARGEST: i64 = 1_000_000_000_000;

/// Why a JSON number is not an amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadMoney {
    #[error("must be a number")]
    NotANumber,
    #[error("must not be negative")]
    Negative,
    #[error("must not have more than {0} decimal places")]
    TooPrecise(u8),
    #[error("must not exceed {LARGEST}")]
    TooLarge,
}

/// The currency a shop trades in: its ISO 4217 code and how many decimal places it has.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Currency {
    pub code: String,
    pub exponent: u8,
}

impl Default for Currency {
    fn default() -> Self {
        Self { code: "USD".to_owned(), exponent: 2 }
    }
}

impl Currency {
    /// Reads the text of a JSON number. It is judged by value: `100.500`, `1.005e2` and `100.5` are one amount.
    pub fn parse(&self, text: &str) -> Result<Money, BadMoney> {
        let (negative, text) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, parse_exponent(exponent)?),
            None => (text, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits: Vec<u8> = whole.bytes().chain(fraction.bytes()).collect();
        if whole.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
            return Err(BadMoney::NotANumber);
        }
        let Some(first) = digits.iter().position(|d| *d != b'0') else {
            return Ok(Money(0));
        };
        let last = digits.iter().rposition(|d| *d != b'0').unwrap_or(first);
        // From the amount in digits (d₁d₂…dₙ × 10^power) to minor units.
        let dropped = i64::try_from(digits.len() - 1 - last).map_err(|_| BadMoney::TooLarge)?;
        let decimals = i64::try_from(fraction.len()).map_err(|_| BadMoney::TooLarge)?;
        let power = exponent - decimals + dropped + i64::from(self.exponent);
        if negative {
            return Err(BadMoney::Negative);
        }
        if power < 0 {
            return Err(BadMoney::TooPrecise(self.exponent));
        }
        let mut minor: i64 = 0;
        let significant = digits.get(first..=last).unwrap_or_default();
        for digit in significant.iter().map(|d| i64::from(d - b'0')).chain((0..power.min(20)).map(|_| 0)) {
            minor = minor
                .checked_mul(10)
                .and_then(|m| m.checked_add(digit))
                .filter(|m| *m <= self.largest())
                .ok_or(BadMoney::TooLarge)?;
        }
        Ok(Money(minor))
    }

    /// The amount as the text of a JSON number, always with all its decimals: `100.50`.
    #[must_use]
    pub fn format(&self, money: Money) -> String {
        let unit = self.unit().unsigned_abs();
        let sign = if money.0 < 0 { "-" } else { "" };
        let minor = money.0.unsigned_abs();
        if self.exponent == 0 {
            return format!("{sign}{minor}");
        }
        format!("{sign}{}.{:0width$}", minor / unit, minor % unit, width = usize::from(self.exponent))
    }

    fn unit(&self) -> i64 {
        10_i64.saturating_pow(u32::from(self.exponent))
    }

    fn largest(&self) -> i64 {
        LARGEST.saturating_mul(self.unit())
    }
}

/// A JSON exponent. One too long for an `i32` is out of any range either way, so it saturates.
fn parse_exponent(text: &str) -> Result<i64, BadMoney> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(BadMoney::NotANumber);
    }
    let value = i64::from(digits.parse::<i32>().unwrap_or(i32::MAX));
    Ok(if text.starts_with('-') { -value } else { value })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<i64, BadMoney> {
        Currency::default().parse(text).map(|m| m.0)
    }

    #[test]
    fn an_amount_is_judged_by_its_value() {
        for text in
            ["100.5", "100.50", "100.500000000000000000000000000000000", "1.005e2", "1005E-1", "10050e-2", "0.1005e+3"]
        {
            assert_eq!(parse(text), Ok(10_050), "{text}");
        }
        for text in ["0", "0.00", "-0", "0e999999999999", "-0.0"] {
            assert_eq!(parse(text), Ok(0), "{text}");
        }
    }

    #[test]
    fn what_is_not_an_exact_amount_is_refused() {
        assert_eq!(parse("100.505"), Err(BadMoney::TooPrecise(2)));
        assert_eq!(parse("1e-400"), Err(BadMoney::TooPrecise(2)));
        assert_eq!(parse("-0.01"), Err(BadMoney::Negative));
        assert_eq!(parse("1e400"), Err(BadMoney::TooLarge));
        assert_eq!(parse("1e99999999999999999999"), Err(BadMoney::TooLarge));
        assert_eq!(parse("1000000000000.01"), Err(BadMoney::TooLarge));
        assert_eq!(parse(&"9".repeat(500)), Err(BadMoney::TooLarge));
        for text in ["", "NaN", "1.2.3", "--1", "1e", "0x10", ".5", "\"1\"", "null", "1 "] {
            assert_eq!(parse(text), Err(BadMoney::NotANumber), "{text}");
        }
        assert_eq!(parse("1000000000000"), Ok(LARGEST * 100));
    }

    #[test]
    fn every_amount_survives_the_round_trip() {
        for exponent in [0, 2, 3] {
            let currency = Currency { code: "XXX".to_owned(), exponent };
            for minor in [0, 1, 9, 10, 99, 100, 10_050, 123_456_789_012] {
                assert_eq!(currency.parse(&currency.format(Money(minor))), Ok(Money(minor)));
            }
        }
        assert_eq!(Currency::default().format(Money(-5)), "-0.05");
    }
}
