use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use axum::{Router, body::to_bytes, extract::Request as Asked, response::IntoResponse as _};
use common::{
    ids::{OrderId, TransactionId},
    money::Money,
};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::*;
use crate::card::parse_day;

/// A gateway that answers as it is told: a status and a body, or nothing at all (0).
struct Gateway {
    client: HttpGateway,
    heard: Arc<Mutex<Vec<(String, Value)>>>,
}

async fn gateway(answers: &[(u16, Value)], change: impl FnOnce(&mut Options)) -> Gateway {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let answers = Arc::new(Mutex::new(VecDeque::from(answers.to_vec())));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut options = Options {
        url: format!("http://{}", listener.local_addr().unwrap()),
        key: "sandbox-key".into(),
        currency: Currency::default(),
        callback_url: None,
        call_timeout: Duration::from_millis(500),
        tries: 3,
        backoff: Duration::from_millis(1),
        backoff_most: Duration::from_millis(5),
        breaker_failures: 100,
        breaker_rest: Duration::from_secs(60),
        at_once: 4,
        per_second: 0,
    };
    change(&mut options);
    let router = Router::new().fallback({
        let heard = Arc::clone(&heard);
        async move |request: Asked| {
            let (parts, body) = request.into_parts();
            let body = to_bytes(body, 10_000).await.unwrap();
            assert_eq!(parts.headers["authorization"], "Bearer sandbox-key");
            let key = parts.headers.get("idempotency-key").map_or("", |key| key.to_str().unwrap());
            let asked = format!("{} {} {key}", parts.method, parts.uri);
            heard.lock().unwrap().push((asked, serde_json::from_slice(&body).unwrap_or(Value::Null)));
            let answer = answers.lock().unwrap().pop_front();
            match answer {
                Some((0, _)) => std::future::pending().await,
                Some((status, body)) => (StatusCode::from_u16(status).unwrap(), body.to_string()).into_response(),
                None => StatusCode::IM_A_TEAPOT.into_response(),
            }
        }
    });
    tokio::spawn(async move { axum::serve(listener, router).await });
    Gateway { client: HttpGateway::new(options).unwrap(), heard }
}

fn charge() -> Charge {
    Charge {
        transaction_id: TransactionId::generate(),
        order_id: OrderId::generate(),
        attempt: 2,
        amount: Money(10_050),
    }
}

fn stands(charge: &Charge, status: &str) -> Value {
    json!({"id": "ch_1", "key": charge.key(), "status": status, "amount": 10_050, "refunded": 0,
           "reason": "insufficient_funds"})
}

fn refusal(error: &str) -> Value {
    json!({"error": error, "message": "x"})
}

fn token() -> Means {
    Means::Token("pm_1".to_owned())
}

#[tokio::test]
async fn a_charge_says_all_that_the_gateway_needs_and_is_asked_again_under_the_same_key() {
    let charge = charge();
    let answers = [(500, Value::Null), (429, Value::Null), (200, stands(&charge, "captured"))];
    let gateway = gateway(&answers, |options| options.callback_url = Some("http://us/callback".to_owned())).await;
    let card = Card::check("4111111111111111".into(), &"12/30".into(), "123".into(), parse_day("2026-01-01").unwrap());
    let means = Means::Card(card.ok().unwrap());
    let answer = gateway.client.charge(&charge, &means).await;
    assert_eq!(answer, Answer::Captured { reference: "ch_1".to_owned() });
    let heard = gateway.heard.lock().unwrap();
    assert_eq!(heard.len(), 3);
    for (asked, body) in heard.iter() {
        assert_eq!(*asked, format!("POST /v1/charges {}-2", charge.order_id));
        let expected = json!({
            "amount": 10_050, "currency": "USD", "reference": charge.transaction_id, "orderId": charge.order_id,
            "callbackUrl": "http://us/callback",
            "method": {"type": "card", "number": "4111111111111111", "expMonth": 12, "expYear": 2030, "cvv": "123"},
        });
        assert_eq!(*body, expected);
    }
}

#[tokio::test]
async fn every_answer_means_what_it_says_and_what_is_not_known_is_not_guessed() {
    let charge = charge();
    let other = Charge { order_id: OrderId::generate(), ..charge.clone() };
    for (status, body, expected) in [
        (200, stands(&charge, "declined"), Answer::Declined { reason: "insufficient_funds".to_owned() }),
        (200, stands(&charge, "processing"), Answer::Processing),
        (200, stands(&charge, "voided"), Answer::Voided),
        (404, Value::Null, Answer::Unheard),
        (400, refusal("bad_card"), Answer::Declined { reason: "not_accepted".to_owned() }),
    ] {
        let gateway = gateway(&[(status, body)], |_| ()).await;
        assert_eq!(gateway.client.charge(&charge, &token()).await, expected);
    }
    for (status, body) in [
        (200, stands(&other, "captured")),
        (200, json!("?")),
        (401, Value::Null),
        (409, Value::Null),
        (302, json!("")),
        // What somebody between us says is no outcome.
        (400, json!("<h1>400</h1>")),
        (422, json!({"error": "unprocessable"})),
    ] {
        let gateway = gateway(&[(status, body)], |_| ()).await;
        let answer = gateway.client.charge(&charge, &token()).await;
        assert!(matches!(answer, Answer::Unknown { .. }), "{status}: {answer:?}");
    }
}

