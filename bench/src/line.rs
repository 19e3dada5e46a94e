//! The line under test: the four services as separate processes, started with the wanted settings.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Stdio,
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use hyper::{Method, StatusCode};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::process::{Child, Command};

use crate::{
    customer::{self, TOKEN_SECRET},
    http,
    servers::{Place, connect},
};

pub struct Kind {
    pub name: &'static str,
    role: &'static str,
    /// Names its role's password to `migrate`.
    role_key: &'static str,
    /// Its own section of the configuration; the other services would refuse it.
    section: &'static str,
}

pub const ORDER_API: &str = "order-api";

pub const KINDS: [Kind; 4] = [
    Kind { name: ORDER_API, role: "conveyor_orders", role_key: "ORDERS", section: "ORDERS" },
    Kind { name: "inventory-worker", role: "conveyor_inventory", role_key: "INVENTORY", section: "INVENTORY" },
    Kind { name: "payment-worker", role: "conveyor_payments", role_key: "PAYMENTS", section: "PAYMENTS" },
    Kind {
        name: "notification-worker",
        role: "conveyor_notifications",
        role_key: "NOTIFICATIONS",
        section: "NOTIFICATIONS",
    },
];

/// One setting for the services: `NAME=value`, or `SERVICE:NAME=value` for one of them.
#[derive(Debug, Clone)]
pub struct Setting {
    service: Option<String>,
    name: String,
    value: String,
}

impl std::str::FromStr for Setting {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, value) = text.split_once('=').ok_or("write it as CONVEYOR__SECTION__KEY=value")?;
        let (service, name) = match name.split_once(':') {
            Some((service, name)) => (Some(service), name),
            None => (None, name),
        };
        if !name.starts_with("CONVEYOR__") {
            return Err(format!("{name} does not begin with CONVEYOR__: no service would read it"));
        }
        if let Some(service) = service.filter(|service| KINDS.iter().all(|kind| kind.name != *service)) {
            return Err(format!("there is no service {service}"));
        }
        Ok(Self { service: service.map(str::to_owned), name: name.to_owned(), value: value.to_owned() })
    }
}

impl Setting {
    fn is_for(&self, kind: &Kind) -> bool {
        let section = self.name.strip_prefix("CONVEYOR__").and_then(|rest| rest.split("__").next()).unwrap_or_default();
        let is_of_another = KINDS.iter().any(|other| other.section == section && other.name != kind.name);
        self.service.as_ref().map_or(!is_of_another, |service| service == kind.name)
    }
}

/// How lines are started.
pub struct Plan {
    pub binaries: PathBuf,
    pub logs: PathBuf,
    pub settings: Vec<Setting>,
    /// The one that every role has here. Roles are the server's, not a database's. It guards nothing: the servers were made
    /// for this run and listen on loopback.
    pub password: String,
    /// Processes of each service. Only the first order-api answers requests.
    pub processes: usize,
}

pub struct Line<'a> {
    plan: &'a Plan,
    place: &'a Place,
    pub services: Vec<Service>,
}

/// A running service. It is killed when dropped.
pub struct Service {
    pub name: &'static str,
    pub address: String,
    pub pid: i32,
    child: Child,
    log: PathBuf,
    started: Instant,
}

impl<'a> Line<'a> {
    /// Prepares the database; starts nothing.
    pub async fn new(plan: &'a Plan, place: &'a Place) -> Result<Self> {
        let line = Self::again(plan, place);
        let mut migrate = line.command("migrate");
        migrate.arg("--demo").env("CONVEYOR__DATABASE__URL", &place.database);
        for role in KINDS.iter().map(|kind| kind.role_key).chain(["SUPPORT"]) {
            migrate.env(format!("CONVEYOR__ROLES__{role}"), &plan.password);
        }
        let output = migrate.output().await.context("cannot run migrate")?;
        ensure!(output.status.success(), "migrate failed: {}", String::from_utf8_lossy(&output.stderr).trim());
        customer::register(&connect(&place.database).await?).await?;
        Ok(line)
    }

    /// On a database that was prepared before.
    pub fn again(plan: &'a Plan, place: &'a Place) -> Self {
        Self { plan, place, services: Vec::new() }
    }

    /// A program of Conveyor, with none of the settings that this program may have been started with.
    fn command(&self, name: &str) -> Command {
        let mut command = Command::new(self.plan.binaries.join(name));
        for (variable, _) in std::env::vars_os() {
            let text = variable.to_string_lossy();
            if text.starts_with("CONVEYOR_") || text.starts_with("OTEL_") {
                command.env_remove(&variable);
            }
        }
        command.kill_on_drop(true).stdin(Stdio::null());
        command
    }

    pub fn start(&mut self, kind: &Kind) -> Result<()> {
        self.start_with(kind, &[])
    }

