//! The form that RFC 8785 gives a JSON object, of which parts are left out first.
//!
//! Every order passes here, so it is written straight from what was read. `serde_json_canonicalizer`, which clients of ours
//! use, makes a copy of each property and reads its name again: the tests hold this to what it writes.

use serde_json::{Map, Value};

pub(crate) struct Canonical(Map<String, Value>);

impl Canonical {
    /// An error means that there is a number in it beyond those of RFC 8785.
    pub(crate) fn read(body: &[u8]) -> serde_json::Result<Self> {
        serde_json::from_slice(body).map(Self)
    }

    /// Leaves a field out from now on, and writes the rest.
    pub(crate) fn without(&mut self, field: &str) -> serde_json::Result<Vec<u8>> {
        self.0.remove(field);
        let mut out = Vec::with_capacity(512);
        write_object(&self.0, &mut out)?;
        Ok(out)
    }
}

fn write(value: &Value, out: &mut Vec<u8>) -> serde_json::Result<()> {
    match value {
        // A number is the double that JavaScript would read, written as JavaScript would.
        Value::Number(number) => {
            let double = number.as_f64().filter(|double| double.is_finite());
            let double = double.ok_or_else(|| serde::ser::Error::custom("a number beyond those of RFC 8785"))?;
            out.extend_from_slice(ryu_js::Buffer::new().format_finite(double).as_bytes());
            Ok(())
        }
        Value::Array(values) => {
            out.push(b'[');
            for (i, value) in values.iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                write(value, out)?;
            }
            out.push(b']');
            Ok(())
        }
        Value::Object(fields) => write_object(fields, out),
        Value::Null | Value::Bool(_) | Value::String(_) => serde_json::to_writer(out, value),
    }
}

fn write_object(fields: &Map<String, Value>, out: &mut Vec<u8>) -> serde_json::Result<()> {
    let mut fields: Vec<(&String, &Value)> = fields.iter().collect();
    // By UTF-16, in which letters beyond the first plane come before some within it.
    fields.sort_by(|(a, _), (b, _)| a.encode_utf16().cmp(b.encode_utf16()));
    out.push(b'{');
    for (i, (name, value)) in fields.into_iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        serde_json::to_writer(&mut *out, name)?;
        out.push(b':');
        write(value, out)?;
    }
    out.push(b'}');
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ours(text: &str) -> String {
        String::from_utf8(Canonical::read(text.as_bytes()).unwrap().without("signature").unwrap()).unwrap()
    }

    #[test]
    fn it_is_written_as_the_rfc_says() {
        // Sections 3.2.2 to 3.2.4 of the RFC.
        let text = r#"{"numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
            "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/", "literals": [null, true, false]}"#;
        let form = "{\"literals\":[null,true,false],\"numbers\":[333333333.3333333,1e+30,4.5,0.002,1e-27],\
            \"string\":\"€$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\"}";
        assert_eq!(ours(text), form);
        let text = "{\"\\u20ac\": 1, \"\\r\": 2, \"\\ufb33\": 3, \"1\": 4, \"\\ud83d\\ude00\": 5, \"\\u0080\": 6, \"\\u00f6\": 7}";
        assert_eq!(ours(text), "{\"\\r\":2,\"1\":4,\"\u{80}\":6,\"ö\":7,\"€\":1,\"😀\":5,\"\u{fb33}\":3}");
    }

    #[test]
    fn it_is_what_clients_write() {
        let mut random = fastrand::Rng::with_seed(8_785);
        for round in 0..20_000 {
            let mut fields = object(&mut random, 4);
            fields.remove("signature");
            let theirs = serde_json_canonicalizer::to_string(&fields).unwrap();
            assert_eq!(ours(&serde_json::to_string(&fields).unwrap()), theirs, "round {round}");
        }
    }

    fn object(random: &mut fastrand::Rng, depth: u32) -> Map<String, Value> {
        (0..random.usize(..6)).map(|_| (text(random), any(random, depth))).collect()
    }

    fn any(random: &mut fastrand::Rng, depth: u32) -> Value {
        match random.u8(if depth == 0 { 2 } else { 0 }..10) {
            0 => Value::Object(object(random, depth - 1)),
            1 => Value::Array((0..random.usize(..5)).map(|_| any(random, depth - 1)).collect()),
            2 => Value::Null,
            3 => random.bool().into(),
            4 => text(random).into(),
            5 => random.u64(..).into(),
            6 => random.i64(..).into(),
            7 => (i64::from(random.i32(..)) * 25 / 10_000).into(),
            8 => (f64::from(random.i32(..)) / 100.0).into(),
            // Every double there is, but for those that JSON has not.
            _ => Some(f64::from_bits(random.u64(..))).filter(|double| double.is_finite()).into(),
        }
    }

    fn text(random: &mut fastrand::Rng) -> String {
        const ENDS: [u32; 5] = [0x20, 0x7f, 0x800, 0x1_0000, 0x11_0000];
        let letters = (0..random.usize(..5)).filter_map(|_| {
            let end = ENDS[random.usize(..ENDS.len())];
            char::from_u32(random.u32(..end))
        });
        letters.collect()
    }
}
