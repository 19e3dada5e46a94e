//! Layered configuration: defaults compiled in, then a TOML file, then the environment.
//!
//! The file is named by `CONVEYOR_CONFIG`; a variable is `CONVEYOR__SECTION__KEY`. An unknown key or a bad value
//! is an error that names it: a misspelt setting must not pass for a default.

mod smtp;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    ffi::OsString,
    fmt::Display,
    net::IpAddr,
    path::PathBuf,
    time::Duration,
};

use config::{ConfigBuilder, builder::DefaultState};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, de::DeserializeOwned};

pub use self::smtp::{Encryption, Smtp};
use crate::{events::MOST_EVENTS, pace::Pace};

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
pub struct Http {
    /// Where to listen; empty means the service's usual port on loopback.
    pub bind: String,
    pub request_timeout_ms: u64,
    pub body_limit_bytes: usize,
    /// Sites whose pages may send anything and read the answers, such as `https://shop.example`.
    #[serde(deserialize_with = "list_of_names")]
    pub allowed_origins: Vec<String>,
    /// How long the first line and the headers may take, and how long a connection may be quiet before them.
    pub head_timeout_ms: u64,
    /// How long the body may take; the time for the answer begins after it.
    pub body_timeout_ms: u64,
    /// How long a client may take nothing of its answer.
    pub write_timeout_ms: u64,
    /// How often one user, and one address, may ask, and how much more for once; 0 for no limit.
    pub rate_per_user_per_second: u32,
    pub burst_per_user: u32,
    pub rate_per_address_per_second: u32,
    pub burst_per_address: u32,
    /// Proxies whose word (`X-Forwarded-For`) counts for whom they ask.
    #[serde(deserialize_with = "list_of_addresses")]
    pub trusted_proxies: Vec<IpAddr>,
    /// The most requests that are answered at once.
    pub most_requests: usize,
    /// The most connections; and from one address, where 0 is for no limit.
    pub most_connections: usize,
    pub most_connections_per_address: usize,
}

/// Who may sign the tokens of callers.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Auth {
    /// By name, which a token may give as its `kid`. Several can be good at once.
    #[serde(deserialize_with = "keys")]
    pub keys: BTreeMap<String, Key>,
    /// More keys, as a JWK set.
    pub jwks_file: Option<PathBuf>,
    /// The `iss` and the `aud` that a token must have, if any.
    pub issuer: Option<String>,
    pub audience: Option<String>,
    /// By how much clocks may differ.
    pub leeway_s: u64,
}

/// One of the two; the algorithm follows from it: HS256, EdDSA (Ed25519) or RS256.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Key {
    pub secret: Option<SecretString>,
    pub public_key_file: Option<PathBuf>,
}

