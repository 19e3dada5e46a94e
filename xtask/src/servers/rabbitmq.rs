//! A private RabbitMQ node with an epmd of its own, so that neither the system's node nor
//! another private one is seen or disturbed; or several that are a cluster, with one epmd.
//! Its ports lie together: AMQP first, then Erlang's distribution, epmd, Prometheus, and
//! (unless chosen) the management.

mod environment;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::epmd::Epmd;
use super::{Programs, Server, install, make_dir, port_setting, save_settings, setting, settings, show_end_of};
use crate::process::{self, Process};
use crate::project::Variables;
use crate::{http, ports, say, signals};

pub const KIND: &str = "rabbitmq";
const OLDEST: (u32, u32) = (3, 10);
const SERVER: &str = "rabbitmq-server";
/// Where Debian has RabbitMQ's own scripts.
const DEBIAN: &str = "/usr/lib/rabbitmq/bin";

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
    pub programs: Programs,
    /// The folder of a node that runs, whose cluster this one is to join at its first start.
    pub join: Option<PathBuf>,
}

/// The node that a cluster began with: others find it by its name, and its epmd is everybody's.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Founder {
    dir: PathBuf,
    port: u16,
}

#[derive(Debug)]
pub struct RabbitMq {
    dir: PathBuf,
    settings: Settings,
    port: u16,
    management: u16,
    /// Itself, unless it joined another.
    founder: Founder,
}

/// A node that stumbles over another is started so often.
const MOST_STARTS: u32 = 3;

