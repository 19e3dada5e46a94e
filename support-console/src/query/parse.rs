//! From the text. `AND` may be left out; `OR` binds less; `NOT x` and `-x` are the same. A word without a field is an
//! order if it looks like one, and otherwise whatever it is found in.

use common::ids::OrderId;
use time::{
    Date, OffsetDateTime, Time, UtcOffset,
    format_description::well_known::{Iso8601, Rfc3339},
};
use uuid::Uuid;

use super::{BadQuery, Node, Query, Relation, Test};

const TEXT_MOST: usize = 2_000;
const TESTS_MOST: usize = 40;
const DEEPEST: usize = 20;

const FIELDS: &str = "order, user, product, event, group, queue, type, service, death, reason, state, attempts, tries, \
                      after, before, readable";

pub(super) fn parse(text: &str) -> Result<Query, BadQuery> {
    let chars: Vec<char> = text.chars().collect();
    if chars.len() > TEXT_MOST {
        return Err(BadQuery { position: TEXT_MOST, message: format!("it is longer than {TEXT_MOST} characters") });
    }
    let mut parser = Parser { chars, at: 0, tests: 0, depth: 0 };
    parser.skip_space();
    if parser.peek().is_none() {
        return Ok(Query(None));
    }
    let node = parser.any()?;
    match parser.peek() {
        None => Ok(Query(Some(node))),
        Some(_) => Err(parser.wrong("this bracket was never opened")),
    }
}

struct Parser {
    chars: Vec<char>,
    at: usize,
    tests: usize,
    depth: usize,
}

impl Parser {
    fn any(&mut self) -> Result<Node, BadQuery> {
        let mut nodes = vec![self.all()?];
        while self.word("OR") {
            nodes.push(self.all()?);
        }
        Ok(joined(nodes, Node::Any))
    }

    fn all(&mut self) -> Result<Node, BadQuery> {
        let mut nodes = vec![self.one()?];
        loop {
            if self.word("AND") {
                nodes.push(self.one()?);
            } else if self.peek().is_none_or(|c| c == ')') || self.is_word("OR") {
                return Ok(joined(nodes, Node::All));
            } else {
                nodes.push(self.one()?);
            }
        }
    }

    fn one(&mut self) -> Result<Node, BadQuery> {
        self.skip_space();
        let negated = self.peek() == Some('-');
        if negated {
            self.at += 1;
        }
        if negated || self.word("NOT") {
            self.deeper()?;
            let node = self.one()?;
            self.depth -= 1;
            return Ok(Node::Not(Box::new(node)));
        }
        if self.peek() != Some('(') {
            return self.test();
        }
        let opened = self.at;
        self.at += 1;
        self.deeper()?;
        let node = self.any()?;
        self.depth -= 1;
        self.skip_space();
        if self.peek() != Some(')') {
            return Err(BadQuery { position: opened, message: "this bracket is never closed".to_owned() });
        }
        self.at += 1;
        self.skip_space();
        Ok(node)
    }

    fn deeper(&mut self) -> Result<(), BadQuery> {
        self.depth += 1;
        if self.depth > DEEPEST { Err(self.wrong("this is nested too deep")) } else { Ok(()) }
    }

    fn test(&mut self) -> Result<Node, BadQuery> {
        let began = self.at;
        self.tests += 1;
        if self.tests > TESTS_MOST {
            return Err(self.wrong(format!("there are more than {TESTS_MOST} terms")));
        }
        if matches!(self.peek(), None | Some(')')) || ["AND", "OR"].iter().any(|word| self.is_word(word)) {
            return Err(self.wrong("a term is missing here"));
        }
        let name: String =
            self.chars.get(self.at..).unwrap_or_default().iter().take_while(|c| c.is_ascii_alphabetic()).collect();
        let after = self.at + name.len();
        let is_field = !name.is_empty() && self.chars.get(after) == Some(&':');
        if is_field {
            self.at = after + 1;
        }
        let place = self.at;
        let value = self.value()?;
        self.skip_space();
        let wrong = |message: String| BadQuery { position: place, message };
        let test = if is_field {
            if value.is_empty() {
                return Err(wrong(format!("{name}: has no value")));
            }
            field(&name, &value).map_err(|error| match error {
                None => {
                    BadQuery { position: began, message: format!("there is no field {name:?}; there are {FIELDS}") }
                }
                Some(message) => wrong(message),
            })?
        } else {
            bare(&value)
        };
        Ok(Node::Is(test))
    }

