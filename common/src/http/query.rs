//! The parameters of an address, each read once, with everything that is wrong with them said at once.

use std::{fmt::Display, ops::RangeInclusive, str::FromStr};

use axum::http::Uri;
use percent_encoding::percent_decode_str;

use super::{
    code::codes::{DUPLICATE_FIELD, INVALID_FIELD, UNKNOWN_FIELD},
    problem::{FieldError, Problem},
};

pub struct Query {
    parameters: Vec<(String, String)>,
    errors: Vec<FieldError>,
}

impl Query {
    #[must_use]
    pub fn of(address: &Uri) -> Self {
        let decode = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let parameters = address
            .query()
            .unwrap_or_default()
            .split('&')
            .filter(|part| !part.is_empty())
            .map(|part| part.split_once('=').unwrap_or((part, "")))
            .map(|(name, value)| (decode(name), decode(value)))
            .collect();
        Self { parameters, errors: Vec::new() }
    }

    /// A parameter that may be missing. An error says what it must be.
    pub fn optional<T>(&mut self, name: &str, read: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        let (mut given, others): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.parameters).into_iter().partition(|(given, _)| given == name);
        self.parameters = others;
        let (_, value) = given.pop()?;
        if !given.is_empty() {
            self.errors.push(FieldError::new(DUPLICATE_FIELD, name, "is there twice"));
            return None;
        }
        read(&value).map_err(|why| self.errors.push(FieldError::new(INVALID_FIELD, name, why))).ok()
    }

    /// Nothing more is understood.
    pub fn finish(mut self) -> Result<(), Problem> {
        // What is meant by a parameter that is not known cannot be guessed, and its name may be anything.
        if !self.parameters.is_empty() {
            let message = "there is a parameter that means nothing here";
            let name = |name: &str| name.chars().filter(|c| !c.is_control()).take(64).collect::<String>();
            self.errors
                .extend(self.parameters.iter().take(1).map(|(n, _)| FieldError::new(UNKNOWN_FIELD, name(n), message)));
        }
        if self.errors.is_empty() { Ok(()) } else { Err(Problem::invalid(self.errors)) }
    }
}

/// A whole number from a range, in plain digits.
pub fn whole<T: FromStr + PartialOrd + Display>(text: &str, range: RangeInclusive<T>) -> Result<T, String> {
    let is_plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = if is_plain { text.parse().ok() } else { None };
    number
        .filter(|number| range.contains(number))
        .ok_or_else(|| format!("must be a whole number from {} to {}", range.start(), range.end()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusals(address: &str) -> Vec<(&'static str, String)> {
        let mut query = Query::of(&address.parse().unwrap());
        query.optional("wait", |text| whole(text, 0..=60));
        query.optional("user", |text| if text == "a+b:c" { Ok(()) } else { Err("must be a+b:c".to_owned()) });
        match query.finish() {
            Ok(()) => Vec::new(),
            Err(problem) => problem.errors.into_iter().map(|e| (e.code.name, e.field.unwrap_or_default())).collect(),
        }
    }

    #[test]
    fn everything_that_is_wrong_with_the_parameters_is_said_at_once() {
        for fine in ["/", "/?", "/?&", "/?wait=0", "/?wait=60&user=a%2Bb%3ac", "/?user=a+b:c"] {
            assert_eq!(refusals(fine), [], "{fine}");
        }
        for bad in ["61", "-1", "+1", "1.0", "", "x", "999999999999999999999", "%00"] {
            assert_eq!(refusals(&format!("/?wait={bad}")), [("invalid_field", "wait".to_owned())], "{bad}");
        }
        assert_eq!(
            refusals("/?wait=1&wait=1&user=%FF&Wait=1"),
            [
                ("duplicate_field", "wait".to_owned()),
                ("invalid_field", "user".to_owned()),
                ("unknown_field", "Wait".to_owned())
            ]
        );
    }
}
