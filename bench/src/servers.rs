//! PostgreSQL and RabbitMQ as this program needs them: a database and a vhost for each run, gone afterwards.

use std::{
    env, fs,
    path::PathBuf,
    sync::Mutex,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use hyper::{Method, StatusCode};
use lapin::{Connection, ConnectionProperties, options::QueueDeclareOptions, types::FieldTable};
use serde_json::Value;
use tokio_postgres::{Client, NoTls};

use crate::http;

pub struct Servers {
    database: String,
    amqp: String,
    management: String,
    /// What must be removed at the end, however that comes.
    made: Mutex<Vec<String>>,
}

/// A database and a vhost of the same name.
pub struct Place {
    pub name: String,
    /// For the administrator of the database.
    pub database: String,
    pub broker: String,
}

impl Place {
    /// The database, for one service's role.
    pub fn database_for(&self, role: &str, password: &str) -> String {
        let (scheme, rest) = self.database.split_once("://").unwrap_or(("postgres", &self.database));
        let server = rest.rsplit_once('@').map_or(rest, |(_, server)| server);
        format!("{scheme}://{role}:{password}@{server}")
    }
}

pub fn variable(name: &str) -> Result<String> {
    let meant_for = "`cargo xtask bench` sets it and starts this program";
    env::var(name).with_context(|| format!("{name} is not set: {meant_for}"))
}

/// The URL with another path, and without a query.
fn with_path(url: &str, path: &str) -> Result<String> {
    let (scheme, rest) = url.split_once("://").with_context(|| format!("not a URL: {url}"))?;
    let authority = rest.split(['/', '?']).next().unwrap_or(rest);
    Ok(format!("{scheme}://{authority}/{path}"))
}

impl Servers {
    pub fn from_environment() -> Result<Self> {
        Ok(Self {
            database: variable("CONVEYOR_BENCH_DATABASE_URL")?,
            amqp: variable("CONVEYOR_BENCH_AMQP_URL")?,
            management: variable("CONVEYOR_BENCH_MANAGEMENT_URL")?.trim_end_matches('/').to_owned(),
            made: Mutex::default(),
        })
    }

    pub async fn make(&self, name: &str) -> Result<Place> {
        self.made().push(name.to_owned());
        let (admin, _) = self.admin().await?;
        admin.batch_execute(&format!("CREATE DATABASE {name}")).await.context("cannot create a database")?;
        self.make_vhost(name).await?;
        Ok(Place {
            name: name.to_owned(),
            database: with_path(&self.database, name)?,
            broker: with_path(&self.amqp, name)?,
        })
    }

    async fn make_vhost(&self, name: &str) -> Result<()> {
        let authority = self.amqp.split_once("://").map_or("", |(_, rest)| rest);
        let user = authority.rsplit_once('@').map_or("guest", |(user, _)| user.split(':').next().unwrap_or(user));
        self.manage(Method::PUT, &format!("vhosts/{name}"), "").await?;
        let all = r#"{"configure":".*","write":".*","read":".*"}"#;
        self.manage(Method::PUT, &format!("permissions/{name}/{user}"), all).await?;
        Ok(())
    }

    /// Everything that the broker has of it is gone, as if its disk had been replaced.
    pub async fn wipe(&self, place: &Place) -> Result<()> {
        self.manage(Method::DELETE, &format!("vhosts/{}", place.name), "").await?;
        self.make_vhost(&place.name).await
    }

    /// What the management tells of a queue.
    pub async fn queue(&self, place: &Place, queue: &str) -> Result<Value> {
        self.manage(Method::GET, &format!("queues/{}/{queue}", place.name), "").await
    }

    pub async fn remove(&self, name: &str) -> Result<()> {
        let (admin, _) = self.admin().await?;
        admin.batch_execute(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await?;
        self.manage(Method::DELETE, &format!("vhosts/{name}"), "").await?;
        self.made().retain(|made| made != name);
        Ok(())
    }

    pub async fn remove_all(&self) -> Result<()> {
        let names = self.made().clone();
        for name in names {
            self.remove(&name).await.with_context(|| format!("the database and vhost {name} could not be removed"))?;
        }
        Ok(())
    }

    fn made(&self) -> std::sync::MutexGuard<'_, Vec<String>> {
        self.made.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// An administrator's connection, and the process that serves it.
    async fn admin(&self) -> Result<(Client, i32)> {
        let client = connect(&self.database).await?;
        let pid = client.query_one("SELECT pg_backend_pid()", &[]).await?.try_get(0)?;
        Ok((client, pid))
    }

    async fn manage(&self, method: Method, path: &str, body: &str) -> Result<Value> {
        let (status, answer) = http::ask(method, &format!("{}/api/{path}", self.management), body)
            .await
            .with_context(|| format!("RabbitMQ's management: {path}"))?;
        let fine = status.is_success() || status == StatusCode::NOT_FOUND;
        ensure!(fine, "RabbitMQ's management answered {status} to {path}");
        Ok(serde_json::from_slice(&answer).unwrap_or(Value::Null))
    }

    /// The server processes, if they run on this machine: PostgreSQL's first, RabbitMQ's.
    pub async fn processes(&self) -> Result<(Option<i32>, Option<i32>)> {
        let (_admin, backend) = self.admin().await?;
        let postmaster = crate::measure::parent(backend).filter(|_| program(backend).starts_with("postgres"));
        let beam = self.node().await?;
        Ok((postmaster, beam.filter(|pid| program(*pid).starts_with("beam"))))
    }

    /// Where PostgreSQL keeps its data, if it tells.
    pub async fn data(&self) -> Result<Option<PathBuf>> {
        let (admin, _) = self.admin().await?;
        // Not everybody who may make databases may know.
        let told = admin.query_one("SHOW data_directory", &[]).await.ok();
        Ok(told.and_then(|row| row.try_get::<_, String>(0).ok()).map(PathBuf::from))
    }

    /// The process of RabbitMQ's node. A node that has just started tells it only with its first statistics.
    async fn node(&self) -> Result<Option<i32>> {
        let told_by = Instant::now() + Duration::from_secs(15);
        loop {
            let nodes = self.manage(Method::GET, "nodes", "").await?;
            let pid = nodes[0]["os_pid"].as_str().and_then(|pid| pid.parse().ok());
            if pid.is_some() || Instant::now() > told_by {
                return Ok(pid);
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    }

    /// What the figures were taken on.
    pub async fn describe(&self) -> Result<String> {
        let (admin, _) = self.admin().await?;
        let shown = async |what: &str| {
            Ok::<String, anyhow::Error>(admin.query_one(&format!("SHOW {what}"), &[]).await?.try_get(0)?)
        };
        let version = shown("server_version").await?;
        let date = "SELECT to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI')";
        let date: String = admin.query_one(date, &[]).await?.try_get(0)?;
        let rabbitmq = self.manage(Method::GET, "overview", "").await?;
        Ok(format!(
            "PostgreSQL {} (fsync {}, synchronous_commit {}, shared_buffers {}) · RabbitMQ {} · {date} UTC",
            version.split(' ').next().unwrap_or(&version),
            shown("fsync").await?,
            shown("synchronous_commit").await?,
            shown("shared_buffers").await?,
            rabbitmq["rabbitmq_version"].as_str().unwrap_or("?"),
        ))
    }

    /// How many messages each queue holds. Exact only while nobody consumes: what is delivered does not count.
    pub async fn messages(&self, place: &Place) -> Result<Vec<(String, u32)>> {
        let queues = self.manage(Method::GET, &format!("queues/{}?columns=name", place.name), "").await?;
        let Some(queues) = queues.as_array() else { bail!("RabbitMQ's management does not list the queues") };
        // Not from management: its figures are seconds old.
        let connection = Connection::connect(&place.broker, ConnectionProperties::default()).await?;
        let channel = connection.create_channel().await?;
        let mut counted = Vec::with_capacity(queues.len());
        for name in queues.iter().filter_map(|queue| queue["name"].as_str()) {
            let passive = QueueDeclareOptions { passive: true, ..Default::default() };
            let queue = channel.queue_declare(name.into(), passive, FieldTable::default()).await?;
            counted.push((name.to_owned(), queue.message_count()));
        }
        connection.close(200, "done".into()).await?;
        Ok(counted)
    }
}

pub async fn connect(url: &str) -> Result<Client> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.context("cannot connect to PostgreSQL")?;
    // It ends with its client; what went wrong, the statement that was under way says.
    tokio::spawn(connection);
    Ok(client)
}

fn program(pid: i32) -> String {
    fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_gets_another_path() {
        for url in ["amqp://a:b@h:1", "amqp://a:b@h:1/", "amqp://a:b@h:1/x", "amqp://a:b@h:1/x?heartbeat=5"] {
            assert_eq!(with_path(url, "v").unwrap(), "amqp://a:b@h:1/v");
        }
    }

    #[test]
    fn a_role_takes_the_place_of_the_administrator() {
        let place =
            Place { name: String::new(), database: "postgres://postgres:p@h:1/d".into(), broker: String::new() };
        assert_eq!(place.database_for("r", "s"), "postgres://r:s@h:1/d");
    }
}
