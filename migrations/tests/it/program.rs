//! `migrate`, as people and programs run it.

use std::process::{Command, Output};

use e2e::{Database, PASSWORD};
use futures_util::future::join_all;

fn program(url: Option<&str>, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_migrate"));
    command.env_clear().args(arguments);
    if let Some(url) = url {
        command.env("CONVEYOR__DATABASE__URL", url);
    }
    for service in ["ORDERS", "INVENTORY", "PAYMENTS", "NOTIFICATIONS", "SUPPORT"] {
        command.env(format!("CONVEYOR__ROLES__{service}"), PASSWORD);
    }
    command
}

fn said(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn what_is_wrong_with_the_command_or_the_configuration_is_one_line_and_64() {
    for (mut command, named) in [
        (program(None, &[]), "database"),
        (program(Some("no url"), &[]), "database.url"),
        (program(Some("postgres://h/d"), &["--dmeo"]), "usage"),
    ] {
        let (code, out, error) = said(&command.output().unwrap());
        assert_eq!((code, out.as_str()), (Some(64), ""), "{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
        assert!(error.starts_with("migrate: ") && error.contains(named), "{error}");
    }
}

#[test]
fn a_server_that_is_not_there_is_one_line_and_1() {
    let (code, _, error) = said(&program(Some("postgres://boss:secret@127.0.0.1:1/d"), &[]).output().unwrap());
    assert_eq!(code, Some(1), "{error}");
    assert_eq!(error.lines().count(), 1, "{error}");
    assert!(error.contains("refused") && !error.contains("secret"), "{error}");
}

#[test]
fn help_is_for_a_person() {
    let (code, out, _) = said(&program(None, &["--help"]).output().unwrap());
    assert_eq!(code, Some(0));
    assert!(out.contains("--demo") && out.contains("CONVEYOR__ROLES__ORDERS"), "{out}");
}

#[tokio::test]
async fn several_at_once_make_one_database_and_say_what_they_did() {
    let maintenance = std::env::var("CONVEYOR_TEST_DATABASE_URL").expect("run the tests with `cargo xtask test`");
    let database = Database::empty_at(&maintenance).await;
    let url = database.admin_url();
    let running = (0..3).map(|_| {
        let mut command = program(Some(&url), &["--demo"]);
        tokio::task::spawn_blocking(move || command.output().unwrap())
    });
    let mut made = 0;
    for output in join_all(running).await {
        let (code, out, error) = said(&output.unwrap());
        assert_eq!((code, error.as_str()), (Some(0), ""));
        assert!(out.contains("demo catalogue: loaded"), "{out}");
        made += usize::from(out.contains("orders: applied V1__orders"));
    }
    assert_eq!(made, 1);

    let (code, out, _) = said(&program(Some(&url), &[]).output().unwrap());
    assert_eq!(code, Some(0));
    assert!(out.contains("orders: up to date") && !out.contains("applied"), "{out}");
    assert_eq!(database.count("SELECT count(*) FROM orders.products").await, 4);
}

#[tokio::test]
async fn a_migration_that_was_changed_after_it_was_applied_is_refused() {
    let database = Database::create().await;
    let changed = "UPDATE payments.refinery_schema_history SET checksum = '1'";
    database.connect().await.batch_execute(changed).await.unwrap();
    let (code, _, error) = said(&program(Some(&database.admin_url()), &[]).output().unwrap());
    assert_eq!(code, Some(1), "{error}");
    assert_eq!(error.lines().count(), 1, "{error}");
    assert!(error.contains("payments") && error.contains("V1"), "{error}");
}
