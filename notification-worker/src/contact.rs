//! How a customer can be reached. A value of one of these types is well formed, and can stand in a mail's header or an
//! SMTP command as it is.

use std::fmt;

/// The way by which somebody is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Channel {
    Log,
    Email,
    Sms,
}

impl Channel {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Log => "log",
            Self::Email => "email",
            Self::Sms => "sms",
        }
    }

    /// One by which a customer may want to be told.
    pub(crate) fn of_customer(name: &str) -> Option<Self> {
        [Self::Email, Self::Sms].into_iter().find(|channel| channel.as_str() == name)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Contact {
    pub email: Option<Email>,
    pub phone: Option<Phone>,
    /// The one that is wanted; its address is there.
    pub channel: Channel,
}

/// A mail address of the plain kind that all the world uses: ASCII, without quotes, comments or address literals.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Email(String);

/// A telephone number by E.164.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Phone(String);

impl Email {
    pub(crate) const SHAPE: &str = "must be a mail address of at most 254 plain characters, such as name@example.com";

    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (local, domain) = text.rsplit_once('@')?;
        let fits = text.len() <= 254 && local.len() <= 64;
        (fits && is_local_part(local) && is_domain(domain)).then(|| Self(text.to_owned()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// RFC 5321's dot-string: atoms with single dots between them.
fn is_local_part(text: &str) -> bool {
    let is_atom = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&b);
    text.split('.').all(|atom| !atom.is_empty() && atom.bytes().all(is_atom))
}

/// At least two labels, the last of them no number.
fn is_domain(text: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let Some((_, last)) = text.rsplit_once('.') else { return false };
    text.len() <= 253 && text.split('.').all(is_label) && !last.bytes().all(|b| b.is_ascii_digit())
}

impl Phone {
    pub(crate) const SHAPE: &str = "must be an international number of + and 7 to 15 digits, such as +15551234567";

    pub(crate) fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('+')?;
        let fits = (7..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
        (fits && !digits.starts_with('0')).then(|| Self(text.to_owned()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Phone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_addresses_are_taken_and_mean_the_same_to_the_mailer() {
        for text in ["demo@example.test", "a.b+c@x-y.example.co", "o'neill@example.com", "UPPER@EXAMPLE.COM"] {
            assert!(Email::parse(text).is_some(), "{text}");
            assert_eq!(text.parse::<lettre::Address>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_could_be_more_than_an_address_is_refused() {
        for text in [
            "",
            "@",
            "a",
            "a@",
            "@b.example",
            "a@b",
            "a@b..example",
            "a@.example",
            "a@b.example.",
            "a@-b.example",
            "a@b-.example",
            "a@127.0.0.1",
            "a@[127.0.0.1]",
            ".a@b.example",
            "a.@b.example",
            "a..b@c.example",
            "a b@c.example",
            "a@b.example\r\nBcc: c@d.example",
            "a@b.example\n",
            "a\0@b.example",
            "\"a b\"@c.example",
            "a@b@c.example",
            "a@b.example, c@d.example",
            "<a@b.example>",
            "A <a@b.example>",
            "a@b.exa mple",
            "ü@b.example",
            "a@ü.example",
            "a(x)@b.example",
            "a;b@c.example",
            "a:b@c.example",
            " a@b.example",
            "a@b.example ",
            "a\u{2028}@b.example",
        ] {
            assert!(Email::parse(text).is_none(), "{text:?}");
        }
        assert!(Email::parse(&format!("{}@b.example", "x".repeat(64))).is_some());
        assert!(Email::parse(&format!("{}@b.example", "x".repeat(65))).is_none());
        assert!(Email::parse(&format!("a@{}b.example", "x.".repeat(130))).is_none());
        assert!(Email::parse(&format!("a@{}.example", "x".repeat(64))).is_none());
    }

    #[test]
    fn a_number_is_international_and_nothing_else() {
        for text in ["+15551234567", "+4930123456", "+1234567", "+123456789012345"] {
            assert!(Phone::parse(text).is_some(), "{text}");
        }
        for text in [
            "",
            "+",
            "15551234567",
            "+0155512345",
            "+123456",
            "+1234567890123456",
            "+1 555 1234567",
            "+1555123456٣",
            "+1555\r\n1234",
            "++15551234567",
        ] {
            assert!(Phone::parse(text).is_none(), "{text:?}");
        }
    }
}
