//! One place where Conveyor runs: its folder, its ports, its binaries, and the servers it
//! uses: private ones, or those that `DATABASE_URL` and `AMQP_URL` name.

use std::env;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::thread;

use anyhow::{Context, Result, bail};

use crate::ports::{self, Ports};
use crate::project::{self, Variables};
use crate::servers::{self, Postgres, RabbitMq, Releases, Server, install, postgres, rabbitmq};

/// What the servers are for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Data that are kept, passwords that nobody can guess, fixed ports.
    Development,
    /// Thrown away afterwards: fast rather than safe, any free ports.
    Tests,
    /// Thrown away afterwards, but as safe and as slow as the real thing.
    Benchmark,
}

/// The servers of one site. Those that are private are ours to start and stop.
pub struct Backing {
    /// The database, with the rights to do everything.
    pub database_url: String,
    pub amqp_url: String,
    pub management_url: Option<String>,
    private: Vec<Box<dyn Server>>,
}

impl Backing {
    /// Installs what is missing and settles who listens where; starts nothing.
    pub fn prepare(dir: &Path, purpose: Purpose, releases: &Releases) -> Result<Self> {
        let given = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
        let (database, amqp) = (given("DATABASE_URL"), given("AMQP_URL"));
        for (url, release) in [(&database, &releases.postgres), (&amqp, &releases.rabbitmq)] {
            if url.is_some() && release.is_some() {
                bail!("--rabbitmq and --postgres are for private servers: unset AMQP_URL, or DATABASE_URL");
            }
        }
        let of_system = |url: &Option<String>, release: &Option<String>| url.is_none() && release.is_none();
        let wanted: Vec<_> = [
            (of_system(&database, &releases.postgres), install::POSTGRES),
            (of_system(&amqp, &releases.rabbitmq), install::RABBITMQ),
        ]
        .into_iter()
        .filter_map(|(wanted, package)| wanted.then_some(package))
        .collect();
        install::ensure(&wanted)?;
        let fixed: Option<Ports> = (purpose == Purpose::Development).then_some(ports::DEVELOPMENT);
        let secret = |known: &str| {
            if fixed.is_some() { project::password() } else { Ok(known.to_owned()) }
        };
        let mut private: Vec<Box<dyn Server>> = Vec::new();

        let database_url = match database {
            Some(url) => url,
            None => {
                let server = Postgres::open(
                    &dir.join("postgres"),
                    postgres::Settings {
                        port: fixed.map(|ports| ports.postgres),
                        password: secret("postgres")?,
                        durable: purpose != Purpose::Tests,
                        run_in: purpose == Purpose::Benchmark,
                        database: if purpose == Purpose::Tests { "postgres" } else { "conveyor" }.to_owned(),
                        programs: (&releases.postgres).into(),
                    },
                )?;
                let url = if purpose == Purpose::Benchmark { server.socket_url() } else { server.url() };
                private.push(Box::new(server));
                url
            }
        };
        let (amqp_url, management_url) = match amqp {
            Some(url) => (url, given("MANAGEMENT_URL")),
            None => {
                let server = RabbitMq::open(
                    &dir.join("rabbitmq"),
                    rabbitmq::Settings {
                        port: fixed.map(|ports| ports.rabbitmq),
                        management: fixed.map(|ports| ports.management),
                        user: if fixed.is_some() { "conveyor" } else { "guest" }.to_owned(),
                        password: secret("guest")?,
                        vhost: if fixed.is_some() { "conveyor" } else { "/" }.to_owned(),
                        eager_statistics: purpose == Purpose::Tests,
                        programs: (&releases.rabbitmq).into(),
                        join: None,
                    },
                )?;
                let urls = (server.url(), Some(server.management_url()));
                private.push(Box::new(server));
                urls
            }
        };
        Ok(Self { database_url, amqp_url, management_url, private })
    }

    pub fn private(&self) -> Vec<&dyn Server> {
        self.private.iter().map(Box::as_ref).collect()
    }

    /// Starts the private servers while cargo builds: the one waits, the other works.
    pub fn start_while_building(&self, build: &[&str]) -> Result<()> {
        thread::scope(|scope| {
            let starting = scope.spawn(|| servers::start_all(&self.private()));
            let built = project::build(build);
            let started = starting.join().unwrap_or_else(|_| bail!("the thread that starts the servers panicked"));
            built.and(started)
        })
    }
}

/// Holds a folder for one command at a time; released when it is dropped, however that comes about.
pub fn lock(dir: &Path) -> Result<File> {
    fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    let file = File::create(dir.join("lock")).with_context(|| format!("cannot write in {}", dir.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            bail!("another `cargo xtask` is at work in {}: wait until it is done", dir.display())
        }
        Err(TryLockError::Error(error)) => Err(error).context("cannot lock"),
    }
}

/// The same database, as somebody else.
pub fn with_login(url: &str, user: &str, password: &str) -> Result<String> {
    let (scheme, rest) = url.split_once("://").context("a database URL must begin with `postgres://`")?;
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    Ok(format!("{scheme}://{user}:{password}@{host}{path}"))
}

/// The password inside a URL.
pub fn password_of(url: &str) -> Option<String> {
    let (_, rest) = url.split_once("://")?;
    let (login, _) = rest.split_once('@')?;
    Some(login.split_once(':')?.1.to_owned())
}

/// Where `cargo xtask up` keeps everything.
pub struct Site {
    pub local: PathBuf,
    pub ports: Ports,
}

impl Site {
    pub fn open() -> Result<Self> {
        let site = Self { local: project::local()?, ports: ports::DEVELOPMENT };
        for dir in [site.run(), site.logs()] {
            fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
        }
        Ok(site)
    }

    pub fn run(&self) -> PathBuf {
        self.local.join("run")
    }

    pub fn logs(&self) -> PathBuf {
        self.local.join("log")
    }

    /// URLs and demo credentials, for people and scripts.
    pub fn variables_file(&self) -> PathBuf {
        self.local.join("conveyor.env")
    }

    pub fn variables(&self) -> Variables {
        project::read_variables(&self.variables_file())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_is_put_in_place_of_another() {
        let changed = |url| with_login(url, "u", "p").unwrap_or_default();
        assert_eq!(changed("postgres://a:b@h:1/d?sslmode=disable"), "postgres://u:p@h:1/d?sslmode=disable");
        assert_eq!(changed("postgres://h/d"), "postgres://u:p@h/d");
        assert_eq!(changed("postgres://h?x=@"), "postgres://u:p@h?x=@");
        assert!(with_login("h/d", "u", "p").is_err());
    }

    #[test]
    fn a_password_is_found() {
        assert_eq!(password_of("postgres://u:p@h/d").as_deref(), Some("p"));
        assert_eq!(password_of("postgres://h/d"), None);
    }
}
