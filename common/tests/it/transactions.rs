//! One unit of work: all of it or nothing, and the pool stays whole.

use common::{
    config,
    db::{Db, DbError},
    params,
};
use e2e::Database;
use uuid::Uuid;

const INSERT: &str = "INSERT INTO effects (event_id, attempt) VALUES ($1, $2)";

/// One connection, so that whatever a transaction leaves behind is in the next one's way.
async fn narrow() -> (Database, Db) {
    let database = Database::create().await;
    e2e::obedient::make_table(&database).await;
    let settings = config::Database { url: database.url("orders").into(), pool_size: 1 };
    let db = Db::new(&settings, "test", "orders").unwrap();
    (database, db)
}

async fn stored(database: &Database) -> i64 {
    database.count("SELECT count(*) FROM orders.effects").await
}

#[tokio::test]
async fn what_is_committed_is_stored() {
    let (database, db) = narrow().await;
    let mut tx = db.begin().await.unwrap();
    for _ in 0..3 {
        tx.write(INSERT, params![Uuid::now_v7(), 1]);
    }
    let own = tx.query("SELECT count(*) FROM effects", &[]).await.unwrap();
    assert_eq!(own[0].get::<_, i64>(0), 3, "a read sees the writes before it");
    assert_eq!(stored(&database).await, 0);
    tx.commit().await.unwrap();
    assert_eq!(stored(&database).await, 3);
}

#[tokio::test]
async fn a_refused_write_makes_the_commit_fail_and_nothing_is_stored() {
    let (database, db) = narrow().await;
    let id = Uuid::now_v7();
    let mut tx = db.begin().await.unwrap();
    tx.write(INSERT, params![Uuid::now_v7(), 1]);
    tx.write(INSERT, params![id, 1]);
    tx.write(INSERT, params![id, 2]);
    tx.write(INSERT, params![Uuid::now_v7(), 1]);
    // A row that is there already came from somebody else: whoever looks again will see it.
    let error = tx.commit().await.unwrap_err();
    assert!(matches!(&error, DbError::Conflict(message) if message.contains("effects_pkey")), "{error:?}");
    assert_eq!(stored(&database).await, 0);
    works(&database, &db).await;
}

#[tokio::test]
async fn an_error_in_the_middle_is_reported_where_it_is_awaited() {
    let (database, db) = narrow().await;
    let mut tx = db.begin().await.unwrap();
    tx.write(INSERT, params![Uuid::now_v7(), 1]);
    let error = tx.query("SELECT 1 / $1::int", &[&0]).await.unwrap_err();
    assert!(matches!(&error, DbError::Refused(message) if message.contains("division by zero")), "{error:?}");
    drop(tx);
    assert_eq!(stored(&database).await, 0);
    works(&database, &db).await;
}

#[tokio::test]
async fn an_error_that_a_handler_swallows_still_makes_the_commit_fail() {
    let (database, db) = narrow().await;
    let mut tx = db.begin().await.unwrap();
    tx.write(INSERT, params![Uuid::now_v7(), 1]);
    let _ = tx.query("SELECT 1 / $1::int", &[&0]).await;
    let committed = tx.commit().await;
    assert_eq!(stored(&database).await, 0);
    // PostgreSQL answers COMMIT with ROLLBACK, which is no error to it; to us it is all the difference.
    assert!(committed.is_err(), "the commit was reported, and nothing is stored");
    works(&database, &db).await;
}

#[tokio::test]
async fn a_transaction_that_is_dropped_leaves_nothing_behind() {
    let (database, db) = narrow().await;
    let id = Uuid::now_v7();
    for _ in 0..5 {
        let mut tx = db.begin().await.unwrap();
        tx.write(INSERT, params![id, 1]);
        tx.query("SELECT * FROM effects FOR UPDATE", &[]).await.unwrap();
        drop(tx);
    }
    // Dropped before anything was answered.
    drop(db.begin().await.unwrap());
    // Dropped while it waits: the statement may still be running.
    let mut tx = db.begin().await.unwrap();
    let slow = tx.query("SELECT pg_sleep(60)", &[]);
    assert!(tokio::time::timeout(std::time::Duration::from_millis(100), slow).await.is_err());
    drop(tx);
    assert_eq!(stored(&database).await, 0);
    works(&database, &db).await;
}