#[tokio::test]
async fn whether_it_may_have_been_heard_is_known() {
    let charge = charge();
    let silent = gateway(&[(0, Value::Null)], |options| {
        options.tries = 1;
        options.call_timeout = Duration::from_millis(50);
    })
    .await;
    assert!(matches!(silent.client.charge(&charge, &token()).await, Answer::Unknown { .. }));
    // A port that was free a moment ago, and where nobody listens.
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let gone = gateway(&[], |options| options.url = format!("http://{free}")).await;
    assert!(matches!(gone.client.charge(&charge, &token()).await, Answer::Away { .. }));
    assert!(matches!(gone.client.refund(&charge).await, RefundAnswer::Away { .. }));
    // Who asks too often is told so at the door; who gave up waiting may be a proxy that had passed it on.
    let busy = gateway(&vec![(429, Value::Null); 3], |_| ()).await;
    assert!(matches!(busy.client.charge(&charge, &token()).await, Answer::Away { .. }));
    for status in [408, 425] {
        let late = gateway(&vec![(status, Value::Null); 3], |_| ()).await;
        assert!(matches!(late.client.charge(&charge, &token()).await, Answer::Unknown { .. }), "{status}");
    }
}

#[tokio::test]
async fn a_gateway_that_fails_is_left_alone() {
    let charge = charge();
    let failing: Vec<(u16, Value)> = vec![(503, Value::Null); 10];
    let gateway = gateway(&failing, |options| options.breaker_failures = 2).await;
    assert_eq!(gateway.client.room(), usize::MAX);
    let answer = gateway.client.charge(&charge, &token()).await;
    assert!(matches!(answer, Answer::Unknown { .. }), "it was heard before it was left alone: {answer:?}");
    assert_eq!(gateway.client.room(), 0);
    assert!(matches!(gateway.client.charge(&charge, &token()).await, Answer::Away { .. }));
    assert_eq!(gateway.heard.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn money_is_given_back_under_a_key_of_its_own() {
    let charge = charge();
    let stands = |status: &str| json!({"id": "re_1", "key": charge.refund_key(), "chargeKey": charge.key(), "status": status, "amount": 10_050});
    for (status, body, expected) in [
        (200, stands("refunded"), RefundAnswer::Refunded),
        (200, stands("processing"), RefundAnswer::Processing),
        (200, stands("refused"), RefundAnswer::Refused { reason: "declined".to_owned() }),
        (400, refusal("not_captured"), RefundAnswer::Refused { reason: "not_accepted".to_owned() }),
        (404, refusal("not_found"), RefundAnswer::Refused { reason: "not_accepted".to_owned() }),
        (404, json!("<h1>nginx</h1>"), RefundAnswer::Unknown { why: "the gateway answered 404".to_owned() }),
        (400, Value::Null, RefundAnswer::Unknown { why: "the gateway answered 400".to_owned() }),
    ] {
        let gateway = gateway(&[(status, body)], |_| ()).await;
        assert_eq!(gateway.client.refund(&charge).await, expected);
        let heard = gateway.heard.lock().unwrap();
        assert_eq!(heard[0].0, format!("POST /v1/refunds {}-2-refund", charge.order_id));
        assert_eq!(heard[0].1, json!({"chargeKey": charge.key(), "amount": 10_050}));
    }
}

#[tokio::test]
async fn asking_and_voiding_go_by_the_key() {
    let charge = charge();
    let gateway = gateway(&[(200, stands(&charge, "processing")), (200, stands(&charge, "voided"))], |_| ()).await;
    assert_eq!(gateway.client.ask_by_key(&charge).await, Answer::Processing);
    assert_eq!(gateway.client.void(&charge).await, Answer::Voided);
    let heard = gateway.heard.lock().unwrap();
    assert_eq!(heard[0].0, format!("GET /v1/charges?key={} ", charge.key()));
    assert_eq!(heard[1], ("POST /v1/charges/void ".to_owned(), json!({"key": charge.key()})));
}

fn options(url: &str, key: &str) -> Options {
    Options {
        url: url.to_owned(),
        key: key.into(),
        currency: Currency::default(),
        callback_url: None,
        call_timeout: Duration::from_secs(1),
        tries: 1,
        backoff: Duration::from_millis(1),
        backoff_most: Duration::from_millis(1),
        breaker_failures: 1,
        breaker_rest: Duration::from_secs(1),
        at_once: 1,
        per_second: 0,
    }
}

#[test]
fn keys_and_cards_go_in_the_clear_only_where_nothing_can_be_lost() {
    let is_taken = |url: &str, key: &str| HttpGateway::new(options(url, key)).is_ok();
    for url in ["", "127.0.0.1:8090", "ftp://gateway", "http://", "https://", "http://gateway", "http://192.0.2.1:80"] {
        assert!(!is_taken(url, "live"), "{url}");
    }
    for url in ["https://gateway", "http://127.0.0.1:8090", "http://[::1]:8090", "http://localhost"] {
        assert!(is_taken(url, "live"), "{url}");
    }
    assert!(is_taken("http://sandbox:8090", "sandbox-key"));
}

#[tokio::test]
async fn https_says_nothing_in_the_clear() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let hearing = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut begin = [0; 2];
        tokio::io::AsyncReadExt::read_exact(&mut stream, &mut begin).await.unwrap();
        begin
    });
    let gateway = HttpGateway::new(options(&url, "live")).unwrap();
    let answer = gateway.charge(&charge(), &token()).await;
    assert!(matches!(answer, Answer::Away { .. }), "nothing can have been heard: {answer:?}");
    assert_eq!(hearing.await.unwrap(), [0x16, 3], "the beginning of a TLS handshake");
}
