//! A private PostgreSQL: one database cluster in one folder.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::sys::signal::Signal;

use super::postgres_tools::{Tools, give_to_account, home_for, prepare_home, run};
use super::{Programs, Server, install, make_dir, port_setting, save_settings, setting, settings, show_end_of};
use crate::process::{self, Process};
use crate::project::{self, Variables};
use crate::{ports, say};

pub const KIND: &str = "postgres";

/// A file of PostgreSQL's log.
const LOG_FILE_MB: u32 = 16;
/// Log for some 190,000 orders.
const RUN_IN_FILES: u32 = 64;

#[derive(Debug)]
pub struct Settings {
    /// A free one is chosen if none is named.
    pub port: Option<u16>,
    pub password: String,
    /// Survives a power cut. A test's data need not; either survives SIGKILL.
    pub durable: bool,
    /// Begins like one that has been in use for a while, with the files of its log laid out.
    pub run_in: bool,
    /// Made if missing, and named in the URL.
    pub database: String,
    pub programs: Programs,
}

#[derive(Debug)]
pub struct Postgres {
    dir: PathBuf,
    /// Where data and log are: `dir`, or a place that the user `postgres` can reach.
    home: PathBuf,
    settings: Settings,
    port: u16,
}

impl Postgres {
    /// The instance in a folder, made with these settings if there is none yet.
    pub fn open(dir: &Path, wanted: Settings) -> Result<Self> {
        let dir = make_dir(dir)?;
        let known = settings(&dir);
        if known.get("KIND").is_some_and(|kind| kind == KIND) {
            let mut server = Self::load(&dir, &known)?;
            server.settings.programs.require(wanted.programs, &dir)?;
            if let Some(port) = wanted.port
                && port != server.port
            {
                if server.is_running() {
                    bail!("the PostgreSQL in {} runs on port {}, not {port}", dir.display(), server.port);
                }
                server.port = port;
                server.save()?;
            }
            return Ok(server);
        }
        wanted.programs.require(wanted.programs, &dir)?;
        wanted.programs.ensure(install::POSTGRES)?;
        let port = wanted.port.map_or_else(|| ports::free_block(1), Ok)?;
        let server = Self { home: home_for(&dir)?, dir, settings: wanted, port };
        server.save()?;
        Ok(server)
    }

    pub fn load(dir: &Path, known: &Variables) -> Result<Self> {
        Ok(Self {
            dir: dir.to_owned(),
            home: setting(known, dir, "HOME_DIR")?.into(),
            port: port_setting(known, dir, "PORT")?,
            settings: Settings {
                port: None,
                password: setting(known, dir, "PASSWORD")?.to_owned(),
                durable: setting(known, dir, "DURABLE")? == "true",
                // Servers made before there was this setting do without.
                run_in: known.get("RUN_IN").is_some_and(|run_in| run_in == "true"),
                database: setting(known, dir, "DATABASE")?.to_owned(),
                programs: Programs::of_name(known.get("PROGRAMS")),
            },
        })
    }

    fn save(&self) -> Result<()> {
        let values = [
            ("KIND", KIND.to_owned()),
            ("HOME_DIR", self.home.display().to_string()),
            ("PORT", self.port.to_string()),
            ("PASSWORD", self.settings.password.clone()),
            ("DURABLE", self.settings.durable.to_string()),
            ("RUN_IN", self.settings.run_in.to_string()),
            ("DATABASE", self.settings.database.clone()),
            ("PROGRAMS", self.settings.programs.name().to_owned()),
        ];
        save_settings(&self.dir, &values.map(|(key, value)| (key.to_owned(), value)).into())
    }

    /// With the rights to do everything.
    pub fn url(&self) -> String {
        let Settings { password, database, .. } = &self.settings;
        format!("postgres://postgres:{password}@127.0.0.1:{}/{database}", self.port)
    }

