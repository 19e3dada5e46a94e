//! The documentation's snippets, run as they stand.

use std::{env, fs, path::PathBuf, process::Stdio};

use e2e::{Database, Process, Vhost, in_seconds, service_settings, token, token_with};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::line::USER;

/// Each block that is marked `run`: its language and its text.
fn snippets(page: &str) -> Vec<(String, String)> {
    let page = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs").join(page);
    let text = fs::read_to_string(&page).unwrap_or_else(|error| panic!("{}: {error}", page.display()));
    let blocks = text.split("\n```").skip(1).step_by(2);
    let marked = blocks.filter_map(|block| {
        let (head, text) = block.split_once('\n')?;
        Some((head.strip_suffix(" run")?.to_owned(), text.to_owned()))
    });
    marked.collect()
}

/// Where a shell finds another Python than the system's, the package may only be with the system's.
async fn python() -> &'static str {
    for python in ["python3", "/usr/bin/python3"] {
        let known = Command::new(python).args(["-c", "import cryptography"]).stderr(Stdio::null()).status().await;
        if known.is_ok_and(|status| status.success()) {
            return python;
        }
    }
    panic!("there is no Python with the `cryptography` package: `cargo xtask test` installs it");
}

#[tokio::test]
async fn every_way_to_sign_that_is_shown_is_good() {
    let (database, vhost) = (Database::create().await, Vhost::create().await);
    database.load_demo().await;
    let mut api = Process::spawn("order-api", service_settings("orders", &database, &vhost)).await;
    api.wait_ready().await;
    let folder = env::temp_dir().join(format!("conveyor-snippets-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let admin = token_with(&json!({"sub": "ops", "scope": "admin", "exp": in_seconds(60)}));

    let mut orders = 0;
    let mut languages = Vec::new();
    for (language, text) in snippets("signing.md") {
        let (program, flag) = match language.as_str() {
            "sh" => ("sh", "-euc"),
            "python" => (python().await, "-c"),
            "js" => ("node", "-e"),
            other => panic!("nothing runs {other}"),
        };
        let mut command = Command::new(program);
        command.args([flag, &text]).current_dir(&folder).stdin(Stdio::null()).kill_on_drop(true);
        command.env("API", format!("http://127.0.0.1:{}", api.port));
        command.env("TOKEN", token(USER)).env("ADMIN_TOKEN", &admin);
        let output = command.output().await.unwrap_or_else(|error| panic!("{program}: {error}"));
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{language}: {said}{errors}");
        if text.contains("/api/orders/create") {
            let answer: Value =
                serde_json::from_str(&said).unwrap_or_else(|error| panic!("{language}: {error}: {said}"));
            assert_eq!(answer["message"], "Order created successfully", "{language}: {said}");
            orders += 1;
            languages.push(language);
        }
    }
    assert_eq!(languages, ["sh", "python", "js"]);
    assert_eq!(database.count("SELECT count(*) FROM orders.orders").await, orders);
    fs::remove_dir_all(&folder).unwrap();
}
