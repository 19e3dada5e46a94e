//! A private PostgreSQL. It refuses to run as root, so root runs it as the user
//! `postgres`, in a folder which that user can reach.

use std::env;
use std::fs;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use nix::sys::signal::Signal;
use nix::unistd::{User, geteuid};

use super::{Server, install, make_dir, port_setting, save_settings, setting, settings, show_end_of};
use crate::process::{self, Process};
use crate::project::{self, Variables};
use crate::{ports, say};

pub const KIND: &str = "postgres";
const OLDEST: u32 = 15;

#[derive(Debug)]
pub struct Settings {
    /// A free one is chosen if none is named.
    pub port: Option<u16>,
    pub password: String,
    /// Survives a power cut. A test's data need not; either survives SIGKILL.
    pub durable: bool,
    /// Made if missing, and named in the URL.
    pub database: String,
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
        install::ensure(&[install::POSTGRES])?;
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
                database: setting(known, dir, "DATABASE")?.to_owned(),
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
            ("DATABASE", self.settings.database.clone()),
        ];
        save_settings(&self.dir, &values.map(|(key, value)| (key.to_owned(), value)).into())
    }

    /// With the rights to do everything.
    pub fn url(&self) -> String {
        let Settings { password, database, .. } = &self.settings;
        format!("postgres://postgres:{password}@127.0.0.1:{}/{database}", self.port)
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

    fn init(&self, bin: &Path) -> Result<()> {
        say::step("PostgreSQL: making a new database cluster");
        let (password_file, unfinished) = (self.home.join("password"), self.home.join("data.new"));
        if unfinished.exists() {
            fs::remove_dir_all(&unfinished)?;
        }
        project::write_private(&password_file, &self.settings.password)?;
        give_to_account(&password_file)?;
        let made = run(tool(bin, "initdb")?
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
        let text = format!(
            "# Written at every start.\n\
             listen_addresses = '127.0.0.1'\nport = {port}\nunix_socket_directories = ''\ncluster_name = 'conveyor'\n\
             max_connections = 200\nshared_buffers = 256MB\n\
             fsync = {safe}\nfull_page_writes = {safe}\nsynchronous_commit = on\nwal_compression = on\n\
             max_wal_size = 4GB\ncheckpoint_timeout = 15min\nautovacuum_naptime = 10s\n\
             timezone = 'UTC'\nlog_timezone = 'UTC'\n"
        );
        let file = self.data().join("conveyor.conf");
        fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
        give_to_account(&file)
    }

    fn make_database(&self, bin: &Path) -> Result<()> {
        let database = &self.settings.database;
        let psql = |sql: &str| -> Result<String> {
            run(tool(bin, "psql")?
                .args(["-XAtq", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-U", "postgres", "-d", "postgres"])
                .args(["-p", &self.port.to_string(), "-c", sql])
                .env("PGPASSWORD", &self.settings.password))
        };
        if psql(&format!("SELECT 1 FROM pg_database WHERE datname = '{database}'"))?.is_empty() {
            psql(&format!("CREATE DATABASE \"{database}\""))?;
        }
        Ok(())
    }

    fn pg_ctl(&self, bin: &Path, arguments: &[&str]) -> Result<String> {
        run(tool(bin, "pg_ctl")?.args(arguments).arg("-D").arg(self.data()).arg("-l").arg(self.log()))
    }
}

impl Server for Postgres {
    fn name(&self) -> &'static str {
        "PostgreSQL"
    }

    fn start(&self) -> Result<()> {
        if self.is_running() {
            say::step(format!("PostgreSQL: runs already, on port {}", self.port));
            return Ok(());
        }
        ports::require_free(self.port, "PostgreSQL")?;
        install::ensure(&[install::POSTGRES])?;
        let bin = find_tools().context("PostgreSQL's tools cannot be found")?;
        prepare_home(&self.home)?;
        if !self.data().exists() {
            self.init(&bin)?;
        }
        self.configure()?;
        if let Err(error) = self.pg_ctl(&bin, &["start", "-w", "-s", "-t", "120"]) {
            show_end_of(&self.log(), 10);
            return Err(error);
        }
        self.make_database(&bin)?;
        say::step(format!("PostgreSQL: answers on port {}", self.port));
        Ok(())
    }

    fn stop(&self) -> Result<()> {
        let Some(postmaster) = self.postmaster() else { return Ok(()) };
        let bin = find_tools().context("PostgreSQL's tools cannot be found")?;
        if self.pg_ctl(&bin, &["stop", "-w", "-s", "-m", "fast", "-t", "60"]).is_err() {
            // A crash is what it recovers from at the next start.
            postmaster.signal(Signal::SIGQUIT);
            postmaster.stop(std::time::Duration::from_secs(10));
        }
        say::step(format!("PostgreSQL: stopped (port {})", self.port));
        Ok(())
    }

    fn kill(&self) -> Result<()> {
        let Some(postmaster) = self.postmaster() else { return Ok(()) };
        let children = postmaster.children();
        postmaster.kill();
        // Any that stayed would hold the shared memory and forbid the next start.
        children.iter().for_each(Process::kill);
        // A dead process that nobody has collected yet looks alive to PostgreSQL.
        fs::remove_file(self.data().join("postmaster.pid")).context("cannot remove the dead server's pid file")
    }

    fn is_running(&self) -> bool {
        self.postmaster().is_some()
    }

    fn variables(&self) -> Variables {
        let values = [
            ("DATABASE_URL", self.url()),
            ("PORT", self.port.to_string()),
            ("LOG", self.log().display().to_string()),
        ];
        values.map(|(key, value)| (key.to_owned(), value)).into()
    }

    fn folders(&self) -> Vec<PathBuf> {
        vec![self.home.clone(), self.dir.clone()]
    }
}

/// The folder of the newest PostgreSQL that will do.
pub fn find_tools() -> Option<PathBuf> {
    let mut places: Vec<PathBuf> = ["/usr/lib/postgresql", "/usr/local/opt", "/opt/homebrew/opt", "/usr"]
        .iter()
        .filter_map(|parent| fs::read_dir(parent).ok())
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.to_string_lossy().contains("postgresql") || path.to_string_lossy().contains("/pgsql-"))
        .map(|path| path.join("bin"))
        .collect();
    places.extend(env::split_paths(&env::var_os("PATH").unwrap_or_default()));
    let usable = |bin: &Path| ["initdb", "pg_ctl", "postgres", "psql"].iter().all(|name| bin.join(name).exists());
    let (version, bin) =
        places.into_iter().filter(|bin| usable(bin)).filter_map(|bin| Some((version_of(&bin)?, bin))).max()?;
    (version >= OLDEST).then_some(bin)
}

fn version_of(bin: &Path) -> Option<u32> {
    let output = Command::new(bin.join("postgres")).arg("--version").output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.split_whitespace().nth(2)?.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// Whom root runs it as; nobody else needs to become anyone.
fn account() -> Result<Option<User>> {
    if !geteuid().is_root() {
        return Ok(None);
    }
    let user = User::from_name("postgres").context("cannot look up the user `postgres`")?;
    Ok(Some(user.context("PostgreSQL refuses to run as root, and there is no user `postgres` to run it as")?))
}

fn give_to_account(path: &Path) -> Result<()> {
    let Some(user) = account()? else { return Ok(()) };
    chown(path, Some(user.uid.as_raw()), Some(user.gid.as_raw()))
        .with_context(|| format!("cannot give {} to `postgres`", path.display()))
}

/// A tool, to be run as the right user, undisturbed by the caller's environment or Ctrl-C.
fn tool(bin: &Path, name: &str) -> Result<Command> {
    let mut command = Command::new(bin.join(name));
    for (key, _) in env::vars().filter(|(key, _)| key.starts_with("PG")) {
        command.env_remove(key);
    }
    command.env("LC_ALL", "C").current_dir("/").stdin(Stdio::null()).process_group(0);
    if let Some(user) = account()? {
        command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
    }
    Ok(command)
}

fn run(command: &mut Command) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| format!("cannot run {name}"))?;
    if !output.status.success() {
        bail!("{name} failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn home_for(dir: &Path) -> Result<PathBuf> {
    let Some(user) = account()? else { return Ok(dir.to_owned()) };
    let reaches = Command::new("test")
        .arg("-x")
        .arg(dir.parent().unwrap_or(dir))
        .uid(user.uid.as_raw())
        .gid(user.gid.as_raw())
        .status()
        .is_ok_and(|status| status.success());
    // The same place for the same folder every time (FNV-1a).
    let hash = dir.as_os_str().as_encoded_bytes().iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    Ok(if reaches { dir.to_owned() } else { PathBuf::from(format!("/var/tmp/conveyor-{hash:016x}")) })
}

/// Makes the folder for data and log. Where everyone may write, somebody else's folder
/// could be waiting under that name: only one's own will do.
fn prepare_home(home: &Path) -> Result<()> {
    if fs::symlink_metadata(home).is_err() {
        fs::DirBuilder::new().mode(0o700).create(home).with_context(|| format!("cannot make {}", home.display()))?;
    }
    let found = fs::symlink_metadata(home)?;
    let owners = [Some(geteuid().as_raw()), account()?.map(|user| user.uid.as_raw())];
    if !found.is_dir() || !owners.contains(&Some(found.uid())) {
        bail!("{} exists and belongs to somebody else: remove it first", home.display());
    }
    fs::set_permissions(home, std::os::unix::fs::PermissionsExt::from_mode(0o700))?;
    give_to_account(home)
}
