//! What is done to letters by hand, and who may.

use e2e::{
    LONG, eventually,
    obedient::{Deed, asking, many},
};
use serde_json::json;
use support_console::{Action, AuditFilter, DiffLine, Refusal, RunState, Scope, State, Steps, Support};

use crate::engine::stage::{Stage, operator, query, reader};

#[tokio::test]
async fn one_that_is_retried_is_done_when_its_worker_says_so_and_fails_again_at_once() {
    let mut stage = Stage::set().await;
    stage.work();
    let (good, bad) = (asking(Deed::Succeed), asking(Deed::Retry));
    stage.bury(&[good.clone(), bad.clone()], "no answer").await;
    stage.until_found("state:failed", 2).await;

    let one = stage.until_found(&good.id.to_string(), 1).await.letters.remove(0);
    let run = stage.retry(&Scope::Letter { id: one.id, seen: None }, &Steps::default()).await;
    assert_eq!((run.state, run.done, run.failed), (RunState::Finished, 1, 0));
    let letter = stage.console.letter(one.id).await.unwrap();
    assert_eq!((letter.line.state, letter.line.tries), (State::Done, 1));
    assert_eq!(letter.runs[0].state, "done");
    assert_eq!(letter.audit[0].action, "retry");
    assert_eq!(stage.obedient.heard(good.id).len(), 1);

    let one = stage.until_found(&bad.id.to_string(), 1).await.letters.remove(0);
    let run = stage.retry(&Scope::Letter { id: one.id, seen: None }, &Steps::default()).await;
    assert_eq!((run.state, run.done, run.failed), (RunState::Finished, 0, 1));
    let letter = stage.console.letter(one.id).await.unwrap();
    assert_eq!(letter.line.state, State::Failed);
    assert_eq!(letter.line.reason, "asked to fail for now");
    assert_eq!(letter.deaths.len(), 2, "the history has both");
    assert_eq!(letter.deaths[0].retry_id, Some(letter.runs[0].retry_id));
    assert_eq!(stage.obedient.heard(bad.id).len(), 1, "it has one attempt");
    // Retried, it is still the letter that it was, without the marks of the retry.
    assert!(!String::from_utf8_lossy(&letter.body).contains("retryid"));
    let refused = stage.console.plan(&operator("olga"), &query("state:done"), Action::Retry).await;
    assert!(matches!(refused, Err(Refusal::Nothing)), "{refused:?}");
    stage.strike().await;
}

#[tokio::test]
async fn an_edit_keeps_the_original_and_what_was_edited_arrives() {
    let mut stage = Stage::set().await;
    stage.work();
    let event = asking(Deed::Reject);
    stage.bury(std::slice::from_ref(&event), "asked to fail for good").await;
    stage.vhost.publish("dead-letters", "notification.send", b"{\"half\": ").await;
    stage.until_found("", 2).await;
    let line = stage.until_found(&event.id.to_string(), 1).await.letters.remove(0);
    let before = stage.console.letter(line.id).await.unwrap();
    let mended = String::from_utf8(before.body.clone()).unwrap().replace("reject", "succeed");
    let edit = async |version, body: &str| {
        stage.console.edit(&operator("olga"), line.id, version, Some(body.as_bytes()), None).await
    };
    assert!(matches!(edit(line.version, "{}").await, Err(Refusal::EditNotApplied(_))));
    assert!(matches!(edit(line.version + 1, &mended).await, Err(Refusal::ChangedSince { .. })));
    let edited = edit(line.version, &mended).await.unwrap();
    let diff = edited.diff.unwrap();
    assert!(diff.contains(&DiffLine::Added("      \"deed\": \"succeed\"".to_owned())), "{diff:?}");
    assert!(matches!(edit(line.version, &mended).await, Err(Refusal::ChangedSince { .. })));
    let headers = stage.console.edit(&operator("olga"), line.id, edited.version, None, Some(&json!({"a": 1}))).await;
    assert!(matches!(headers, Err(Refusal::EditNotApplied(_))));

    let run = stage.retry(&Scope::Letter { id: line.id, seen: None }, &Steps::default()).await;
    assert_eq!((run.state, run.done), (RunState::Finished, 1));
    let after = stage.console.letter(line.id).await.unwrap();
    assert_eq!((after.line.state, after.edits.len()), (State::Done, 1));
    let kept: Vec<u8> = {
        let client = stage.database.connect().await;
        client.query_one("SELECT body_before FROM support.edits", &[]).await.unwrap().get(0)
    };
    assert_eq!(kept, before.body, "the original is kept");

    // What cannot be read is skipped until it can.
    let line = stage.until_found("readable:no", 1).await.letters.remove(0);
    let run = stage.retry(&Scope::Letter { id: line.id, seen: None }, &Steps::default()).await;
    assert_eq!((run.state, run.skipped), (RunState::Finished, 1));
    let readable = serde_json::to_vec(&asking(Deed::Reject)).unwrap();
    let edited = stage.console.edit(&operator("olga"), line.id, line.version, Some(&readable), None).await.unwrap();
    // It fails by its new name, and is the same letter.
    let run = stage.retry(&Scope::Letter { id: line.id, seen: None }, &Steps::default()).await;
    assert_eq!((run.state, run.failed), (RunState::Finished, 1));
    assert_eq!(stage.count("SELECT count(*) FROM support.letters").await, 2);
    let letter = stage.console.letter(line.id).await.unwrap();
    assert_eq!((letter.line.state, letter.line.version), (State::Failed, edited.version + 2));
    stage.strike().await;
}

