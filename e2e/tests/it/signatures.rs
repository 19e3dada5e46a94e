//! An order says what its customer signed, byte for byte, with a key that an admin has registered.

use e2e::{
    Database, LONG, Process, Vhost, eventually, http::Answer, in_seconds, service_settings, signed, token, token_with,
};
use hyper::Method;
use serde_json::{Value, json};

use crate::line::{USER, documented};

struct Api {
    api: Process,
    database: Database,
    _vhost: Vhost,
}

impl Api {
    async fn start(settings: &[(&str, &str)]) -> Self {
        let (database, vhost) = (Database::create().await, Vhost::create().await);
        database.load_demo().await;
        let mut all = service_settings("orders", &database, &vhost);
        all.extend(settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
        let mut api = Process::spawn("order-api", all).await;
        api.wait_ready().await;
        Self { api, database, _vhost: vhost }
    }

    async fn post(&self, body: &(impl AsRef<[u8]> + ?Sized)) -> Answer {
        let headers = [("content-type", "application/json")];
        self.api.http.send(Method::POST, "/api/orders/create", &headers, body.as_ref().to_vec()).await.unwrap()
    }

    async fn keys(&self, method: Method, path: &str, scope: &str, body: &Value) -> Answer {
        let token = token_with(&json!({"sub": "ops", "scope": scope, "exp": in_seconds(60)}));
        let headers = [("content-type", "application/json"), ("authorization", &*format!("Bearer {token}"))];
        let path = format!("/api/users/{USER}/signing-keys{path}");
        self.api.http.send(method, &path, &headers, body.to_string()).await.unwrap()
    }
}

fn code(answer: &Answer) -> (u16, Value) {
    (answer.status.as_u16(), answer.json()["errors"][0]["code"].clone())
}

#[tokio::test]
async fn one_changed_byte_anywhere_is_refused() {
    let api = Api::start(&[]).await;
    let body = documented();
    let text = body.to_string();
    assert_eq!(api.post(&text).await.status, 200);
    // Written in another way, it is the same body.
    assert_eq!(api.post(&serde_json::to_string_pretty(&body).unwrap()).await.status, 200);

    let signed = text.clone().into_bytes();
    let signature = signed.windows(11).position(|text| text == b"\"signature\"").unwrap();
    for at in 0..signed.len() {
        for bit in 0..8 {
            let mut bytes = signed.clone();
            bytes[at] ^= 1 << bit;
            let answer = api.post(&bytes).await;
            let (refusal, changed) = (code(&answer), String::from_utf8_lossy(&bytes));
            if (signature..signature + 11).contains(&at) {
                // It does not say any more that it is signed.
                assert_eq!(refusal.0, 400, "{changed}: {}", answer.text());
            } else {
                assert_eq!(refusal, (403, json!("invalid_signature")), "{changed}: {}", answer.text());
            }
        }
    }
    assert_eq!(api.database.count("SELECT count(*) FROM orders.orders").await, 2);
}

#[tokio::test]
async fn keys_are_registered_by_an_admin_several_at_once_and_revoked() {
    let api = Api::start(&[]).await;
    let none = json!({});
    let pem = {
        let listed = api.keys(Method::GET, "", "admin", &none).await.json();
        assert_eq!(listed["keys"][0]["keyId"], "tests");
        listed["keys"][0]["publicKey"].clone()
    };
    let key = json!({"publicKey": pem});
    for scope in ["customer", "service", "staff", ""] {
        assert_eq!(
            code(&api.keys(Method::PUT, "/b", scope, &key).await),
            (403, json!("insufficient_scope")),
            "{scope}"
        );
        assert_eq!(code(&api.keys(Method::DELETE, "/tests", scope, &none).await).0, 403, "{scope}");
    }
    assert_eq!(code(&api.keys(Method::GET, "", "customer", &none).await), (404, json!("not_found")));

    // The second key of this user, under whose name the same signature is good.
    let mut second = documented();
    second["signature"] = json!(second["signature"].as_str().unwrap().replace("tests:", "second:"));
    let second = second.to_string();
    assert_eq!(code(&api.post(&second).await), (403, json!("invalid_signature")));
    let registered = api.keys(Method::PUT, "/second", "admin", &key).await;
    assert_eq!((registered.status.as_u16(), &registered.json()["publicKey"]), (200, &pem), "{}", registered.text());
    assert_eq!(api.keys(Method::PUT, "/second", "admin", &key).await.text(), registered.text());
    assert_eq!(
        (api.post(&second).await.status, api.post(&documented().to_string()).await.status),
        (200.try_into().unwrap(), 200.try_into().unwrap())
    );

    assert_eq!(api.keys(Method::DELETE, "/second", "admin", &none).await.status, 200);
    assert_eq!(code(&api.keys(Method::DELETE, "/second", "admin", &none).await), (404, json!("not_found")));
    let refusal = eventually(LONG, "the key does not count any more", async || {
        let answer = api.post(&second).await;
        (answer.status != 200).then_some(answer)
    })
    .await;
    assert_eq!(code(&refusal), (403, json!("invalid_signature")));
    assert_eq!(api.post(&documented().to_string()).await.status, 200);

    for bad in ["", "x", &pem.as_str().unwrap().replace("MCowBQYDK2VwAyEA", "MCowBQYDK2VwAyEB")] {
        let answer = api.keys(Method::PUT, "/bad", "admin", &json!({"publicKey": bad})).await;
        assert_eq!(code(&answer), (400, json!("invalid_key")), "{bad}");
    }
    assert_eq!(code(&api.keys(Method::PUT, "/a%20b", "admin", &key).await), (400, json!("invalid_field")));
    for n in 1..16 {
        assert_eq!(api.keys(Method::PUT, &format!("/k{n}"), "admin", &key).await.status, 200);
    }
    assert_eq!(code(&api.keys(Method::PUT, "/k16", "admin", &key).await), (409, json!("too_many_keys")));
    assert_eq!(api.keys(Method::PUT, "/k15", "admin", &key).await.status, 200);
}

#[tokio::test]
async fn another_users_key_does_not_sign_for_this_one() {
    let api = Api::start(&[]).await;
    let mut body = documented();
    (body["userId"], body["token"]) = (json!("somebody-else"), json!(token("somebody-else")));
    assert_eq!(code(&api.post(&signed(body).to_string()).await), (403, json!("invalid_signature")));
}

#[tokio::test]
async fn where_signatures_are_not_required_none_is_looked_at() {
    let api = Api::start(&[("CONVEYOR__ORDERS__REQUIRE_SIGNATURE", "false")]).await;
    let mut body = documented();
    body["signature"] = json!("digital signature");
    assert_eq!(api.post(&body.to_string()).await.status, 200);
    body["token"] = json!("x");
    assert_eq!(code(&api.post(&body.to_string()).await), (401, json!("invalid_token")));
}

#[tokio::test]
async fn where_tokens_are_not_required_whoever_orders_is_believed_and_everybody_is_warned() {
    let api =
        Api::start(&[("CONVEYOR__ORDERS__REQUIRE_TOKEN", "false"), ("CONVEYOR__ORDERS__REQUIRE_SIGNATURE", "false")])
            .await;
    let mut body = documented();
    (body["token"], body["signature"]) = (json!("x"), json!("x"));
    assert_eq!(api.post(&body.to_string()).await.status, 200);
    assert!(api.api.said().contains("TOKENS ARE NOT CHECKED"), "{}", api.api.said());
    // Who reads is asked as ever.
    assert_eq!(api.api.http.get("/api/orders").await.unwrap().status, 401);
}
