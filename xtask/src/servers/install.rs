//! Installs the servers' packages, where that can be done without asking; else says
//! exactly what to run. The system's own servers stay stopped.

use std::env;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

use anyhow::{Result, bail};
use nix::unistd::geteuid;

use super::{postgres_tools, rabbitmq};
use crate::{say, signals};

pub struct Package {
    name: &'static str,
    is_there: fn() -> bool,
    debian: &'static str,
    fedora: &'static str,
    homebrew: &'static str,
}

pub const POSTGRES: Package = Package {
    name: "PostgreSQL 15 or newer",
    is_there: || postgres_tools::find_tools().is_some(),
    debian: "postgresql",
    fedora: "postgresql-server",
    homebrew: "postgresql@17",
};

pub const RABBITMQ: Package = Package {
    name: "RabbitMQ 3.10 or newer",
    is_there: || rabbitmq::find_server().is_some(),
    debian: "rabbitmq-server",
    fedora: "rabbitmq-server",
    homebrew: "rabbitmq",
};

/// What fetches a release of Debian into a folder.
pub const DEBOOTSTRAP: Package = Package {
    name: "debootstrap",
    is_there: || exists("debootstrap") || Path::new("/usr/sbin/debootstrap").exists(),
    debian: "debootstrap",
    fedora: "debootstrap",
    homebrew: "debootstrap",
};

/// What the pages are looked at with, in tests.
pub const BROWSER: [Package; 2] = [
    Package {
        name: "Chromium",
        is_there: || ["chromium", "chromium-browser", "google-chrome"].into_iter().any(exists),
        debian: "chromium",
        fedora: "chromium",
        homebrew: "chromium",
    },
    Package {
        name: "Chromium's driver",
        is_there: || exists("chromedriver"),
        debian: "chromium-driver",
        fedora: "chromedriver",
        homebrew: "chromedriver",
    },
];

/// What the documentation's snippets are written for, which the tests run.
pub const SNIPPETS: [Package; 5] = [
    Package { name: "curl", is_there: || exists("curl"), debian: "curl", fedora: "curl", homebrew: "curl" },
    Package { name: "jq", is_there: || exists("jq"), debian: "jq", fedora: "jq", homebrew: "jq" },
    Package {
        name: "openssl",
        is_there: || exists("openssl"),
        debian: "openssl",
        fedora: "openssl",
        homebrew: "openssl@3",
    },
    Package { name: "Node.js", is_there: || exists("node"), debian: "nodejs", fedora: "nodejs", homebrew: "node" },
    Package {
        name: "Python's cryptography",
        // Where a shell finds another Python, the package may only be with the system's.
        is_there: || ["python3", "/usr/bin/python3"].into_iter().any(knows_cryptography),
        debian: "python3-cryptography",
        fedora: "python3-cryptography",
        homebrew: "cryptography",
    },
];

fn knows_cryptography(python: &str) -> bool {
    let mut command = Command::new(python);
    command.args(["-c", "import cryptography"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// Installs what is missing. One at a time: package managers do not share.
pub fn ensure(packages: &[Package]) -> Result<()> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let missing = || -> Vec<&Package> { packages.iter().filter(|package| !(package.is_there)()).collect() };
    let wanted = missing();
    if wanted.is_empty() {
        return Ok(());
    }
    let names = wanted.iter().map(|package| package.name).collect::<Vec<_>>().join(" and ");
    say::step(format!("{names}: not installed"));
    let list = |of: fn(&Package) -> &'static str| wanted.iter().map(|package| of(package)).collect::<Vec<_>>();
    if !exists("apt-get") {
        let how = if exists("brew") {
            format!("brew install {}", list(|package| package.homebrew).join(" "))
        } else if exists("dnf") {
            format!("sudo dnf install {}", list(|package| package.fedora).join(" "))
        } else {
            "your system's package manager".to_owned()
        };
        bail!("install {names} first (no service has to be started), with:\n    {how}");
    }
    let debian = list(|package| package.debian);
    let Some(mut shell) = root_shell() else {
        bail!(
            "install {names} first (no service has to be started), with:\n    \
             sudo apt-get update && sudo apt-get install -y --no-install-recommends {}",
            debian.join(" ")
        );
    };
    say::step(format!("installing with apt-get: {}", debian.join(" ")));
    let status = signals::run(shell.arg(include_str!("install-debian.sh")).arg("install").args(&debian))?;
    signals::check()?;
    if !status.success() {
        bail!("apt-get could not install {} ({status})", debian.join(" "));
    }
    let still = missing();
    if !still.is_empty() {
        let names = still.iter().map(|package| package.name).collect::<Vec<_>>().join(" and ");
        bail!("{names}: still not there; is what this system offers too old?");
    }
    say::step("installed; the system's own servers were left stopped");
    Ok(())
}

/// A shell with root's rights, if one is to be had without a password.
fn root_shell() -> Option<Command> {
    let mut command = if geteuid().is_root() {
        Command::new("sh")
    } else {
        let allowed = Command::new("sudo")
            .args(["-n", "true"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success());
        let mut command = allowed.then(|| Command::new("sudo"))?;
        command.args(["-n", "sh"]);
        command
    };
    command.arg("-c").stdin(Stdio::null()).stdout(std::io::stderr());
    Some(command)
}

fn exists(program: &str) -> bool {
    env::split_paths(&env::var_os("PATH").unwrap_or_default()).any(|folder| Path::new(&folder).join(program).exists())
}
