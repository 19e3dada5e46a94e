//! Where things are and how they are built; small files of `KEY=value` lines.

use std::collections::BTreeMap;
use std::env;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{say, signals};

pub type Variables = BTreeMap<String, String>;

/// The workspace's folder.
pub fn root() -> Result<PathBuf> {
    let manifest = env::var("CARGO_MANIFEST_DIR").unwrap_or_else(|_| env!("CARGO_MANIFEST_DIR").to_owned());
    Ok(Path::new(&manifest).parent().context("xtask is not inside a workspace")?.to_owned())
}

/// Everything that running Conveyor leaves in the work tree.
pub fn local() -> Result<PathBuf> {
    Ok(root()?.join(".local"))
}

fn cargo() -> Result<Command> {
    let mut command = Command::new(env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned()));
    command.current_dir(root()?);
    // `cargo run` sets these for us, the program it ran; they are not meant for its children.
    for (name, _) in
        env::vars().filter(|(name, _)| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_"))
    {
        command.env_remove(name);
    }
    Ok(command)
}

/// Cargo's target folder, wherever configuration or environment put it.
pub fn target() -> Result<PathBuf> {
    let output = cargo()?
        .args(["metadata", "--format-version", "1", "--no-deps"])
        .output()
        .context("cannot run `cargo metadata`")?;
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).context("cannot read `cargo metadata`")?;
    let target = metadata["target_directory"].as_str().context("`cargo metadata` names no target folder")?;
    Ok(target.into())
}

/// Runs cargo in the foreground; false if it failed.
pub fn run_cargo(arguments: &[&str], variables: &Variables) -> Result<bool> {
    Ok(signals::run(cargo()?.args(arguments).envs(variables))?.success())
}

pub fn build(arguments: &[&str]) -> Result<()> {
    let line = format!("cargo build {}", arguments.join(" "));
    say::step(format!("building: {line}"));
    if !run_cargo(&[&["build"], arguments].concat(), &Variables::new())? {
        signals::check()?;
        bail!("`{line}` failed");
    }
    Ok(())
}

/// Whether a cargo subcommand such as `nextest` is installed.
pub fn has_cargo_command(name: &str) -> Result<bool> {
    Ok(cargo()?.args([name, "--version"]).output().is_ok_and(|output| output.status.success()))
}

pub fn read_variables(file: &Path) -> Variables {
    let text = fs::read_to_string(file).unwrap_or_default();
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once('='))
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

/// Writes a file that only its owner may read, whole or not at all.
pub fn write_private(file: &Path, text: &str) -> Result<()> {
    let write = || {
        let new = file.with_added_extension("new");
        let mut handle = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        handle.set_permissions(fs::Permissions::from_mode(0o600))?;
        handle.write_all(text.as_bytes())?;
        fs::rename(&new, file)
    };
    write().with_context(|| format!("cannot write {}", file.display()))
}

pub fn lines(variables: &Variables) -> String {
    variables.iter().map(|(key, value)| format!("{key}={value}\n")).collect()
}

pub fn random_bytes<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes)).context("cannot read /dev/urandom")?;
    Ok(bytes)
}

/// A password that needs no escaping anywhere.
pub fn password() -> Result<String> {
    Ok(random_bytes::<16>()?.iter().map(|byte| format!("{byte:02x}")).collect())
}
