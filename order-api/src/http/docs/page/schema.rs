//! A schema as rows: one for each field, however deep, with what it may be.

use serde_json::Value;

use super::{escape, list, members, text};

/// Schemas may hold themselves; no row needs to be deeper than this.
const DEEPEST: usize = 5;

pub(super) struct Field<'a> {
    /// Such as `items[].quantity`.
    pub path: String,
    pub required: bool,
    /// As HTML.
    pub kind: String,
    pub description: &'a str,
}

impl<'a> Field<'a> {
    pub(super) fn of_parameter(document: &'a Value, parameter: &'a Value) -> Self {
        let schema = resolve(document, &parameter["schema"]);
        let kind = format!("{}, in the {}", kind(document, schema), escape(text(&parameter["in"])));
        Self {
            path: text(&parameter["name"]).to_owned(),
            required: parameter["required"] == true,
            kind,
            description: description(schema, parameter),
        }
    }
}

/// Every field of the schema and of what is in it, those that are required first, in the order of their definition.
pub(super) fn fields<'a>(document: &'a Value, schema: &'a Value) -> Vec<Field<'a>> {
    let mut rows = Vec::new();
    gather(document, schema, "", 0, &mut rows);
    rows
}

fn gather<'a>(document: &'a Value, schema: &'a Value, prefix: &str, depth: usize, rows: &mut Vec<Field<'a>>) {
    let schema = resolve(document, schema);
    if depth > DEEPEST {
        return;
    }
    if schema["type"] == "array" {
        return gather(document, &schema["items"], &format!("{prefix}[]"), depth + 1, rows);
    }
    for (name, of_field, is_required) in properties(schema) {
        let path = if prefix.is_empty() { name.to_owned() } else { format!("{prefix}.{name}") };
        let resolved = resolve(document, of_field);
        rows.push(Field {
            path: path.clone(),
            required: is_required,
            kind: kind(document, resolved),
            description: description(resolved, of_field),
        });
        gather(document, resolved, &path, depth + 1, rows);
    }
}

/// The fields of an object as they were defined, those that are required first: the document itself has them sorted by
/// name.
fn properties(schema: &Value) -> impl Iterator<Item = (&str, &Value, bool)> {
    let required = list(&schema["required"]);
    let first = required.iter().filter_map(Value::as_str);
    let first = first.filter_map(|name| Some((name, schema["properties"].get(name)?, true)));
    let rest = members(&schema["properties"]).filter(|(name, _)| !required.iter().any(|it| it == name));
    first.chain(rest.map(|(name, of_field)| (name, of_field, false)))
}

/// An example as text, with its fields in the order of the table beside it.
pub(super) fn in_order(document: &Value, schema: &Value, example: &Value, depth: usize) -> String {
    let schema = resolve(document, schema);
    let known = || properties(schema).map(|(name, of_field, _)| (name, of_field));
    let parts: Vec<String> = match example {
        Value::Array(entries) => {
            entries.iter().map(|entry| in_order(document, &schema["items"], entry, depth + 1)).collect()
        }
        Value::Object(fields) => {
            let others = members(example).filter(|(name, _)| known().all(|(it, _)| it != *name));
            let others = others.map(|(name, _)| (name, &Value::Null));
            known()
                .chain(others)
                .filter_map(|(name, of_field)| {
                    let value = in_order(document, of_field, fields.get(name)?, depth + 1);
                    Some(format!("\"{name}\": {value}"))
                })
                .collect()
        }
        plain => return plain.to_string(),
    };
    let (open, close) = if example.is_array() { ('[', ']') } else { ('{', '}') };
    // What is short stays on its line.
    let line = parts.join(", ");
    if depth > 0 && line.len() <= 60 && !line.contains('\n') && !line.contains('{') {
        return format!("{open}{line}{close}");
    }
    let indent = "  ".repeat(depth + 1);
    let lines: Vec<String> = parts.iter().map(|part| format!("{indent}{part}")).collect();
    format!("{open}\n{}\n{}{close}", lines.join(",\n"), "  ".repeat(depth))
}

/// What is said where the schema is used counts before what it says of itself.
fn description<'a>(schema: &'a Value, used: &'a Value) -> &'a str {
    Some(text(&used["description"])).filter(|it| !it.is_empty()).unwrap_or_else(|| text(&schema["description"]))
}

/// Follows a reference, also one that stands alone among alternatives beside null or beside a description.
fn resolve<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    let mut schema = schema;
    for _ in 0..DEEPEST {
        let alternatives = ["allOf", "oneOf", "anyOf"].iter().flat_map(|of| list(&schema[*of]));
        let mut alternatives = alternatives.filter(|it| it["type"] != "null");
        schema = match (schema["$ref"].as_str(), alternatives.next()) {
            (Some(reference), _) => match document.pointer(reference.trim_start_matches('#')) {
                Some(found) => found,
                None => return schema,
            },
            (None, Some(first)) => first,
            (None, None) => return schema,
        };
    }
    schema
}

/// The type and its limits, in words.
fn kind(document: &Value, schema: &Value) -> String {
    let types: Vec<&str> = match &schema["type"] {
        Value::Array(several) => several.iter().filter_map(Value::as_str).filter(|it| *it != "null").collect(),
        one => vec![text(one)],
    };
    let mut words = match types.as_slice() {
        ["array"] => format!("array of {}", kind(document, resolve(document, &schema["items"]))),
        ["integer"] => "whole number".to_owned(),
        several => several.join(" or "),
    };
    let mut limit = |limit: String| words = format!("{words}, {limit}");
    match (number(schema, "minimum"), number(schema, "maximum")) {
        (Some(least), Some(most)) if least == most => limit(format!("always {least}")),
        (Some(least), Some(most)) => limit(format!("{least} to {most}")),
        (Some(least), None) => limit(format!("{least} or more")),
        (None, Some(most)) => limit(format!("{most} or less")),
        (None, None) => {}
    }
    for (least, most, what) in [("minLength", "maxLength", "characters"), ("minItems", "maxItems", "entries")] {
        match (number(schema, least), number(schema, most)) {
            (Some(least), Some(most)) => limit(format!("{least} to {most} {what}")),
            (Some(least), None) => limit(format!("{least} or more {what}")),
            (None, Some(most)) => limit(format!("up to {most} {what}")),
            (None, None) => {}
        }
    }
    if let Some(format) = schema["format"].as_str().filter(|it| !it.starts_with("int")) {
        limit(escape(format));
    }
    if let Some(pattern) = schema["pattern"].as_str() {
        limit(format!("<code>{}</code>", escape(pattern)));
    }
    // The codes have a table of their own.
    let values: Vec<String> =
        list(&schema["enum"]).iter().map(|it| format!("<code>{}</code>", escape(text(it)))).collect();
    if !values.is_empty() && values.len() <= 20 {
        limit(format!("one of {}", values.join(" ")));
    }
    if !schema["default"].is_null() {
        limit(format!("<code>{}</code> if absent", escape(&schema["default"].to_string())));
    }
    words
}

/// With groups of three digits, so that it can be read.
fn number(schema: &Value, name: &str) -> Option<String> {
    let text = schema.get(name)?.to_string();
    if text.len() < 5 || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(text);
    }
    let groups: Vec<&str> =
        text.as_bytes().rchunks(3).rev().filter_map(|group| std::str::from_utf8(group).ok()).collect();
    Some(groups.join(","))
}