    fn value(&mut self) -> Result<String, BadQuery> {
        if self.peek() != Some('"') {
            let is_part = |c: &&char| !c.is_whitespace() && !matches!(**c, '(' | ')' | '"');
            let value: String = self.chars.get(self.at..).unwrap_or_default().iter().take_while(is_part).collect();
            self.at += value.chars().count();
            if value.is_empty() && matches!(self.peek(), Some('(' | ')')) {
                return Err(self.wrong("a value is missing here"));
            }
            return Ok(value);
        }
        let opened = self.at;
        self.at += 1;
        let mut value = String::new();
        while let Some(c) = self.peek() {
            self.at += 1;
            match c {
                '"' => return Ok(value),
                '\\' => match self.peek() {
                    Some(escaped) => {
                        self.at += 1;
                        value.push(escaped);
                    }
                    None => break,
                },
                c => value.push(c),
            }
        }
        Err(BadQuery { position: opened, message: "this quotation is never closed".to_owned() })
    }

    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while self.peek().is_some_and(char::is_whitespace) {
            self.at += 1;
        }
    }

    fn is_word(&self, word: &str) -> bool {
        let rest = self.chars.get(self.at..).unwrap_or_default();
        let ends = rest.get(word.len()).is_none_or(|c| c.is_whitespace() || *c == '(' || *c == ')');
        ends && rest.len() >= word.len() && rest.iter().zip(word.chars()).all(|(one, other)| *one == other)
    }

    /// Takes this word, if it is the next.
    fn word(&mut self, word: &str) -> bool {
        self.skip_space();
        let is_next = self.is_word(word);
        if is_next {
            self.at += word.len();
            self.skip_space();
        }
        is_next
    }

    fn wrong(&self, message: impl Into<String>) -> BadQuery {
        BadQuery { position: self.at, message: message.into() }
    }
}

fn joined(mut nodes: Vec<Node>, by: fn(Vec<Node>) -> Node) -> Node {
    match (nodes.len(), nodes.pop()) {
        (1, Some(one)) => one,
        (_, last) => {
            nodes.extend(last);
            by(nodes)
        }
    }
}

/// A word by itself.
fn bare(value: &str) -> Test {
    match value.to_uppercase().parse::<OrderId>() {
        Ok(id) => Test::Order(id.to_string()),
        Err(_) => Test::Word(value.to_owned()),
    }
}

/// `None` where there is no such field.
fn field(name: &str, value: &str) -> Result<Test, Option<String>> {
    let text = value.to_owned();
    let id = || Uuid::try_parse(value).map_err(|_| Some(format!("{value:?} is no id")));
    Ok(match name {
        "order" => Test::Order(text),
        "user" => Test::User(text),
        "product" => Test::Product(text),
        "event" => Test::Event(id()?),
        "group" => Test::Group(id()?),
        "queue" => Test::Queue(text),
        "type" => Test::Kind(text),
        "service" => Test::Service(text),
        "death" => Test::Death(text),
        "reason" => Test::Reason(text),
        "state" => Test::State(value.parse().map_err(Some)?),
        "attempts" => relation(value).map(|(relation, count)| Test::Attempts(relation, count))?,
        "tries" => relation(value).map(|(relation, count)| Test::Tries(relation, count))?,
        "after" => Test::After(time(value)?),
        "before" => Test::Before(time(value)?),
        "readable" => Test::Readable(match value {
            "yes" => true,
            "no" => false,
            _ => return Err(Some(format!("{value:?} is neither yes nor no"))),
        }),
        _ => return Err(None),
    })
}

