//! The console dies while somebody edits a letter and retries it.

use std::{os::unix::process::ExitStatusExt as _, panic::AssertUnwindSafe, time::Duration};

use common::crash::Point;
use e2e::{
    LONG, Process, eventually,
    http::Client,
    obedient::{self, Deed, many},
};
use futures_util::FutureExt as _;
use hyper::Method;
use nix::libc::SIGABRT;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use support_console::{
    Action, By, LetterLine, Refusal, Role, Scope, Steps, Support,
    people::{self, AccountName},
};

use super::{NOTHING, console};
use crate::engine::stage::{Stage, bury, operator};

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

/// When the console is killed: so long after somebody has begun to edit a letter and retry it, or when that is known.
#[derive(Debug, Clone, Copy)]
enum Kill {
    After(u64),
    OnceTrue(&'static str),
    At(Point),
}

const EDITED: &str = "SELECT count(*) FROM support.edits WHERE letter = '{letter}'";
const BEGUN: &str = "SELECT count(*) FROM support.runs WHERE scope = 'letter:{letter}' AND state <> 'planned'";
const SENT: &str = "SELECT count(*) FROM support.letters WHERE id = '{letter}' AND state <> 'failed'";

/// Somebody edits a letter and retries it at once; the console dies ever later in that, and comes back.
#[tokio::test]
async fn killed_in_the_middle_of_an_edit_and_retry_it_has_all_of_the_edit_or_nothing_and_nothing_is_done_twice() {
    let begun_or_sent = [EDITED, BEGUN, SENT].map(Kill::OnceTrue);
    let at = [Point::EditWritten, Point::EditCommitted].map(Kill::At);
    let kills: Vec<Kill> = (0..8).map(|round| Kill::After(4 * round)).chain(begun_or_sent).chain(at).collect();
    let mut place = Workplace::with_letters(kills.len()).await;
    for (index, kill) in kills.into_iter().enumerate() {
        let killed = place.is_killed(index, kill, "").await;
        place.is_whole(&killed).await;
        if let Kill::At(point) = kill {
            println!("{} × support-console: reconciled", point.name());
        }
    }
    place.adds_up().await;
}

/// What is wrong with an edit.
#[derive(Debug, Clone, Copy)]
enum Wrong {
    /// The console does what the invariants forbid.
    Makes(&'static str),
    /// Letters lack what tells whoever asks again that they are not what they were.
    ForgetsVersions,
}

const FORGETS_VERSIONS: &str = "
    CREATE FUNCTION support.forgets() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        NEW.version := OLD.version;
        RETURN NEW;
    END $$;
    CREATE TRIGGER forgets BEFORE UPDATE ON support.letters FOR EACH ROW EXECUTE FUNCTION support.forgets()";

/// The console dies, and all must be well; and it dies with what is wrong, and whoever looks then sees that. That it dies,
/// and comes back, is not what is looked at.
#[tokio::test]
async fn half_an_edit_or_one_that_was_answered_and_lost_or_not_known_again_would_be_seen() {
    for (point, wrong) in [
        (Point::EditWritten, Wrong::Makes("publish before commit")),
        (Point::EditWritten, Wrong::Makes("ack before commit")),
        (Point::EditCommitted, Wrong::ForgetsVersions),
    ] {
        let mut place = Workplace::with_letters(1).await;
        let killed = place.is_killed(0, Kill::At(point), "").await;
        place.is_whole(&killed).await;
        place.adds_up().await;

        let mut place = Workplace::with_letters(1).await;
        let mistake = match wrong {
            Wrong::Makes(mistake) => mistake,
            Wrong::ForgetsVersions => {
                place.stage.database.connect().await.batch_execute(FORGETS_VERSIONS).await.unwrap();
                ""
            }
        };
        let killed = place.is_killed(0, Kill::At(point), mistake).await;
        let looked = AssertUnwindSafe(place.is_whole(&killed)).catch_unwind().await;
        assert!(looked.is_err(), "nobody has seen {wrong:?} at {}", point.name());
    }
}

/// Letters, and somebody who edits and retries one after the other.
struct Workplace {
    // First, so that it ends before what it uses is taken away.
    process: Process,
    stage: Stage,
    somebody: Somebody,
    letters: Vec<LetterLine>,
}

/// How a letter was being edited and retried when the console was killed.
struct Killed {
    kill: Kill,
    line: LetterLine,
    original: Vec<u8>,
    mended: String,
    answered: Answered,
}

impl Workplace {
    async fn with_letters(count: usize) -> Self {
        let mut stage = Stage::set_with(Support::default(), NOTHING).await;
        stage.work();
        bury(&stage.vhost, &many(count, Deed::Reject), "asked to fail").await;
        let process = console(&stage).await;
        let letters = stage.until_found("", count).await.letters;
        let olga: AccountName = "olga".parse().unwrap();
        let db = stage.console.db();
        people::create(db, "test", &olga, Role::Operator, None).await.unwrap();
        let token = people::mint_token(db, ("test", By::Cli), &olga, "test", 1).await.unwrap();
        let somebody = Somebody {
            http: Client::new(&format!("http://127.0.0.1:{}", process.port)),
            authorization: format!("Bearer {}", token.expose_secret()),
        };
        Self { process, stage, somebody, letters }
    }

