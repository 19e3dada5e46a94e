//! A message's headers and properties as JSON and back. What JSON or PostgreSQL cannot hold is marked: `{"$bytes": …}` is
//! base64, `{"$time": …}` seconds, and a table's own key that begins with `$` gets another one.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use lapin::{
    BasicProperties,
    types::{AMQPValue, FieldTable, ShortString},
};
use serde_json::{Map, Number, Value, json};

/// What is nested deeper is named and not kept: nobody means it well.
const DEEPEST: usize = 32;

/// Everything that came with a message besides its body.
pub(crate) fn to_json(properties: &BasicProperties) -> Value {
    let mut named = Map::new();
    let mut put = |name: &str, value: &Option<ShortString>| {
        if let Some(value) = value {
            named.insert(name.to_owned(), text(value.as_str().as_bytes()));
        }
    };
    put("content_type", properties.content_type());
    put("content_encoding", properties.content_encoding());
    put("correlation_id", properties.correlation_id());
    put("reply_to", properties.reply_to());
    put("expiration", properties.expiration());
    put("message_id", properties.message_id());
    put("type", properties.kind());
    put("user_id", properties.user_id());
    put("app_id", properties.app_id());
    let mut number = |name: &str, value: Option<u64>| {
        if let Some(value) = value {
            named.insert(name.to_owned(), value.into());
        }
    };
    number("delivery_mode", properties.delivery_mode().map(u64::from));
    number("priority", properties.priority().map(u64::from));
    number("timestamp", *properties.timestamp());
    let headers = properties.headers().as_ref().map_or_else(|| json!({}), |headers| table(headers, 0));
    json!({"properties": named, "headers": headers})
}

fn table(fields: &FieldTable, depth: usize) -> Value {
    let field = |(name, value): (&ShortString, &AMQPValue)| {
        let name = name.as_str().replace('\0', "\u{fffd}");
        let name = if name.starts_with('$') { format!("${name}") } else { name };
        (name, json_of(value, depth + 1))
    };
    Value::Object(fields.inner().iter().map(field).collect())
}

fn json_of(value: &AMQPValue, depth: usize) -> Value {
    match value {
        AMQPValue::FieldTable(_) | AMQPValue::FieldArray(_) if depth > DEEPEST => json!({"$deeper": true}),
        AMQPValue::FieldTable(fields) => table(fields, depth),
        AMQPValue::FieldArray(values) => {
            Value::Array(values.as_slice().iter().map(|value| json_of(value, depth + 1)).collect())
        }
        AMQPValue::Boolean(value) => (*value).into(),
        AMQPValue::ShortShortInt(value) => (*value).into(),
        AMQPValue::ShortShortUInt(value) => (*value).into(),
        AMQPValue::ShortInt(value) => (*value).into(),
        AMQPValue::ShortUInt(value) => (*value).into(),
        AMQPValue::LongInt(value) => (*value).into(),
        AMQPValue::LongUInt(value) => (*value).into(),
        AMQPValue::LongLongInt(value) => (*value).into(),
        AMQPValue::Float(value) => float((*value).into()),
        AMQPValue::Double(value) => float(*value),
        AMQPValue::DecimalValue(value) => json!({"$decimal": [value.scale, value.value]}),
        AMQPValue::ShortString(value) => text(value.as_str().as_bytes()),
        AMQPValue::LongString(value) => text(value.as_bytes()),
        AMQPValue::ByteArray(value) => bytes(value.as_slice()),
        AMQPValue::Timestamp(seconds) => json!({"$time": seconds}),
        AMQPValue::Void => Value::Null,
    }
}

fn float(value: f64) -> Value {
    Number::from_f64(value).map_or_else(|| json!({"$double": value.to_string()}), Value::Number)
}

fn text(value: &[u8]) -> Value {
    match std::str::from_utf8(value) {
        Ok(text) if !text.contains('\0') => text.into(),
        _ => bytes(value),
    }
}

fn bytes(value: &[u8]) -> Value {
    json!({"$bytes": STANDARD.encode(value)})
}

/// A header's text.
pub(crate) fn header<'a>(headers: Option<&'a FieldTable>, name: &str) -> Option<&'a str> {
    match headers?.inner().get(name)? {
        AMQPValue::LongString(text) => std::str::from_utf8(text.as_bytes()).ok(),
        AMQPValue::ShortString(text) => Some(text.as_str()),
        _ => None,
    }
}

/// A header's whole number.
pub(crate) fn number(headers: Option<&FieldTable>, name: &str) -> Option<i64> {
    match headers?.inner().get(name)? {
        AMQPValue::LongLongInt(value) => Some(*value),
        AMQPValue::LongInt(value) => Some((*value).into()),
        AMQPValue::LongUInt(value) => Some((*value).into()),
        AMQPValue::ShortInt(value) => Some((*value).into()),
        AMQPValue::ShortUInt(value) => Some((*value).into()),
        _ => None,
    }
}

/// Of the broker's own record of deaths, the last one: its kind and its time, in seconds.
pub(crate) fn last_death(headers: Option<&FieldTable>) -> Option<(String, Option<u64>)> {
    let AMQPValue::FieldArray(deaths) = headers?.inner().get("x-death")? else { return None };
    let AMQPValue::FieldTable(last) = deaths.as_slice().first()? else { return None };
    let time = match last.inner().get("time") {
        Some(AMQPValue::Timestamp(seconds)) => Some(*seconds),
        _ => None,
    };
    Some((header(Some(last), "reason").unwrap_or("unknown").to_owned(), time))
}

#[cfg(test)]
mod tests {
    use lapin::types::FieldArray;

    use super::*;

    #[test]
    fn whatever_a_message_brings_has_a_form_that_keeps_it() {
        let mut headers = FieldTable::default();
        let mut deep = AMQPValue::FieldArray(FieldArray::default());
        for _ in 0..1_000 {
            let mut around = FieldArray::default();
            around.push(deep);
            deep = AMQPValue::FieldArray(around);
        }
        for (name, value) in [
            ("text", AMQPValue::LongString("x".into())),
            ("broken", AMQPValue::LongString(vec![0xff, 0xfe].into())),
            ("nul", AMQPValue::LongString("a\0".into())),
            ("$own", AMQPValue::Boolean(true)),
            ("number", AMQPValue::LongLongInt(-1)),
            ("none", AMQPValue::Double(f64::NAN)),
            ("time", AMQPValue::Timestamp(1)),
            ("deep", deep),
        ] {
            headers.insert(name.into(), value);
        }
        let properties = BasicProperties::default().with_message_id("m".into()).with_headers(headers);
        let value = to_json(&properties);
        assert_eq!(value["properties"]["message_id"], "m");
        let headers = &value["headers"];
        assert_eq!(headers["text"], "x");
        assert_eq!(headers["broken"], json!({"$bytes": "//4="}));
        assert_eq!(headers["nul"], json!({"$bytes": "YQA="}));
        assert_eq!(headers["$$own"], true);
        assert_eq!(headers["number"], -1);
        assert_eq!(headers["none"], json!({"$double": "NaN"}));
        assert_eq!(headers["time"], json!({"$time": 1}));
        assert!(value.to_string().contains("$deeper"));
    }
}
