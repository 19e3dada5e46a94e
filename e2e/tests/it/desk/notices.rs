//! Staff are told, whatever crashes, and not too often.

use e2e::{Console, Database, LONG, Sandbox, Vhost, eventually};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::Value;
use sha2::Sha256;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};
use uuid::Uuid;

const STAFF: &str = "staff@shop.example";
const SECRET: &str = "a secret of the webhook's";

struct Office {
    // First, so that it ends before what it uses is taken away.
    console: Console,
    sandbox: Sandbox,
    database: Database,
    _vhost: Vhost,
}

impl Office {
    async fn open(more: &[(&str, &str)]) -> Self {
        let (database, vhost, sandbox) = tokio::join!(Database::create(), Vhost::create(), Sandbox::start());
        let smtp_port = sandbox.smtp_port().to_string();
        let mut settings = vec![
            ("CONVEYOR__SUPPORT__PUBLIC_URL", "https://console.shop.example"),
            ("CONVEYOR__SUPPORT__NOTICES__EMAIL__TO", STAFF),
            ("CONVEYOR__SUPPORT__NOTICES__SMTP__PORT", smtp_port.as_str()),
            ("CONVEYOR__SUPPORT__NOTICES__GAP_S", "0"),
        ];
        settings.extend(more);
        let console = Console::start(&database, &vhost, settings).await;
        Self { console, sandbox, database, _vhost: vhost }
    }

    /// A group of letters that failed alike, as ingestion counts it.
    async fn group(&self, failed: i64) -> Uuid {
        let key = Uuid::now_v7();
        let sql = "INSERT INTO support.groups (key, queue, kind, death, pattern, example, first_seen, last_seen, failed)
                   VALUES ($1, 'payment.charge', 'order.payment_due', 'rejected', 'no such card …', 'x', now(), now(), $2)";
        self.database.connect().await.execute(sql, &[&key, &failed]).await.unwrap();
        key
    }

    async fn grow(&self, key: Uuid, failed: i64) {
        let sql = "UPDATE support.groups SET failed = $2 WHERE key = $1";
        self.database.connect().await.execute(sql, &[&key, &failed]).await.unwrap();
    }

    /// Waits until there are so many mails, and returns the last.
    async fn until_mails(&self, count: usize) -> e2e::sandbox::Mail {
        eventually(LONG, &format!("{count} mails"), async || {
            let mut mails = self.sandbox.mails_to(STAFF).await;
            assert!(mails.len() <= count, "{count} were expected: {mails:?}");
            (mails.len() == count).then(|| mails.remove(0))
        })
        .await
    }
}

#[tokio::test]
async fn staff_hear_of_a_group_at_once_and_again_when_it_has_grown_and_not_in_between() {
    let office = Office::open(&[]).await;
    let key = office.group(1).await;
    let mail = office.until_mails(1).await;
    assert_eq!(mail.subject, "A message was given up in payment.charge");
    for part in ["no such card …", "order.payment_due", &format!("https://console.shop.example/groups/{key}")] {
        assert!(mail.text.contains(part), "{part} is not in {}", mail.text);
    }
    // More of the same is no news until there are a hundred; then ten thousand more are one.
    office.grow(key, 99).await;
    let other = office.group(7).await;
    let mail = office.until_mails(2).await;
    assert!(mail.subject.starts_with("7 messages were given up") && mail.text.contains(&other.to_string()), "{mail:?}");
    assert!(!mail.text.contains(&key.to_string()), "{mail:?}");
    office.grow(key, 10_000).await;
    let mail = office.until_mails(3).await;
    assert_eq!(mail.subject, "10000 messages wait in payment.charge");
    // What is settled and comes back past a threshold is news again.
    office.grow(key, 10_050).await;
    let last = office.group(1).await;
    assert!(office.until_mails(4).await.text.contains(&last.to_string()));
}

