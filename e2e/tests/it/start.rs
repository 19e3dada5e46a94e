//! A bad setting stops the start; a missing server does not.

use e2e::{Database, Process, Vhost, service_settings};

use crate::line::SERVICES;

#[tokio::test]
async fn a_bad_setting_stops_the_start_with_one_line_that_names_it() {
    let (database, vhost) = (Database::create().await, Vhost::create().await);
    for (name, schema) in SERVICES {
        for (key, value, named) in [
            ("CONVEYOR__CONSUMER__MAX_EVENTS", "plenty", "max_events"),
            ("CONVEYOR__CONSUMER__MAX_EVENTS", "0", "consumer.max_events"),
            ("CONVEYOR__CONSUMER__MAX_EVNETS", "1", "max_evnets"),
            ("CONVEYOR__DATABASE__URL", "nonsense: secret", "database.url"),
            ("CONVEYOR__BROKER__URL", "http://secret", "broker.url"),
            ("CONVEYOR__HTTP__BIND", "here", "http.bind"),
            ("CONVEYOR__HTTP__ALLOWED_ORIGINS", "*", "http.allowed_origins"),
            ("CONVEYOR__PARTS", "bananas", "bananas"),
            ("CONVEYOR__LOG__FILTER", "===", "log.filter"),
            ("CONVEYOR__THREADS", "0", "threads"),
            ("CONVEYOR__CONSUMER__PACE_MS", "60000", "consumer.pace_ms"),
            ("CONVEYOR__BANANA", "1", "banana"),
        ] {
            let mut settings = service_settings(schema, &database, &vhost);
            settings.insert(key.to_owned(), value.to_owned());
            let mut process = Process::spawn(name, settings).await;
            let status = process.wait().await;
            let said = process.said();
            assert_eq!(status.code(), Some(64), "{name} {key}={value}: {said}");
            assert_eq!(said.trim().lines().count(), 1, "{name} {key}={value}: {said}");
            assert!(said.contains(named) && !said.contains("secret"), "{name} {key}={value}: {said}");
        }
    }
}

#[tokio::test]
async fn an_api_that_nobody_could_be_known_to_does_not_start() {
    let (database, vhost) = (Database::create().await, Vhost::create().await);
    for (secret, named) in [(None, "auth.keys"), (Some("secret"), "auth.keys.tests")] {
        let mut settings = service_settings("orders", &database, &vhost);
        settings.remove("CONVEYOR__AUTH__KEYS__TESTS__SECRET");
        settings.extend(secret.map(|it| ("CONVEYOR__AUTH__KEYS__TESTS__SECRET".to_owned(), it.to_owned())));
        let mut process = Process::spawn("order-api", settings).await;
        let status = process.wait().await;
        let said = process.said();
        assert_eq!((status.code(), said.trim().lines().count()), (Some(64), 1), "{said}");
        assert!(said.contains(named), "{said}");
    }
}

#[tokio::test]
async fn an_api_that_asks_nobody_for_a_token_listens_on_loopback_or_not_at_all() {
    let (database, vhost) = (Database::create().await, Vhost::create().await);
    for (key, value) in [("HTTP__BIND", "0.0.0.0:0"), ("HTTP__TRUSTED_PROXIES", "127.0.0.1")] {
        let mut settings = service_settings("orders", &database, &vhost);
        settings.insert("CONVEYOR__ORDERS__REQUIRE_TOKEN".to_owned(), "false".to_owned());
        settings.insert(format!("CONVEYOR__{key}"), value.to_owned());
        let mut process = Process::spawn("order-api", settings).await;
        let status = process.wait().await;
        let said = process.said();
        assert_eq!((status.code(), said.trim().lines().count()), (Some(64), 1), "{said}");
        assert!(said.contains("orders.require_token"), "{said}");
    }
}

#[tokio::test]
async fn a_missing_server_is_named_once_and_waited_for() {
    let (database, vhost) = (Database::create().await, Vhost::create().await);
    for (key, value, named) in [
        ("CONVEYOR__DATABASE__URL", "postgres://conveyor_inventory:secret@127.0.0.1:1/nowhere", "127.0.0.1:1"),
        ("CONVEYOR__BROKER__URL", "amqp://guest:secret@127.0.0.1:1/nowhere", "127.0.0.1:1"),
    ] {
        let mut settings = service_settings("inventory", &database, &vhost);
        settings.insert(key.to_owned(), value.to_owned());
        let mut process = Process::spawn("inventory-worker", settings).await;
        let ready = e2e::eventually(e2e::LONG, "it answers", async || process.http.get("/readyz").await.ok()).await;
        assert_eq!(ready.status, 503);
        e2e::eventually(e2e::LONG, "it names the server", async || process.said().contains(named).then_some(())).await;
        assert!(process.is_running());
        assert!(!process.said().contains("secret"), "{}", process.said());
        assert!(process.terminate().await.success());
    }
}
