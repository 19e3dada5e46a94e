//! A search as a condition on `letters AS l`, and as a weaker one that indexes can look for.

use common::db::Param;
use time::OffsetDateTime;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::{Node, Query, Test};
use crate::{State, ingest::reason::words};

/// A condition in SQL, with its parameters.
pub(crate) struct Condition {
    pub sql: String,
    pub params: Vec<Param>,
    /// What each letter that is found meets too, and is found by in an index; its parameters come after those. None where
    /// there is no such thing.
    pub way: Option<(String, Vec<Param>)>,
    /// The one group that all letters are of, if the search says so.
    pub group: Option<Uuid>,
    /// They died before this, if the search says so.
    pub before: Option<OffsetDateTime>,
}

impl Condition {
    /// Parameters count from after the first `taken`.
    pub(crate) fn new(query: &Query, taken: usize) -> Self {
        let Some(node) = &query.0 else {
            return Self { sql: "true".to_owned(), params: Vec::new(), way: None, group: None, before: None };
        };
        let mut writer = Writer { taken, params: Vec::new() };
        let sql = writer.node(node);
        let params = writer.params;
        let mut writer = Writer { taken: taken + params.len(), params: Vec::new() };
        let way = writer.way(node).map(|way| (way, writer.params));
        let group = in_all(node, &|test| if let Test::Group(key) = test { Some(*key) } else { None });
        let before = in_all(node, &|test| if let Test::Before(time) = test { Some(*time) } else { None });
        Self { sql, params, way, group, before }
    }

    /// Everything that is found meets both.
    pub(crate) fn with_way(&self) -> Option<(String, impl Iterator<Item = &Param>)> {
        let (way, more) = self.way.as_ref()?;
        Some((way.clone(), self.params.iter().chain(more)))
    }
}

struct Writer {
    taken: usize,
    params: Vec<Param>,
}

impl Writer {
    fn node(&mut self, node: &Node) -> String {
        match node {
            Node::All(nodes) => joined(nodes.iter().map(|node| self.node(node)).collect(), " AND "),
            Node::Any(nodes) => joined(nodes.iter().map(|node| self.node(node)).collect(), " OR "),
            Node::Not(node) => format!("NOT ({})", self.node(node)),
            Node::Is(test) => self.test(test),
        }
    }

    /// Of what must be met together any part is a way; of what is met by one of several, each must have one.
    fn way(&mut self, node: &Node) -> Option<String> {
        match node {
            Node::All(nodes) => {
                let ways: Vec<String> = nodes.iter().filter_map(|node| self.way(node)).collect();
                (!ways.is_empty()).then(|| joined(ways, " AND "))
            }
            Node::Any(nodes) => {
                let before = self.params.len();
                let ways: Option<Vec<String>> = nodes.iter().map(|node| self.way(node)).collect();
                if ways.is_none() {
                    // What nothing in the statement speaks of must not be given to it.
                    self.params.truncate(before);
                }
                ways.map(|ways| joined(ways, " OR "))
            }
            Node::Not(_) => None,
            Node::Is(test) => self.way_of(test),
        }
    }

    fn test(&mut self, test: &Test) -> String {
        match test {
            Test::Word(word) => self.word(word),
            Test::Order(_) | Test::User(_) | Test::Product(_) | Test::Event(_) => {
                format!("l.terms @> {}::text[]", self.param(terms(test)))
            }
            Test::Reason(phrase) => {
                let terms = terms(test);
                if terms == [format!("w:{}", phrase.to_lowercase())] {
                    return format!("l.terms @> {}::text[]", self.param(terms));
                }
                let contains = format!("l.reason ILIKE {}", self.param(format!("%{}%", escaped(phrase))));
                if terms.is_empty() {
                    return contains;
                }
                format!("(l.terms @> {}::text[] AND {contains})", self.param(terms))
            }
            Test::Group(key) => format!("l.group_key = {}", self.param(*key)),
            Test::Queue(name) => self.named("l.queue", name),
            Test::Kind(name) => self.named("l.kind", name),
            Test::Service(name) => self.named("l.service", name),
            Test::Death(name) => self.named("l.death", name),
            Test::State(state) => format!("l.state = {}", self.param(state.name())),
            Test::Attempts(relation, count) => format!("l.attempts {} {}", relation.sign(), self.param(*count)),
            Test::Tries(relation, count) => format!("l.tries {} {}", relation.sign(), self.param(*count)),
            Test::After(time) => format!("l.died_at >= {}", self.param(*time)),
            Test::Before(time) => format!("l.died_at < {}", self.param(*time)),
            Test::Readable(is) => format!("l.readable = {}", self.param(*is)),
        }
    }

    fn way_of(&mut self, test: &Test) -> Option<String> {
        match test {
            Test::Word(_)
            | Test::Order(_)
            | Test::User(_)
            | Test::Product(_)
            | Test::Event(_)
            | Test::Group(_)
            | Test::After(_)
            | Test::Before(_) => Some(self.test(test)),
            Test::Reason(_) => {
                let terms = terms(test);
                (!terms.is_empty()).then(|| format!("l.terms @> {}::text[]", self.param(terms)))
            }
            Test::Queue(name) => Some(of_groups(&self.named("queue", name))),
            Test::Death(name) => Some(of_groups(&self.named("death", name))),
            // An edit can give a letter another type than its group has.
            Test::Kind(name) => Some(of_groups(&format!(
                "{} UNION ALL SELECT group_key FROM letters WHERE id IN (SELECT letter FROM edits)",
                self.named("kind", name)
            ))),
            // The groups count these.
            Test::State(State::Failed) => Some(of_groups("failed > 0")),
            Test::State(State::Retrying) => Some(of_groups("retrying > 0")),
            Test::State(State::Done) => Some(of_groups("done > 0")),
            Test::State(State::Discarded) => Some(of_groups("discarded > 0")),
            Test::Readable(false) => Some(of_groups("kind = ''")),
            Test::Readable(true) | Test::Service(_) | Test::Attempts(..) | Test::Tries(..) => None,
        }
    }

