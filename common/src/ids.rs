//! Identifiers, parsed once at the edge: a value of one of these types is well formed.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use uuid::Uuid;

/// Why a text is not the identifier it was taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadId(&'static str);

/// Defines an identifier that is a UUID in the database and `PREFIX` + 32 hex digits everywhere else.
///
/// UUIDv7 grows with time, so inserts stay at the right edge of an index; the plain hex form lets anyone go
/// from what a customer quotes to the row and back without a decoder.
macro_rules! prefixed_id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub Uuid);

        impl $name {
            #[must_use]
            pub fn generate() -> Self {
                Self(Uuid::now_v7())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut buffer = [0; 32];
                write!(f, "{}{}", $prefix, self.0.simple().encode_upper(&mut buffer))
            }
        }

        impl FromStr for $name {
            type Err = BadId;

            fn from_str(text: &str) -> Result<Self, BadId> {
                const SHAPE: BadId = BadId(concat!("must be ", $prefix, " and 32 hexadecimal digits"));
                let hex = text.strip_prefix($prefix).ok_or(SHAPE)?;
                if hex.len() != 32 {
                    return Err(SHAPE);
                }
                Uuid::try_parse(hex).map(Self).map_err(|_| SHAPE)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                text.parse().map_err(D::Error::custom)
            }
        }
    };
}

prefixed_id!(
    /// An order, `ORD…`.
    OrderId,
    "ORD"
);
prefixed_id!(
    /// One attempt to move money, `TXN…`.
    TransactionId,
    "TXN"
);

/// Defines an identifier given to us from outside: a short text of harmless characters.
macro_rules! given_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }

            #[must_use]
            pub fn into_string(self) -> String {
                self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = BadId;

            fn try_from(text: String) -> Result<Self, BadId> {
                if is_given_id(&text) { Ok(Self(text)) } else { Err(GIVEN_ID) }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Self::try_from(String::deserialize(deserializer)?).map_err(D::Error::custom)
            }
        }
    };
}

given_id!(
    /// A customer, as the shop names them.
    UserId
);
given_id!(
    /// A product of the catalogue.
    ProductId
);

const GIVEN_ID: BadId = BadId("must be 1 to 64 characters out of A-Z a-z 0-9 . _ @ : + -");

fn is_given_id(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._@:+-".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_id_survives_the_round_trip() {
        let id = OrderId::generate();
        assert_eq!(id.to_string().parse::<OrderId>(), Ok(id));
        assert!(id.to_string().starts_with("ORD"));
    }

    #[test]
    fn what_is_not_an_order_id_is_refused() {
        for text in
            ["", "ORD", "ORD123456", "TXN0193a0c0d0e0f0000000000000000000", "ORD0193a0c0-d0e0-7000-8000-000000000000"]
        {
            assert!(text.parse::<OrderId>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_given_id_holds_no_control_characters_and_is_bounded() {
        assert!(ProductId::try_from("P001".to_owned()).is_ok());
        for text in ["", "a\0b", "a b", "é", &"x".repeat(65)] {
            assert!(ProductId::try_from((*text).to_owned()).is_err(), "{text:?}");
        }
    }
}
