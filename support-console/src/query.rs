//! What staff search for, as a text that can be typed, shared in a URL, and printed again in one canonical form:
//! `queue:payment.charge AND (reason:"no answer" OR user:123456) AND after:2026-11-01`.
//!
//! - `parse`: from the text; what is wrong with it is said with its place.
//! - `sql`: to a condition on letters, and to what it can be found by.

mod parse;
mod sql;

use std::{fmt, str::FromStr};

use time::{OffsetDateTime, Time, format_description::well_known::Rfc3339};
use uuid::Uuid;

pub(crate) use sql::Condition;

use crate::State;

/// A search. The empty one finds everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query(pub(crate) Option<Node>);

/// What is wrong with a search, and where: the position counts characters from 0.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("at character {}: {message}", position + 1)]
pub struct BadQuery {
    pub position: usize,
    pub message: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Node {
    All(Vec<Node>),
    Any(Vec<Node>),
    Not(Box<Node>),
    Is(Test),
}

/// One thing that a letter is, or is not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Test {
    /// Without a field: an order, a user, a product, an event, a letter, a group, a queue, a type, or words of the reason.
    Word(String),
    Order(String),
    User(String),
    Product(String),
    Event(Uuid),
    Group(Uuid),
    /// The whole of a name, or its beginning where it ends in `*`.
    Queue(String),
    Kind(String),
    Service(String),
    Death(String),
    /// Whole words, one after the other, whatever their case.
    Reason(String),
    State(State),
    Attempts(Relation, i32),
    Tries(Relation, i32),
    /// At that time or later.
    After(OffsetDateTime),
    Before(OffsetDateTime),
    Readable(bool),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Relation {
    Equal,
    Least,
    Most,
}

impl Relation {
    pub(crate) fn sign(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::Least => ">=",
            Self::Most => "<=",
        }
    }
}

impl Query {
    /// Letters of one group.
    #[must_use]
    pub fn group(key: Uuid) -> Self {
        Self(Some(Node::Is(Test::Group(key))))
    }

    /// Letters about one user.
    #[must_use]
    pub fn user(id: String) -> Self {
        Self(Some(Node::Is(Test::User(id))))
    }

    /// What is found by this and is in that state.
    #[must_use]
    pub fn in_state(self, state: State) -> Self {
        let state = Node::Is(Test::State(state));
        Self(Some(match self.0 {
            None => state,
            Some(Node::All(mut nodes)) => {
                nodes.push(state);
                Node::All(nodes)
            }
            Some(node) => Node::All(vec![node, state]),
        }))
    }

    /// Whether it finds everything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }
}

impl FromStr for Query {
    type Err = BadQuery;

    fn from_str(text: &str) -> Result<Self, BadQuery> {
        parse::parse(text)
    }
}

impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_ref().map_or(Ok(()), |node| node.fmt(f))
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let joined = |f: &mut fmt::Formatter<'_>, nodes: &[Self], word: &str| {
            for (i, node) in nodes.iter().enumerate() {
                if i > 0 {
                    write!(f, " {word} ")?;
                }
                match node {
                    Self::All(_) | Self::Any(_) => write!(f, "({node})")?,
                    Self::Not(_) | Self::Is(_) => node.fmt(f)?,
                }
            }
            Ok(())
        };
        match self {
            Self::All(nodes) => joined(f, nodes, "AND"),
            Self::Any(nodes) => joined(f, nodes, "OR"),
            Self::Not(node) if matches!(**node, Self::All(_) | Self::Any(_)) => write!(f, "NOT ({node})"),
            Self::Not(node) => write!(f, "NOT {node}"),
            Self::Is(test) => test.fmt(f),
        }
    }
}

impl fmt::Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Word(word) => f.write_str(&plain_word(word)),
            Self::Order(id) => write!(f, "order:{}", quoted(id)),
            Self::User(id) => write!(f, "user:{}", quoted(id)),
            Self::Product(id) => write!(f, "product:{}", quoted(id)),
            Self::Event(id) => write!(f, "event:{id}"),
            Self::Group(key) => write!(f, "group:{key}"),
            Self::Queue(name) => write!(f, "queue:{}", quoted(name)),
            Self::Kind(name) => write!(f, "type:{}", quoted(name)),
            Self::Service(name) => write!(f, "service:{}", quoted(name)),
            Self::Death(name) => write!(f, "death:{}", quoted(name)),
            Self::Reason(words) => write!(f, "reason:{}", quoted(words)),
            Self::State(state) => write!(f, "state:{state}"),
            Self::Attempts(relation, count) => write!(f, "attempts:{}{count}", relation.shown()),
            Self::Tries(relation, count) => write!(f, "tries:{}{count}", relation.shown()),
            Self::After(time) => write!(f, "after:{}", shown(*time)),
            Self::Before(time) => write!(f, "before:{}", shown(*time)),
            Self::Readable(is) => write!(f, "readable:{}", if *is { "yes" } else { "no" }),
        }
    }
}

impl Relation {
    fn shown(self) -> &'static str {
        match self {
            Self::Equal => "",
            other => other.sign(),
        }
    }
}

fn shown(time: OffsetDateTime) -> String {
    if time.time() == Time::MIDNIGHT { time.date().to_string() } else { time.format(&Rfc3339).unwrap_or_default() }
}

fn quoted(value: &str) -> String {
    let is_plain = !value.is_empty() && value.chars().all(|c| c.is_alphanumeric() || "._-@+:*".contains(c));
    if is_plain { value.to_owned() } else { in_quotes(value) }
}

/// So that it is not taken for a field, or for one of the words between.
fn plain_word(word: &str) -> String {
    let is_more = word.starts_with('-') || word.contains(':') || ["AND", "OR", "NOT"].contains(&word);
    if is_more { in_quotes(word) } else { quoted(word) }
}

fn in_quotes(value: &str) -> String {
    format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))
}