    /// Whatever somebody may mean who types a word and nothing else.
    fn word(&mut self, word: &str) -> String {
        let mut ids: Vec<String> = ["o", "u", "p"].map(|of| format!("{of}:{word}")).into();
        let mut ways = Vec::new();
        if let Ok(id) = Uuid::try_parse(word) {
            ids.push(format!("e:{id}"));
            let id = self.param(id);
            ways.push(format!("l.id = {id} OR l.group_key = {id}"));
        }
        ways.push(format!("l.terms && {}::text[]", self.param(ids)));
        let reason = Test::Reason(word.to_owned());
        if !terms(&reason).is_empty() {
            ways.push(self.test(&reason));
        }
        // A queue or a type, or a part of its name: `payment` is one of `payment.charge` and of `order.payment_due`.
        let (name, ends) = word.strip_suffix('*').map_or((word, "."), |beginning| (beginning, ""));
        let name = escaped(&name.to_lowercase().replace('_', "."));
        let name = self.param(format!("%.{name}{ends}%"));
        ways.push(of_groups(&format!("'.' || replace(lower(queue || '.' || kind), '_', '.') || '.' LIKE {name}")));
        joined(ways, " OR ")
    }

    fn named(&mut self, column: &str, name: &str) -> String {
        match name.strip_suffix('*') {
            Some(beginning) => format!("{column} LIKE {}", self.param(format!("{}%", escaped(beginning)))),
            None => format!("{column} = {}", self.param(name.to_owned())),
        }
    }

    fn param(&mut self, value: impl ToSql + Sync + Send + 'static) -> String {
        self.params.push(Box::new(value));
        format!("${}", self.taken + self.params.len())
    }
}

fn joined(parts: Vec<String>, by: &str) -> String {
    format!("({})", parts.join(by))
}

/// There are few groups, so letters are found by what theirs have in common.
fn of_groups(condition: &str) -> String {
    format!("l.group_key = ANY (ARRAY(SELECT key FROM groups WHERE {condition}))")
}

fn terms(test: &Test) -> Vec<String> {
    match test {
        Test::Order(id) => vec![format!("o:{id}")],
        Test::User(id) => vec![format!("u:{id}")],
        Test::Product(id) => vec![format!("p:{id}")],
        Test::Event(id) => vec![format!("e:{id}")],
        Test::Reason(phrase) => words(phrase).into_iter().map(|word| format!("w:{word}")).collect(),
        _ => Vec::new(),
    }
}

/// What a test says that everything that is found must meet.
fn in_all<T>(node: &Node, of: &impl Fn(&Test) -> Option<T>) -> Option<T> {
    match node {
        Node::Is(test) => of(test),
        Node::All(nodes) => nodes.iter().find_map(|node| in_all(node, of)),
        Node::Any(_) | Node::Not(_) => None,
    }
}

/// A text as LIKE takes it for itself.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_is_found_by_what_it_cannot_do_without() {
        let of = |text: &str| Condition::new(&text.parse().unwrap(), 2);
        let way = |text: &str| of(text).way.map(|(way, params)| (way, params.len())).unwrap_or_default();
        assert_eq!(way("user:1 attempts:6"), ("(l.terms @> $5::text[])".to_owned(), 1));
        assert_eq!(
            way("(user:1 OR user:2) reason:\"no answer\""),
            ("((l.terms @> $7::text[] OR l.terms @> $8::text[]) AND l.terms @> $9::text[])".to_owned(), 3)
        );
        assert_eq!(
            way("queue:payment.* death:poison"),
            (
                "(l.group_key = ANY (ARRAY(SELECT key FROM groups WHERE queue LIKE $5)) AND \
                 l.group_key = ANY (ARRAY(SELECT key FROM groups WHERE death = $6)))"
                    .to_owned(),
                2
            )
        );
        for none in ["user:1 OR attempts:6", "NOT user:1", "", "reason:---", "NOT payment"] {
            assert!(of(none).way.is_none(), "{none}");
        }
        assert_eq!(way("(user:1 OR attempts:6) user:2").1, 1, "what is no way takes no parameter");
        let condition = of("user:1 OR NOT (reason:\"a b\" AND queue:b_*)");
        assert_eq!(
            condition.sql,
            "(l.terms @> $3::text[] OR NOT (((l.terms @> $5::text[] AND l.reason ILIKE $4) AND l.queue LIKE $6)))"
        );
        assert_eq!(condition.params.len(), 4);
        assert_eq!(
            of("reason:Timeout").sql,
            "l.terms @> $3::text[]",
            "one word is a term, and nothing else to look for"
        );
        assert!(of("x before:2026-11-01").before.is_some());
        assert_eq!(of("x OR before:2026-11-01").before, None);
    }
}