#[tokio::test]
async fn many_groups_at_once_are_one_notice() {
    let office = Office::open(&[("CONVEYOR__SUPPORT__NOTICES__GAP_S", "2")]).await;
    office.group(1).await;
    office.until_mails(1).await;
    let sql = "INSERT INTO support.groups (key, queue, kind, death, pattern, example, first_seen, last_seen, failed)
               SELECT gen_random_uuid(), 'payment.charge', 'order.payment_due', 'rejected', 'p' || i, 'x', now(), now(), 1
               FROM generate_series(1, 50) AS i";
    office.database.connect().await.batch_execute(sql).await.unwrap();
    let mail = office.until_mails(2).await;
    assert_eq!(mail.subject, "Messages were given up in 50 groups, first payment.charge");
    assert!(mail.text.contains("And 30 more groups"), "{}", mail.text);
    assert_eq!(office.database.count("SELECT count(*) FROM support.notice_groups").await, 51);
}

#[tokio::test]
async fn a_notice_outlives_the_mail_servers_outage_and_the_consoles_end() {
    let mut office = Office::open(&[("CONVEYOR__SUPPORT__NOTICES__TIMEOUT_MS", "1000")]).await;
    office.sandbox.fault("smtp", "down").await;
    office.group(1).await;
    let tried = "SELECT count(*) FROM support.notice_sends WHERE state = 'pending' AND why <> ''";
    crate::alone::until_count(&office.database, tried, 1).await;
    office.console.process.kill().await;
    office.sandbox.fault("smtp", "up").await;
    office.console.process.start().await;
    office.console.process.wait_ready().await;
    office.until_mails(1).await;
    crate::alone::until_count(&office.database, "SELECT count(*) FROM support.notice_sends WHERE state = 'sent'", 1)
        .await;
    assert_eq!(office.database.count("SELECT count(*) FROM support.notices").await, 1);
}

#[tokio::test]
async fn a_webhook_is_called_with_a_signature_until_it_answers() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook?key=its-own-secret", listener.local_addr().unwrap());
    let office = Office::open(&[
        ("CONVEYOR__SUPPORT__NOTICES__WEBHOOK__URL", url.as_str()),
        ("CONVEYOR__SUPPORT__NOTICES__WEBHOOK__SECRET", SECRET),
    ])
    .await;
    let key = office.group(1).await;
    let first = answer(&listener, "500 Internal Server Error").await;
    let second = answer(&listener, "204 No Content").await;
    let head = |request: &str, name: &str| {
        let line = request.lines().find_map(|line| line.to_lowercase().strip_prefix(name).map(str::to_owned));
        line.unwrap_or_else(|| panic!("no {name} in {request}")).trim().to_owned()
    };
    assert!(first.starts_with("POST /hook?key=its-own-secret HTTP/1.1"), "{first}");
    assert_eq!(head(&first, "idempotency-key:"), head(&second, "idempotency-key:"));
    let (_, body) = second.split_once("\r\n\r\n").unwrap();
    let signature = head(&second, "conveyor-signature:");
    let (at, given) = signature.strip_prefix("t=").and_then(|rest| rest.split_once(",v1=")).unwrap();
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    mac.update(format!("{at}.{body}").as_bytes());
    let expected: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(given, expected);
    let said: Value = serde_json::from_str(body).unwrap();
    assert_eq!((&said["groups"][0]["group"], &said["groups"][0]["what"]), (&key.to_string().into(), &"new".into()));
    let sent = "SELECT count(*) FROM support.notice_sends WHERE state = 'sent'";
    crate::alone::until_count(&office.database, sent, 2).await;
    let logged = office.console.process.said();
    assert!(!logged.contains("its-own-secret") && !logged.contains(SECRET), "{logged}");
}

/// Takes one request, whole, and answers it.
async fn answer(listener: &TcpListener, status: &str) -> String {
    let (mut stream, _) = tokio::time::timeout(LONG, listener.accept()).await.expect("a call in time").unwrap();
    let mut request = String::new();
    loop {
        let mut some = [0; 4_096];
        let read = stream.read(&mut some).await.unwrap();
        request.push_str(&String::from_utf8_lossy(&some[..read]));
        let length =
            request.to_lowercase().lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
        let whole = request.split_once("\r\n\r\n").is_some_and(|(_, body)| length == Some(body.len()));
        if whole || read == 0 {
            break;
        }
    }
    let reply = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    stream.write_all(reply.as_bytes()).await.unwrap();
    request
}
