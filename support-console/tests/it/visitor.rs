//! A console with staff, and somebody at a browser that keeps a cookie and fills in forms.

use std::collections::BTreeMap;

use common::{config, db::Db};
use e2e::{Database, Process, Vhost, http::Answer, service_settings};
use hyper::Method;
use lapin::{
    BasicProperties,
    types::{AMQPValue, FieldTable},
};
use support_console::{
    Role,
    people::{self, AccountName},
};
use uuid::Uuid;

/// What all of the staff of tests type.
pub(crate) const PASSWORD: &str = "correct horse battery";

pub(crate) struct Desk {
    // First, so that it ends before what it uses is taken away.
    pub process: Process,
    pub database: Database,
    pub vhost: Vhost,
    pub db: Db,
}

impl Desk {
    /// With an account for each role, called like it.
    pub(crate) async fn start(settings: &[(&str, &str)]) -> Self {
        let (database, vhost) = tokio::join!(Database::create(), Vhost::create());
        Self::start_on(database, vhost, settings).await
    }

    pub(crate) async fn start_on(database: Database, vhost: Vhost, settings: &[(&str, &str)]) -> Self {
        // Before anybody puts a letter where it is taken from: a queue that is there need not be bound yet.
        vhost.declare_line().await;
        let mut all: BTreeMap<String, String> = service_settings("support", &database, &vhost);
        all.extend(settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
        let mut process = Process::spawn("support-console", all).await;
        let own = config::Database { url: database.url("support").into(), pool_size: 2 };
        let db = Db::new(&own, "test", "support").expect("a pool");
        for (account, role) in [("reader", Role::Reader), ("operator", Role::Operator), ("admin", Role::Admin)] {
            people::create(&db, "test", &name(account), role, Some(&PASSWORD.into())).await.expect("an account");
        }
        process.wait_ready().await;
        Self { process, database, vhost, db }
    }

    /// Puts a message where dead ones of that queue are taken from.
    pub(crate) async fn letter(&self, queue: &str, body: &[u8], headers: &[(&str, &str)]) {
        let channel = self.vhost.channel().await;
        channel.confirm_select(Default::default()).await.expect("asking for confirms");
        let mut table = FieldTable::default();
        for (name, value) in headers {
            table.insert((*name).into(), AMQPValue::LongString((*value).into()));
        }
        let properties = BasicProperties::default().with_delivery_mode(2).with_headers(table);
        let sent =
            channel.basic_publish("dead-letters".into(), queue.into(), Default::default(), body, properties).await;
        assert!(sent.expect("publishing").await.expect("a confirm").is_ack());
    }

    /// What would be sent again.
    pub(crate) async fn body(&self, letter: Uuid) -> Vec<u8> {
        let client = self.database.connect().await;
        let row = client.query_one("SELECT body FROM support.contents WHERE letter = $1", &[&letter]).await;
        row.expect("a letter").get(0)
    }

    pub(crate) fn visitor(&self) -> Visitor<'_> {
        Visitor { desk: self, cookie: None, csrf: String::new() }
    }

    pub(crate) async fn logged_in(&self, account: &str) -> Visitor<'_> {
        let mut visitor = self.visitor();
        let answer = visitor.log_in(account, PASSWORD).await;
        assert_eq!(answer.status, 303, "{}", answer.text());
        let page = visitor.get("/account").await;
        assert_eq!(page.status, 200, "{}", page.text());
        visitor.csrf = value_of(&page.text(), "csrf");
        visitor
    }
}

pub(crate) fn name(name: &str) -> AccountName {
    name.parse().expect("a name")
}

/// The value of the first hidden field of that name.
pub(crate) fn value_of(page: &str, field: &str) -> String {
    let start = format!("name=\"{field}\" value=\"");
    let (_, rest) = page.split_once(&start).unwrap_or_else(|| panic!("no field {field} in {page}"));
    rest.split('"').next().unwrap_or_default().to_owned()
}

pub(crate) struct Visitor<'a> {
    pub desk: &'a Desk,
    /// `name=value`, as the browser would send it.
    pub cookie: Option<String>,
    pub csrf: String,
}

impl Visitor<'_> {
    pub(crate) async fn log_in(&mut self, account: &str, password: &str) -> Answer {
        let answer = self.send(Method::POST, "/login", &[], &[("name", account), ("password", password)]).await;
        if let Some(cookie) = answer.headers.get("set-cookie") {
            let cookie = cookie.to_str().expect("text");
            self.cookie = Some(cookie.split(';').next().unwrap_or_default().to_owned());
        }
        answer
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, &[], &[]).await
    }

    /// A form of ours.
    pub(crate) async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let mut all = vec![("csrf", self.csrf.as_str())];
        all.extend(fields);
        self.send(Method::POST, path, &[], &all).await
    }

    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        fields: &[(&str, &str)],
    ) -> Answer {
        let mut all = headers.to_vec();
        if let Some(cookie) = &self.cookie {
            all.push(("cookie", cookie));
        }
        if method == Method::POST {
            all.push(("content-type", "application/x-www-form-urlencoded"));
        }
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        self.desk.process.http.send(method, path, &all, body).await.expect("an answer")
    }
}
