//! Who may do what: each service's role reads and writes the tables of its own schema, and nothing else.

use postgres_protocol::password::scram_sha_256;
use secrecy::ExposeSecret as _;
use tokio_postgres::{Client, Error};

use crate::{Passwords, SERVICES, session::retried};

/// `rights.sql`, to be read with the names of a schema and its role put in.
pub(crate) const TEXT: &str = include_str!("rights.sql");

/// Makes the login roles that are missing and sets the passwords of all.
pub(crate) async fn make_roles(client: &Client, passwords: &Passwords) -> Result<(), Error> {
    for service in &SERVICES {
        let role = service.role;
        // Only the verifier travels, so that no log of statements ever holds a password. It needs no escaping.
        let verifier = scram_sha_256((service.password)(passwords).expose_secret().as_bytes());
        retried(async || {
            let known = client.query_opt("SELECT 1 FROM pg_roles WHERE rolname = $1", &[&role]).await?;
            let verb = if known.is_some() { "ALTER" } else { "CREATE" };
            client.batch_execute(&format!("{verb} ROLE {role} LOGIN PASSWORD '{verifier}'")).await
        })
        .await?;
    }
    Ok(())
}

/// Opens each schema to its role. Harmless to services that are at work.
pub(crate) async fn open_schemas(client: &Client) -> Result<(), Error> {
    for service in &SERVICES {
        let mut sql = TEXT.replace("{schema}", service.schema).replace("{role}", service.role);
        for table in service.append_only {
            sql.push_str(&format!("REVOKE UPDATE, DELETE ON {}.{table} FROM {};\n", service.schema, service.role));
        }
        retried(async || client.batch_execute(&sql).await).await?;
    }
    Ok(())
}

/// Lets the services' roles, and nobody else, connect to the database that `client` is in.
///
/// [`migrate`](crate::migrate) does this too; a copy of a migrated database (`CREATE DATABASE ... TEMPLATE`) has
/// everything but this.
pub async fn open_database(client: &Client) -> Result<(), Error> {
    let database: String = client.query_one("SELECT quote_ident(current_database())", &[]).await?.try_get(0)?;
    let roles = SERVICES.each_ref().map(|service| service.role).join(", ");
    let sql = format!("REVOKE ALL ON DATABASE {database} FROM PUBLIC; GRANT CONNECT ON DATABASE {database} TO {roles}");
    client.batch_execute(&sql).await
}
