//! Settings that are lists.

use std::net::IpAddr;

use serde::Deserialize;

/// A list is an array in a file and comma-separated text in the environment.
#[derive(Deserialize)]
#[serde(untagged)]
enum List<T> {
    Many(Vec<T>),
    One(T),
    Text(String),
}

/// For a setting that is a list of names: of other sections too.
pub fn list_of_names<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let text = match List::<String>::deserialize(deserializer)? {
        List::Many(names) => return Ok(names),
        List::One(text) | List::Text(text) => text,
    };
    Ok(text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect())
}

pub(super) fn list_of_addresses<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<IpAddr>, D::Error> {
    let no_address = |text: &str| serde::de::Error::custom(format!("{text:?} is not an IP address"));
    list_of_names(deserializer)?.iter().map(|text| text.parse().map_err(|_| no_address(text))).collect()
}

pub(super) fn list_of_numbers<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<u64>, D::Error> {
    match List::<u64>::deserialize(deserializer)? {
        List::Many(numbers) => Ok(numbers),
        List::One(number) => Ok(vec![number]),
        List::Text(text) => text
            .split(',')
            .map(|part| part.trim().parse())
            .collect::<Result<_, _>>()
            .map_err(|_| serde::de::Error::custom(format!("{text:?} is not a list of whole numbers"))),
    }
}
