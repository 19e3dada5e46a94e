//! A migrated database for one test.

use std::time::Duration;

use migrations::{Passwords, SERVICES};
use secrecy::SecretString;
use tokio_postgres::{Client, Config, NoTls};
use uuid::Uuid;

use crate::{
    SIGNING_KEY,
    environment::{Url, finally, needed},
    verification_key,
};

/// The password of every service's role in tests. Roles belong to the whole cluster, so all tests share them.
pub const PASSWORD: &str = "conveyor-test";

/// A database of the test's own; removed when dropped, whoever is still connected.
#[derive(Debug)]
pub struct Database {
    pub name: String,
    server: Url,
    maintenance: String,
}

impl Database {
    /// Migrated, and empty but for that.
    pub async fn create() -> Self {
        Self::create_at(&needed("CONVEYOR_TEST_DATABASE_URL")).await
    }

    /// The same on a server of the test's own, named by its administrator's URL.
    pub async fn create_at(maintenance: &str) -> Self {
        let client = connect(maintenance).await;
        let template = template(&client, maintenance).await;
        let database = Self::make(&client, maintenance, &format!("TEMPLATE {template}")).await;
        // A copy has everything but the rights on the database itself.
        let client = database.connect().await;
        migrations::open_database(&client).await.expect("opening the database to the services");
        database
    }

    /// With nothing in it: for tests of the migrations themselves.
    pub async fn empty_at(maintenance: &str) -> Self {
        Self::make(&connect(maintenance).await, maintenance, "").await
    }

    async fn make(client: &Client, maintenance: &str, how: &str) -> Self {
        let name = format!("test_{}", Uuid::now_v7().simple());
        client.batch_execute(&format!("CREATE DATABASE {name} {how}")).await.expect("making a database");
        Self { name, server: Url::parse(maintenance), maintenance: maintenance.to_owned() }
    }

    #[must_use]
    pub fn admin_url(&self) -> String {
        self.server.with_path(&self.name)
    }

    /// For the service that owns `schema`, in its own role.
    #[must_use]
    pub fn url(&self, schema: &str) -> String {
        self.url_through(&self.server.address, schema)
    }

    /// The same by another way, such as a [`Proxy`](crate::Proxy).
    #[must_use]
    pub fn url_through(&self, address: &str, schema: &str) -> String {
        let Some(service) = SERVICES.iter().find(|service| service.schema == schema) else {
            panic!("there is no schema {schema}");
        };
        let way = Url { address: address.to_owned(), ..self.server.clone() };
        way.for_user(service.role, PASSWORD, &self.name)
    }

    /// Where its server listens.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.server.address
    }

    /// With all rights.
    pub async fn connect(&self) -> Client {
        connect(&self.admin_url()).await
    }

    /// With the rights of the service that owns `schema`.
    pub async fn connect_as(&self, schema: &str) -> Client {
        connect(&self.url(schema)).await
    }

    /// The number that a query gives.
    pub async fn count(&self, sql: &str) -> i64 {
        let row = self.connect().await.query_one(sql, &[]).await;
        row.and_then(|row| row.try_get(0)).unwrap_or_else(|error| panic!("{sql}: {error:?}"))
    }

    /// The demo catalogue, and the key of the demo customer.
    pub async fn load_demo(&self) {
        migrations::load_demo(&config(&self.admin_url())).await.expect("loading the demo catalogue");
        self.register_key("123456").await;
    }

    /// Lets the user sign with the key that [`signed`](crate::signed) signs with.
    pub async fn register_key(&self, user: &str) {
        let key: &[u8] = &verification_key();
        let sql =
            "INSERT INTO orders.signing_keys (user_id, key_id, public_key) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
        self.connect().await.execute(sql, &[&user, &SIGNING_KEY, &key]).await.expect("registering a key");
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let (name, maintenance) = (self.name.clone(), self.maintenance.clone());
        finally(async move {
            let Ok((client, connection)) = config(&maintenance).connect(NoTls).await else { return };
            tokio::spawn(connection);
            let _ = client.batch_execute(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await;
        });
    }
}

pub(crate) fn passwords() -> Passwords {
    let password = || SecretString::from(PASSWORD);
    Passwords {
        orders: password(),
        inventory: password(),
        payments: password(),
        notifications: password(),
        support: password(),
    }
}

/// The migrated database that the others are copies of, made once per server and set of migrations: a copy takes a
/// tenth of what migrating takes. Tests are processes of their own, so the server guards the making.
async fn template(client: &Client, maintenance: &str) -> String {
    let fingerprint = migrations::fingerprint();
    let name = format!("conveyor_template_{fingerprint:016x}");
    if is_whole(client, &name).await == Some(true) {
        return name;
    }
    let lock = fingerprint.cast_signed();
    client.execute("SELECT pg_advisory_lock($1)", &[&lock]).await.expect("waiting for the template");
    match is_whole(client, &name).await {
        Some(true) => {}
        unfinished => {
            if unfinished.is_some() {
                client.batch_execute(&format!("DROP DATABASE {name} WITH (FORCE)")).await.expect("dropping a template");
            }
            client.batch_execute(&format!("CREATE DATABASE {name}")).await.expect("making a template");
            let target = config(&Url::parse(maintenance).with_path(&name));
            migrations::migrate(&target, &passwords()).await.unwrap_or_else(|error| panic!("{}", error.in_one_line()));
            let sealed = format!("ALTER DATABASE {name} IS_TEMPLATE true ALLOW_CONNECTIONS false");
            client.batch_execute(&sealed).await.expect("sealing the template");
        }
    }
    client.execute("SELECT pg_advisory_unlock($1)", &[&lock]).await.expect("releasing the template");
    name
}

/// Whether a template is there, and if so, whether it was finished.
async fn is_whole(client: &Client, name: &str) -> Option<bool> {
    let row = client.query_opt("SELECT datistemplate FROM pg_database WHERE datname = $1", &[&name]).await;
    row.expect("looking for the template").map(|row| row.get(0))
}

fn config(url: &str) -> Config {
    let mut config: Config = url.parse().expect("a database URL");
    config.connect_timeout(Duration::from_secs(10));
    config
}

pub(crate) async fn connect(url: &str) -> Client {
    let (client, connection) =
        config(url).connect(NoTls).await.unwrap_or_else(|error| panic!("cannot connect to {url}: {error:?}"));
    // Ends with the client; whoever waits for an answer hears of a broken connection there.
    tokio::spawn(connection);
    client
}
