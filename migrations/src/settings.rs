//! Configuration, layered like that of the services: a TOML file, then the environment. Unknown keys are errors.

use std::collections::HashMap;

use migrations::Passwords;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use tokio_postgres::Config;

pub(crate) struct Settings {
    pub(crate) target: Config,
    pub(crate) passwords: Passwords,
}

/// What is wrong with the configuration, in one line.
#[derive(Debug, thiserror::Error)]
#[error("configuration: {0}")]
pub(crate) struct ConfigError(String);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Sections {
    database: Database,
    roles: Passwords,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Database {
    url: SecretString,
}

pub(crate) fn load() -> Result<Settings, ConfigError> {
    // Somebody else's variable that is not Unicode is none of our business.
    let variables =
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    load_from(std::env::var("CONVEYOR_CONFIG").ok().as_deref(), variables.collect())
}

fn load_from(file: Option<&str>, variables: HashMap<String, String>) -> Result<Settings, ConfigError> {
    let bad = |error: config::ConfigError| ConfigError(error.to_string().replace('\n', " "));
    let mut builder = config::Config::builder();
    if let Some(file) = file {
        builder = builder.add_source(config::File::new(file, config::FileFormat::Toml));
    }
    let environment =
        config::Environment::with_prefix("CONVEYOR").prefix_separator("__").separator("__").source(Some(variables));
    let sections: Sections = builder.add_source(environment).build().map_err(bad)?.try_deserialize().map_err(bad)?;
    let passwords = sections.roles;
    let named = [
        ("orders", &passwords.orders),
        ("inventory", &passwords.inventory),
        ("payments", &passwords.payments),
        ("notifications", &passwords.notifications),
        ("support", &passwords.support),
    ];
    // PostgreSQL takes an empty password for none at all, and then lets nobody in.
    if let Some((name, _)) = named.iter().find(|(_, password)| password.expose_secret().is_empty()) {
        return Err(ConfigError(format!("roles.{name}: the password must not be empty")));
    }
    // The parser's own message could show the password.
    let target = sections.database.url.expose_secret().parse().map_err(|_| {
        ConfigError("database.url: not a URL of the form postgres://owner:password@host:port/database".to_owned())
    })?;
    Ok(Settings { target, passwords })
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: [(&str, &str); 6] = [
        ("CONVEYOR__DATABASE__URL", "postgres://admin:secret@h:1/d"),
        ("CONVEYOR__ROLES__ORDERS", "1"),
        ("CONVEYOR__ROLES__INVENTORY", "2"),
        ("CONVEYOR__ROLES__PAYMENTS", "3"),
        ("CONVEYOR__ROLES__NOTIFICATIONS", "4"),
        ("CONVEYOR__ROLES__SUPPORT", "5"),
    ];

    fn load_with(name: &str, value: Option<&str>) -> Result<Settings, String> {
        let mut variables: HashMap<String, String> =
            WHOLE.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        match value {
            Some(value) => variables.insert(name.to_owned(), value.to_owned()),
            None => variables.remove(name),
        };
        load_from(None, variables).map_err(|error| error.to_string())
    }

    #[test]
    fn the_environment_is_enough() {
        let settings = load_with("UNRELATED", Some("x")).ok().unwrap();
        assert_eq!(settings.target.get_dbname(), Some("d"));
        assert_eq!(settings.passwords.notifications.expose_secret(), "4");
    }

    #[test]
    fn what_is_missing_unknown_or_bad_is_named() {
        for (name, value, named) in [
            ("CONVEYOR__DATABASE__URL", None, "database"),
            ("CONVEYOR__DATABASE__URL", Some("secret:x"), "database.url"),
            ("CONVEYOR__ROLES__PAYMENTS", None, "roles.payments"),
            ("CONVEYOR__ROLES__PAYMENTS", Some(""), "roles.payments"),
            ("CONVEYOR__ROLES__BOOKINGS", Some("6"), "bookings"),
            ("CONVEYOR__BANANA", Some("5"), "banana"),
        ] {
            let error = load_with(name, value).err().unwrap_or_else(|| panic!("{name}={value:?} was taken"));
            assert!(error.contains(named), "{error}");
            assert!(!error.contains('\n') && !error.contains("secret"), "{error}");
        }
    }
}
