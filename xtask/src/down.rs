//! `cargo xtask down`: stops everything that `up` started, and looks whether it did.

use std::fs;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::say;
use crate::servers::{self, Server};
use crate::services;
use crate::sign;
use crate::site::{Site, lock};

/// Stops everything that `up` started; data are kept
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub struct Arguments {
    /// Remove the data too: database, queues, passwords, keys, logs
    #[arg(long)]
    purge: bool,
}

pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let site = Site::open()?;
    let _turn = lock(&site.local)?;
    if stop_everything(&site)? == 0 {
        say::step("nothing was running");
    }
    if arguments.purge {
        for server in servers::found_in(&site.local) {
            servers::purge(server.as_ref())?;
        }
        for dir in [site.run(), site.logs()] {
            fs::remove_dir_all(&dir).with_context(|| format!("cannot remove {}", dir.display()))?;
        }
        if site.variables_file().exists() {
            fs::remove_file(site.variables_file())?;
        }
        sign::remove_keys(&site)?;
        say::step("data removed");
    }
    Ok(ExitCode::SUCCESS)
}

/// Services first: they finish what they have begun, and need their servers for it.
pub fn stop_everything(site: &Site) -> Result<usize> {
    let stopped = services::stop(&services::all(site)) + services::stop(&[services::sandbox(site)]);
    let found = servers::found_in(&site.local);
    let running: Vec<&dyn Server> = found.iter().map(Box::as_ref).filter(|server| server.is_running()).collect();
    servers::stop_all(&running)?;
    let left: Vec<_> = running.iter().filter(|server| server.is_running()).map(|server| server.name()).collect();
    if !left.is_empty() {
        bail!("still running: {}", left.join(", "));
    }
    Ok(stopped + running.len())
}
