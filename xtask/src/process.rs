//! Processes that outlive the command that started them: who they are, whether
//! they live, how they are ended. A process is known by its id *and* its start
//! time, because ids are used again.

use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    pub pid: i32,
    started: String,
}

/// What the system says about a process id, at this moment.
struct Seen {
    parent: i32,
    zombie: bool,
    started: String,
}

impl Process {
    /// The living process of that id.
    pub fn find(pid: i32) -> Option<Self> {
        let seen = look(pid).filter(|seen| !seen.zombie)?;
        Some(Self { pid, started: seen.started })
    }

    /// The process a file tells of, if it still lives and is the same.
    pub fn load(file: &Path) -> Option<Self> {
        let text = fs::read_to_string(file).ok()?;
        let (pid, started) = text.trim().split_once(' ')?;
        let process = Self { pid: pid.parse().ok()?, started: started.to_owned() };
        process.is_alive().then_some(process)
    }

    pub fn save(&self, file: &Path) -> Result<()> {
        fs::write(file, format!("{} {}\n", self.pid, self.started))
            .with_context(|| format!("cannot write {}", file.display()))
    }

    pub fn is_alive(&self) -> bool {
        Self::find(self.pid).is_some_and(|found| found == *self)
    }

    pub fn signal(&self, signal: Signal) {
        if self.is_alive() {
            // It may end between the question and the signal: that is what was wanted.
            let _ = kill(Pid::from_raw(self.pid), signal);
        }
    }

    /// Waits for its end; false if it still lives after `grace`.
    pub fn wait_gone(&self, grace: Duration) -> bool {
        wait_until(grace, || !self.is_alive())
    }

    /// Asks it to end, waits, then ends it; true if it went by itself.
    pub fn stop(&self, grace: Duration) -> bool {
        self.signal(Signal::SIGTERM);
        self.wait_gone(grace) || {
            self.kill();
            false
        }
    }

    pub fn kill(&self) {
        self.signal(Signal::SIGKILL);
        self.wait_gone(Duration::from_secs(10));
    }

    /// Its children, where the system tells (Linux).
    pub fn children(&self) -> Vec<Self> {
        let Ok(entries) = fs::read_dir("/proc") else {
            return Vec::new();
        };
        entries
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .filter(|&pid| look(pid).is_some_and(|seen| seen.parent == self.pid))
            .filter_map(Self::find)
            .collect()
    }
}

/// Waits for something that other processes do, and says whether they did it in time.
#[expect(clippy::disallowed_methods, reason = "they are no children of ours, so no signal tells")]
pub fn wait_until(patience: Duration, happened: impl Fn() -> bool) -> bool {
    let end = Instant::now() + patience;
    while !happened() {
        if Instant::now() >= end {
            return false;
        }
        sleep(Duration::from_millis(20));
    }
    true
}

/// The name of a process's program, where the system tells (Linux).
pub fn name(pid: i32) -> Option<String> {
    Some(fs::read_to_string(format!("/proc/{pid}/comm")).ok()?.trim().to_owned())
}

fn look(pid: i32) -> Option<Seen> {
    match fs::read_to_string(format!("/proc/{pid}/stat")) {
        Ok(stat) => {
            // The name, in brackets, may hold anything: read on from its end.
            let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
            Some(Seen {
                // One whose other threads still live is still at it: its ports are not free yet.
                zombie: matches!(*fields.first()?, "Z" | "X") && matches!(*fields.get(17)?, "0" | "1"),
                parent: fields.get(1)?.parse().ok()?,
                started: (*fields.get(19)?).to_owned(),
            })
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound && Path::new("/proc/self").exists() => None,
        Err(_) => look_with_ps(pid),
    }
}

/// For systems without /proc.
fn look_with_ps(pid: i32) -> Option<Seen> {
    let output = Command::new("ps")
        .args(["-o", "stat=,ppid=,lstart=", "-p", &pid.to_string()])
        .env("LC_ALL", "C")
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let mut words = text.split_whitespace();
    Some(Seen {
        zombie: words.next()?.starts_with('Z'),
        parent: words.next()?.parse().ok()?,
        started: words.collect::<Vec<_>>().join(" "),
    })
}
