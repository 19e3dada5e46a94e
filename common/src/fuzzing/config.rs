use std::fmt::Debug;

use serde::de::DeserializeOwned;

use crate::config::{ConfigError, Settings, read};

/// What must not be shown, whatever else is wrong.
const SECRET: &str = "hush-hush";
const LONG_ENOUGH: &str = ", which is to be thirty-two bytes";

/// A file that ends in a secret, and after a NUL the environment, a variable a line; with the service's own section and
/// what it checks.
pub fn config<Own: DeserializeOwned + Default + Debug>(
    section: Option<&str>,
    bytes: &[u8],
    check: impl FnOnce(&Settings<Own>) -> Result<(), ConfigError>,
) {
    let text = String::from_utf8_lossy(bytes);
    if text.contains("hush") {
        return;
    }
    let (file, environment) = text.split_once('\0').unwrap_or((&text, ""));
    let file = format!("{file}secret = \"{SECRET}{LONG_ENOUGH}\"\n");
    let file = config::File::from_str(&file, config::FileFormat::Toml);
    let secrets = [
        ("CONVEYOR__DATABASE__URL", format!("postgres://role:{SECRET}@h/d")),
        ("CONVEYOR__BROKER__URL", format!("amqp://user:{SECRET}@h")),
        ("CONVEYOR__AUTH__KEYS__MAIN__SECRET", format!("{SECRET}{LONG_ENOUGH}")),
    ];
    let given = environment.lines().filter_map(|line| line.split_once('='));
    let variables = secrets.into_iter().map(|(name, value)| (name.to_owned(), value));
    let variables = variables.chain(given.map(|(name, value)| (name.to_owned(), value.to_owned()))).collect();
    let read = read(section, config::Config::builder().add_source(file), variables);
    let shown = match read.and_then(|settings| check(&settings).map(|()| settings)) {
        Ok(settings) => format!("{settings:?}"),
        Err(error) => {
            let error = error.to_string();
            assert!(!error.contains('\n'), "{error}");
            error
        }
    };
    assert!(!shown.contains("hush"), "{shown}");
}