    /// The same through the socket, which is for whoever runs on this machine and costs half of what TCP does; through
    /// TCP where the home is too deep for a socket.
    pub fn socket_url(&self) -> String {
        let Settings { password, database, .. } = &self.settings;
        match self.socket_dir() {
            Some(dir) => {
                let host: String = dir.bytes().map(percent_encoded).collect();
                format!("postgres://postgres:{password}@{host}:{}/{database}", self.port)
            }
            None => self.url(),
        }
    }

    /// Where the socket is: a path to one has at most 107 bytes, and the setting is a list.
    fn socket_dir(&self) -> Option<&str> {
        const NAME: usize = "/.s.PGSQL.65535.lock".len();
        self.home.to_str().filter(|home| home.len() + NAME <= 107 && !home.contains([',', '"', '\'', '\\']))
    }

    fn data(&self) -> PathBuf {
        self.home.join("data")
    }

    fn log(&self) -> PathBuf {
        self.home.join("postgres.log")
    }

    fn postmaster(&self) -> Option<Process> {
        let file = fs::read_to_string(self.data().join("postmaster.pid")).ok()?;
        let pid = file.lines().next()?.trim().parse().ok()?;
        // After a crash the file may name a stranger.
        process::name(pid).is_none_or(|name| name == "postgres").then(|| Process::find(pid))?
    }

    fn init(&self, tools: &Tools) -> Result<()> {
        say::step("PostgreSQL: making a new database cluster");
        let (password_file, unfinished) = (self.home.join("password"), self.home.join("data.new"));
        if unfinished.exists() {
            fs::remove_dir_all(&unfinished)?;
        }
        project::write_private(&password_file, &self.settings.password)?;
        give_to_account(&password_file)?;
        let made = run(tools
            .command("initdb")?
            .args(["--username=postgres", "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync"])
            .arg(format!("--pwfile={}", password_file.display()))
            .arg("-D")
            .arg(&unfinished));
        fs::remove_file(&password_file)?;
        made?;
        let conf = unfinished.join("postgresql.conf");
        fs::write(&conf, fs::read_to_string(&conf)? + "\ninclude = 'conveyor.conf'\n")?;
        // Named as it should be only once it is whole.
        fs::rename(&unfinished, self.data()).context("cannot move the new database cluster to its place")
    }

    fn configure(&self) -> Result<()> {
        let (port, safe) = (self.port, if self.settings.durable { "on" } else { "off" });
        let kept_mb = if self.settings.run_in { RUN_IN_FILES * LOG_FILE_MB } else { 5 * LOG_FILE_MB };
        let socket_dir = self.socket_dir().unwrap_or_default();
        let text = format!(
            "# Written at every start.\n\
             listen_addresses = '127.0.0.1'\nport = {port}\nunix_socket_directories = '{socket_dir}'\ncluster_name = 'conveyor'\n\
             max_connections = 200\nshared_buffers = 256MB\n\
             fsync = {safe}\nfull_page_writes = {safe}\nsynchronous_commit = on\nwal_compression = lz4\n\
             max_wal_size = 4GB\nmin_wal_size = {kept_mb}MB\ncheckpoint_timeout = 15min\nautovacuum_naptime = 10s\n\
             timezone = 'UTC'\nlog_timezone = 'UTC'\n"
        );
        let file = self.data().join("conveyor.conf");
        fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
        give_to_account(&file)
    }

    fn make_database(&self, tools: &Tools) -> Result<()> {
        let database = &self.settings.database;
        if self.psql(tools, &format!("SELECT 1 FROM pg_database WHERE datname = '{database}'"))?.is_empty() {
            self.psql(tools, &format!("CREATE DATABASE \"{database}\""))?;
        }
        Ok(())
    }

    /// Writes its log from file to file, and has what it has written made the files of what it will write: as long as
    /// there is none, the next commit fills one with zeros first, 16 MB, and all others wait.
    fn run_in(&self, tools: &Tools) -> Result<()> {
        say::step("PostgreSQL: laying out its log, as one that is in use has it");
        self.psql(
            tools,
            &format!(
                "DO $$ BEGIN FOR i IN 1..{RUN_IN_FILES} LOOP \
                 PERFORM pg_logical_emit_message(false, '', ''); PERFORM pg_switch_wal(); END LOOP; END $$"
            ),
        )?;
        self.psql(tools, "CHECKPOINT").map(drop)
    }

