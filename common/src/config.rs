//! Layered configuration: defaults compiled in, then a TOML file, then the environment.
//!
//! The file is named by `CONVEYOR_CONFIG`; a variable is `CONVEYOR__SECTION__KEY`. An unknown key or a bad value
//! is an error that names it: a misspelt setting must not pass for a default.

mod auth;
mod consumer;
mod http;
mod lists;
mod smtp;

use std::{
    collections::{BTreeSet, HashMap},
    ffi::OsString,
    fmt::Display,
};

use config::{ConfigBuilder, builder::DefaultState};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, de::DeserializeOwned};

pub use self::{
    auth::{Auth, Key},
    consumer::Consumer,
    http::Http,
    lists::list_of_names,
    smtp::{Encryption, Smtp},
};
use crate::events::MOST_EVENTS;

/// Reads the whole configuration: the sections every service has, and the service's own, which is named.
pub fn load<Own: DeserializeOwned + Default>(section: Option<&str>) -> Result<Settings<Own>, ConfigError> {
    // Variables that are not text cannot be ours, and `std::env::vars` panics on them.
    let text = |(name, value): (OsString, OsString)| Some((name.into_string().ok()?, value.into_string().ok()?));
    let variables = std::env::vars_os().filter_map(text).collect();
    load_from(section, std::env::var("CONVEYOR_CONFIG").ok().as_deref(), variables)
}

fn load_from<Own: DeserializeOwned + Default>(
    section: Option<&str>,
    file: Option<&str>,
    variables: HashMap<String, String>,
) -> Result<Settings<Own>, ConfigError> {
    let file = file.map(|file| config::File::new(file, config::FileFormat::Toml));
    read(section, config::Config::builder().add_source(Vec::from_iter(file)), variables)
}

/// From a file, if there is one, and the environment.
pub(crate) fn read<Own: DeserializeOwned + Default>(
    section: Option<&str>,
    file: ConfigBuilder<DefaultState>,
    variables: HashMap<String, String>,
) -> Result<Settings<Own>, ConfigError> {
    refuse_sections(&variables)?;
    let environment =
        config::Environment::with_prefix("CONVEYOR").prefix_separator("__").separator("__").source(Some(variables));
    let config = file.add_source(environment).build().map_err(bad)?;
    let mut sections: HashMap<String, config::Value> = config.try_deserialize().map_err(bad)?;
    let own = match section.and_then(|name| sections.remove_entry(name)) {
        // Read within its section, so that what is wrong is named as a whole.
        Some(own) => {
            let own: HashMap<String, Own> = config::Value::from(HashMap::from([own])).try_deserialize().map_err(bad)?;
            own.into_values().next().unwrap_or_default()
        }
        None => Own::default(),
    };
    let common: Common = config::Value::from(sections).try_deserialize().map_err(bad)?;
    common.check()?;
    Ok(Settings { common, own })
}

/// A variable that names a whole section would take the place of what other variables set in it, or not, as chance has it.
fn refuse_sections(variables: &HashMap<String, String>) -> Result<(), ConfigError> {
    let names = variables.keys().map(|name| name.to_lowercase()).filter(|name| name.starts_with("conveyor__"));
    let names: BTreeSet<String> = names.collect();
    let is_section = |name: &&String| {
        let within = format!("{name}__");
        names.range(within.clone()..).next().is_some_and(|next| next.starts_with(&within))
    };
    match names.iter().find(is_section) {
        Some(name) => {
            let key = name.trim_start_matches("conveyor__").replace("__", ".");
            Err(ConfigError(format!("{key}: it is a section, and other variables are set in it")))
        }
        None => Ok(()),
    }
}

/// What is wrong, and where, on one line; and not what stands there, which may be a secret, put in the wrong place or beside
/// a missing quotation mark.
fn bad(error: config::ConfigError) -> ConfigError {
    let at = |key: Option<String>| key.map_or_else(String::new, |key| format!(" for key `{key}`"));
    let within = |origin: Option<String>| origin.map_or_else(String::new, |origin| format!(" in {origin}"));
    let text = match error {
        config::ConfigError::Type { origin, expected, key, .. } => {
            format!("invalid type: expected {expected}{}{}", at(key), within(origin))
        }
        config::ConfigError::At { error, origin, key } => {
            let ConfigError(text) = bad(*error);
            format!("{text}{}{}", at(key), within(origin))
        }
        // The first line says where; the next ones show what stands there.
        config::ConfigError::FileParse { uri, cause } => {
            format!("{}{}", cause.to_string().lines().next().unwrap_or_default(), within(uri))
        }
        // serde says what there is, and ends with what it expected.
        config::ConfigError::Message(text) if text.starts_with("invalid ") => {
            let expected = text.rsplit_once(", expected ").map_or("something else", |(_, expected)| expected);
            format!("invalid value: expected {expected}")
        }
        other => other.to_string(),
    };
    ConfigError(text.replace('\n', " "))
}

