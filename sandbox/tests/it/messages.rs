use hyper::Method;
use serde_json::json;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
};

use crate::Customer;

pub(crate) struct Sender(BufReader<TcpStream>);

impl Sender {
    pub(crate) async fn new(customer: &Customer) -> Self {
        let stream = TcpStream::connect(customer.running.smtp).await.expect("a connection");
        let mut sender = Self(BufReader::new(stream));
        assert_eq!(sender.hear().await, 220);
        sender
    }

    /// The code of an answer, however many lines it has.
    async fn hear(&mut self) -> u16 {
        loop {
            let mut line = String::new();
            self.0.read_line(&mut line).await.expect("an answer");
            let (code, rest) = line.split_at_checked(3).unwrap_or_default();
            if !rest.starts_with('-') {
                return code.parse().unwrap_or_else(|_| panic!("no answer: {line:?}"));
            }
        }
    }

    pub(crate) async fn say(&mut self, what: &str) -> u16 {
        self.write(what).await;
        self.hear().await
    }

    async fn write(&mut self, what: &str) {
        self.0.write_all(format!("{what}\r\n").as_bytes()).await.expect("writing");
    }

    pub(crate) async fn send(&mut self, to: &str, message: &str) -> u16 {
        for (line, code) in [("MAIL FROM:<shop@example.com>", 250), (&format!("RCPT TO:<{to}>"), 250), ("DATA", 354)] {
            let answer = self.say(line).await;
            if answer != code {
                assert_eq!(self.say("RSET").await, 250);
                return answer;
            }
        }
        self.say(&format!("{message}\r\n.")).await
    }
}

#[tokio::test]
async fn a_mail_is_taken_and_read() {
    let customer = Customer::new().await;
    let mut sender = Sender::new(&customer).await;
    assert_eq!(sender.say("MAIL FROM:<a@b>").await, 503, "no greeting yet");
    assert_eq!(sender.say("EHLO test").await, 250);
    let message = "Message-ID: <1@shop>\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n\r\nPaid.\r\n..\r\nBye.";
    assert_eq!(sender.send("jane@example.com", message).await, 250);
    assert_eq!(sender.send("joe@example.com", "Subject: second\r\n\r\nText").await, 250);
    assert_eq!(sender.say("QUIT").await, 221);
    let (_, found) = customer.get("/sandbox/mails?to=jane%40example.com").await;
    let mail = &found["mails"][0];
    assert_eq!((&mail["messageId"], &mail["subject"]), (&json!("1@shop"), &json!("Grüße")));
    assert_eq!((&mail["to"], &mail["from"]), (&json!("jane@example.com"), &json!("shop@example.com")));
    assert_eq!(mail["text"], "Paid.\n.\nBye.\n");
    assert!(mail["receivedAt"].as_str().is_some_and(|at| at.ends_with('Z')));
    let (_, newest) = customer.get("/sandbox/mails?limit=1").await;
    assert_eq!((newest["mails"].as_array().map(Vec::len), &newest["mails"][0]["subject"]), (Some(1), &json!("second")));
    let cleared = customer.http.send(Method::DELETE, "/sandbox/mails", &[], "").await.expect("an answer");
    assert_eq!(cleared.status, 204);
    assert_eq!(customer.get("/sandbox/mails").await.1["mails"], json!([]));
}

#[tokio::test]
async fn commands_may_come_all_together() {
    let customer = Customer::new().await;
    let mut sender = Sender::new(&customer).await;
    sender
        .write("EHLO test\r\nMAIL FROM:<>\r\nRCPT TO:<a@example.com>\r\nRCPT TO:<b@example.com>\r\nNOOP\r\nDATA")
        .await;
    for code in [250, 250, 250, 250, 250, 354] {
        assert_eq!(sender.hear().await, code);
    }
    sender.write("Subject: to both\r\n\r\n.\r\nQUIT").await;
    assert_eq!((sender.hear().await, sender.hear().await), (250, 221));
    assert_eq!(customer.get("/sandbox/mails").await.1["mails"].as_array().map(Vec::len), Some(2));
}

#[tokio::test]
async fn some_bounce_and_some_come_later() {
    let customer = Customer::new().await;
    let mut sender = Sender::new(&customer).await;
    assert_eq!(sender.say("HELO test").await, 250);
    assert_eq!(sender.send("bounce@example.com", "x").await, 550);
    let mut codes = Vec::new();
    for _ in 0..3 {
        codes.push(sender.send("later@example.com", "x").await);
    }
    assert_eq!(codes, [451, 451, 250]);
}

