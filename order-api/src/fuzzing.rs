//! What the readers of bytes from outside are held to, whatever those bytes are: see [`common::fuzzing`].

use std::{collections::HashMap, sync::LazyLock};

use axum::http::{HeaderMap, HeaderName, HeaderValue, Uri};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use common::{
    fuzzing::refusal,
    http::{JsonText, Problem, Query},
    ids::{ProductId, UserId},
    money::{Currency, LARGEST, Money},
};
use serde_json::{Map, Value};

use crate::{
    ABOUT, Orders,
    http::{CreateOrder, Wanted, list, products},
    once::{self, Once},
    order::Status,
    signing::{self, Canonical, Signed, key::PublicKey},
};

static PRICES: LazyLock<HashMap<ProductId, Money>> = LazyLock::new(|| {
    let price = |id: &str, price| (ProductId::try_from(id.to_owned()).unwrap(), Money(price));
    HashMap::from([price("P001", 3_525), price("P002", 3_000), price("P003", 0), price("P004", LARGEST * 100)])
});

/// The body of an order. What is accepted adds up, and is what its canonical form says, which is what was signed.
pub fn order(body: &[u8]) {
    let Some(wanted) = wanted(body) else { return };
    assert!((1..=100).contains(&wanted.lines.len()));
    assert!(wanted.lines.iter().all(|line| (1..=1_000_000).contains(&line.quantity)));
    let total: i128 = wanted.lines.iter().map(|line| i128::from(line.unit_price.0) * i128::from(line.quantity)).sum();
    assert_eq!(total, i128::from(wanted.amount.0));
    let Ok(form) = Canonical::read(body).and_then(|mut canonical| canonical.without("signature")) else { return };
    let mut signed: Map<String, Value> = serde_json::from_slice(&form).unwrap();
    signed.insert("signature".to_owned(), "s".into());
    let signed = serde_json::to_vec(&signed).unwrap();
    assert_eq!(self::wanted(&signed), Some(wanted), "{}", String::from_utf8_lossy(&signed));
}

fn wanted(body: &[u8]) -> Option<Wanted> {
    let order = match JsonText::from(body.to_vec()).parse::<CreateOrder>() {
        Ok(order) => order,
        Err(problem) => {
            refusal(&problem);
            return None;
        }
    };
    let checked = order.check_secrets().and_then(|()| order.check(&PRICES, &Currency::default()));
    checked.map_err(|errors| refusal(&Problem::invalid(errors))).ok()
}

/// The form of RFC 8785: another's way to write it gives the same, and it is its own form.
pub fn canonical(body: &[u8]) {
    let theirs = || {
        let mut fields: Map<String, Value> = serde_json::from_slice(body).ok()?;
        fields.remove("signature");
        serde_json_canonicalizer::to_vec(&fields).ok()
    };
    let read = Canonical::read(body).ok();
    let form = read.and_then(|mut canonical| Some((canonical.without("signature").ok()?, canonical)));
    let text = |form: &[u8]| String::from_utf8(form.to_vec()).unwrap();
    assert_eq!(form.as_ref().map(|(form, _)| text(form)), theirs().map(|form| text(&form)));
    if let Some((form, mut canonical)) = form {
        let again = Canonical::read(&form).unwrap().without("signature").unwrap();
        assert_eq!(text(&again), text(&form));
        Once::new("k".to_owned(), &mut canonical).unwrap();
    }
}

/// A signature and a key, as they are sent and as what is encoded in them: whatever is taken has one spelling.
pub fn signature(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    for text in [text.as_ref(), &format!("laptop:{}", STANDARD.encode(bytes))] {
        let parsed = signing::parse(text);
        let user = UserId::try_from("u".to_owned()).unwrap();
        assert_eq!(parsed.is_some(), Signed::new(user, text, Vec::new()).is_ok());
        if let Some((key, signature)) = parsed {
            assert_eq!(format!("{}:{}", key.as_str(), STANDARD.encode(signature.to_bytes())), text);
        }
    }
    let armoured = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(bytes));
    for pem in [text.as_ref(), &armoured] {
        if let Ok(key) = PublicKey::from_pem(pem) {
            assert_eq!(PublicKey::from_pem(&key.to_pem().unwrap()), Ok(key), "{pem}");
        }
    }
}

/// A product for the catalogue.
pub fn product(body: &[u8]) {
    let put = match JsonText::from(body.to_vec()).parse::<products::Put>() {
        Ok(put) => put,
        Err(problem) => return refusal(&problem),
    };
    let currency = Currency::default();
    let mut errors = Vec::new();
    match put.check(&currency, &mut errors) {
        Some(product) if errors.is_empty() => {
            assert!((1..=200).contains(&product.name.chars().count()) && !product.name.contains(char::is_control));
            assert_eq!(currency.parse(&currency.format(product.price)), Ok(product.price));
        }
        _ => refusal(&Problem::invalid(errors)),
    }
}

/// Which orders are asked for, and by which name a request goes.
pub fn orders(bytes: &[u8]) {
    if let Ok(value) = HeaderValue::from_bytes(bytes) {
        let headers = HeaderMap::from_iter([(HeaderName::from_static("idempotency-key"), value)]);
        match once::key(&headers) {
            Ok(key) => assert!(key.is_some_and(|key| (1..=255).contains(&key.len()) && key.is_ascii())),
            Err(problem) => refusal(&problem),
        }
    }
    let Ok(address) = format!("/api/orders?{}", String::from_utf8_lossy(bytes)).parse::<Uri>() else { return };
    let mut query = Query::of(&address);
    query.optional("status", |text| {
        let status = text.parse::<Status>().map_err(|_| String::from("unknown"))?;
        assert_eq!(status.as_str(), text);
        Ok(())
    });
    query.optional("from", list::moment);
    query.optional("cursor", |text| {
        let id = list::from_cursor(text)?;
        assert!(list::to_cursor(id).eq_ignore_ascii_case(text), "{text}");
        Ok(())
    });
    if let Err(problem) = query.finish() {
        refusal(&problem);
    }
}

/// The whole configuration.
pub fn config(bytes: &[u8]) {
    common::fuzzing::config::<Orders>(ABOUT.section, bytes, |settings| settings.own.check());
}

#[cfg(test)]
mod tests;
