//! The command line: what it prints, and the codes that scripts go by.

use common::{
    events::{Event, OrderPaid},
    ids::OrderId,
};
use e2e::{Console, Database, LONG, Process, Vhost, eventually, service_settings};
use serde_json::{Value, json};

use crate::mails::{event, paid};

#[tokio::test]
async fn accounts_and_tokens_are_made_and_unmade_at_a_shell() {
    let (database, vhost) = (Database::create().await, Vhost::create().await);
    let console = Console::start(&database, &vhost, [("CONVEYOR__LOG__FILTER", "debug,lapin=off")]).await;
    let password = "correct horse battery";
    let made = console.tell(&["account", "add", "anna", "--role", "operator"], &format!("{password}\n")).await;
    assert_eq!((made.code, made.out.as_str()), (0, "anna is operator now\n"), "{made:?}");
    for (arguments, code) in [
        (&["account", "add", "anna", "--role", "reader", "--no-password"][..], 1),
        (&["account", "add", "Anna", "--role", "reader", "--no-password"], 2),
        (&["account", "add", "bert", "--role", "king", "--no-password"], 2),
        (&["account", "disable", "nobody"], 3),
        (&["account", "token", "nobody"], 3),
        (&["account", "nonsense"], 2),
    ] {
        let refused = console.tell(arguments, "").await;
        assert_eq!((refused.code, refused.out.as_str()), (code, ""), "{arguments:?}: {refused:?}");
    }
    assert_eq!(console.tell(&["account", "add", "bert", "--role", "reader"], "short").await.code, 1);

    let token = console.tell(&["account", "token", "anna", "--label", "tests"], "").await.out.trim().to_owned();
    let is = console.cli(&token, &["whoami"]).await;
    assert_eq!((is.code, is.out.as_str()), (0, "anna (operator)\n"));
    console.tell(&["account", "role", "anna", "reader"], "").await;
    assert_eq!(console.cli(&token, &["whoami", "--json"]).await.json()["role"], "reader", "at once");
    let tokens = console.tell(&["account", "tokens", "anna", "--json"], "").await.json();
    assert_eq!(tokens["tokens"][0]["label"], "tests", "{tokens}");
    let id = tokens["tokens"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(console.tell(&["account", "revoke", "anna", &id], "").await.code, 0);
    assert_eq!(console.cli(&token, &["whoami"]).await.code, 4, "the token is good for nothing now");
    let other = console.tell(&["account", "token", "anna"], "").await.out.trim().to_owned();
    console.tell(&["account", "disable", "anna"], "").await;
    assert_eq!(console.cli(&other, &["whoami"]).await.code, 4);
    console.tell(&["account", "enable", "anna"], "").await;
    let list = console.tell(&["account", "list"], "").await;
    assert!(list.out.contains("anna") && !list.out.contains(password), "{list:?}");
    assert!(!console.process.said().contains(password) && !console.process.said().contains(&token));
}

#[tokio::test]
async fn a_code_says_what_became_of_it() {
    let (database, vhost) = (Database::create().await, Vhost::create().await);
    let nowhere = [("CONVEYOR__SUPPORT__SERVICES__ORDERS", "http://127.0.0.1:9")];
    let mut console = Console::start(&database, &vhost, nowhere).await;
    let token = console.account("rita", "reader").await;
    let nothing = "00000000-0000-7000-8000-000000000000";
    for (arguments, code) in [
        (&["--help"][..], 0),
        (&["retry", "--help"], 0),
        (&["--version"], 0),
        (&["whoami"], 0),
        (&["nonsense"], 2),
        (&["retry"], 2),
        (&["show", "nonsense"], 2),
        (&["order", "list", "--limit", "0"], 2),
        // The services of this test are not there.
        (&["order", "list"], 5),
    ] {
        let said = console.cli(&token, arguments).await;
        assert_eq!(said.code, code, "{arguments:?}: {said:?}");
        assert_eq!(said.err.is_empty(), code == 0, "{arguments:?}: {said:?}");
    }
    let help = console.cli(&token, &["--help"]).await.out;
    for part in ["Exit codes:", "CONVEYOR_SUPPORT_TOKEN", "retry", "discard", "take-back", "account"] {
        assert!(help.contains(part), "{part} is not in {help}");
    }
    let unknown = console.cli("cvt_nobody", &["whoami", "--json"]).await;
    assert_eq!((unknown.code, unknown.json()["errors"][0]["code"].as_str()), (4, Some("invalid_token")));
    assert_eq!(console.cli("", &["whoami"]).await.code, 2, "nobody was named");
    let refused = console.cli(&token, &["order", "cancel", &format!("ORD{}", nothing.replace('-', "")), "--yes"]).await;
    assert_eq!(refused.code, 4, "{refused:?}");

    assert!(console.process.terminate().await.success());
    let away = console.cli(&token, &["whoami"]).await;
    assert_eq!(away.code, 5, "{away:?}");
}

/// A worker that tells nobody but its log, and a console.
async fn office() -> (Process, Console, Database, Vhost) {
    let (database, vhost) = (Database::create().await, Vhost::create().await);
    let mut worker = Process::spawn("notification-worker", service_settings("notifications", &database, &vhost)).await;
    worker.wait_ready().await;
    let console = Console::start(&database, &vhost, [("CONVEYOR__LOG__FILTER", "info,lapin=off")]).await;
    (worker, console, database, vhost)
}

/// An event that nobody can make anything of, for its data are no order's.
fn broken(order: OrderId) -> Event {
    let mut broken = event::<OrderPaid>(order, "jane", 3, json!({"amount": 10_050}));
    broken.data =
        serde_json::value::to_raw_value(&json!({"orderId": order, "userId": "jane", "version": "three"})).unwrap();
    broken
}

#[tokio::test]
async fn what_failed_is_found_mended_and_seen_to_go_through() {
    let (_worker, console, database, vhost) = office().await;
    let (reader, operator) = (console.account("rita", "reader").await, console.account("olga", "operator").await);
    assert_eq!(console.cli(&reader, &["list"]).await.out, "Nothing waits: no message has been given up.\n");
    let order = OrderId::generate();
    let bad = broken(order);
    let parcel = format!("[{}]", serde_json::to_string(&bad).unwrap());
    assert!(vhost.publish("redeliver", "notification.send", parcel.as_bytes()).await);
    let group = eventually(LONG, "a group", async || {
        let listed = console.cli(&reader, &["list", "--json"]).await.json();
        listed["groups"].get(0).cloned()
    })
    .await;
    assert_eq!((&group["queue"], &group["failed"]), (&json!("notification.send"), &json!(1)), "{group}");
    let found = console.cli(&operator, &["search", &format!("order:{order}"), "--json"]).await;
    assert_eq!(found.code, 0, "{found:?}");
    let letter = found.json()["letters"][0]["id"].as_str().unwrap().to_owned();
    let shown = console.cli(&operator, &["show", &letter]).await;
    for part in [&*order.to_string(), "notification.send", "\"version\": \"three\"", "What went wrong"] {
        assert!(shown.out.contains(part), "{part} is not in {}", shown.out);
    }
    let seen = console.cli(&reader, &["show", &letter]).await;
    assert!(seen.code == 0 && !seen.out.contains("jane"), "{seen:?}");
    assert!(console.cli(&operator, &["show", &letter, "--body"]).await.out.contains("\"three\""));
    assert_eq!(console.cli(&reader, &["show", &letter, "--body"]).await.code, 4);

    // As it is, it fails again, and that is known at once.
    for refused in [&["retry", &letter][..], &["discard", &letter, "--reason", "x"], &["restore", &letter]] {
        assert_eq!(console.cli(&reader, refused).await.code, 4, "{refused:?}");
    }
    let again = console.cli(&operator, &["retry", &letter, "--wait", "--json"]).await;
    assert_eq!((again.code, &again.json()["run"]["failed"]), (1, &json!(1)), "{again:?}");
    // Put away, and taken out again.
    let away = console.cli(&operator, &["discard", &letter, "--reason", "nobody needs it", "--wait"]).await;
    assert_eq!(away.code, 0, "{away:?}");
    assert_eq!(console.cli(&operator, &["list", "--json"]).await.json()["groups"], json!([]));
    assert_eq!(console.cli(&operator, &["restore", &letter, "--wait"]).await.code, 0);

    let good = Event { data: paid(order, "jane").data, ..bad };
    let mended = format!("[{}]", serde_json::to_string(&good).unwrap());
    let stale = console.cli_with(&operator, &["edit", &letter, "--body", "-", "--version", "1"], &mended).await;
    assert_eq!(stale.code, 1, "it has changed since: {stale:?}");
    let edited = console.cli_with(&operator, &["edit", &letter, "--body", "-"], &mended).await;
    assert!(edited.code == 0 && edited.out.contains("The edit was applied"), "{edited:?}");
    let retried = console.cli(&operator, &["retry", &letter, "--wait"]).await;
    assert_eq!(retried.code, 0, "{retried:?}");
    let told = "SELECT count(*) FROM notifications.notifications WHERE state = 'sent'";
    crate::alone::until_count(&database, told, 1).await;
    let runs = console.cli(&operator, &["runs", "--json"]).await.json();
    assert_eq!(runs["runs"].as_array().map(Vec::len), Some(4), "{runs}");
    let audit = console.cli(&operator, &["audit", "--letter", &letter, "--json"]).await.json();
    let actions: Vec<&str> =
        audit["audit"].as_array().unwrap().iter().filter_map(|line| line["action"].as_str()).collect();
    assert!(actions.contains(&"edit") && audit["audit"][0]["by"] == "cli", "{audit}");
    assert_eq!(console.cli(&operator, &["retry", &letter]).await.code, 1, "it is done");
    assert_eq!(console.cli(&operator, &["show", "00000000-0000-7000-8000-000000000000"]).await.code, 3);
    assert_eq!(console.cli(&operator, &["search", "nonsense:("]).await.code, 2);
}

#[tokio::test]
async fn a_group_is_retried_only_when_it_is_meant_and_whoever_reads_may_stop() {
    let (_worker, console, _database, vhost) = office().await;
    let operator = console.account("olga", "operator").await;
    let events: Vec<Value> = (0..30).map(|_| serde_json::to_value(broken(OrderId::generate())).unwrap()).collect();
    for event in &events {
        assert!(vhost.publish("redeliver", "notification.send", json!([event]).to_string().as_bytes()).await);
    }
    let group = eventually(LONG, "thirty letters", async || {
        let listed = console.cli(&operator, &["list", "--json"]).await.json();
        (listed["groups"][0]["failed"] == 30).then(|| listed["groups"][0]["key"].as_str().unwrap().to_owned())
    })
    .await;
    let unasked = console.cli(&operator, &["retry", "--group", &group]).await;
    assert!(unasked.code == 2 && unasked.err.contains("30 letters") && unasked.err.contains("--yes"), "{unasked:?}");
    let dry = console.cli(&operator, &["retry", "--query", "queue:notification.send", "--dry-run", "--json"]).await;
    assert_eq!((dry.code, &dry.json()["plan"]["count"]), (0, &json!(30)), "{dry:?}");
    // The first fails, so the others stay where they are.
    let stopped = console.cli(&operator, &["retry", "--group", &group, "--yes", "--wait", "--json"]).await;
    let run = stopped.json()["run"].clone();
    assert_eq!((stopped.code, &run["state"], &run["sent"]), (1, &json!("stopped"), &json!(1)), "{stopped:?}");
    let id = run["id"].as_str().unwrap();
    assert_eq!(console.cli(&operator, &["runs", "cancel", id]).await.code, 0);
    assert_eq!(console.cli(&operator, &["runs", "resume", id]).await.code, 1, "what is over stays over");

    // A pipe that is closed is no error: `support-console search --json | head -c 1`.
    let mut command = tokio::process::Command::new("sh");
    command.arg("-c").arg("{ \"$0\" search --limit 200 --json; echo $? >&2; } | head -c 1");
    command.arg(console.program()).env("CONVEYOR_SUPPORT_TOKEN", &operator);
    command.env("CONVEYOR_SUPPORT_URL", format!("http://127.0.0.1:{}", console.process.port));
    let output = command.output().await.unwrap();
    assert_eq!((output.stdout.as_slice(), output.stderr.as_slice()), (&b"{"[..], &b"0\n"[..]), "{output:?}");
}
