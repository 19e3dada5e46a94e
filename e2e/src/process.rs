//! A real binary, run as it is in production, and stopped in every way.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    net::TcpListener,
    ops::Range,
    path::PathBuf,
    process::{ExitStatus, Stdio},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::process::{Child, Command};

use crate::{
    Database, Vhost,
    environment::scratch,
    http::Client,
    token::TOKEN_SECRET,
    wait::{LONG, eventually},
};

/// A service process. Its output goes to a file, whose end is shown when the test fails; it is killed when dropped.
#[derive(Debug)]
pub struct Process {
    name: String,
    settings: BTreeMap<String, String>,
    child: Option<Child>,
    log: PathBuf,
    pub port: u16,
    pub http: Client,
}

/// What a service needs to find its database and its broker, and to know who is calling. One user at one address sends
/// most of what tests send, so how often they may is left to the tests that ask for it.
#[must_use]
pub fn service_settings(schema: &str, database: &Database, vhost: &Vhost) -> BTreeMap<String, String> {
    [
        ("CONVEYOR__DATABASE__URL", database.url(schema)),
        ("CONVEYOR__BROKER__URL", vhost.url()),
        ("CONVEYOR__AUTH__KEYS__TESTS__SECRET", TOKEN_SECRET.to_owned()),
        ("CONVEYOR__HTTP__RATE_PER_USER_PER_SECOND", "0".to_owned()),
        ("CONVEYOR__HTTP__RATE_PER_ADDRESS_PER_SECOND", "0".to_owned()),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into()
}

impl Process {
    /// Starts the binary of that name, built beside this test, on a port of its own, which settings can call `{port}`.
    /// Nothing of the surrounding configuration reaches it. It is not ready yet: see [`wait_ready`](Self::wait_ready).
    pub async fn spawn<K: Into<String>, V: Into<String>>(
        name: &str,
        settings: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        let port = free_port();
        let mut all: BTreeMap<String, String> = [
            ("CONVEYOR__HTTP__BIND".to_owned(), format!("127.0.0.1:{port}")),
            ("CONVEYOR__LOG__FORMAT".to_owned(), "json".to_owned()),
        ]
        .into();
        let with_port = |value: String| value.replace("{port}", &port.to_string());
        all.extend(settings.into_iter().map(|(key, value)| (key.into(), with_port(value.into()))));
        let mut process = Self {
            name: name.to_owned(),
            settings: all,
            child: None,
            log: scratch(&std::env::temp_dir(), &format!("conveyor-{name}")).with_extension("log"),
            port,
            http: Client::new(&format!("http://127.0.0.1:{port}")),
        };
        process.start().await;
        process
    }

    /// Starts it again, on the same port and with the same settings. It must not be running.
    #[expect(clippy::unused_async, reason = "a child process is born inside a runtime")]
    pub async fn start(&mut self) {
        assert!(!self.is_running(), "{} is running already", self.name);
        let program = program(&self.name);
        let output = OpenOptions::new().create(true).append(true).open(&self.log).expect("opening the log");
        let mut command = Command::new(&program);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("CONVEYOR_") {
                command.env_remove(name);
            }
        }
        command.envs(&self.settings).stdin(Stdio::null()).kill_on_drop(true);
        command.stdout(output.try_clone().expect("sharing the log")).stderr(output);
        self.child = Some(command.spawn().unwrap_or_else(|error| panic!("cannot run {}: {error}", program.display())));
    }

    /// Changes a setting; it counts from the next start.
    pub fn set(&mut self, key: &str, value: &str) {
        self.settings.insert(key.to_owned(), value.to_owned());
    }

    /// Waits until `/readyz` says yes.
    pub async fn wait_ready(&mut self) {
        let within = LONG;
        let began = tokio::time::Instant::now();
        loop {
            if let Some(status) = self.exited() {
                panic!("{} ended before it was ready: {status}", self.name);
            }
            match self.http.get("/readyz").await {
                Ok(answer) if answer.status.is_success() => return,
                answer => assert!(began.elapsed() < within, "{} is not ready: {answer:?}", self.name),
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where it answers.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().and_then(Child::id)
    }

    pub fn is_running(&mut self) -> bool {
        self.child.is_some() && self.exited().is_none()
    }

    /// How it ended, if it has.
    pub fn exited(&mut self) -> Option<ExitStatus> {
        self.child.as_mut().and_then(|child| child.try_wait().expect("asking for a child's status"))
    }

    /// Waits for it to end by itself.
    pub async fn wait(&mut self) -> ExitStatus {
        let Some(child) = &mut self.child else { panic!("{} was never started", self.name) };
        match tokio::time::timeout(LONG, child.wait()).await {
            Ok(status) => status.expect("waiting for a child"),
            Err(_) => panic!("{} does not end", self.name),
        }
    }

    /// SIGKILL. Returns when it is gone.
    pub async fn kill(&mut self) {
        if self.is_running() {
            self.signal(Signal::SIGKILL);
        }
        self.wait().await;
    }

    /// SIGTERM, and then how it ended.
    pub async fn terminate(&mut self) -> ExitStatus {
        self.signal(Signal::SIGTERM);
        self.wait().await
    }

    /// SIGKILL and a new start.
    pub async fn restart(&mut self) {
        self.kill().await;
        self.start().await;
    }

    pub fn signal(&self, signal: Signal) {
        let pid = self.pid().and_then(|pid| i32::try_from(pid).ok());
        let Some(pid) = pid else { panic!("{} is not running", self.name) };
        kill(Pid::from_raw(pid), signal).expect("sending a signal");
    }

    /// Everything it has said so far.
    #[must_use]
    pub fn said(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// The present value of a metric, named with its labels as Prometheus writes them.
    pub async fn metric(&self, name: &str) -> Option<f64> {
        let page = self.http.get("/metrics").await.ok()?.text();
        let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ').map(str::to_owned))?;
        line.trim().parse().ok()
    }

    /// Waits until a metric has a value that will do.
    pub async fn until_metric(&self, name: &str, will_do: impl Fn(f64) -> bool) -> f64 {
        eventually(LONG, &format!("{name} of {}", self.name), async || {
            self.metric(name).await.filter(|value| will_do(*value))
        })
        .await
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let said = self.said();
            let lines: Vec<&str> = said.lines().collect();
            let end = lines[lines.len().saturating_sub(60)..].join("\n");
            eprintln!("--- {}: the end of {}\n{end}\n---", self.name, self.log.display());
        } else {
            let _ = fs::remove_file(&self.log);
        }
    }
}

/// Where cargo put the binary: in the folder above the one where this test is, unless told otherwise.
pub(crate) fn program(name: &str) -> PathBuf {
    let folder = std::env::var_os("CONVEYOR_TEST_BIN_DIR").map_or_else(
        || {
            let test = std::env::current_exe().expect("where this test is");
            test.ancestors().nth(2).expect("the folder of the binaries").to_owned()
        },
        PathBuf::from,
    );
    let program = folder.join(name);
    assert!(
        File::open(&program).is_ok(),
        "{} is not there: `cargo xtask test` builds it, or `cargo build --workspace --bins`",
        program.display()
    );
    program
}

/// A port below those that the system gives to outgoing connections, and that no other test gets: a process takes them
/// in blocks, and holds the last of a block for as long as it lives.
pub(crate) fn free_port() -> u16 {
    const BLOCK: u16 = 16;
    static HELD: Mutex<(Vec<TcpListener>, Range<u16>)> = Mutex::new((Vec::new(), 0..0));
    let listen = |port: u16| TcpListener::bind(("127.0.0.1", port));
    let mut held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        if let Some(port) = held.1.find(|port| listen(*port).is_ok()) {
            return port;
        }
        let first = 12_000 + BLOCK * fastrand::u16(..500);
        if let Ok(claim) = listen(first + BLOCK - 1) {
            held.0.push(claim);
            held.1 = first..first + BLOCK - 1;
        }
    }
}
