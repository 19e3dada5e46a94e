//! The schemas and their migrations.

use std::hash::{DefaultHasher, Hash, Hasher};

use refinery::Runner;
use secrecy::SecretString;
use tokio_postgres::Client;

use crate::{Error, Passwords, rights};

/// A service, as the database sees it.
pub struct Service {
    pub schema: &'static str,
    pub role: &'static str,
    pub(crate) password: fn(&Passwords) -> &SecretString,
    migrations: fn() -> Runner,
    /// Tables whose rows its role may write and read, and never change.
    pub(crate) append_only: &'static [&'static str],
}

pub const SERVICES: [Service; 5] = [
    Service {
        schema: "orders",
        role: "conveyor_orders",
        password: |passwords| &passwords.orders,
        migrations: orders::migrations::runner,
        append_only: &[],
    },
    Service {
        schema: "inventory",
        role: "conveyor_inventory",
        password: |passwords| &passwords.inventory,
        migrations: inventory::migrations::runner,
        append_only: &[],
    },
    Service {
        schema: "payments",
        role: "conveyor_payments",
        password: |passwords| &passwords.payments,
        migrations: payments::migrations::runner,
        append_only: &["paid_back"],
    },
    Service {
        schema: "notifications",
        role: "conveyor_notifications",
        password: |passwords| &passwords.notifications,
        migrations: notifications::migrations::runner,
        append_only: &[],
    },
    Service {
        schema: "support",
        role: "conveyor_support",
        password: |passwords| &passwords.support,
        migrations: support::migrations::runner,
        append_only: &["audit"],
    },
];

mod orders {
    refinery::embed_migrations!("orders");
}
mod inventory {
    refinery::embed_migrations!("inventory");
}
mod payments {
    refinery::embed_migrations!("payments");
}
mod notifications {
    refinery::embed_migrations!("notifications");
}
mod support {
    refinery::embed_migrations!("support");
}

/// Brings one schema up to date; returns what was applied.
pub(crate) async fn migrate(client: &mut Client, service: &Service) -> Result<Vec<String>, Error> {
    let schema = service.schema;
    // The history of a schema lies in the schema: so each service's tables can move out whole.
    client
        .batch_execute(&format!("CREATE SCHEMA IF NOT EXISTS {schema}; SET search_path = {schema}"))
        .await
        .map_err(|source| Error::Refused { what: "making a schema", source })?;
    let report = (service.migrations)()
        .run_async(client)
        .await
        .map_err(|source| Error::Migration { schema, source: Box::new(source) })?;
    Ok(report.applied_migrations().iter().map(ToString::to_string).collect())
}

/// The same for the same migrations and rights: two databases with one fingerprint are alike.
#[must_use]
pub fn fingerprint() -> u64 {
    let mut hasher = DefaultHasher::new();
    for service in &SERVICES {
        (service.schema, service.role, service.append_only).hash(&mut hasher);
        for migration in (service.migrations)().get_migrations() {
            migration.checksum().hash(&mut hasher);
        }
    }
    rights::TEXT.hash(&mut hasher);
    hasher.finish()
}
