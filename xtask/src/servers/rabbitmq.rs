//! A private RabbitMQ node with an epmd of its own, so that neither the system's node nor
//! another private one is seen or disturbed. Its ports lie together: AMQP first, then
//! Erlang's distribution, epmd, Prometheus, and (unless chosen) the management.

use std::env;
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::{Server, install, make_dir, port_setting, save_settings, setting, settings, show_end_of};
use crate::process::{self, Process};
use crate::project::{self, Variables};
use crate::{http, ports, say, signals};

pub const KIND: &str = "rabbitmq";
const OLDEST: (u32, u32) = (3, 10);

#[derive(Debug)]
pub struct Settings {
    /// Free ones are chosen if none is named.
    pub port: Option<u16>,
    pub management: Option<u16>,
    pub user: String,
    pub password: String,
    pub vhost: String,
    /// Fresh figures every half second, for tests that wait for a queue to be empty.
    pub eager_statistics: bool,
}

#[derive(Debug)]
pub struct RabbitMq {
    dir: PathBuf,
    settings: Settings,
    port: u16,
    management: u16,
}

impl RabbitMq {
    /// The instance in a folder, made with these settings if there is none yet.
    pub fn open(dir: &Path, wanted: Settings) -> Result<Self> {
        let dir = make_dir(dir)?;
        let known = settings(&dir);
        if known.get("KIND").is_some_and(|kind| kind == KIND) {
            let mut server = Self::load(&dir, &known)?;
            let port = wanted.port.unwrap_or(server.port);
            let management = wanted.management.unwrap_or(server.management);
            if (port, management) != (server.port, server.management) {
                // Its name holds the port, and its data belong to its name.
                if server.is_running() || port != server.port {
                    bail!("the RabbitMQ in {} lives on port {} ({})", dir.display(), server.port, server.management);
                }
                server.management = management;
                server.save()?;
            }
            return Ok(server);
        }
        let port = wanted.port.map_or_else(|| ports::free_block(ports::RABBITMQ_SPAN), Ok)?;
        let management = wanted.management.unwrap_or(port + ports::RABBITMQ_SPAN - 1);
        let server = Self { dir, settings: wanted, port, management };
        server.save()?;
        Ok(server)
    }

    pub fn load(dir: &Path, known: &Variables) -> Result<Self> {
        Ok(Self {
            dir: dir.to_owned(),
            port: port_setting(known, dir, "PORT")?,
            management: port_setting(known, dir, "MANAGEMENT_PORT")?,
            settings: Settings {
                port: None,
                management: None,
                user: setting(known, dir, "USER")?.to_owned(),
                password: setting(known, dir, "PASSWORD")?.to_owned(),
                vhost: setting(known, dir, "VHOST")?.to_owned(),
                eager_statistics: setting(known, dir, "EAGER_STATISTICS")? == "true",
            },
        })
    }

    fn save(&self) -> Result<()> {
        let values = [
            ("KIND", KIND.to_owned()),
            ("PORT", self.port.to_string()),
            ("MANAGEMENT_PORT", self.management.to_string()),
            ("USER", self.settings.user.clone()),
            ("PASSWORD", self.settings.password.clone()),
            ("VHOST", self.settings.vhost.clone()),
            ("EAGER_STATISTICS", self.settings.eager_statistics.to_string()),
        ];
        save_settings(&self.dir, &values.map(|(key, value)| (key.to_owned(), value)).into())
    }

    pub fn url(&self) -> String {
        let Settings { user, password, vhost, .. } = &self.settings;
        // No path at all means the vhost `/`.
        let path = if vhost == "/" { String::new() } else { format!("/{vhost}") };
        format!("amqp://{user}:{password}@127.0.0.1:{}{path}", self.port)
    }

    pub fn management_url(&self) -> String {
        let Settings { user, password, .. } = &self.settings;
        format!("http://{user}:{password}@127.0.0.1:{}", self.management)
    }

    fn log(&self) -> PathBuf {
        self.dir.join("rabbitmq.log")
    }

    fn node(&self) -> Option<Process> {
        let pid = fs::read_to_string(self.dir.join("rabbitmq.pid")).ok()?.trim().parse().ok()?;
        // After a crash the file may name a stranger.
        process::name(pid).is_none_or(|name| name == "beam.smp").then(|| Process::find(pid))?
    }

