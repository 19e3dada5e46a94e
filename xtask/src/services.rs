//! Conveyor's own processes: started with what they need to know, watched, stopped.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::Signal;

use crate::ports::Ports;
use crate::process::Process;
use crate::servers::show_end_of;
use crate::site::{Backing, Site};
use crate::{http, say, signals};

/// Services have 20 s to finish what they have begun.
const GRACE: Duration = Duration::from_secs(25);
const READY_WITHIN: Duration = Duration::from_secs(30);

/// What its address is called in .local/conveyor.env.
pub const SANDBOX_URL: &str = "CONVEYOR_SANDBOX_URL";

/// The one that staff use.
pub const CONSOLE: &str = "support-console";

/// Where a service finds what it stands on.
pub struct Needs<'a> {
    pub database_url: &'a str,
    pub backing: &'a Backing,
    pub token_secret: &'a str,
    pub ports: Ports,
    /// What it was asked to be set besides, which wins.
    pub settings: Vec<(&'a str, &'a str)>,
}

pub struct Service {
    pub name: &'static str,
    /// Its part of the database: schema and login are called after it. The sandbox has none.
    pub schema: &'static str,
    pub port: u16,
    /// What it answers when it can be used.
    ready: &'static str,
    pid_file: PathBuf,
    log: PathBuf,
}

pub fn all(site: &Site) -> Vec<Service> {
    let ports = site.ports;
    [
        ("order-api", "orders", ports.order_api),
        ("inventory-worker", "inventory", ports.inventory),
        ("payment-worker", "payments", ports.payment),
        ("notification-worker", "notifications", ports.notification),
        (CONSOLE, "support", ports.support),
    ]
    .map(|(name, schema, port)| service(site, name, schema, port, "/readyz"))
    .into()
}

/// The outside world: there before the services, and until they are done with it.
pub fn sandbox(site: &Site) -> Service {
    service(site, "sandbox", "", site.ports.sandbox, "/healthz")
}

fn service(site: &Site, name: &'static str, schema: &'static str, port: u16, ready: &'static str) -> Service {
    let pid_file = site.run().join(format!("{name}.pid"));
    Service { name, schema, port, ready, pid_file, log: site.logs().join(format!("{name}.log")) }
}

impl Service {
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub fn process(&self) -> Option<Process> {
        Process::load(&self.pid_file)
    }

    /// Stopped on purpose, as far as its files tell; a crash leaves the file.
    pub fn is_dismissed(&self) -> bool {
        !self.pid_file.exists()
    }

    pub fn is_ready(&self) -> bool {
        http::get(&format!("{}{}", self.url(), self.ready)).is_ok_and(|(status, _)| status == 200)
    }

    pub fn start(&self, binaries: &Path, needs: &Needs<'_>) -> Result<()> {
        let mut command = Command::new(binaries.join(self.name));
        command.envs(self.settings(needs));
        self.launch(command)
    }

    /// What it is configured by.
    pub fn settings<'a>(&self, needs: &Needs<'a>) -> Vec<(&'a str, String)> {
        let mut settings = vec![
            ("CONVEYOR__AUTH__KEYS__MAIN__SECRET", needs.token_secret.to_owned()),
            ("CONVEYOR__DATABASE__URL", needs.database_url.to_owned()),
            ("CONVEYOR__BROKER__URL", needs.backing.amqp_url.clone()),
            ("CONVEYOR__HTTP__BIND", format!("127.0.0.1:{}", self.port)),
        ];
        settings.extend(outside_world(self.name, needs.ports));
        if let Some(url) = needs.backing.management_url.as_ref().filter(|_| self.name == CONSOLE) {
            settings.push(("CONVEYOR__SUPPORT__BOARD__MANAGEMENT_URL", url.clone()));
        }
        settings.extend(needs.settings.iter().map(|(key, value)| (*key, (*value).to_owned())));
        settings
    }

    pub fn start_sandbox(&self, binaries: &Path, ports: Ports) -> Result<()> {
        let mut command = Command::new(binaries.join(self.name));
        command.args(["--http", &format!("127.0.0.1:{}", ports.sandbox)]);
        command.args(["--smtp", &format!("127.0.0.1:{}", ports.smtp)]);
        self.launch(command)
    }

    fn launch(&self, mut command: Command) -> Result<()> {
        if self.log.exists() {
            fs::rename(&self.log, self.log.with_extension("previous.log"))?;
        }
        let log = File::create(&self.log).with_context(|| format!("cannot write {}", self.log.display()))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            // Out of reach of the terminal's Ctrl-C: it is stopped in good order instead.
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot run {}", command.get_program().display()))?;
        match Process::find(child.id().cast_signed()) {
            Some(process) => process.save(&self.pid_file),
            None => self.fail("ended at once"),
        }
    }

    pub fn await_ready(&self) -> Result<()> {
        let began = Instant::now();
        loop {
            // What answers on the port counts only while our own process lives.
            if self.process().is_none() {
                return self.fail("ended while it started");
            }
            if self.is_ready() {
                return Ok(());
            }
            if began.elapsed() > READY_WITHIN {
                let why = http::get(&format!("{}{}", self.url(), self.ready)).map(|(_, why)| why.to_string());
                return self.fail(&format!("is not ready: {}", why.unwrap_or_else(|error| format!("{error:#}"))));
            }
            signals::pause(Duration::from_millis(20))?;
        }
    }

    pub fn show_log(&self) {
        show_end_of(&self.log, 15);
    }

    fn fail(&self, what: &str) -> Result<()> {
        self.show_log();
        bail!("{} {what}", self.name)
    }
}

