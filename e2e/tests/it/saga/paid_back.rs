//! Money that the gateway refuses for good to give back: staff find out that it is owed, pay it back in another way, and
//! everybody's books say so.

use e2e::{Console, LONG, Said, eventually, http::Answer};
use hyper::Method;
use serde_json::{Value, json};

use super::{AMOUNT, Saga, staff};
use crate::desk::orders::console_of;

const STUCK: &str = "stuck";
const PASSWORD: &str = "correct horse battery";

/// Somebody at a browser without JavaScript.
struct Visitor<'a> {
    console: &'a Console,
    cookie: String,
    csrf: String,
}

impl<'a> Visitor<'a> {
    async fn new(console: &'a Console, name: &str, role: &str) -> Self {
        let made = console.tell(&["account", "add", name, "--role", role], &format!("{PASSWORD}\n")).await;
        assert_eq!(made.code, 0, "{made:?}");
        let mut visitor = Self { console, cookie: String::new(), csrf: String::new() };
        let entered = visitor.post("/login", &[("name", name), ("password", PASSWORD)]).await;
        let cookie = entered.headers["set-cookie"].to_str().unwrap();
        visitor.cookie = cookie.split(';').next().unwrap().to_owned();
        visitor.csrf = value_of(&visitor.page("/account").await, "csrf");
        visitor
    }

    async fn page(&self, path: &str) -> String {
        let answer = self.send(Method::GET, path, String::new()).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer.text()
    }

    /// A form of ours.
    async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.extend_pairs(fields).append_pair("csrf", &self.csrf);
        self.send(Method::POST, path, form.finish()).await
    }

    async fn send(&self, method: Method, path: &str, body: String) -> Answer {
        let headers = [("cookie", &*self.cookie), ("content-type", "application/x-www-form-urlencoded")];
        self.console.process.http.send(method, path, &headers, body).await.unwrap()
    }
}

/// The value of the first hidden field of that name.
fn value_of(page: &str, field: &str) -> String {
    let start = format!("name=\"{field}\" value=\"");
    let (_, rest) = page.split_once(&start).unwrap_or_else(|| panic!("no field {field} in {page}"));
    rest.split('"').next().unwrap().to_owned()
}

impl Saga {
    /// An order that was paid and called off, and whose money does not go back; and the letter about that.
    async fn stuck(&self, console: &Console, operator: &str) -> (String, String) {
        let id = self.place_one(STUCK).await;
        self.until(&id, "paid").await;
        assert_eq!(self.cancel(&id, &staff()).await.status, 200);
        let letter = eventually(LONG, "a letter", async || {
            let found = console.cli(operator, &["search", &format!("order:{id}"), "--json"]).await.json();
            found["letters"][0]["id"].as_str().map(str::to_owned)
        })
        .await;
        (id, letter)
    }
}

async fn story(console: &Console, token: &str, id: &str) -> Value {
    console.cli(token, &["order", "show", id, "--json"]).await.json()
}

async fn letter_is(console: &Console, token: &str, letter: &str, state: &str) {
    eventually(LONG, &format!("the letter is {state}"), async || {
        let shown = console.cli(token, &["show", letter, "--json"]).await.json();
        (shown["letter"]["state"] == state).then_some(())
    })
    .await;
}

fn contains(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in {text}");
    }
}

fn contains_none(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(!text.contains(part), "{part:?} is in {text}");
    }
}

