//! Personal data, which readers see only the shape of.

use std::borrow::Cow;

use serde_json::Value;

use crate::{Role, Who};

const HIDDEN: &str = "•••";

/// Names of fields, in lower case and without `_` and `-`, whose texts and numbers say who somebody is.
const PERSONAL: [&str; 21] = [
    "userid",
    "user",
    "customerid",
    "customer",
    "name",
    "firstname",
    "lastname",
    "fullname",
    "recipient",
    "email",
    "mail",
    "phone",
    "mobile",
    "tel",
    "address",
    "street",
    "city",
    "zip",
    "postcode",
    "postalcode",
    "to",
];

/// What somebody may see of others.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sight {
    all: bool,
}

impl Sight {
    pub(crate) fn of(who: &Who) -> Self {
        Self { all: who.role >= Role::Operator }
    }

    /// For what nobody but the program looks at.
    pub(crate) fn all() -> Self {
        Self { all: true }
    }

    pub(crate) fn sees_all(self) -> bool {
        self.all
    }

    /// Somebody's id or name: its first character, so that two can be told apart more often than not.
    pub(crate) fn person(self, id: &str) -> Cow<'_, str> {
        if self.all {
            return Cow::Borrowed(id);
        }
        id.chars().next().map_or(Cow::Borrowed(""), |first| Cow::Owned(format!("{first}{HIDDEN}")))
    }

    /// A text that people or programs wrote, in which those ids may be, and addresses and numbers.
    pub(crate) fn text<'a>(self, text: &'a str, ids: &[String]) -> Cow<'a, str> {
        if self.all {
            return Cow::Borrowed(text);
        }
        let words = text.split_inclusive(|c: char| c.is_whitespace() || "\"'<>(),;:=[]{}".contains(c));
        Cow::Owned(words.map(|word| self.word(word, ids)).collect())
    }

    fn word(self, word: &str, ids: &[String]) -> String {
        let bare = word.trim_end_matches(|c: char| c.is_whitespace() || "\"'<>(),;:=[]{}.".contains(c));
        let rest = word.get(bare.len()..).unwrap_or_default();
        let digits = bare.bytes().filter(u8::is_ascii_digit).count();
        let is_number = bare.starts_with('+') && digits >= 7;
        if bare.contains('@') || is_number || ids.iter().any(|id| id == bare) {
            return format!("{}{rest}", self.person(bare));
        }
        word.to_owned()
    }

    /// The same value without what is personal.
    pub(crate) fn json(self, value: &mut Value, ids: &[String]) {
        if self.all {
            return;
        }
        match value {
            Value::Object(fields) => {
                for (name, value) in fields {
                    if is_personal(name) {
                        self.hide(value);
                    } else {
                        self.json(value, ids);
                    }
                }
            }
            Value::Array(values) => values.iter_mut().for_each(|value| self.json(value, ids)),
            Value::String(text) => *text = self.text(text, ids).into_owned(),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    /// Everything beneath a personal field is personal.
    fn hide(self, value: &mut Value) {
        match value {
            Value::Object(fields) => fields.values_mut().for_each(|value| self.hide(value)),
            Value::Array(values) => values.iter_mut().for_each(|value| self.hide(value)),
            Value::String(text) => *text = self.person(text).into_owned(),
            Value::Number(_) => *value = Value::String(HIDDEN.to_owned()),
            Value::Null | Value::Bool(_) => {}
        }
    }
}

fn is_personal(name: &str) -> bool {
    let name: String = name.chars().filter(|c| !"_-".contains(*c)).flat_map(char::to_lowercase).collect();
    PERSONAL.contains(&name.as_str())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::By;

    fn sight(role: Role) -> Sight {
        Sight::of(&Who { account: "ann".to_owned(), role, by: By::Page })
    }

    #[test]
    fn readers_see_the_shape_of_people_only() {
        let body = json!({"userId": "123456", "data": {"e-mail": "jane@example.test", "orderId": "ORD1", "amount": 7},
            "address": {"street": "Main St 1", "no": 4}, "note": "for 123456, jane@example.test or +15551234567."});
        let mut masked = body.clone();
        sight(Role::Reader).json(&mut masked, &["123456".to_owned()]);
        assert_eq!(
            masked,
            json!({"userId": "1•••", "data": {"e-mail": "j•••", "orderId": "ORD1", "amount": 7},
                "address": {"street": "M•••", "no": "•••"}, "note": "for 1•••, j••• or +•••."})
        );
        let mut whole = body.clone();
        sight(Role::Operator).json(&mut whole, &[]);
        assert_eq!(whole, body);
        assert_eq!(sight(Role::Admin).person("123456"), "123456");
    }
}