    fn psql(&self, tools: &Tools, sql: &str) -> Result<String> {
        run(tools
            .command("psql")?
            .args(["-XAtq", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-U", "postgres", "-d", "postgres"])
            .args(["-p", &self.port.to_string(), "-c", sql])
            .env("PGPASSWORD", &self.settings.password))
    }

    fn pg_ctl(&self, tools: &Tools, arguments: &[&str]) -> Result<String> {
        run(tools.command("pg_ctl")?.args(arguments).arg("-D").arg(self.data()).arg("-l").arg(self.log()))
    }
}

fn percent_encoded(byte: u8) -> String {
    if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
        char::from(byte).to_string()
    } else {
        format!("%{byte:02X}")
    }
}

impl Server for Postgres {
    fn name(&self) -> &'static str {
        "PostgreSQL"
    }

    fn require_ports(&self) -> Result<()> {
        ports::require_free(self.port, "PostgreSQL")
    }

    fn start(&self) -> Result<()> {
        if self.is_running() {
            say::step(format!("PostgreSQL: runs already, on port {}", self.port));
            return Ok(());
        }
        self.require_ports()?;
        self.settings.programs.ensure(install::POSTGRES)?;
        let tools = Tools::find(self.settings.programs)?;
        prepare_home(&self.home)?;
        let is_new = !self.data().exists();
        if is_new {
            self.init(&tools)?;
        }
        self.configure()?;
        if let Err(error) = self.pg_ctl(&tools, &["start", "-w", "-s", "-t", "120"]) {
            show_end_of(&self.log(), 10);
            return Err(error);
        }
        self.make_database(&tools)?;
        if is_new && self.settings.run_in {
            self.run_in(&tools)?;
        }
        let version = self.psql(&tools, "SHOW server_version")?;
        say::step(format!("PostgreSQL {version}: answers on port {}", self.port));
        Ok(())
    }

    fn stop(&self) -> Result<()> {
        let Some(postmaster) = self.postmaster() else {
            return Ok(());
        };
        let tools = Tools::find(self.settings.programs)?;
        if self.pg_ctl(&tools, &["stop", "-w", "-s", "-m", "fast", "-t", "60"]).is_err() {
            // A crash is what it recovers from at the next start.
            postmaster.signal(Signal::SIGQUIT);
            postmaster.stop(Duration::from_secs(10));
        }
        say::step(format!("PostgreSQL: stopped (port {})", self.port));
        Ok(())
    }

    fn kill(&self) -> Result<()> {
        let Some(postmaster) = self.postmaster() else {
            return Ok(());
        };
        let children = postmaster.children();
        postmaster.kill();
        // Any that stayed would hold the shared memory and forbid the next start.
        children.iter().for_each(Process::kill);
        // A dead process that nobody has collected yet looks alive to PostgreSQL.
        let locks = [self.data().join("postmaster.pid"), self.home.join(format!(".s.PGSQL.{}.lock", self.port))];
        for lock in locks.iter().filter(|lock| lock.exists()) {
            fs::remove_file(lock).context("cannot remove what the dead server has locked")?;
        }
        Ok(())
    }

    fn discard(&self) -> Result<()> {
        if let Some(postmaster) = self.postmaster() {
            // Killed, it leaves its shared memory in /dev/shm until it starts again.
            postmaster.signal(Signal::SIGQUIT);
            postmaster.wait_gone(Duration::from_secs(10));
        }
        self.kill()
    }

    fn is_running(&self) -> bool {
        self.postmaster().is_some()
    }

    fn variables(&self) -> Variables {
        let values =
            [("DATABASE_URL", self.url()), ("PORT", self.port.to_string()), ("LOG", self.log().display().to_string())];
        values.map(|(key, value)| (key.to_owned(), value)).into()
    }

    fn folders(&self) -> Vec<PathBuf> {
        vec![self.home.clone(), self.dir.clone()]
    }
}