    /// With a few settings of its own.
    pub fn start_with(&mut self, kind: &Kind, settings: &[(&str, &str)]) -> Result<()> {
        let log = self.plan.logs.join(format!("{}.{}.log", self.place.name, kind.name));
        let file = File::options().create(true).append(true).open(&log)?;
        let address = free_address()?;
        let mut command = self.command(kind.name);
        command
            .env("CONVEYOR__DATABASE__URL", self.place.database_for(kind.role, &self.plan.password))
            .env("CONVEYOR__BROKER__URL", &self.place.broker)
            .env("CONVEYOR__HTTP__BIND", &address)
            .env("CONVEYOR__AUTH__KEYS__BENCH__SECRET", TOKEN_SECRET)
            .env("CONVEYOR__LOG__FILTER", "warn,lapin=off,common::http::guard=error,order_api::open=error");
        if kind.name == ORDER_API {
            // One user at one address sends everything, and no order is to be missing from the figures.
            command
                .env("CONVEYOR__HTTP__RATE_PER_USER_PER_SECOND", "0")
                .env("CONVEYOR__HTTP__RATE_PER_ADDRESS_PER_SECOND", "0")
                .env("CONVEYOR__ORDERS__LONGEST_WAIT_MS", "0");
        }
        for setting in self.plan.settings.iter().filter(|setting| setting.is_for(kind)) {
            command.env(&setting.name, &setting.value);
        }
        command.envs(settings.iter().copied());
        command.stdout(file.try_clone()?).stderr(file);
        let started = Instant::now();
        let child = command.spawn().with_context(|| format!("cannot start {}", kind.name))?;
        let pid = child.id().context("a process without an id")?.cast_signed();
        self.services.push(Service { name: kind.name, address, pid, child, log, started });
        Ok(())
    }

    pub fn start_all(&mut self) -> Result<()> {
        KINDS.iter().try_for_each(|kind| self.start(kind))?;
        for kind in (1..self.plan.processes).flat_map(|_| &KINDS) {
            let line_only = [("CONVEYOR__PARTS", "orders.progress,orders.timeout")];
            self.start_with(kind, if kind.name == ORDER_API { &line_only } else { &[] })?;
        }
        Ok(())
    }

    /// Waits until all are ready; how long each took from its start.
    pub async fn ready(&mut self) -> Result<Vec<(&'static str, Duration)>> {
        let waits = self.services.iter_mut().map(Service::ready);
        futures_util::future::try_join_all(waits).await
    }

    /// Asks all to stop, and expects that they do so in good order.
    pub async fn stop(&mut self) -> Result<()> {
        for service in &self.services {
            kill(Pid::from_raw(service.pid), Signal::SIGTERM)
                .with_context(|| format!("cannot stop {}", service.name))?;
        }
        for mut service in self.services.drain(..) {
            let ended = tokio::time::timeout(Duration::from_secs(30), service.child.wait()).await;
            match ended {
                Ok(status) if status.as_ref().is_ok_and(std::process::ExitStatus::success) => {}
                Ok(status) => bail!("{} did not stop in good order: {status:?}{}", service.name, service.last_words()),
                Err(_) => bail!("{} did not stop within 30 s", service.name),
            }
        }
        Ok(())
    }

    /// Fails if a service has ended by itself.
    pub fn check(&mut self) -> Result<()> {
        self.services.iter_mut().try_for_each(Service::check)
    }

    pub fn address(&self) -> Result<String> {
        let service = self.services.iter().find(|service| service.name == ORDER_API);
        Ok(service.context("order-api is not running")?.address.clone())
    }
}

impl Service {
    async fn ready(&mut self) -> Result<(&'static str, Duration)> {
        let url = format!("http://{}/readyz", self.address);
        loop {
            if matches!(http::ask(Method::GET, &url, "").await, Ok((StatusCode::OK, _))) {
                return Ok((self.name, self.started.elapsed()));
            }
            self.check()?;
            ensure!(
                self.started.elapsed() < Duration::from_secs(30),
                "{} is not ready after 30 s{}",
                self.name,
                self.last_words()
            );
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    fn check(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            Some(status) => bail!("{} ended by itself ({status}){}", self.name, self.last_words()),
            None => Ok(()),
        }
    }

    fn last_words(&self) -> String {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().rev().take(5).collect();
        lines.iter().rev().map(|line| format!("\n  {line}")).collect()
    }
}

/// How many ports to choose from.
const PORTS: u32 = 8_000;

/// An address nobody listens at, on a port below those that the system gives to outgoing connections, so that none of
/// the services' own can take it in the meantime.
fn free_address() -> Result<String> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let first = std::process::id() % PORTS * 16;
    for _ in 0..PORTS {
        let port = 12_000 + (first + NEXT.fetch_add(1, Ordering::Relaxed)) % PORTS;
        let address = format!("127.0.0.1:{port}");
        if std::net::TcpListener::bind(&address).is_ok() {
            return Ok(address);
        }
    }
    bail!("no port from 12000 to {} is free", 12_000 + PORTS - 1)
}

/// How many lines the services have logged; they are told to log warnings and worse.
pub fn complaints(logs: &Path) -> usize {
    let files = fs::read_dir(logs).into_iter().flatten().flatten();
    files.map(|file| fs::read_to_string(file.path()).unwrap_or_default().lines().count()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn takers(setting: &str) -> Vec<&'static str> {
        let setting: Setting = setting.parse().unwrap();
        KINDS.iter().filter(|kind| setting.is_for(kind)).map(|kind| kind.name).collect()
    }

    #[test]
    fn a_setting_goes_to_those_who_know_it() {
        assert_eq!(takers("CONVEYOR__CONSUMER__MAX_EVENTS=1").len(), 4);
        assert_eq!(takers("CONVEYOR__ORDERS__GROUP_COMMIT=1"), [ORDER_API]);
        assert_eq!(takers("payment-worker:CONVEYOR__CONSUMER__PACE_MS=5"), ["payment-worker"]);
        assert!("banana:X=1".parse::<Setting>().is_err() && "X".parse::<Setting>().is_err());
    }
}