fn relation(value: &str) -> Result<(Relation, i32), Option<String>> {
    let (relation, count) = match (value.strip_prefix(">="), value.strip_prefix("<=")) {
        (Some(count), _) => (Relation::Least, count),
        (_, Some(count)) => (Relation::Most, count),
        _ => (Relation::Equal, value),
    };
    let wrong = || Some(format!("{value:?} is no whole number, with or without >= or <= before it"));
    Ok((relation, count.parse().map_err(|_| wrong())?))
}

/// A day begins at midnight, UTC.
fn time(value: &str) -> Result<OffsetDateTime, Option<String>> {
    let day = |date: Date| OffsetDateTime::new_utc(date, Time::MIDNIGHT);
    let read = OffsetDateTime::parse(value, &Rfc3339).or_else(|_| Date::parse(value, &Iso8601::DATE).map(day));
    let time = read.map_err(|_| Some(format!("{value:?} is no time such as 2026-11-01 or 2026-11-01T12:30:00Z")))?;
    // What PostgreSQL can hold, and nobody needs more. Where a calendar ends, a time may be in it by one clock only.
    let time = time.checked_to_offset(UtcOffset::UTC).filter(|time| (1970..=9_999).contains(&time.year()));
    time.ok_or_else(|| Some(format!("{value:?} is too far away")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_search_has_one_form_that_is_read_as_the_same() {
        for (text, canonical) in [
            ("", ""),
            ("timeout", "timeout"),
            ("\"no answer\" -gateway", "\"no answer\" AND NOT gateway"),
            (r#""user:1" "OR" "-x""#, r#""user:1" AND "OR" AND "-x""#),
            ("queue:payment.charge user:1", "queue:payment.charge AND user:1"),
            (
                "queue:payment.charge AND (reason:\"no answer\" OR user:123456) after:2026-11-01",
                "queue:payment.charge AND (reason:\"no answer\" OR user:123456) AND after:2026-11-01",
            ),
            ("a OR b c", "a OR (b AND c)"),
            ("-(a OR NOT b)", "NOT (a OR NOT b)"),
            ("attempts:>=3 tries:0", "attempts:>=3 AND tries:0"),
            ("before:2026-11-01T12:30:00+01:00", "before:2026-11-01T11:30:00Z"),
            ("ord0193a0c0d0e0f0000000000000000000", "order:ORD0193A0C0D0E0F0000000000000000000"),
            ("ORD0193A0C0D0E0F0000000000000000000", "order:ORD0193A0C0D0E0F0000000000000000000"),
            (r#"reason:"a \"b\" \\ (c)""#, r#"reason:"a \"b\" \\ (c)""#),
            ("state:failed readable:no ORDER", "state:failed AND readable:no AND ORDER"),
            ("type:order.*", "type:order.*"),
        ] {
            let query = parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(query.to_string(), canonical, "{text}");
            assert_eq!(parse(canonical), Ok(query), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        for (text, position) in [
            ("colour:red", 0),
            ("a AND", 5),
            ("a OR OR b", 5),
            ("(a OR b", 0),
            ("a) b", 1),
            ("user:\"x", 5),
            ("after:yesterday", 6),
            ("é state:gone", 8),
            ("attempts:many", 9),
            ("after:9999-12-31T23:59:59-23:59", 6),
            ("user:", 5),
            ("()", 1),
        ] {
            assert_eq!(parse(text).map_err(|error| error.position), Err(position), "{text}");
        }
        assert!(parse(&"(".repeat(500)).is_err());
        assert!(parse(&"a ".repeat(500)).is_err());
        assert!(parse(&"x".repeat(3_000)).is_err());
    }
}
