//! Every table of Conveyor, made by one function that may be run at any time, by several at once.
//!
//! One schema per service, one login role per service, and no role can touch another's schema. What may live here:
//! schemas, roles, rights. Never a row that a service owns, the demo catalogue apart.

mod rights;
mod schemas;
mod session;

use std::fmt;

use secrecy::SecretString;
use serde::Deserialize;
use tokio_postgres::{Client, Config};

pub use rights::open_database;
use rights::{make_roles, open_schemas};
pub use schemas::{SERVICES, Service, fingerprint};
use session::{Session, retried};

/// The passwords of the services' login roles.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Passwords {
    pub orders: SecretString,
    pub inventory: SecretString,
    pub payments: SecretString,
    pub notifications: SecretString,
    pub support: SecretString,
}

/// Why it did not work. The cause is the source, and is not repeated in the message.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the database cannot be reached")]
    Unreachable(#[source] tokio_postgres::Error),
    #[error("schema {schema} could not be migrated")]
    Migration { schema: &'static str, source: Box<refinery::Error> },
    #[error("{what} failed")]
    Refused { what: &'static str, source: tokio_postgres::Error },
}

impl Error {
    /// The error with its causes, in one line.
    #[must_use]
    pub fn in_one_line(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            let said = error.to_string();
            if !text.contains(&said) {
                text = format!("{text}: {said}");
            }
            cause = error.source();
        }
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }
}

/// What a migration did: per schema, what it applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report(Vec<(&'static str, Vec<String>)>);

impl Report {
    /// Whether everything was there already.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|(_, applied)| applied.is_empty())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (schema, applied) in &self.0 {
            match applied.as_slice() {
                [] => writeln!(f, "{schema}: up to date")?,
                some => writeln!(f, "{schema}: applied {}", some.join(", "))?,
            }
        }
        Ok(())
    }
}

/// Brings the database that `target` names up to date: schemas, tables, roles with these passwords, and rights.
///
/// The user in `target` must own the database and be allowed to make roles; it need not be a superuser.
pub async fn migrate(target: &Config, passwords: &Passwords) -> Result<Report, Error> {
    let mut session = Session::open(target).await?;
    let result = migrate_in(&mut session.client, passwords).await;
    session.close().await;
    result
}

async fn migrate_in(client: &mut Client, passwords: &Passwords) -> Result<Report, Error> {
    // An advisory lock is the database's own, and ends with the session that holds it, however that ends. Roles
    // belong to the whole cluster, so about them one may still meet a migration of another database.
    const LOCK: i64 = 0x00c0_4e7e_7042;
    let refused = |what| move |source| Error::Refused { what, source };
    client.execute("SELECT pg_advisory_lock($1)", &[&LOCK]).await.map_err(refused("taking the migration lock"))?;
    make_roles(client, passwords).await.map_err(refused("making the roles"))?;
    let mut report = Vec::new();
    for service in &SERVICES {
        report.push((service.schema, schemas::migrate(client, service).await?));
    }
    open_schemas(client).await.map_err(refused("granting rights"))?;
    retried(async || open_database(client).await).await.map_err(refused("granting rights on the database"))?;
    Ok(Report(report))
}

/// Loads the demo catalogue; what is there already stays as it is.
pub async fn load_demo(target: &Config) -> Result<(), Error> {
    let session = Session::open(target).await?;
    let loaded = session.client.batch_execute(include_str!("../demo.sql")).await;
    session.close().await;
    loaded.map_err(|source| Error::Refused { what: "loading the demo catalogue", source })
}