    /// Kills the console while somebody edits and retries this letter, and starts it again as it should be.
    async fn is_killed(&mut self, index: usize, kill: Kill, mistake: &str) -> Killed {
        let Self { process, stage, somebody, letters } = self;
        let line = letters[index].clone();
        let original = stage.console.letter(line.id).await.unwrap().body;
        let mended = String::from_utf8(original.clone()).unwrap().replace("reject", "succeed");
        if let Kill::At(point) = kill {
            assert!(process.terminate().await.success());
            process.set("CONVEYOR_CRASH", &format!("{}:1", point.name()));
            process.set("CONVEYOR_MISTAKE", mistake);
            process.start().await;
            process.wait_ready().await;
        }
        let killed = async {
            match kill {
                Kill::At(point) => {
                    assert_eq!(process.wait().await.signal(), Some(SIGABRT), "{point:?}");
                    process.set("CONVEYOR_CRASH", "");
                    process.set("CONVEYOR_MISTAKE", "");
                }
                Kill::After(ms) => tokio::time::sleep(Duration::from_millis(ms)).await,
                Kill::OnceTrue(sql) => {
                    let sql = of(sql, &line);
                    eventually(LONG, &sql, async || (stage.count(&sql).await > 0).then_some(())).await;
                }
            }
            process.kill().await;
        };
        let (answered, ()) = tokio::join!(somebody.edits_and_retries(&line, &mended), killed);
        process.start().await;
        process.wait_ready().await;
        Killed { kill, line, original, mended, answered }
    }

    /// Fails unless the edit is there as a whole or not at all, and the original in any case; whatever was answered is
    /// there; and whoever asks again is told what has become of it.
    async fn is_whole(&self, killed: &Killed) {
        let (stage, Killed { kill, line, original, mended, answered }) = (&self.stage, killed);
        let letter = stage.console.letter(line.id).await.unwrap();
        let edits = stage.count(&of(EDITED, line)).await;
        let noted = format!("SELECT count(*) FROM support.audit WHERE action = 'edit' AND letter = '{}'", line.id);
        assert_eq!((letter.edits.len() as i64, stage.count(&noted).await), (edits, edits), "{kill:?}");
        assert!(letter.body == if edits == 1 { mended.as_bytes() } else { original }, "{kill:?}");
        let admin = stage.database.connect().await;
        let kept = admin.query("SELECT body_before FROM support.edits WHERE letter = $1", &[&line.id]).await.unwrap();
        assert!(kept.iter().all(|row| row.get::<_, &[u8]>(0) == original), "{kill:?}");
        match kill {
            Kill::After(_) => {}
            Kill::At(Point::EditWritten) => assert_eq!(edits, 0, "{kill:?}"),
            Kill::OnceTrue(_) | Kill::At(_) => assert_eq!(edits, 1, "{kill:?}"),
        }
        let is_begun = stage.count(&of(BEGUN, line)).await > 0;
        assert!(edits == 1 || !answered.edit, "{kill:?}: the edit was answered and is lost");
        assert!(is_begun || !answered.run, "{kill:?}: the retry was answered and is lost");

        // What was begun goes on by itself. What was not is begun again by whoever looks, and is done once.
        let by_hand = operator("olga");
        let again = stage.console.edit(&by_hand, line.id, line.version, Some(mended.as_bytes()), None).await;
        match again {
            Ok(_) => assert_eq!(edits, 0, "{kill:?}: it was edited twice"),
            Err(Refusal::ChangedSince { .. } | Refusal::InRetry | Refusal::WrongState { .. }) => {
                assert_eq!(edits, 1, "{kill:?}: it cannot be edited");
            }
            Err(other) => panic!("{kill:?}: {other}"),
        }
        if !is_begun {
            let scope = Scope::Letter { id: line.id, seen: None };
            let plan = stage.console.plan(&by_hand, &scope, Action::Retry).await.unwrap();
            stage.console.start_run(&by_hand, plan.id, &Steps::at_once()).await.unwrap();
        }
    }

    async fn adds_up(mut self) {
        let stage = &self.stage;
        stage.until_done(self.letters.len() as i64).await;
        for (index, line) in self.letters.iter().enumerate() {
            assert_eq!(stage.count(&of(BEGUN, line)).await, 1, "letter {index} was retried once");
        }
        // What was published and could not be forgotten before the kill goes once more, and has no effect.
        eventually(LONG, "the outbox is empty", async || {
            (stage.count("SELECT count(*) FROM support.outbox").await == 0).then_some(())
        })
        .await;
        assert_eq!(obedient::effects(&stage.database).await.len(), self.letters.len());
        assert_eq!(stage.count("SELECT count(*) FROM support.letters WHERE tries <> 1").await, 0);
        assert!(self.process.terminate().await.success());
        self.stage.strike().await;
    }
}

fn of(sql: &str, line: &LetterLine) -> String {
    sql.replace("{letter}", &line.id.to_string())
}

/// Who asks the console as the command line does, and is not heard any more once it is dead.
struct Somebody {
    http: Client,
    authorization: String,
}

/// What they were told is done.
#[derive(Default)]
struct Answered {
    edit: bool,
    run: bool,
}

impl Somebody {
    async fn edits_and_retries(&self, line: &LetterLine, mended: &str) -> Answered {
        let mut answered = Answered::default();
        let edit = json!({"version": line.version, "body": mended});
        let Some(_) = self.ask(&format!("/letters/{}/edit", line.id), &edit).await else { return answered };
        answered.edit = true;
        let wanted = json!({"action": "retry", "letter": line.id, "version": line.version + 1});
        let Some(plan) = self.ask("/plans", &wanted).await else { return answered };
        answered.run = self.ask("/runs", &json!({"action": "retry", "plan": plan["plan"]["id"]})).await.is_some();
        answered
    }

    async fn ask(&self, path: &str, body: &Value) -> Option<Value> {
        let headers = [("authorization", self.authorization.as_str()), ("content-type", "application/json")];
        let path = format!("/api/support{path}");
        let answer = self.http.send(Method::POST, &path, &headers, body.to_string()).await.ok()?;
        answer.status.is_success().then(|| answer.json())
    }
}
