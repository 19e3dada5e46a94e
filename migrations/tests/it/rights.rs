//! Each service's role can do its work, and nothing else.

use e2e::Database;
use migrations::SERVICES;
use tokio_postgres::{Client, error::SqlState};

#[tokio::test]
async fn a_role_works_in_its_own_schema_and_is_refused_everywhere_else() {
    let database = Database::create().await;
    for service in &SERVICES {
        let client = database.connect_as(service.schema).await;
        for other in &SERVICES {
            let table = format!("{}.outbox", other.schema);
            for statement in [
                format!("SELECT * FROM {table}"),
                format!("DELETE FROM {table}"),
                format!("UPDATE {table} SET locked_until = now()"),
            ] {
                let answer = client.execute(&statement, &[]).await;
                assert_eq!(answer.is_ok(), service.schema == other.schema, "{}: {statement}: {answer:?}", service.role);
            }
            refused(&client, &format!("UPDATE {}.refinery_schema_history SET name = 'x'", other.schema)).await;
            refused(&client, &format!("CREATE TABLE {}.mine ()", other.schema)).await;
            refused(&client, &format!("TRUNCATE {table}")).await;
        }
        refused(&client, "CREATE TABLE public.mine ()").await;
        refused(&client, "CREATE TEMPORARY TABLE mine ()").await;
        refused(&client, "CREATE SCHEMA mine").await;
        refused(&client, "CREATE ROLE mine").await;
    }
}

#[tokio::test]
async fn a_table_of_a_later_migration_is_open_as_soon_as_it_is_there() {
    let database = Database::create().await;
    database.connect().await.batch_execute("CREATE TABLE payments.later (x int)").await.unwrap();
    let client = database.connect_as("payments").await;
    client.execute("INSERT INTO payments.later VALUES (1)", &[]).await.unwrap();
    refused(&database.connect_as("orders").await, "SELECT * FROM payments.later").await;
}

#[tokio::test]
async fn the_demo_catalogue_is_loaded_once_and_keeps_what_has_changed() {
    let database = Database::create().await;
    database.load_demo().await;
    let admin = database.connect().await;
    admin.execute("UPDATE inventory.products SET on_hand = 5 WHERE product_id = 'P003'", &[]).await.unwrap();
    database.load_demo().await;
    let sum = "SELECT sum(2 * price)::bigint FROM orders.products WHERE product_id = 'P001'";
    assert_eq!(database.count(sum).await, 7050);
    assert_eq!(database.count("SELECT on_hand FROM inventory.products WHERE product_id = 'P003'").await, 5);
}

async fn refused(client: &Client, statement: &str) {
    let error = client.execute(statement, &[]).await.expect_err(statement);
    assert_eq!(error.code(), Some(&SqlState::INSUFFICIENT_PRIVILEGE), "{statement}: {error:?}");
}
