//! Private servers: a PostgreSQL and a RabbitMQ of Conveyor's own, each in a folder
//! of its own, on 127.0.0.1 only. The system's servers are never used or touched.
//!
//! An instance remembers its settings in `server.env` in its folder, so that it can be
//! stopped and started again by naming the folder alone.

mod epmd;
pub mod install;
pub mod postgres;
mod postgres_tools;
mod programs;
pub mod rabbitmq;

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

use anyhow::{Context, Result, bail};

use crate::project::{self, Variables};
use crate::say;
pub use postgres::Postgres;
pub use postgres_tools::home_for;
pub use programs::{Programs, Releases};
pub use rabbitmq::RabbitMq;

pub trait Server: Sync {
    fn name(&self) -> &'static str;
    /// Fails if somebody else holds one of its ports.
    fn require_ports(&self) -> Result<()>;
    /// Returns when it answers; harmless if it runs already.
    fn start(&self) -> Result<()>;
    /// An orderly end; harmless if it does not run.
    fn stop(&self) -> Result<()>;
    /// SIGKILL, as a crash would be.
    fn kill(&self) -> Result<()>;
    /// The quickest end that leaves nothing behind outside of its folders, with no care for what is in them.
    fn discard(&self) -> Result<()>;
    fn is_running(&self) -> bool;
    /// URLs and the like, for people and programs.
    fn variables(&self) -> Variables;
    /// Every folder that belongs to it.
    fn folders(&self) -> Vec<PathBuf>;
}

/// Starts several at the same time: each spends most of its start waiting.
pub fn start_all(servers: &[&dyn Server]) -> Result<()> {
    at_once(servers, |server| server.start())
}

pub fn stop_all(servers: &[&dyn Server]) -> Result<()> {
    at_once(servers, |server| server.stop())
}

fn at_once(servers: &[&dyn Server], act: fn(&dyn Server) -> Result<()>) -> Result<()> {
    let results: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = servers.iter().map(|server| scope.spawn(move || act(*server))).collect();
        threads.into_iter().map(thread::ScopedJoinHandle::join).collect()
    });
    results.into_iter().try_for_each(|result| match result {
        Ok(result) => result,
        Err(_) => bail!("a server's thread panicked"),
    })
}

/// The instances found directly inside a folder.
pub fn found_in(folder: &Path) -> Vec<Box<dyn Server>> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    entries.filter_map(|entry| load(&entry.ok()?.path()).ok()).collect()
}

/// The instance that lives in a folder.
pub fn load(dir: &Path) -> Result<Box<dyn Server>> {
    let settings = settings(dir);
    match settings.get("KIND").map(String::as_str) {
        Some(postgres::KIND) => Ok(Box::new(Postgres::load(dir, &settings)?)),
        Some(rabbitmq::KIND) => Ok(Box::new(RabbitMq::load(dir, &settings)?)),
        _ => bail!("there is no server in {}", dir.display()),
    }
}

/// Stops an instance and removes everything it kept.
pub fn purge(server: &dyn Server) -> Result<()> {
    server.stop()?;
    for folder in server.folders() {
        if folder.exists() {
            fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
        }
    }
    Ok(())
}

fn settings(dir: &Path) -> Variables {
    project::read_variables(&dir.join("server.env"))
}

fn save_settings(dir: &Path, settings: &Variables) -> Result<()> {
    project::write_private(&dir.join("server.env"), &project::lines(settings))
}

fn setting<'a>(settings: &'a Variables, dir: &Path, key: &str) -> Result<&'a str> {
    let value = settings.get(key).map(String::as_str);
    value.with_context(|| format!("{} lacks {key}", dir.join("server.env").display()))
}

fn port_setting(settings: &Variables, dir: &Path, key: &str) -> Result<u16> {
    setting(settings, dir, key)?
        .parse()
        .with_context(|| format!("{key} in {} is no port", dir.join("server.env").display()))
}

/// Makes a folder and returns its absolute path.
fn make_dir(dir: &Path) -> Result<PathBuf> {
    let make = || fs::create_dir_all(dir).and_then(|()| dir.canonicalize());
    make().with_context(|| format!("cannot make the folder {}", dir.display()))
}

/// Shows the end of a log, where the reason of a failure usually stands.
pub fn show_end_of(log: &Path, lines: usize) {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    // Erlang's last words can be one line of many thousand characters.
    let all: Vec<String> = text.lines().map(|line| line.chars().take(300).collect()).collect();
    say::step(format!("the end of {}:", log.display()));
    say::detail(all[all.len().saturating_sub(lines)..].join("\n"));
}