impl Default for Auth {
    fn default() -> Self {
        Self { keys: BTreeMap::new(), jwks_file: None, issuer: None, audience: None, leeway_s: 30 }
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Consumer {
    /// The most events handled in one transaction; no more are gathered once so many are there.
    pub max_events: usize,
    /// The most bytes of parcels gathered into one batch.
    pub max_bytes: usize,
    /// How many parcels the broker may send ahead, once the first has shown itself harmless; where many small ones have piled
    /// up by then, four times as many.
    pub prefetch: u16,
    /// While this many events a second arrive, batches begin half of `pace_ms` apart; with more, nearer to all of it. Where
    /// several processes share a queue, farther, by how many they are.
    pub pace_half_per_second: u32,
    pub pace_ms: u64,
    /// The same for queues that no order waits for: those that come after it is paid.
    pub unawaited_pace_ms: u64,
    /// The delay before each further attempt. When they are used up, the event is dead-lettered. All processes
    /// on one vhost must agree, for the delay queues are made from this list.
    #[serde(deserialize_with = "list_of_numbers")]
    pub retry_delays_ms: Vec<u64>,
    /// How many calls to the outside world may be under way at once.
    pub effects: usize,
    /// How long one of them may take.
    pub effect_ms: u64,
    /// A hold longer than this gives its deliveries back to the broker.
    pub hold_ms: u64,
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

impl Http {
    fn check(&self) -> Result<(), ConfigError> {
        bounded("http.request_timeout_ms", self.request_timeout_ms, 10, 600_000)?;
        bounded("http.body_limit_bytes", self.body_limit_bytes, 1_024, 64 * 1024 * 1024)?;
        bounded("http.head_timeout_ms", self.head_timeout_ms, 10, 600_000)?;
        bounded("http.body_timeout_ms", self.body_timeout_ms, 10, 600_000)?;
        bounded("http.write_timeout_ms", self.write_timeout_ms, 10, 600_000)?;
        bounded("http.burst_per_user", self.burst_per_user, 1, 1_000_000)?;
        bounded("http.burst_per_address", self.burst_per_address, 1, 1_000_000)?;
        bounded("http.rate_per_user_per_second", self.rate_per_user_per_second, 0, 1_000_000)?;
        bounded("http.rate_per_address_per_second", self.rate_per_address_per_second, 0, 1_000_000)?;
        bounded("http.most_requests", self.most_requests, 1, 1_000_000)?;
        bounded("http.most_connections", self.most_connections, 1, 1_000_000)?;
        bounded("http.most_connections_per_address", self.most_connections_per_address, 0, 1_000_000)
    }
}

impl Default for Http {
    fn default() -> Self {
        Self {
            bind: String::new(),
            request_timeout_ms: 10_000,
            body_limit_bytes: 64 * 1024,
            allowed_origins: Vec::new(),
            head_timeout_ms: 10_000,
            body_timeout_ms: 10_000,
            write_timeout_ms: 10_000,
            rate_per_user_per_second: 50,
            burst_per_user: 100,
            rate_per_address_per_second: 200,
            burst_per_address: 400,
            trusted_proxies: Vec::new(),
            most_requests: 4_096,
            most_connections: 20_000,
            most_connections_per_address: 0,
        }
    }
}

impl Default for Consumer {
    fn default() -> Self {
        Self {
            max_events: 256,
            max_bytes: 4 * 1024 * 1024,
            prefetch: 256,
            pace_half_per_second: 100,
            pace_ms: 4,
            unawaited_pace_ms: 50,
            retry_delays_ms: vec![1_000, 5_000, 30_000, 120_000, 600_000],
            effects: 64,
            effect_ms: 30_000,
            hold_ms: 60_000,
        }
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

impl Consumer {
    /// The pace of a queue that an order waits for, or of one that none waits for.
    #[must_use]
    pub fn pace(&self, awaited: bool) -> Pace {
        let most = if awaited { self.pace_ms } else { self.unawaited_pace_ms };
        Pace::new(Duration::from_millis(most), self.pace_half_per_second)
    }

    pub fn check(&self) -> Result<(), ConfigError> {
        bounded("consumer.max_events", self.max_events, 1, 10_000)?;
        bounded("consumer.max_bytes", self.max_bytes, 1_024, 256 * 1024 * 1024)?;
        // Beyond half an hour the broker takes its deliveries back.
        bounded("consumer.hold_ms", self.hold_ms, 100, 1_200_000)?;
        bounded("consumer.prefetch", self.prefetch, 1, 2_000)?;
        bounded("consumer.effects", self.effects, 1, 10_000)?;
        bounded("consumer.effect_ms", self.effect_ms, 10, 600_000)?;
        bounded("consumer.pace_half_per_second", self.pace_half_per_second, 1, 1_000_000)?;
        bounded("consumer.pace_ms", self.pace_ms, 0, 1_000)?;
        bounded("consumer.unawaited_pace_ms", self.unawaited_pace_ms, 0, 1_000)?;
        bounded("consumer.retry_delays_ms, the number of its values", self.retry_delays_ms.len(), 1, 20)?;
        match self.retry_delays_ms.iter().find(|ms| !(1..=86_400_000).contains(*ms)) {
            Some(ms) => Err(ConfigError(format!("consumer.retry_delays_ms: {ms} is not between 1 and 86400000"))),
            None => Ok(()),
        }
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

/// A list is an array in a file and comma-separated text in the environment.
#[derive(Deserialize)]
#[serde(untagged)]
enum List<T> {
    Many(Vec<T>),
    One(T),
    Text(String),
}

/// What is wrong is not shown: it may be the secret itself, under a name cut short.
fn keys<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, Key>, D::Error> {
    BTreeMap::deserialize(deserializer).map_err(|_| {
        serde::de::Error::custom(
            "auth.keys: a key has a name, and a secret or a public_key_file, such as CONVEYOR__AUTH__KEYS__MAIN__SECRET",
        )
    })
}

/// For a setting that is a list of names: of other sections too.
pub fn list_of_names<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let text = match List::<String>::deserialize(deserializer)? {
        List::Many(names) => return Ok(names),
        List::One(text) | List::Text(text) => text,
    };
    Ok(text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect())
}

fn list_of_addresses<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<IpAddr>, D::Error> {
    let no_address = |text: &str| serde::de::Error::custom(format!("{text:?} is not an IP address"));
    list_of_names(deserializer)?.iter().map(|text| text.parse().map_err(|_| no_address(text))).collect()
}

fn list_of_numbers<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<u64>, D::Error> {
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

#[cfg(test)]
mod tests;
