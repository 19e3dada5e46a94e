//! A search as a condition on `letters AS l`, and as what it can be found by in the index of terms.

use common::db::Param;

use super::{Node, Query, Test};
use crate::ingest::reason::words;

/// More ways than this of finding something are no help.
const WAYS_MOST: usize = 16;

/// A condition in SQL, with its parameters.
pub(crate) struct Condition {
    pub sql: String,
    pub params: Vec<Param>,
    /// Each letter that is found has all terms of one of these. None where that cannot be said.
    pub anchors: Option<Vec<Vec<String>>>,
    /// The one group that all letters are of, if the search says so.
    pub group: Option<uuid::Uuid>,
}

impl Condition {
    /// Parameters count from after the first `taken`.
    pub(crate) fn new(query: &Query, taken: usize) -> Self {
        let mut condition = Self { sql: String::new(), params: Vec::new(), anchors: None, group: None };
        match &query.0 {
            None => condition.sql.push_str("true"),
            Some(node) => {
                condition.write(node, taken);
                condition.anchors = anchors(node);
                condition.group = group(node);
            }
        }
        condition
    }

    fn write(&mut self, node: &Node, taken: usize) {
        let joined = |condition: &mut Self, nodes: &[Node], word: &str| {
            condition.sql.push('(');
            for (i, node) in nodes.iter().enumerate() {
                if i > 0 {
                    condition.sql.push_str(word);
                }
                condition.write(node, taken);
            }
            condition.sql.push(')');
        };
        match node {
            Node::All(nodes) => joined(self, nodes, " AND "),
            Node::Any(nodes) => joined(self, nodes, " OR "),
            Node::Not(node) => {
                self.sql.push_str("NOT ");
                joined(self, std::slice::from_ref(node), "");
            }
            Node::Is(test) => self.test(test, taken),
        }
    }

    fn test(&mut self, test: &Test, taken: usize) {
        match test {
            Test::Order(_) | Test::User(_) | Test::Product(_) | Test::Event(_) => {
                self.put("l.terms @> ", terms(test), "::text[]", taken);
            }
            Test::Reason(phrase) => {
                let terms = terms(test);
                self.sql.push('(');
                if !terms.is_empty() {
                    self.put("l.terms @> ", terms, "::text[] AND ", taken);
                }
                self.put("l.reason ILIKE ", format!("%{}%", escaped(phrase)), ")", taken);
            }
            Test::Group(key) => self.put("l.group_key = ", *key, "", taken),
            Test::Queue(name) => self.named("l.queue", name, taken),
            Test::Kind(name) => self.named("l.kind", name, taken),
            Test::Service(name) => self.named("l.service", name, taken),
            Test::Death(name) => self.named("l.death", name, taken),
            Test::State(state) => self.put("l.state = ", state.name(), "", taken),
            Test::Attempts(relation, count) => {
                self.put(&format!("l.attempts {} ", relation.sign()), *count, "", taken);
            }
            Test::Tries(relation, count) => self.put(&format!("l.tries {} ", relation.sign()), *count, "", taken),
            Test::After(time) => self.put("l.died_at >= ", *time, "", taken),
            Test::Before(time) => self.put("l.died_at < ", *time, "", taken),
            Test::Readable(is) => self.put("l.readable = ", *is, "", taken),
        }
    }

    fn named(&mut self, column: &str, name: &str, taken: usize) {
        match name.strip_suffix('*') {
            Some(beginning) => self.put(&format!("{column} LIKE "), format!("{}%", escaped(beginning)), "", taken),
            None => self.put(&format!("{column} = "), name.to_owned(), "", taken),
        }
    }

    fn put(
        &mut self,
        before: &str,
        value: impl tokio_postgres::types::ToSql + Sync + Send + 'static,
        after: &str,
        taken: usize,
    ) {
        self.params.push(Box::new(value));
        self.sql.push_str(&format!("{before}${}{after}", taken + self.params.len()));
    }
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

fn anchors(node: &Node) -> Option<Vec<Vec<String>>> {
    match node {
        Node::Is(test) => {
            let terms = terms(test);
            (!terms.is_empty()).then(|| vec![terms])
        }
        Node::Not(_) => None,
        Node::Any(nodes) => {
            let ways: Vec<Vec<String>> = nodes.iter().map(anchors).collect::<Option<Vec<_>>>()?.concat();
            (ways.len() <= WAYS_MOST).then_some(ways)
        }
        Node::All(nodes) => nodes.iter().filter_map(anchors).reduce(|one, other| {
            if one.len() * other.len() > WAYS_MOST {
                return if one.len() <= other.len() { one } else { other };
            }
            one.iter().flat_map(|some| other.iter().map(move |more| [some.as_slice(), more].concat())).collect()
        }),
    }
}

fn group(node: &Node) -> Option<uuid::Uuid> {
    match node {
        Node::Is(Test::Group(key)) => Some(*key),
        Node::All(nodes) => nodes.iter().find_map(group),
        _ => None,
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
    fn a_search_is_found_by_the_terms_that_it_cannot_do_without() {
        let anchors = |text: &str| Condition::new(&text.parse().unwrap(), 0).anchors;
        let terms = |terms: &[&str]| terms.iter().map(|term| (*term).to_owned()).collect::<Vec<_>>();
        assert_eq!(anchors("user:1 state:failed"), Some(vec![terms(&["u:1"])]));
        assert_eq!(
            anchors("(user:1 OR user:2) reason:\"no answer\""),
            Some(vec![terms(&["u:1", "w:no", "w:answer"]), terms(&["u:2", "w:no", "w:answer"])])
        );
        assert_eq!(anchors("user:1 OR state:failed"), None);
        assert_eq!(anchors("NOT user:1"), None);
        assert_eq!(anchors(""), None);
        let condition = Condition::new(&"user:1 OR NOT (reason:a AND queue:b_*)".parse().unwrap(), 2);
        assert_eq!(
            condition.sql,
            "(l.terms @> $3::text[] OR NOT ((l.terms @> $4::text[] AND l.reason ILIKE $5) AND l.queue LIKE $6))"
                .replace("NOT ((l", "NOT (((l")
                .replace("$6))", "$6)))")
        );
        assert_eq!(condition.params.len(), 4);
    }
}