    fn configure(&self) -> Result<()> {
        let Settings { user, password, vhost, eager_statistics, .. } = &self.settings;
        let (prometheus, interval) = (self.port + 3, if *eager_statistics { 500 } else { 5000 });
        let conf = format!(
            "default_user = {user}\ndefault_pass = {password}\ndefault_vhost = {vhost}\n\
             management.tcp.ip = 127.0.0.1\nmanagement.tcp.port = {}\n\
             prometheus.tcp.ip = 127.0.0.1\nprometheus.tcp.port = {prometheus}\n\
             # A developer's machine is full and busy; that is no reason to block publishers.\n\
             vm_memory_high_watermark.relative = 0.6\ndisk_free_limit.absolute = 64MB\n\
             collect_statistics_interval = {interval}\n",
            self.management
        );
        project::write_private(&self.dir.join("rabbitmq.conf"), &conf)?;
        let advanced = format!("[{{rabbit, [{{quorum_tick_interval, {interval}}}]}}].\n");
        project::write_private(&self.dir.join("advanced.config"), &advanced)?;
        project::write_private(&self.dir.join("enabled_plugins"), "[rabbitmq_management,rabbitmq_prometheus].\n")?;
        let cookie = self.dir.join(".erlang.cookie");
        if !cookie.exists() {
            project::write_private(&cookie, &project::password()?)?;
            fs::set_permissions(&cookie, fs::Permissions::from_mode(0o400))?;
        }
        Ok(())
    }

    /// A command in the environment that makes the node a private one.
    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        for (key, _) in env::vars().filter(|(key, _)| key.starts_with("RABBITMQ_") || key.starts_with("ERL_")) {
            command.env_remove(key);
        }
        let at = |name: &str| self.dir.join(name);
        command
            .env("HOME", &self.dir)
            .env("LC_ALL", "C.UTF-8")
            .env("RABBITMQ_CONF_ENV_FILE", "/dev/null")
            .env("RABBITMQ_NODENAME", format!("conveyor-{}@localhost", self.port))
            .env("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1")
            .env("RABBITMQ_NODE_PORT", self.port.to_string())
            .env("RABBITMQ_DIST_PORT", (self.port + 1).to_string())
            .env("ERL_EPMD_PORT", (self.port + 2).to_string())
            .env("ERL_EPMD_ADDRESS", "127.0.0.1")
            .env("RABBITMQ_MNESIA_BASE", at("data"))
            .env("RABBITMQ_LOG_BASE", at("log"))
            .env("RABBITMQ_PID_FILE", at("rabbitmq.pid"))
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", at("enabled_plugins"))
            .env("RABBITMQ_CONFIG_FILE", at("rabbitmq.conf"))
            .env("RABBITMQ_ADVANCED_CONFIG_FILE", at("advanced.config"))
            // Schedulers stay where they are put, which is bad company on shared cores: let them move.
            .env("RABBITMQ_SCHEDULER_BIND_TYPE", "u")
            .env(
                "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS",
                "-kernel inet_dist_use_interface {127,0,0,1} +sbwt none +sbwtdcpu none +sbwtdio none +Q 65536",
            )
            .current_dir(&self.dir)
            .stdin(Stdio::null())
            .process_group(0);
        command
    }

    /// Has an old release start with the module that `rabbit_fifo_dlx_sup.erl` tells of.
    fn correct(&self, program: &Path, node: &mut Command) -> Result<()> {
        // `…/rabbitmq_server-3.10.8/sbin/rabbitmq-server`
        let place = program.canonicalize()?;
        let is_of = |release: &str| place.to_string_lossy().contains(&format!("/rabbitmq_server-{release}."));
        if !is_of("3.10") && !is_of("3.11") {
            return Ok(());
        }
        let source = self.dir.join("rabbit_fifo_dlx_sup.erl");
        fs::write(&source, include_str!("rabbit_fifo_dlx_sup.erl"))?;
        let compiled = self.command(Path::new("erlc")).arg(&source).output().context("cannot run erlc")?;
        if !compiled.status.success() {
            bail!("erlc refuses {}: {}", source.display(), String::from_utf8_lossy(&compiled.stdout));
        }
        node.env("RABBITMQ_SERVER_CODE_PATH", &self.dir).env("RABBITMQ_BOOT_MODULE", "rabbit_fifo_dlx_sup");
        Ok(())
    }

    fn await_ready(&self, node: &mut Child) -> Result<()> {
        const PATIENCE: Duration = Duration::from_secs(120);
        let began = Instant::now();
        loop {
            if let Some(status) = node.try_wait()? {
                bail!("RabbitMQ ended while it started ({status})");
            }
            if ports::is_listening(self.port)
                && ports::is_listening(self.management)
                && let Ok((200, overview)) = http::get(&format!("{}/api/overview", self.management_url()))
            {
                return check_version(overview["rabbitmq_version"].as_str().unwrap_or_default());
            }
            if began.elapsed() > PATIENCE {
                bail!("RabbitMQ did not answer within {} s", PATIENCE.as_secs());
            }
            signals::pause(Duration::from_millis(100))?;
        }
    }

    /// Ends the node's own epmd, which outlives it.
    fn end_epmd(&self) {
        // None is there after a failed start; it stays if another node uses it: neither is an error.
        let mut kill = self.command(Path::new("epmd"));
        let killed = kill.arg("-kill").stdout(Stdio::null()).stderr(Stdio::null()).status();
        if killed.is_ok_and(|status| status.success()) {
            process::wait_until(Duration::from_secs(2), || !ports::is_listening(self.port + 2));
        }
    }
}

