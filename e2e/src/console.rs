//! The support console, and the people who work with it.

use std::{collections::BTreeMap, path::PathBuf, process::Stdio};

use serde_json::Value;
use tokio::{io::AsyncWriteExt as _, process::Command};

use crate::{
    Database, Vhost,
    http::Answer,
    process::{Process, program, service_settings},
};

/// A console process of a test's own.
#[derive(Debug)]
pub struct Console {
    pub process: Process,
    settings: BTreeMap<String, String>,
}

/// What a command has said, and how it ended.
#[derive(Debug)]
pub struct Said {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Said {
    /// What it said, as JSON; panics if it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

impl Console {
    /// Ready, and with these settings besides those of every service.
    pub async fn start<K: Into<String>, V: Into<String>>(
        database: &Database,
        vhost: &Vhost,
        more: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        let mut settings = service_settings("support", database, vhost);
        settings.insert("CONVEYOR__SUPPORT__BOARD__MANAGEMENT_URL".to_owned(), vhost.management_url().to_owned());
        settings.extend(more.into_iter().map(|(key, value)| (key.into(), value.into())));
        let mut process = Process::spawn("support-console", settings.clone()).await;
        process.wait_ready().await;
        Self { process, settings }
    }

    /// A new account without a password, and its token.
    pub async fn account(&self, name: &str, role: &str) -> String {
        let made = self.tell(&["account", "add", name, "--role", role, "--no-password"], "").await;
        assert_eq!(made.code, 0, "{made:?}");
        let token = self.tell(&["account", "token", name], "").await;
        assert_eq!(token.code, 0, "{token:?}");
        token.out.trim().to_owned()
    }

    /// The command line, with the service's own configuration: for `account …`.
    pub async fn tell(&self, arguments: &[&str], input: &str) -> Said {
        run(self.settings.clone(), arguments, input).await
    }

    /// The command line, as somebody with a token uses it.
    pub async fn cli(&self, token: &str, arguments: &[&str]) -> Said {
        self.cli_with(token, arguments, "").await
    }

    /// The same with something on its standard input.
    pub async fn cli_with(&self, token: &str, arguments: &[&str], input: &str) -> Said {
        let url = format!("http://127.0.0.1:{}", self.process.port);
        let variables = [("CONVEYOR_SUPPORT_URL", url), ("CONVEYOR_SUPPORT_TOKEN", token.to_owned())];
        run(variables.map(|(key, value)| (key.to_owned(), value)).into(), arguments, input).await
    }

    /// Where the program is, for whoever runs it in their own way.
    #[must_use]
    pub fn program(&self) -> PathBuf {
        program("support-console")
    }

    /// The API behind it.
    pub async fn get(&self, path: &str, token: &str) -> Answer {
        self.process.http.get_as(&format!("/api/support{path}"), token).await.expect("an answer of the console")
    }
}

async fn run(variables: BTreeMap<String, String>, arguments: &[&str], input: &str) -> Said {
    let mut command = Command::new(program("support-console"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("CONVEYOR_") {
            command.env_remove(name);
        }
    }
    command.args(arguments).envs(variables).kill_on_drop(true);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("running support-console");
    // Who asks for nothing need not read it.
    let _ = child.stdin.take().expect("its standard input").write_all(input.as_bytes()).await;
    let output = child.wait_with_output().await.expect("waiting for support-console");
    Said {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}
