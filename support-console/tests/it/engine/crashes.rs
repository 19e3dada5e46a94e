//! The real program, killed in the middle of what it does: nothing is lost, and nothing is done twice in effect.

use std::collections::BTreeMap;

use e2e::{
    LONG, Process, eventually,
    obedient::{self, Deed, many},
    service_settings,
};
use support_console::{Action, RunState, Steps, Support};

use crate::engine::stage::{Stage, bury, operator, query};

/// In this process, the console only looks and asks.
const NOTHING: &[&str] = &["http"];

async fn console(stage: &Stage) -> Process {
    let mut settings: BTreeMap<String, String> = service_settings("support", &stage.database, &stage.vhost);
    settings.insert("CONVEYOR__CONSUMER__RETRY_DELAYS_MS".to_owned(), "200".to_owned());
    settings.insert("CONVEYOR__SUPPORT__INGEST_MESSAGES".to_owned(), "50".to_owned());
    settings.insert("CONVEYOR__LOG__FILTER".to_owned(), "warn".to_owned());
    let mut process = Process::spawn("support-console", settings).await;
    process.wait_ready().await;
    process
}

#[tokio::test]
async fn killed_while_it_takes_letters_in_it_loses_none_and_keeps_each_once() {
    const LETTERS: usize = 3_000;
    let stage = Stage::set_with(Support::default(), NOTHING).await;
    let events = many(LETTERS, Deed::Succeed);
    bury(&stage.vhost, &events, "no answer within 30 ms").await;
    let mut process = console(&stage).await;
    for _ in 0..3 {
        let so_far = stage.count("SELECT count(*) FROM support.letters").await;
        eventually(LONG, "some more are in", async || {
            let now = stage.count("SELECT count(*) FROM support.letters").await;
            (now > so_far || now == LETTERS as i64).then_some(())
        })
        .await;
        process.restart().await;
    }
    eventually(LONG, "all are in", async || {
        (stage.count("SELECT count(*) FROM support.letters").await == LETTERS as i64).then_some(())
    })
    .await;
    stage.vhost.until_ready("notification.send.dlq", 0).await;
    assert_eq!(stage.count("SELECT count(*) FROM support.deaths").await, LETTERS as i64);
    assert_eq!(stage.count("SELECT count(*) FROM support.contents").await, LETTERS as i64);
    assert_eq!(stage.count("SELECT sum(failed)::bigint FROM support.groups").await, LETTERS as i64);
    assert_eq!(stage.count("SELECT max(version)::bigint FROM support.letters").await, 1);
    assert!(process.terminate().await.success());
    stage.strike().await;
}

#[tokio::test]
async fn killed_in_the_middle_of_a_run_it_goes_on_with_it_and_each_letter_is_done_once_in_effect() {
    const LETTERS: i64 = 2_000;
    let mut stage = Stage::set_with(Support::default(), NOTHING).await;
    stage.work();
    let events = many(LETTERS as usize, Deed::Succeed);
    bury(&stage.vhost, &events, "no answer").await;
    let mut process = console(&stage).await;
    eventually(LONG, "all are in", async || {
        (stage.count("SELECT count(*) FROM support.letters").await == LETTERS).then_some(())
    })
    .await;
    let olga = operator("olga");
    let plan = stage.console.plan(&olga, &query(""), Action::Retry).await.unwrap();
    let steps = Steps { first: vec![1, 10], rate: 400, tolerate: 0 };
    let run = stage.console.start_run(&olga, plan.id, &steps).await.unwrap();
    for sent in [1, 300] {
        eventually(LONG, "some are sent", async || {
            (i64::from(stage.console.run(run).await.unwrap().run.sent) >= sent).then_some(())
        })
        .await;
        process.restart().await;
    }
    let run = stage.at_rest(run).await;
    assert_eq!((run.state, i64::from(run.done), run.failed), (RunState::Finished, LETTERS, 0), "{run:?}");
    assert_eq!(i64::from(run.sent), LETTERS);
    assert_eq!(obedient::effects(&stage.database).await.len(), events.len());
    assert_eq!(stage.count("SELECT count(*) FROM support.letters WHERE state = 'done'").await, LETTERS);
    assert_eq!(stage.count("SELECT sum(done)::bigint FROM support.groups").await, LETTERS);
    assert!(process.terminate().await.success());
    stage.strike().await;
}

/// An edit is one transaction: whoever dies in it leaves the letter as it was, or edited and on record.
#[tokio::test]
async fn a_connection_lost_in_the_middle_of_an_edit_leaves_all_or_nothing_of_it() {
    let stage = Stage::set_with(Support::default(), NOTHING).await;
    bury(&stage.vhost, &many(1, Deed::Reject), "no answer").await;
    let mut process = console(&stage).await;
    let line = stage.until_found("", 1).await.letters.remove(0);
    let body = stage.console.letter(line.id).await.unwrap().body;
    let mut version = line.version;
    let admin = stage.database.connect().await;
    let kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() \
                AND usename = 'conveyor_support'";
    for round in 0..20 {
        let text = String::from_utf8(body.clone()).unwrap();
        let mended = text.replace("\"source\":\"test\"", &format!("\"source\":\"test {round}\""));
        let olga = operator("olga");
        let edit = stage.console.edit(&olga, line.id, version, Some(mended.as_bytes()), None);
        let cut = async {
            tokio::time::sleep(std::time::Duration::from_micros(500 * round)).await;
            admin.query(kill, &[]).await.unwrap();
        };
        let (_, ()) = tokio::join!(edit, cut);
        let sql = "SELECT l.version, (SELECT count(*) FROM support.edits), \
                   (SELECT count(*) FROM support.audit WHERE action = 'edit'), \
                   (SELECT body FROM support.contents WHERE letter = l.id) FROM support.letters AS l";
        let row = admin.query_one(sql, &[]).await.unwrap();
        let (now, edits, audited): (i32, i64, i64) = (row.get(0), row.get(1), row.get(2));
        assert_eq!((i64::from(now - 1), edits), (edits, audited), "round {round}");
        assert_eq!(row.get::<_, Vec<u8>>(3) == mended.as_bytes(), now > version, "round {round}");
        version = now;
    }
    process.kill().await;
    stage.strike().await;
}
