use secrecy::SecretString;
use serde::Deserialize;

use super::{ConfigError, bounded};

/// A server that takes mails.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Smtp {
    pub host: String,
    pub port: u16,
    pub tls: Encryption,
    /// Empty where the server wants none.
    pub user: String,
    pub password: SecretString,
}

/// How the way to the SMTP server is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encryption {
    /// Not at all.
    None,
    /// From `STARTTLS` on. A server that cannot is sent nothing.
    Starttls,
    /// From the first byte.
    Tls,
}

impl Default for Smtp {
    fn default() -> Self {
        Self {
            host: "127.0.0.1".to_owned(),
            port: 8025,
            tls: Encryption::None,
            user: String::new(),
            password: SecretString::default(),
        }
    }
}

impl Smtp {
    /// `section` is where it stands. It must be somewhere if it `is_used`.
    pub fn check(&self, section: &str, is_used: bool) -> Result<(), ConfigError> {
        if is_used && self.host.is_empty() {
            return Err(ConfigError(format!("{section}.host: is needed to send mails")));
        }
        bounded(&format!("{section}.port"), self.port, 1, u16::MAX)
    }
}