/// Where a service finds the gateway, or the mail server and the SMS provider. Keys and secret are the sandbox's own.
fn outside_world(service: &str, ports: Ports) -> Vec<(&'static str, String)> {
    let sandbox = format!("http://127.0.0.1:{}", ports.sandbox);
    match service {
        "payment-worker" => vec![
            ("CONVEYOR__PAYMENTS__GATEWAY", "http".to_owned()),
            ("CONVEYOR__PAYMENTS__GATEWAY_URL", sandbox),
            ("CONVEYOR__PAYMENTS__GATEWAY_KEY", "sandbox-key".to_owned()),
            ("CONVEYOR__PAYMENTS__CALLBACK_SECRET", "sandbox-callback-secret".to_owned()),
            ("CONVEYOR__PAYMENTS__CALLBACK_URL", format!("http://127.0.0.1:{}/api/payment/callback", ports.payment)),
        ],
        "notification-worker" => vec![
            ("CONVEYOR__NOTIFICATIONS__TRANSPORTS", "email,sms".to_owned()),
            ("CONVEYOR__NOTIFICATIONS__SMTP__HOST", "127.0.0.1".to_owned()),
            ("CONVEYOR__NOTIFICATIONS__SMTP__PORT", ports.smtp.to_string()),
            ("CONVEYOR__NOTIFICATIONS__SMS__URL", sandbox),
            ("CONVEYOR__NOTIFICATIONS__SMS__KEY", "sandbox-key".to_owned()),
        ],
        CONSOLE => vec![
            ("CONVEYOR__SUPPORT__PUBLIC_URL", format!("http://127.0.0.1:{}", ports.support)),
            ("CONVEYOR__SUPPORT__SERVICES__ORDERS", format!("http://127.0.0.1:{}", ports.order_api)),
            ("CONVEYOR__SUPPORT__SERVICES__INVENTORY", format!("http://127.0.0.1:{}", ports.inventory)),
            ("CONVEYOR__SUPPORT__SERVICES__PAYMENTS", format!("http://127.0.0.1:{}", ports.payment)),
            ("CONVEYOR__SUPPORT__SERVICES__NOTIFICATIONS", format!("http://127.0.0.1:{}", ports.notification)),
            ("CONVEYOR__SUPPORT__NOTICES__EMAIL__TO", "staff@conveyor.example".to_owned()),
            ("CONVEYOR__SUPPORT__NOTICES__SMTP__HOST", "127.0.0.1".to_owned()),
            ("CONVEYOR__SUPPORT__NOTICES__SMTP__PORT", ports.smtp.to_string()),
        ],
        _ => Vec::new(),
    }
}

/// Stops all that run, at the same time, and returns how many there were.
pub fn stop(services: &[Service]) -> usize {
    let running: BTreeMap<&str, Process> =
        services.iter().filter_map(|service| Some((service.name, service.process()?))).collect();
    for service in services {
        // First the file, so that whoever watches knows that this is no crash.
        let _ = fs::remove_file(&service.pid_file);
    }
    running.values().for_each(|process| process.signal(Signal::SIGTERM));
    let end = Instant::now() + GRACE;
    for (name, process) in &running {
        if !process.wait_gone(end.saturating_duration_since(Instant::now())) {
            say::step(format!("{name}: did not stop within {} s and was killed", GRACE.as_secs()));
            process.kill();
        }
    }
    if !running.is_empty() {
        say::step(format!("stopped: {}", running.keys().copied().collect::<Vec<_>>().join(", ")));
    }
    running.len()
}