#[tokio::test]
async fn what_the_gateway_never_gives_back_is_found_to_be_owed_and_paid_back_by_hand() {
    let saga = Saga::start(&[], &[]).await;
    saga.customer(STUCK, Some("refund_refused")).await;
    let console = console_of(&saga.line).await;
    let operator = console.account("otto", "operator").await;
    let (olga, rita) =
        (Visitor::new(&console, "olga", "operator").await, Visitor::new(&console, "rita", "reader").await);

    // On a page.
    let (id, letter) = saga.stuck(&console, &operator).await;
    let path = format!("/orders/{id}");
    let page = olga.page(&path).await;
    let link = format!("/letters/{letter}");
    contains(&page, &["35.25 USD is owed to the customer:</strong>", "refuses for good", "(refund_refused)", &link]);
    contains(&page, &["id=\"paid-back\"", "last tried"]);
    contains_none(&page, &["To be paid by"]);
    let seen = rita.page(&path).await;
    contains(&seen, &["is owed to the customer", "takes the role operator"]);
    contains_none(&seen, &["id=\"paid-back\""]);
    let transaction = value_of(&page, "transaction");
    let note = [("transaction", transaction.as_str()), ("note", "transfer 17 <b>")];
    let back = format!("{path}/paid-back");
    assert_eq!(rita.post(&back, &note).await.status, 403);
    let without = Visitor { csrf: String::new(), cookie: olga.cookie.clone(), ..olga };
    assert_eq!(without.post(&back, &note).await.status, 403);
    for bad in [[note[0], ("note", " ")], [note[0], ("note", "a\nb")], [("transaction", "x"), note[1]]] {
        let refused = olga.post(&back, &bad).await;
        assert!([400, 409].contains(&refused.status.as_u16()), "{bad:?}");
        contains(&refused.text(), &["It was not noted"]);
    }
    assert_eq!(saga.order(&id).await["status"], "refunding");

    // It is owed whatever somebody thinks of the letter.
    let reason = "nobody knows <i>";
    let away = console.cli(&operator, &["discard", &letter, "--reason", reason, "--wait"]).await;
    assert_eq!(away.code, 0, "{away:?}");
    contains(&olga.page(&path).await, &["is owed to the customer", "nobody knows &lt;i&gt;", "owed all the same"]);
    assert_eq!(story(&console, &operator, &id).await["owed"][0]["onlyByHand"], true);
    assert_eq!(console.cli(&operator, &["restore", &letter, "--wait"]).await.code, 0);

    let noted = olga.post(&back, &note).await;
    assert_eq!(noted.status, 303, "{}", noted.text());
    saga.until(&id, "refunded").await;
    saga.until_told(&id, "Your money is on its way back", "We have refunded 35.25 USD").await;
    let page = olga.page(noted.headers["location"].to_str().unwrap()).await;
    contains(&page, &["It is noted", "Paid back by hand by olga", "transfer 17 &lt;b&gt;", "needs nothing any more"]);
    contains_none(&page, &["is owed to the customer", "id=\"paid-back\""]);
    let audit = console.cli(&operator, &["audit", "--account", "olga", "--json"]).await.json();
    let line = &audit["audit"][0];
    assert_eq!(
        (&line["action"], &line["by"], &line["details"]["orderId"]),
        (&json!("paid_back"), &json!("page"), &json!(id))
    );
    // Its letter is put away from here.
    let (_, form) = page.split_once("needs nothing any more").unwrap();
    let [version, reason] = ["version", "reason"].map(|field| value_of(form, field));
    let away = olga.post(&format!("{link}/discard"), &[("version", &version), ("reason", "Paid back by hand")]).await;
    assert_eq!((away.status.as_u16(), reason.as_str()), (303, "Paid back by hand: transfer 17 &lt;b&gt;"));
    letter_is(&console, &operator, &letter, "discarded").await;
    contains_none(&olga.page(&path).await, &["needs nothing any more", "is owed"]);

    // At a shell.
    let (id, letter) = saga.stuck(&console, &operator).await;
    let reader = console.account("rob", "reader").await;
    let shown = console.cli(&operator, &["order", "show", &id]).await.out;
    contains(
        &shown,
        &["OWED 35.25 USD to the customer: the gateway refuses for good", "order paid-back", "LAST TRIED"],
    );
    contains_none(&shown, &["to be paid by"]);
    let pay_back = async |token: &str, more: &[&str]| -> Said {
        console.cli(token, &[&["order", "paid-back", &id], more].concat()).await
    };
    assert_eq!(pay_back(&reader, &["--note", "cash", "--yes"]).await.code, 4);
    assert_eq!(pay_back(&operator, &["--note", "cash"]).await.code, 2, "nobody is there to be asked");
    assert_eq!(pay_back(&operator, &["--note", " ", "--yes"]).await.code, 1);
    assert_eq!(pay_back(&operator, &["--yes"]).await.code, 2);
    let foreign = pay_back(&operator, &["--note", "cash", "--yes", "--transaction", &transaction]).await;
    assert_eq!(foreign.code, 3, "another order's: {foreign:?}");
    for _ in 0..2 {
        let done = pay_back(&operator, &["--note", "cash", "--yes", "--json"]).await;
        assert_eq!(done.code, 0, "{done:?}");
        assert_eq!((&done.json()["refund"], &done.json()["paidBack"]["by"]), (&json!("paid_back"), &json!("otto")));
    }
    let other = pay_back(&operator, &["--note", "cheque", "--yes"]).await;
    assert!(other.code == 1 && other.err.contains("otto"), "{other:?}");
    let audit = console.cli(&operator, &["audit", "--account", "otto", "--json"]).await.json();
    assert_eq!(audit["audit"][0]["action"], "paid_back_not_accepted", "{audit}");
    saga.until(&id, "refunded").await;
    let shown = console.cli(&operator, &["order", "show", &id]).await.out;
    contains(&shown, &["paid_back", "paid back by hand by otto", "cash"]);
    contains_none(&shown, &["OWED"]);
    // The letter that is tried again is done, and the gateway is not asked any more.
    let calls = saga.sandbox.calls(0).await.len();
    let retried = console.cli(&operator, &["retry", &letter, "--wait"]).await;
    assert_eq!(retried.code, 0, "{retried:?}");
    assert_eq!(saga.sandbox.calls(0).await.len(), calls);

    // The gateway has what it has captured; by our books it went back, and not through the gateway.
    let charges = saga.sandbox.ledger().await.charges;
    assert!(charges.iter().all(|charge| (charge.amount, charge.refunded) == (AMOUNT, 0)), "{charges:?}");
    for (refund, expected) in [("refunded", 0), ("refused", 0), ("paid_back", 2)] {
        let count = format!("SELECT count(*) FROM payments.payments WHERE refund = '{refund}'");
        assert_eq!(saga.line.database.count(&count).await, expected, "{refund}");
    }
    saga.assert_settled().await;
}

#[tokio::test]
async fn orders_are_found_by_whose_they_are_and_how_they_stand() {
    let saga = Saga::start(&[], &[]).await;
    saga.customer("jane", Some("approved")).await;
    let id = saga.place_one("jane").await;
    saga.until(&id, "paid").await;
    let console = console_of(&saga.line).await;
    let olga = Visitor::new(&console, "olga", "operator").await;
    for (query, finds) in [("", true), ("q=jane", true), ("q=jane&status=paid", true), ("status=paid", true)] {
        let page = olga.page(&format!("/orders?{query}")).await;
        assert_eq!(page.contains(&id), finds, "{query}: {page}");
    }
    for (query, says) in [
        ("q=nobody", "There are no orders of user nobody."),
        ("q=ORD01A2", "ORD and 32 more characters"),
        ("q=jane&status=payment_failed", "There are no orders of user jane with the status payment failed."),
    ] {
        contains(&olga.page(&format!("/orders?{query}")).await, &[says, "leads to all that this customer has ordered"]);
    }
}