#[tokio::test]
async fn a_lost_race_is_a_conflict() {
    let (database, db) = narrow().await;
    works(&database, &db).await;
    let other = database.connect().await;
    let mut tx = db.begin().await.unwrap();
    tx.query("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ", &[]).await.unwrap();
    tx.query("SELECT * FROM effects", &[]).await.unwrap();
    other.batch_execute("DELETE FROM orders.effects").await.unwrap();
    let error = tx.query("SELECT * FROM effects FOR UPDATE", &[]).await.unwrap_err();
    assert!(matches!(error, DbError::Conflict(_)), "{error:?}");
    drop(tx);
    works(&database, &db).await;
}

#[tokio::test]
async fn a_lock_that_somebody_keeps_and_a_statement_that_takes_too_long_are_nobodys_fault() {
    let (database, db) = narrow().await;
    works(&database, &db).await;
    let other = database.connect().await;
    other.batch_execute("BEGIN; SELECT * FROM orders.effects FOR UPDATE").await.unwrap();
    for limit in ["lock_timeout", "statement_timeout"] {
        let mut tx = db.begin().await.unwrap();
        tx.query(&format!("SET LOCAL {limit} = '50ms'"), &[]).await.unwrap();
        let error = tx.query("SELECT * FROM effects FOR UPDATE", &[]).await.unwrap_err();
        assert!(matches!(error, DbError::Outage(_)), "{limit}: {error:?}");
    }
    other.batch_execute("COMMIT").await.unwrap();
    works(&database, &db).await;
}

/// The pool has a connection that is in the middle of nothing.
async fn works(database: &Database, db: &Db) {
    let before = stored(database).await;
    let mut tx = db.begin().await.unwrap();
    tx.write(INSERT, params![Uuid::now_v7(), 1]);
    tx.commit().await.unwrap();
    assert_eq!(stored(database).await, before + 1);
}

#[tokio::test]
async fn a_note_stands_by_itself_and_after_its_failure_everything_else_may_be_done() {
    let (database, db) = narrow().await;
    let id = Uuid::now_v7();
    let mut tx = db.begin().await.unwrap();
    tx.note(INSERT, &[&id, &1]).await.unwrap();
    assert_eq!(stored(&database).await, 1, "it is committed at once");
    drop(tx);
    assert_eq!(stored(&database).await, 1);

    let mut tx = db.begin().await.unwrap();
    let error = tx.note(INSERT, &[&id, &1]).await.unwrap_err();
    assert!(matches!(error, DbError::Conflict(_)), "{error:?}");
    tx.query("SELECT 1", &[]).await.unwrap();
    tx.write(INSERT, params![Uuid::now_v7(), 1]);
    assert!(tx.note(INSERT, &[&Uuid::now_v7(), &1]).await.is_err(), "a note comes first");
    tx.commit().await.unwrap();
    assert_eq!(stored(&database).await, 2);
    works(&database, &db).await;
}

#[tokio::test]
async fn of_several_queries_the_first_failure_is_told_and_one_can_start_over() {
    let (database, db) = narrow().await;
    let id = Uuid::now_v7();
    let mut tx = db.begin().await.unwrap();
    tx.note(INSERT, &[&id, &1]).await.unwrap();
    tx.write(INSERT, params![Uuid::now_v7(), 1]);
    let error = tx.queries([(INSERT, &[&id, &1]), ("SELECT 1", &[])]).await.unwrap_err();
    assert!(matches!(&error, DbError::Conflict(message) if message.contains("effects_pkey")), "{error:?}");
    tx.start_over().await.unwrap();
    let [one, all] = tx.queries([("SELECT 1", &[]), ("SELECT event_id FROM effects", &[])]).await.unwrap();
    assert_eq!((one.len(), all.len()), (1, 1), "what was written before is forgotten");
    tx.commit().await.unwrap();
    assert_eq!(stored(&database).await, 1);
    works(&database, &db).await;
}
