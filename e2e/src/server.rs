//! A server of the test's own, for tests that stop, kill and restart one.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Stdio,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::process::Command;

use crate::environment::{Url, needed, scratch};

/// A private PostgreSQL or RabbitMQ; removed when dropped.
#[derive(Debug)]
pub struct Server {
    kind: &'static str,
    dir: PathBuf,
    variables: BTreeMap<String, String>,
}

impl Server {
    pub async fn postgres() -> Self {
        Self::start_new("postgres", None).await
    }

    pub async fn rabbitmq() -> Self {
        Self::start_new("rabbitmq", None).await
    }

    /// One more node of the cluster of another, which runs.
    pub async fn rabbitmq_joining(other: &Self) -> Self {
        Self::start_new("rabbitmq", Some(other)).await
    }

    async fn start_new(kind: &'static str, joined: Option<&Self>) -> Self {
        let folder = std::env::var_os("CONVEYOR_TEST_SERVERS_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
        let mut server = Self { kind, dir: scratch(&folder, kind), variables: BTreeMap::new() };
        let mut start = command(kind, "start", &server.dir);
        for (option, variable) in [("--postgres", "CONVEYOR_TEST_POSTGRES"), ("--rabbitmq", "CONVEYOR_TEST_RABBITMQ")] {
            if let Some(release) = std::env::var_os(variable) {
                start.arg(option).arg(release);
            }
        }
        if let Some(other) = joined {
            start.arg("--join").arg(&other.dir);
        }
        server.variables = server.tell("start", start).await;
        server
    }

    /// The administrator's URL: of PostgreSQL's maintenance database, or of AMQP.
    #[must_use]
    pub fn url(&self) -> &str {
        self.variable(if self.kind == "postgres" { "DATABASE_URL" } else { "AMQP_URL" })
    }

    /// Host and port.
    #[must_use]
    pub fn address(&self) -> String {
        Url::parse(self.url()).address
    }

    /// RabbitMQ's management.
    #[must_use]
    pub fn management_url(&self) -> &str {
        self.variable("MANAGEMENT_URL")
    }

    fn variable(&self, name: &str) -> &str {
        match self.variables.get(name) {
            Some(value) => value,
            None => panic!("`xtask server {} start` did not say {name}", self.kind),
        }
    }

    /// Returns when it answers, on the same port as before.
    pub async fn start(&mut self) {
        self.variables = self.tell("start", command(self.kind, "start", &self.dir)).await;
    }

    /// In an orderly way.
    pub async fn stop(&mut self) {
        self.tell("stop", command(self.kind, "stop", &self.dir)).await;
    }

    /// As a crash would.
    pub async fn kill(&mut self) {
        self.tell("kill", command(self.kind, "kill", &self.dir)).await;
    }

    /// To the node's process; only for RabbitMQ.
    pub fn signal(&self, signal: Signal) {
        let pid = std::fs::read_to_string(self.dir.join("rabbitmq.pid")).ok().and_then(|pid| pid.trim().parse().ok());
        let Some(pid) = pid else { panic!("{} does not run", self.dir.display()) };
        kill(Pid::from_raw(pid), signal).expect("sending a signal");
    }

    /// What it logged as wrong, lately.
    fn show_complaints(&self) {
        const MOST: usize = 120;
        let Some(folder) = self.variables.get("LOG") else { return };
        let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let said: String = files.filter_map(|file| std::fs::read_to_string(file.path()).ok()).collect();
        let is_complaint =
            |line: &&str| ["[error]", "[critical]", "ERROR", "FATAL", "PANIC"].iter().any(|word| line.contains(word));
        let complaints: Vec<&str> = said.lines().filter(is_complaint).collect();
        let end = complaints[complaints.len().saturating_sub(MOST)..].join("\n");
        eprintln!("--- {}: {} complaints, the last of them\n{end}\n---", self.kind, complaints.len());
    }

    async fn tell(&self, what: &str, command: std::process::Command) -> BTreeMap<String, String> {
        let output = Command::from(command).kill_on_drop(true).output().await.expect("running CONVEYOR_TEST_XTASK");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            output.status.success(),
            "{} could not be told to {what}: {}",
            self.kind,
            String::from_utf8_lossy(&output.stderr)
        );
        said.lines().filter_map(|line| line.split_once('=')).map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.show_complaints();
        }
        let mut purge = command(self.kind, "purge", &self.dir);
        let _ = purge.stdout(Stdio::null()).stderr(Stdio::null()).status();
    }
}

fn command(kind: &str, what: &str, dir: &Path) -> std::process::Command {
    let mut command = std::process::Command::new(needed("CONVEYOR_TEST_XTASK"));
    command.args(["server", kind, what, "--dir"]).arg(dir).stdin(Stdio::null());
    command
}
