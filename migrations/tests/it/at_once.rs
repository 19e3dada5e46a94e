//! Several at once, where nothing is there yet, by an administrator who is no superuser.

use e2e::Server;
use futures_util::future::join_all;
use migrations::{SERVICES, migrate};
use tokio_postgres::Config;

use crate::{connect, passwords};

const DATABASES: [&str; 4] = ["one", "two", "three", "four"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_at_once_on_several_databases_of_a_fresh_cluster() {
    // Roles belong to the cluster: only a fresh one is without them, and passwords may be changed only in one's own.
    let server = Server::postgres().await;
    let superuser: Config = server.url().parse().unwrap();
    let client = connect(&superuser).await.unwrap();
    client.batch_execute("CREATE ROLE boss LOGIN CREATEROLE PASSWORD 'boss'").await.unwrap();
    for database in DATABASES {
        client.batch_execute(&format!("CREATE DATABASE {database} OWNER boss")).await.unwrap();
    }
    let as_boss = |database: &str| {
        let mut config = superuser.clone();
        config.user("boss").password("boss").dbname(database);
        config
    };

    let first = passwords("first");
    let targets: Vec<Config> = DATABASES.iter().flat_map(|database| vec![as_boss(database); 3]).collect();
    let reports = join_all(targets.iter().map(|target| migrate(target, &first))).await;
    let mut made = 0;
    for report in reports {
        let report = report.unwrap_or_else(|error| panic!("{}", error.in_one_line()));
        made += usize::from(!report.is_empty());
    }
    assert_eq!(made, DATABASES.len(), "each database is made by exactly one of those who tried");

    let login = |database: &str, role: &str, password: &str| {
        let mut config = superuser.clone();
        config.user(role).password(password).dbname(database);
        config
    };
    for database in DATABASES {
        for service in &SERVICES {
            let client = connect(&login(database, service.role, "first")).await.unwrap();
            client.execute(&format!("SELECT * FROM {}.outbox", service.schema), &[]).await.unwrap();
        }
    }

    // A new password counts at once, and whoever is at work is not disturbed.
    let at_work = connect(&login("one", "conveyor_orders", "first")).await.unwrap();
    let second = passwords("second's \\ \"password\" é");
    let report = migrate(&as_boss("one"), &second).await.unwrap_or_else(|error| panic!("{}", error.in_one_line()));
    assert!(report.is_empty());
    at_work.execute("SELECT * FROM orders.orders", &[]).await.unwrap();
    assert!(connect(&login("one", "conveyor_orders", "first")).await.is_err());
    connect(&login("one", "conveyor_orders", "second's \\ \"password\" é")).await.unwrap();
}
