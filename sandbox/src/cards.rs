//! What each card does: data, read by the gateway, the ledger and the page that lists them.

use std::hash::{Hash, Hasher};

/// How a charge ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Captured,
    Declined(&'static str),
}

/// How, and when, the one who charges learns of the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Course {
    AtOnce,
    /// At once too, but the answer takes two seconds.
    Slowly,
    /// At once, and no answer says so.
    Unanswered,
    /// The first request under a key fails and charges nothing.
    ErrorFirst,
    /// `processing`; the end comes a little later, with so many callbacks.
    Later {
        callbacks: u8,
    },
    /// `processing`; the callback of the end is there before this answer.
    CallbackFirst,
}

/// What becomes of its refunds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refunding {
    AtOnce,
    Refused,
    Later,
}

#[derive(Debug)]
pub(crate) struct Behaviour {
    pub(crate) name: &'static str,
    pub(crate) number: &'static str,
    pub(crate) end: End,
    pub(crate) course: Course,
    pub(crate) refunding: Refunding,
    /// For people.
    pub(crate) tells: &'static str,
}

/// A behaviour is its name.
impl Hash for Behaviour {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

pub(crate) static APPROVED: Behaviour = Behaviour {
    name: "approved",
    number: "4111111111111111",
    end: End::Captured,
    course: Course::AtOnce,
    refunding: Refunding::AtOnce,
    tells: "captured at once, as with every number that is not in this list",
};

/// For a card whose month is over, whatever its number.
pub(crate) static EXPIRED: Behaviour = Behaviour {
    name: "expired_card",
    number: "4000000000000036",
    end: End::Declined("expired_card"),
    tells: "declined: expired_card, as with every card whose month is over",
    ..APPROVED
};

static SPECIAL: [Behaviour; 12] = [
    Behaviour {
        name: "declined",
        number: "4000000000000010",
        end: End::Declined("card_declined"),
        tells: "declined: card_declined",
        ..APPROVED
    },
    Behaviour {
        name: "insufficient_funds",
        number: "4000000000000028",
        end: End::Declined("insufficient_funds"),
        tells: "declined: insufficient_funds",
        ..APPROVED
    },
    Behaviour {
        name: "slow",
        number: "4000000000000044",
        course: Course::Slowly,
        tells: "captured, answered after 2 s",
        ..APPROVED
    },
    Behaviour {
        name: "timeout",
        number: "4000000000000051",
        course: Course::Unanswered,
        tells: "captured, and never answered: the connection stays open for 60 s and is closed without a word. \
                The charge can be asked for by its key, and a second POST under that key is answered at once",
        ..APPROVED
    },
    Behaviour {
        name: "callback_lost",
        number: "4000000000000069",
        course: Course::Later { callbacks: 0 },
        tells: "processing; captured 300 ms later without any callback: only asking tells",
        ..APPROVED
    },
    Behaviour {
        name: "callback_twice",
        number: "4000000000000077",
        course: Course::Later { callbacks: 2 },
        tells: "processing; captured 300 ms later, and the callback is sent twice, with the same event id",
        ..APPROVED
    },
    Behaviour {
        name: "callback_first",
        number: "4000000000000085",
        course: Course::CallbackFirst,
        tells: "the callback of the capture is delivered before the POST is answered `processing`",
        ..APPROVED
    },
    Behaviour {
        name: "error",
        number: "4000000000000093",
        course: Course::ErrorFirst,
        tells: "500 on the first POST under a key, with nothing charged; captured on the next",
        ..APPROVED
    },
    Behaviour {
        name: "async",
        number: "4000000000000101",
        course: Course::Later { callbacks: 1 },
        tells: "processing; captured 300 ms later, with a callback",
        ..APPROVED
    },
    Behaviour {
        name: "async_declined",
        number: "4000000000000119",
        end: End::Declined("insufficient_funds"),
        course: Course::Later { callbacks: 1 },
        tells: "processing; declined (insufficient_funds) 300 ms later, with a callback",
        ..APPROVED
    },
    Behaviour {
        name: "refund_refused",
        number: "4000000000000127",
        refunding: Refunding::Refused,
        tells: "captured; every refund of it is refused for good",
        ..APPROVED
    },
    Behaviour {
        name: "refund_async",
        number: "4000000000000135",
        refunding: Refunding::Later,
        tells: "captured; its refund is processing, and done 300 ms later, with a callback",
        ..APPROVED
    },
];

pub(crate) fn all() -> impl Iterator<Item = &'static Behaviour> {
    [&APPROVED].into_iter().chain(&SPECIAL[..2]).chain([&EXPIRED]).chain(&SPECIAL[2..])
}