#[tokio::test]
async fn what_is_discarded_can_be_restored_and_all_of_it_is_on_record_for_good() {
    let stage = Stage::set().await;
    stage.bury(&many(40, Deed::Succeed), "no answer").await;
    let page = stage.until_found("state:failed", 40).await;
    let group = Scope::Group(page.letters[0].group);
    let olga = operator("olga");
    let plan = stage.console.plan(&olga, &group, Action::Discard).await.unwrap();
    assert!(matches!(stage.console.discard(&olga, plan.id, " ").await, Err(Refusal::Invalid { .. })));
    let run = stage.console.discard(&olga, plan.id, "sent by hand").await.unwrap();
    assert_eq!(stage.at_rest(run).await.done, 40);
    let page = stage.until_found("state:discarded", 40).await;
    assert_eq!(page.letters[0].note, "sent by hand");
    assert!(stage.console.groups(&Default::default()).await.unwrap().is_empty());
    assert!(matches!(stage.console.discard(&olga, plan.id, "again").await, Err(Refusal::RunIs(_))));

    let plan = stage.console.plan(&olga, &group, Action::Restore).await.unwrap();
    let run = stage.console.restore(&olga, plan.id).await.unwrap();
    assert_eq!(stage.at_rest(run).await.done, 40);
    stage.until_found("state:failed", 40).await;

    let audit = stage.console.audit(&AuditFilter::default()).await.unwrap();
    let actions: Vec<_> = audit.iter().map(|line| (line.account.as_str(), line.action.as_str())).collect();
    assert_eq!(actions, [("olga", "restore"), ("olga", "discard")]);
    assert_eq!(audit[1].details["reason"], "sent by hand");
    let own = stage.database.connect_as("support").await;
    let owner = stage.database.connect().await;
    for statement in ["UPDATE support.audit SET account = 'x'", "DELETE FROM support.audit", "TRUNCATE support.audit"] {
        for client in [&own, &owner] {
            let error = client.execute(statement, &[]).await.expect_err(statement);
            assert_eq!(error.code().unwrap().code(), "42501", "{statement}: {error:?}");
        }
    }
    stage.strike().await;
}