impl RabbitMq {
    /// The instance in a folder, made with these settings if there is none yet.
    pub fn open(dir: &Path, mut wanted: Settings) -> Result<Self> {
        let dir = make_dir(dir)?;
        let known = settings(&dir);
        if known.get("KIND").is_some_and(|kind| kind == KIND) {
            let mut server = Self::load(&dir, &known)?;
            server.settings.programs.require(wanted.programs, &dir)?;
            if let Some(other) = &wanted.join
                && Self::of_folder(other)?.founder != server.founder
            {
                bail!("the RabbitMQ in {} is there already, and not of that cluster", dir.display());
            }
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
        let founder = match &wanted.join {
            Some(other) => {
                let other = Self::to_join(other)?;
                // Releases that differ make no cluster.
                other.settings.programs.require(wanted.programs, &other.dir)?;
                wanted.programs = other.settings.programs;
                other.founder
            }
            None => Founder { dir: dir.clone(), port },
        };
        wanted.programs.require(wanted.programs, &dir)?;
        wanted.programs.ensure(install::RABBITMQ)?;
        let server = Self { dir, settings: wanted, port, management, founder };
        server.save()?;
        Ok(server)
    }

    fn of_folder(dir: &Path) -> Result<Self> {
        let known = settings(dir);
        if known.get("KIND").is_none_or(|kind| kind != KIND) {
            bail!("there is no RabbitMQ in {}", dir.display());
        }
        Self::load(dir, &known)
    }

    fn to_join(dir: &Path) -> Result<Self> {
        let other = Self::of_folder(dir)?;
        if !Self::of_folder(&other.founder.dir)?.is_running() {
            bail!("the RabbitMQ in {} does not run: only what runs can be joined", other.founder.dir.display());
        }
        Ok(other)
    }

    pub fn load(dir: &Path, known: &Variables) -> Result<Self> {
        let port = port_setting(known, dir, "PORT")?;
        let founder = match known.get("FOUNDER_DIR") {
            Some(founder) => Founder { dir: founder.into(), port: port_setting(known, dir, "FOUNDER_PORT")? },
            None => Founder { dir: dir.to_owned(), port },
        };
        Ok(Self {
            dir: dir.to_owned(),
            port,
            founder,
            management: port_setting(known, dir, "MANAGEMENT_PORT")?,
            settings: Settings {
                port: None,
                management: None,
                user: setting(known, dir, "USER")?.to_owned(),
                password: setting(known, dir, "PASSWORD")?.to_owned(),
                vhost: setting(known, dir, "VHOST")?.to_owned(),
                eager_statistics: setting(known, dir, "EAGER_STATISTICS")? == "true",
                programs: Programs::of_name(known.get("PROGRAMS")),
                join: None,
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
            ("PROGRAMS", self.settings.programs.name().to_owned()),
            ("FOUNDER_DIR", self.founder.dir.display().to_string()),
            ("FOUNDER_PORT", self.founder.port.to_string()),
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

    fn epmd(&self) -> Epmd {
        Epmd { port: self.founder.port + 2, folder: self.founder.dir.clone() }
    }

    fn has_joined(&self) -> bool {
        self.founder.port != self.port
    }

    /// RabbitMQ's own log.
    fn said(&self) -> Vec<u8> {
        fs::read(self.dir.join("log").join(format!("{}.log", node_name(self.port)))).unwrap_or_default()
    }

    /// Its management answers a moment before it is done: a vhost that is made just then may be missing on a node of the
    /// cluster, and whoever made it waits for half a minute. `before` is how much was in its log before it was started.
    fn has_started(&self, before: usize) -> bool {
        const DONE: &[u8] = b"Server startup complete";
        self.said().get(before..).is_some_and(|said| said.windows(DONE.len()).any(|words| words == DONE))
    }

    /// Returns which release it is.
    fn await_ready(&self, node: &mut Child, before: usize) -> Result<String> {
        const PATIENCE: Duration = Duration::from_secs(240);
        let began = Instant::now();
        loop {
            if let Some(status) = node.try_wait()? {
                bail!("RabbitMQ ended while it started ({status})");
            }
            if ports::is_listening(self.port)
                && ports::is_listening(self.management)
                && let Ok((200, overview)) = http::get(&format!("{}/api/overview", self.management_url()))
                && self.is_in_its_cluster()
                && self.has_started(before)
            {
                let version = overview["rabbitmq_version"].as_str().unwrap_or_default();
                check_version(version)?;
                return Ok(version.to_owned());
            }
            if began.elapsed() > PATIENCE {
                bail!(
                    "RabbitMQ did not answer within {} s (when all nodes of a cluster have died, each waits for the others: \
                     start them at the same time)",
                    PATIENCE.as_secs()
                );
            }
            signals::pause(Duration::from_millis(100))?;
        }
    }

    /// Starts the node, and returns when it answers.
    fn launch(&self, program: &Path) -> Result<()> {
        let mut command = self.command(program)?;
        self.correct(program, &mut command)?;
        // Whatever it says before its own log begins.
        let output = File::create(self.log()).with_context(|| format!("cannot write {}", self.log().display()))?;
        let before = self.said().len();
        let starting = self.epmd().hold();
        let mut node = command
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .with_context(|| format!("cannot run {}", program.display()))?;
        let ready = self.await_ready(&mut node, before);
        drop(starting);
        let version = ready.or_else(|error| {
            if signals::received().is_none() {
                show_end_of(&self.log(), 20);
            }
            self.stop()?;
            // Before it has written its process id, only its group is known.
            let group = nix::unistd::Pid::from_raw(node.id().cast_signed());
            let _ = nix::sys::signal::killpg(group, nix::sys::signal::Signal::SIGKILL);
            let _ = node.wait();
            self.end_epmd()?;
            Err(error)
        })?;
        say::step(format!("RabbitMQ {version}: answers on port {}, management on {}", self.port, self.management));
        Ok(())
    }

    /// Nodes of 3.10 that start at the same time may each ask another for feature flags that it has not read yet, and end of that.
    fn has_stumbled(&self) -> bool {
        fs::read(self.log()).is_ok_and(|said| String::from_utf8_lossy(&said).contains("incompatible_feature_flags"))
    }

    /// Whether it knows the node that it was to join, which need not run.
    fn is_in_its_cluster(&self) -> bool {
        let founder = node_name(self.founder.port);
        let knows = |nodes: &serde_json::Value| {
            nodes.as_array().into_iter().flatten().any(|node| node["name"].as_str() == Some(&founder))
        };
        !self.has_joined()
            || http::get(&format!("{}/api/nodes?columns=name", self.management_url()))
                .is_ok_and(|(status, nodes)| status == 200 && knows(&nodes))
    }

    fn end_epmd(&self) -> Result<()> {
        self.epmd().end(self.command(Path::new("epmd"))?)
    }
}

impl Server for RabbitMq {
    fn name(&self) -> &'static str {
        "RabbitMQ"
    }

    fn require_ports(&self) -> Result<()> {
        self.epmd().require_port(self.command(Path::new("epmd"))?)?;
        let mut ports = [self.port, self.port + 1, self.port + 3, self.management].into_iter();
        ports.try_for_each(|port| ports::require_free(port, "RabbitMQ"))
    }

    fn start(&self) -> Result<()> {
        if self.is_running() {
            say::step(format!("RabbitMQ: runs already, on port {}", self.port));
            return Ok(());
        }
        self.settings.programs.ensure(install::RABBITMQ)?;
        self.require_ports()?;
        let program = match self.settings.programs {
            Programs::System => find_server().context("rabbitmq-server cannot be found")?,
            Programs::Debian13 => Path::new(DEBIAN).join(SERVER),
        };
        self.configure()?;
        say::step(format!("RabbitMQ: starting on port {}, which takes some seconds", self.port));
        // Whoever watches over a node would start it again.
        let mut starts = 1;
        while let Err(error) = self.launch(&program) {
            if starts == MOST_STARTS || signals::received().is_some() || !self.has_stumbled() {
                return Err(error);
            }
            say::step("RabbitMQ: stumbled over another node that starts; once more");
            starts += 1;
        }
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
        self.end_epmd()
    }

    fn kill(&self) -> Result<()> {
        if let Some(node) = self.node() {
            node.kill();
        }
        self.end_epmd()
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
        DEBIAN,
        "/opt/homebrew/opt/rabbitmq/sbin",
        "/usr/local/opt/rabbitmq/sbin",
        "/opt/rabbitmq/sbin",
        "/usr/local/sbin",
    ];
    PLACES.iter().map(|place| Path::new(place).join(SERVER)).find(|program| program.exists())
}

fn node_name(port: u16) -> String {
    format!("conveyor-{port}@localhost")
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