#[tokio::test]
async fn a_mail_server_out_of_order() {
    let customer = Customer::new().await;
    let mut sender = Sender::new(&customer).await;
    assert_eq!(sender.say("EHLO test").await, 250);
    customer.fault("smtp", "tempfail").await;
    assert_eq!(sender.send("jane@example.com", "x").await, 451);
    customer.fault("smtp", "refuse").await;
    assert_eq!(sender.send("jane@example.com", "x").await, 550);
    customer.fault("smtp", "down").await;
    sender.write("NOOP").await;
    let mut rest = Vec::new();
    let _ = sender.0.read_to_end(&mut rest).await;
    assert_eq!(rest, b"", "the connection is closed");
    let mut stream = TcpStream::connect(customer.running.smtp).await.expect("a connection");
    let _ = stream.read_to_end(&mut rest).await;
    assert_eq!(rest, b"");
    customer.fault("smtp", "up").await;
    let mut sender = Sender::new(&customer).await;
    assert_eq!(sender.say("EHLO test").await, 250);
    assert_eq!(sender.send("jane@example.com", "x").await, 250);
    assert_eq!(customer.get("/sandbox/mails").await.1["mails"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn hostile_mail_is_refused_and_does_not_hurt() {
    let customer = Customer::new().await;
    let mut sender = Sender::new(&customer).await;
    assert_eq!(sender.say("EHLO test").await, 250);
    assert_eq!(sender.say(&"x".repeat(10_000)).await, 500);
    assert_eq!(sender.say("STARTTLS").await, 502);
    assert_eq!(sender.say("MAIL FROM:<a b>").await, 501);
    assert_eq!(sender.say("MAIL FROM:<a@b> SIZE=99999999").await, 552);
    assert_eq!(sender.say("DATA").await, 503);
    let large = format!("Subject: large\r\n\r\n{}", "0123456789\r\n".repeat(100_000));
    assert_eq!(sender.send("jane@example.com", &large).await, 552);
    assert_eq!(sender.send("jane@example.com", "Subject: small\r\n\r\n").await, 250);
    let (_, found) = customer.get("/sandbox/mails").await;
    assert_eq!((found["mails"].as_array().map(Vec::len), &found["mails"][0]["subject"]), (Some(1), &json!("small")));
}

#[tokio::test]
async fn an_sms_is_sent_once_per_key() {
    let customer = Customer::new().await;
    let body = json!({"to": "+15551234567", "text": "Paid. ✓"});
    let (status, sent) = customer.post("/v1/sms", "k", &body).await;
    assert_eq!(status, 202);
    assert!(sent["id"].as_str().is_some_and(|id| id.starts_with("sms_")), "{sent}");
    assert_eq!(customer.post("/v1/sms", "k", &body).await, (202, sent));
    let other = json!({"to": "+15551234567", "text": "Not paid."});
    assert_eq!(customer.post("/v1/sms", "k", &other).await.0, 409);
    for bad in ["", "15551234567", "+1555", "+1555123456x", "+1234567890123456"] {
        let (status, refused) = customer.post("/v1/sms", "bad", &json!({"to": bad, "text": "x"})).await;
        assert_eq!((status, &refused["error"]), (400, &json!("bad_number")), "{bad}");
    }
    assert_eq!(customer.http.post_json("/v1/sms", &body).await.expect("an answer").status, 401);
    customer.fault("sms", "down").await;
    assert_eq!(customer.post("/v1/sms", "k2", &body).await.0, 503);
    assert_eq!(customer.get("/sandbox/sms?q=nothing").await.1["sms"], json!([]));
    let (_, found) = customer.get("/sandbox/sms?to=%2B15551234567&q=paid").await;
    assert_eq!((found["sms"].as_array().map(Vec::len), &found["sms"][0]["text"]), (Some(1), &json!("Paid. ✓")));
}

#[tokio::test]
async fn a_silent_server_takes_connections_and_says_nothing_on_them() {
    let customer = Customer::new().await;
    let mut here = Sender::new(&customer).await;
    customer.fault("smtp", "silent").await;
    let mut new = BufReader::new(TcpStream::connect(customer.running.smtp).await.expect("a connection"));
    here.write("EHLO test").await;
    let mut text = String::new();
    let within = std::time::Duration::from_millis(300);
    assert!(tokio::time::timeout(within, new.read_line(&mut text)).await.is_err(), "{text:?}");
    assert!(tokio::time::timeout(within, here.0.read_line(&mut text)).await.is_err(), "{text:?}");
    customer.fault("smtp", "up").await;
    customer.mail("jane@example.com", "Subject: x\r\n\r\nx").await;
}
