//! A service's role can touch no schema but its own.

use e2e::Database;

use crate::line::SERVICES;

#[tokio::test]
async fn a_role_is_denied_every_schema_but_its_own() {
    let database = Database::create().await;
    for (_, own) in SERVICES {
        let client = database.connect_as(own).await;
        client.query(&format!("SELECT * FROM {own}.outbox"), &[]).await.expect("its own schema");
        for (_, other) in SERVICES.iter().filter(|(_, other)| *other != own) {
            for sql in [format!("SELECT * FROM {other}.outbox"), format!("DELETE FROM {other}.outbox")] {
                let error = client.query(&sql, &[]).await.expect_err(&sql);
                let message = error.as_db_error().expect("an answer").message();
                assert_eq!(message, format!("permission denied for schema {other}"), "{own}: {sql}");
            }
        }
        for sql in
            ["CREATE TABLE public.mine ()", &format!("CREATE TABLE {own}.mine ()"), &format!("DROP TABLE {own}.outbox")]
        {
            assert!(client.batch_execute(sql).await.is_err(), "{own}: {sql}");
        }
    }
}