#[tokio::test]
async fn a_reader_changes_nothing() {
    let stage = Stage::set().await;
    stage.bury(&many(1, Deed::Succeed), "no answer").await;
    let line = stage.until_found("", 1).await.letters.remove(0);
    let (console, rita) = (&stage.console, reader());
    let plan =
        console.plan(&operator("olga"), &Scope::Letter { id: line.id, seen: None }, Action::Retry).await.unwrap().id;
    let refused = [
        console.plan(&rita, &Scope::Letter { id: line.id, seen: None }, Action::Retry).await.map(|_| ()),
        console.start_run(&rita, plan, &Steps::default()).await.map(|_| ()),
        console.discard(&rita, plan, "why").await.map(|_| ()),
        console.restore(&rita, plan).await.map(|_| ()),
        console.edit(&rita, line.id, line.version, Some(b"{}"), None).await.map(|_| ()),
        console.take_back(&rita, line.id).await,
        console.pause(&rita, plan).await,
        console.resume(&rita, plan).await,
        console.cancel(&rita, plan).await,
    ];
    for answer in refused {
        assert!(matches!(answer, Err(Refusal::Forbidden { .. })), "{answer:?}");
    }
    assert_eq!(stage.count("SELECT sum(version) FROM support.letters").await, 1);
    assert_eq!(stage.count("SELECT count(*) FROM support.audit").await, 0);
    stage.strike().await;
}

#[tokio::test]
async fn a_retry_without_word_is_taken_back_only_after_a_while_and_its_late_success_counts() {
    let own = Support { no_word_after_s: 1, ..Support::default() };
    let mut stage = Stage::set_with(own, &["http", "ingest", "runs", "support.progress"]).await;
    let event = asking(Deed::Succeed);
    stage.bury(std::slice::from_ref(&event), "no answer").await;
    let line = stage.until_found("", 1).await.letters.remove(0);
    let olga = operator("olga");
    let plan = stage.console.plan(&olga, &Scope::Letter { id: line.id, seen: None }, Action::Retry).await.unwrap();
    let run = stage.console.start_run(&olga, plan.id, &Steps::default()).await.unwrap();
    // Nobody works, so there is no word of it.
    stage.until_found("state:retrying", 1).await;
    let again = stage.console.plan(&olga, &Scope::Letter { id: line.id, seen: None }, Action::Retry).await;
    assert!(matches!(again, Err(Refusal::InRetry)), "{again:?}");
    eventually(LONG, "it has been too long", async || match stage.console.take_back(&olga, line.id).await {
        Ok(()) => Some(()),
        Err(Refusal::InRetry) => None,
        Err(other) => panic!("{other}"),
    })
    .await;
    let rested = stage.at_rest(run).await;
    assert_eq!((rested.state, rested.failed), (RunState::Finished, 1));
    assert_eq!(stage.until_found("state:failed", 1).await.letters[0].tries, 1);
    // The worker comes back: it was done after all.
    stage.work();
    stage.until_found("state:done", 1).await;
    let run = stage.console.run(run).await.unwrap().run;
    assert_eq!((run.done, run.failed), (1, 0));
    stage.strike().await;
}

#[tokio::test]
async fn a_plan_of_a_letter_that_has_changed_since_says_so() {
    let stage = Stage::set().await;
    stage.bury(&many(1, Deed::Reject), "no answer").await;
    let line = stage.until_found("", 1).await.letters.remove(0);
    let (console, olga) = (&stage.console, operator("olga"));
    let seen = Scope::Letter { id: line.id, seen: Some(line.version) };
    let plan = console.plan(&olga, &seen, Action::Retry).await.unwrap();
    let mended = String::from_utf8(console.letter(line.id).await.unwrap().body).unwrap().replace("reject", "succeed");
    console.edit(&olga, line.id, line.version, Some(mended.as_bytes()), None).await.unwrap();
    let late = console.start_run(&olga, plan.id, &Steps::at_once()).await;
    assert!(matches!(late, Err(Refusal::ChangedSince { seen: 1, now: 2 })), "{late:?}");
    let late = console.plan(&olga, &seen, Action::Retry).await;
    assert!(matches!(late, Err(Refusal::ChangedSince { seen: 1, now: 2 })), "{late:?}");
    assert_eq!(stage.count("SELECT count(*) FROM support.audit WHERE action <> 'edit'").await, 0);
    stage.strike().await;
}