impl Server for RabbitMq {
    fn name(&self) -> &'static str {
        "RabbitMQ"
    }

    fn require_ports(&self) -> Result<()> {
        // Its own may be left from a crash.
        self.end_epmd();
        let mut ports = (self.port..self.port + 4).chain([self.management]);
        ports.try_for_each(|port| ports::require_free(port, "RabbitMQ"))
    }

    fn start(&self) -> Result<()> {
        if self.is_running() {
            say::step(format!("RabbitMQ: runs already, on port {}", self.port));
            return Ok(());
        }
        self.require_ports()?;
        install::ensure(&[install::RABBITMQ])?;
        let program = find_server().context("rabbitmq-server cannot be found")?;
        self.configure()?;
        let mut command = self.command(&program);
        self.correct(&program, &mut command)?;
        say::step(format!("RabbitMQ: starting on port {}, which takes some seconds", self.port));
        // Whatever it says before its own log begins.
        let output = File::create(self.log()).with_context(|| format!("cannot write {}", self.log().display()))?;
        let mut node = command
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .with_context(|| format!("cannot run {}", program.display()))?;
        if let Err(error) = self.await_ready(&mut node) {
            if signals::received().is_none() {
                show_end_of(&self.log(), 20);
            }
            self.stop()?;
            // Before it has written its process id, only its group is known.
            let group = nix::unistd::Pid::from_raw(node.id().cast_signed());
            let _ = nix::sys::signal::killpg(group, nix::sys::signal::Signal::SIGKILL);
            let _ = node.wait();
            self.end_epmd();
            return Err(error);
        }
        say::step(format!("RabbitMQ: answers on port {}, management on {}", self.port, self.management));
        Ok(())
    }

    fn stop(&self) -> Result<()> {
        if let Some(node) = self.node() {
            // Erlang takes SIGTERM as the order to shut down properly.
            if !node.stop(Duration::from_secs(60)) {
                say::step("RabbitMQ: did not stop within 60 s and was killed");
            }
            say::step(format!("RabbitMQ: stopped (port {})", self.port));
        }
        self.end_epmd();
        Ok(())
    }

    fn kill(&self) -> Result<()> {
        if let Some(node) = self.node() {
            node.kill();
        }
        self.end_epmd();
        Ok(())
    }

    fn discard(&self) -> Result<()> {
        self.kill()
    }

    fn is_running(&self) -> bool {
        self.node().is_some()
    }

    fn variables(&self) -> Variables {
        let values = [
            ("AMQP_URL", self.url()),
            ("MANAGEMENT_URL", self.management_url()),
            ("PROMETHEUS_URL", format!("http://127.0.0.1:{}/metrics", self.port + 3)),
            ("PORT", self.port.to_string()),
            ("MANAGEMENT_PORT", self.management.to_string()),
            ("LOG", self.dir.join("log").display().to_string()),
        ];
        values.map(|(key, value)| (key.to_owned(), value)).into()
    }

    fn folders(&self) -> Vec<PathBuf> {
        vec![self.dir.clone()]
    }
}

/// RabbitMQ's own script: the one that Debian has in the path insists on another user.
pub fn find_server() -> Option<PathBuf> {
    const PLACES: [&str; 5] = [
        "/usr/lib/rabbitmq/bin",
        "/opt/homebrew/opt/rabbitmq/sbin",
        "/usr/local/opt/rabbitmq/sbin",
        "/opt/rabbitmq/sbin",
        "/usr/local/sbin",
    ];
    PLACES.iter().map(|place| Path::new(place).join("rabbitmq-server")).find(|program| program.exists())
}

fn check_version(version: &str) -> Result<()> {
    let mut numbers = version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    let found = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if found < OLDEST {
        bail!(
            "this is RabbitMQ {version}, and Conveyor needs {}.{} or newer: its queues do not exist before",
            OLDEST.0,
            OLDEST.1
        );
    }
    Ok(())
}