/// A service's configuration.
#[derive(Debug)]
pub struct Settings<Own> {
    pub common: Common,
    pub own: Own,
}

/// For a service without a section of its own.
#[derive(Debug, Default, Deserialize)]
pub struct NoSection {}

/// The sections that every service has.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Common {
    pub database: Database,
    pub broker: Broker,
    #[serde(default)]
    pub http: Http,
    #[serde(default)]
    pub auth: Auth,
    #[serde(default)]
    pub consumer: Consumer,
    #[serde(default)]
    pub outbox: Outbox,
    #[serde(default)]
    pub log: Log,
    /// Which parts this process runs.
    #[serde(default)]
    pub parts: Parts,
    /// Threads for HTTP, and as many for everything else. One of each carries thousands of orders a second; more suit a
    /// machine with cores to spare.
    #[serde(default = "default::threads")]
    pub threads: usize,
    /// How long a shutdown may take.
    #[serde(default = "default::grace_ms")]
    pub grace_ms: u64,
}

/// What is wrong with the configuration, in one line.
#[derive(Debug, thiserror::Error)]
#[error("configuration: {0}")]
pub struct ConfigError(pub String);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Database {
    /// `postgres://role:password@host:port/database`; the role is this service's own.
    pub url: SecretString,
    /// The most connections to PostgreSQL.
    #[serde(default = "default::pool_size")]
    pub pool_size: usize,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Broker {
    /// `amqp://user:password@host:port/vhost`.
    pub url: SecretString,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Outbox {
    /// The most events in one parcel.
    pub parcel_events: usize,
    pub parcel_bytes: usize,
    /// How often to look for rows that a crash left behind.
    pub sweep_ms: u64,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    pub format: LogFormat,
    /// Directives such as `info,lapin=debug`. What the broker's client says of a lost connection is said here anyway.
    pub filter: String,
    /// Where finished spans go (OTLP over HTTP). `OTEL_EXPORTER_OTLP_ENDPOINT` sets it too.
    pub otlp_endpoint: Option<String>,
    /// The share of new traces that is recorded when there is somewhere to send them.
    pub trace_ratio: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Pretty on a terminal, JSON otherwise.
    Auto,
    Pretty,
    Json,
}

/// Which parts of a service this process runs: `http`, or queues by name. All by default.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(transparent)]
pub struct Parts(#[serde(deserialize_with = "list_of_names")] Vec<String>);

impl Parts {
    #[must_use]
    pub fn runs(&self, part: &str) -> bool {
        self.0.is_empty() || self.0.iter().any(|p| p == part)
    }

    /// An unknown part would silently run nothing.
    pub fn check(&self, known: &[&str]) -> Result<(), ConfigError> {
        match self.0.iter().find(|part| !known.contains(&part.as_str())) {
            Some(part) => Err(ConfigError(format!("parts: there is no {part:?}; there are {}", known.join(", ")))),
            None => Ok(()),
        }
    }
}

impl Common {
    fn check(&self) -> Result<(), ConfigError> {
        self.consumer.check()?;
        self.outbox.check()?;
        self.http.check()?;
        bounded("log.trace_ratio", self.log.trace_ratio, 0.0, 1.0)?;
        bounded("threads", self.threads, 1, 256)?;
        bounded("grace_ms", self.grace_ms, 100, 600_000)
    }
}

impl Default for Outbox {
    fn default() -> Self {
        Self { parcel_events: 256, parcel_bytes: 128 * 1024, sweep_ms: 2_000 }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self { format: LogFormat::Auto, filter: "info,lapin=off".to_owned(), otlp_endpoint: None, trace_ratio: 1.0 }
    }
}

impl Outbox {
    pub fn check(&self) -> Result<(), ConfigError> {
        bounded("outbox.parcel_events", self.parcel_events, 1, MOST_EVENTS)?;
        bounded("outbox.parcel_bytes", self.parcel_bytes, 1_024, 8 * 1024 * 1024)?;
        bounded("outbox.sweep_ms", self.sweep_ms, 10, 600_000)
    }
}

impl Database {
    /// The URL, parsed. The error never shows it, for it holds a password.
    pub fn parse(&self) -> Result<tokio_postgres::Config, ConfigError> {
        bounded("database.pool_size", self.pool_size, 1, 1_000)?;
        self.url.expose_secret().parse().map_err(|_| {
            ConfigError("database.url: not a URL of the form postgres://role:password@host:port/database".to_owned())
        })
    }
}

/// Refuses a setting outside its range, by name.
pub fn bounded<T: PartialOrd + Display + Copy>(name: &str, value: T, least: T, most: T) -> Result<(), ConfigError> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    Err(ConfigError(format!("{name}: {value} is not between {least} and {most}")))
}

mod default {
    pub(super) fn pool_size() -> usize {
        6
    }

    pub(super) fn threads() -> usize {
        1
    }

    pub(super) fn grace_ms() -> u64 {
        20_000
    }
}

#[cfg(test)]
mod tests;
