//! Erlang's port mapper, by which nodes find each other: one for each cluster, and for a node alone one of its own. The
//! first node that starts brings it along, and it outlives them all unless it is ended.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::Result;

use crate::{ports, process};

#[derive(Debug)]
pub struct Epmd {
    pub port: u16,
    /// Locked by those who start a node and those who end the epmd, which must not happen at the same time.
    pub folder: PathBuf,
}

impl Epmd {
    /// Nobody ends it as long as this is held. A node that lives keeps it by being there, but one that starts has found it
    /// some time before it says so.
    pub fn hold(&self) -> Option<File> {
        let folder = File::open(&self.folder).ok()?;
        folder.lock_shared().ok()?;
        Some(folder)
    }

    /// Ends it, unless a node needs it. `epmd` is the program in the environment of a node.
    pub fn end(&self, epmd: Command) -> Result<()> {
        self.unless_held(|| {
            self.kill(epmd);
            Ok(())
        })
    }

    /// Fails if somebody else holds its port. One that no node needs, such as a crash leaves, is ended.
    pub fn require_port(&self, epmd: Command) -> Result<()> {
        self.unless_held(|| {
            self.kill(epmd);
            // It is still there if other nodes of the cluster live.
            if ports::is_held_by(self.port, "epmd") { Ok(()) } else { ports::require_free(self.port, "RabbitMQ") }
        })
    }

    fn unless_held(&self, act: impl FnOnce() -> Result<()>) -> Result<()> {
        let folder = File::open(&self.folder);
        match &folder {
            Ok(folder) if folder.try_lock().is_err() => Ok(()),
            // Where there is no folder any more, nobody starts.
            _ => act(),
        }
    }

    /// It refuses if it knows of a node that lives.
    fn kill(&self, mut epmd: Command) {
        let killed = epmd.arg("-kill").stdout(Stdio::null()).stderr(Stdio::null()).status();
        if killed.is_ok_and(|status| status.success()) {
            process::wait_until(Duration::from_secs(2), || !ports::is_listening(self.port));
        }
    }
}