/// Its number decides. The number has been found to be one.
pub(crate) fn of_number(number: &str) -> &'static Behaviour {
    all().find(|behaviour| behaviour.number == number).unwrap_or(&APPROVED)
}

pub(crate) fn named(name: &str) -> Option<&'static Behaviour> {
    all().find(|behaviour| behaviour.name == name)
}

/// 12 to 19 digits, of which the last one fits the others (Luhn).
pub(crate) fn is_number(number: &str) -> bool {
    let digits = number.bytes().rev().enumerate().map(|(place, digit)| match (place % 2, u32::from(digit - b'0')) {
        (0, value) => value,
        (_, value) if value > 4 => value * 2 - 9,
        (_, value) => value * 2,
    });
    (12..=19).contains(&number.len())
        && number.bytes().all(|byte| byte.is_ascii_digit())
        && digits.sum::<u32>().is_multiple_of(10)
}

pub(crate) fn brand(number: &str) -> &'static str {
    let beginning = |digits: usize| number.get(..digits).and_then(|text| text.parse::<u32>().ok()).unwrap_or(0);
    match (beginning(1), beginning(2), beginning(4)) {
        (4, ..) => "visa",
        (_, 51..=55, _) | (.., 2221..=2720) => "mastercard",
        (_, 34 | 37, _) => "amex",
        (_, 65, _) | (.., 6011) => "discover",
        _ => "other",
    }
}

/// The last four digits, or all there are.
pub(crate) fn last4(number: &str) -> &str {
    number.get(number.len().saturating_sub(4)..).unwrap_or_default()
}

const TOKEN: &str = "pm_sandbox_";

/// Stands for a card: says what it does and how it ends, and nothing else. So it needs no memory, and tests can name it.
pub(crate) fn token(behaviour: &Behaviour, last4: &str) -> String {
    format!("{TOKEN}{}_{last4}", behaviour.name)
}

/// What a token says: behaviour and last four digits.
pub(crate) fn of_token(token: &str) -> Option<(&'static Behaviour, &str)> {
    let (name, last4) = token.strip_prefix(TOKEN)?.rsplit_once('_')?;
    let is_last4 = last4.len() == 4 && last4.bytes().all(|byte| byte.is_ascii_digit());
    Some((named(name).filter(|_| is_last4)?, last4))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_of_the_list_is_a_card_number_and_is_there_once() {
        for behaviour in all() {
            assert!(is_number(behaviour.number), "{}", behaviour.number);
            assert_eq!(all().filter(|other| other.number == behaviour.number).count(), 1, "{}", behaviour.number);
            assert_eq!(of_number(behaviour.number).name, behaviour.name);
        }
        assert_eq!(all().count(), 14);
        assert_eq!(of_number("4242424242424242").name, "approved");
    }

    #[test]
    fn a_number_is_one_by_length_digits_and_luhn() {
        for good in ["4111111111111111", "4242424242424242", "378282246310005", "5555555555554444"] {
            assert!(is_number(good), "{good}");
        }
        for bad in [
            "",
            "4111111111111112",
            "41111111111",
            "0000 0000 0000 0000",
            "４１１１１１１１１１１１１１１１",
            "41111111111111110000",
        ] {
            assert!(!is_number(bad), "{bad}");
        }
    }

    #[test]
    fn a_token_says_what_its_card_does_and_no_more() {
        for behaviour in all() {
            let token = token(behaviour, "1111");
            assert_eq!(
                of_token(&token).map(|(behaviour, last4)| (behaviour.name, last4)),
                Some((behaviour.name, "1111"))
            );
        }
        assert_eq!(token(&APPROVED, "1111"), "pm_sandbox_approved_1111");
        for bad in
            ["", "pm_sandbox_", "pm_sandbox_approved", "pm_sandbox_approved_11111", "pm_sandbox_nothing_1111", "pm_1"]
        {
            assert!(of_token(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn brands() {
        let brands =
            ["4111111111111111", "5555555555554444", "2223003122003222", "378282246310005", "6011111111111117"];
        assert_eq!(brands.map(brand), ["visa", "mastercard", "mastercard", "amex", "discover"]);
        assert_eq!(brand("3530111333300000"), "other");
    }
}
