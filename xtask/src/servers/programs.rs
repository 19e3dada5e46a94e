//! Whose programs a server runs: the system's, or Debian 13's, which has newer ones. Those are unpacked in a folder and
//! put in the place of `/usr` for the server alone, in a mount namespace of its own: it sees the same files and the same
//! processes as everybody else, and nothing stays mounted when it ends.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use clap::Args;
use nix::unistd::{User, geteuid};

use super::install;
use crate::{project, say, signals};

/// Debian 13's releases.
pub const RABBITMQ: &str = "4";
pub const POSTGRES: &str = "17";

/// Which servers are to be newer ones than the system's.
#[derive(Args, Clone, Debug, Default)]
pub struct Releases {
    /// Run RabbitMQ 4 out of Debian 13, whichever the system has; Linux only, as root
    #[arg(long, value_name = "RELEASE", value_parser = [RABBITMQ])]
    pub rabbitmq: Option<String>,
    /// Run PostgreSQL 17 out of Debian 13, likewise
    #[arg(long, value_name = "RELEASE", value_parser = [POSTGRES])]
    pub postgres: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Programs {
    System,
    Debian13,
}

impl From<&Option<String>> for Programs {
    fn from(release: &Option<String>) -> Self {
        if release.is_some() { Self::Debian13 } else { Self::System }
    }
}

impl Programs {
    const NAMES: [(Self, &str); 2] = [(Self::System, "system"), (Self::Debian13, "debian-13")];

    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(programs, _)| *programs == self).map_or("", |(_, name)| name)
    }

    /// Instances made before there was a choice have the system's.
    pub fn of_name(name: Option<&String>) -> Self {
        Self::NAMES.iter().find(|(_, known)| name.is_some_and(|name| name == known)).map_or(Self::System, |(it, _)| *it)
    }

    /// Installs what is missing.
    pub fn ensure(self, package: install::Package) -> Result<()> {
        match self {
            Self::System => install::ensure(&[package]),
            Self::Debian13 => unpack().map(drop),
        }
    }

    /// Fails where an instance that has these cannot be used with those that are asked for.
    pub fn require(self, wanted: Self, dir: &Path) -> Result<()> {
        // Not to ask for any is to be content with what there is.
        if wanted != Self::System && wanted != self {
            bail!("the data in {} are of another release: remove them first", dir.display());
        }
        if wanted == Self::Debian13 && dir.starts_with("/usr") {
            bail!("a server out of Debian 13 has its own /usr, so it cannot see {}", dir.display());
        }
        Ok(())
    }

    /// One of the programs, as a user if one is named.
    pub fn command(self, program: &Path, user: Option<&User>) -> Result<Command> {
        const IN_PLACE: &str = r#"mount --bind "$1" /usr; shift; exec "$@""#;
        if self == Self::System {
            let mut command = Command::new(program);
            if let Some(user) = user {
                command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
            }
            return Ok(command);
        }
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation=private", "sh", "-euc", IN_PLACE, "sh"]).arg(folder()?.join("usr"));
        if let Some(user) = user {
            command.args([
                "setpriv".to_owned(),
                format!("--reuid={}", user.uid),
                format!("--regid={}", user.gid),
                "--clear-groups".to_owned(),
            ]);
        }
        command.arg(program);
        Ok(command)
    }
}

fn folder() -> Result<PathBuf> {
    Ok(project::local()?.join("debian-13"))
}

/// Fetches and unpacks Debian 13's packages, once.
fn unpack() -> Result<()> {
    let folder = folder()?;
    if !geteuid().is_root() {
        bail!("servers out of Debian 13 need root, to give them a /usr of their own: run this as root");
    }
    let mut unshare = Command::new("unshare");
    unshare.args(["--mount", "true"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    if !unshare.status().is_ok_and(|status| status.success()) {
        bail!("servers out of Debian 13 need `unshare --mount`, which this system does not allow, even as root");
    }
    if folder.exists() {
        return Ok(());
    }
    let local = project::local()?;
    fs::create_dir_all(&local).with_context(|| format!("cannot make {}", local.display()))?;
    // Somebody may be at it: then all that is left is to wait.
    let turn = File::create(folder.with_added_extension("lock")).context("cannot lock the folder for Debian 13")?;
    turn.lock().context("cannot lock the folder for Debian 13")?;
    if folder.exists() {
        return Ok(());
    }
    install::ensure(&[install::DEBOOTSTRAP])?;
    say::step(format!("unpacking RabbitMQ and PostgreSQL out of Debian 13 into {}", folder.display()));
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation=private", "sh", "-c", include_str!("debian-13.sh"), "sh"]).arg(&folder);
    let status = signals::run(command.stdin(Stdio::null()).stdout(std::io::stderr()))?;
    signals::check()?;
    if !status.success() {
        bail!("Debian 13's packages could not be had ({status})");
    }
    Ok(())
}
