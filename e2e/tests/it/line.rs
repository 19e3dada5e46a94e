//! The four services on a database and a vhost of the test's own.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use common::ids::OrderId;
use e2e::{Database, Process, Vhost, assert_clean, eventually, http::Client, service_settings, signed, token};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use uuid::Uuid;

/// Leases are 30 s and sweeps follow: what a crash left behind may take that long.
pub(crate) const AFTER_A_CRASH: Duration = Duration::from_secs(120);

pub(crate) const SERVICES: [(&str, &str); 4] = [
    ("order-api", "orders"),
    ("inventory-worker", "inventory"),
    ("payment-worker", "payments"),
    ("notification-worker", "notifications"),
];

pub(crate) struct Line {
    // First, so that the processes end before what they use is taken away.
    pub processes: Vec<Process>,
    pub database: Database,
    pub vhost: Vhost,
}

/// Whose orders these are.
pub(crate) const USER: &str = "123456";

/// The request of the documentation, with a token and a signature in their places.
pub(crate) fn documented() -> Value {
    signed(json!({
        "userId": USER,
        "token": token(USER),
        "orderAmount": 100.50,
        "items": [{"productId": "P001", "quantity": 2}, {"productId": "P002", "quantity": 1}],
    }))
}

impl Line {
    /// On the shared servers, with the demo catalogue, and ready.
    pub(crate) async fn start() -> Self {
        Self::start_on(Database::create().await, Vhost::create().await).await
    }

    pub(crate) async fn start_on(database: Database, vhost: Vhost) -> Self {
        Self::start_with(database, vhost, &BTreeMap::new()).await
    }

    /// With more settings: those of a service's own section are for that service, all others for every one.
    pub(crate) async fn start_with(database: Database, vhost: Vhost, more: &BTreeMap<String, String>) -> Self {
        database.load_demo().await;
        let own = |schema: &str| format!("CONVEYOR__{}__", schema.to_uppercase());
        let mut processes = Vec::new();
        for (name, schema) in SERVICES {
            let mut settings = service_settings(schema, &database, &vhost);
            settings.insert("CONVEYOR__LOG__FILTER".to_owned(), "warn".to_owned());
            let is_anothers = |key: &str| SERVICES.iter().any(|(_, s)| *s != schema && key.starts_with(&own(s)));
            settings.extend(more.clone().into_iter().filter(|(key, _)| !is_anothers(key)));
            processes.push(Process::spawn(name, settings).await);
        }
        for process in &mut processes {
            process.wait_ready().await;
        }
        Self { processes, database, vhost }
    }

    pub(crate) fn api(&self) -> &Process {
        &self.processes[0]
    }

    /// A client of its own for the API.
    pub(crate) fn client(&self) -> Arc<Client> {
        Arc::new(Client::new(&format!("http://127.0.0.1:{}", self.api().port)))
    }

    pub(crate) async fn place(&self) -> String {
        let answer = self.api().http.post_json("/api/orders/create", &documented()).await.expect("an answer");
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()["orderId"].as_str().expect("an id").to_owned()
    }

    pub(crate) async fn order(&self, id: &str) -> Value {
        let answer = self.api().http.get_as(&format!("/api/orders/{id}"), &token(USER)).await.expect("an answer");
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    }

    /// Fails unless every order that somebody was promised is there. No two are promised the same one.
    pub(crate) async fn keeps(&self, promised: &[OrderId]) {
        let ids: Vec<Uuid> = promised.iter().map(|order| order.0).collect();
        let sql = "SELECT unnest($1::uuid[]) EXCEPT ALL SELECT id FROM orders.orders";
        let missing = self.database.connect().await.query(sql, &[&ids]).await.expect("looking for orders");
        let missing: Vec<OrderId> = missing.iter().map(|row| OrderId(row.get(0))).collect();
        assert!(missing.is_empty(), "{} orders were promised, and are not there: {missing:?}", missing.len());
    }

    /// Waits until so many orders are paid, their stock confirmed and their customers told.
    pub(crate) async fn until_through(&self, orders: usize, within: Duration) {
        let client = self.database.connect().await;
        let wanted = i64::try_from(orders).unwrap();
        let sql = "SELECT (SELECT count(*) FROM orders.orders WHERE status = 'paid'),
                          (SELECT count(*) FROM inventory.reservations WHERE state = 'confirmed'),
                          (SELECT count(*) FROM notifications.notifications WHERE state = 'sent' AND kind = 'order.paid'),
                          (SELECT count(*) FROM notifications.notifications WHERE state = 'pending')";
        let mut last = (0, 0, 0, 0_i64);
        let began = tokio::time::Instant::now();
        while last != (wanted, wanted, wanted, 0) {
            let row = client.query_one(sql, &[]).await.expect("counting");
            last = (row.get(0), row.get(1), row.get(2), row.get(3));
            if began.elapsed() >= within {
                panic!("paid, confirmed, told, to be told: {last:?} of {wanted}; {}", self.state().await);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Where the work may be, and who is not well.
    async fn state(&self) -> String {
        let mut state = Vec::new();
        for process in &self.processes {
            let ready = match process.http.get("/readyz").await {
                Ok(answer) => answer.text(),
                Err(error) => error.to_string(),
            };
            state.push(format!("{}: {ready}", process.name()));
        }
        for (_, schema) in SERVICES {
            let rows = self.database.count(&format!("SELECT count(*) FROM {schema}.outbox")).await;
            state.push(format!("{schema}.outbox: {rows}"));
        }
        for (queue, (ready, unacknowledged)) in self.vhost.depths().await {
            state.push(format!("{queue}: {ready} ready, {unacknowledged} not acknowledged"));
        }
        state.join("\n")
    }

    /// Fails unless everything adds up for exactly so many orders of the documented kind, and nothing is left over.
    pub(crate) async fn reconcile(&self, orders: usize) {
        assert_clean(&self.database, &self.vhost).await;
        let wanted = i64::try_from(orders).unwrap();
        for (what, sql, expected) in [
            ("orders", "SELECT count(*) FROM orders.orders", wanted),
            ("paid orders", "SELECT count(*) FROM orders.orders WHERE status = 'paid' AND version = 3", wanted),
            ("steps of history", "SELECT count(*) FROM orders.history", 3 * wanted),
            ("reservations", "SELECT count(*) FROM inventory.reservations", wanted),
            ("captured payments", "SELECT count(*) FROM payments.payments WHERE state = 'captured'", wanted),
            ("payments", "SELECT count(*) FROM payments.payments", wanted),
            (
                "notices of anything twice, or of anything but that an order was received and paid",
                "SELECT count(*) - count(DISTINCT (order_id, kind)) FILTER (WHERE kind IN ('order.received', 'order.paid'))
                 FROM notifications.notifications",
                0,
            ),
            (
                "customers who were told that they have paid",
                "SELECT count(*) FROM notifications.notifications WHERE kind = 'order.paid' AND state = 'sent'",
                wanted,
            ),
            ("notices still to come", "SELECT count(*) FROM notifications.notifications WHERE state = 'pending'", 0),
            (
                "orders whose payment is another or of another amount",
                "SELECT count(*) FROM orders.orders o JOIN payments.payments p ON p.id = o.transaction_id
                 WHERE p.amount <> o.amount",
                0,
            ),
            ("stock still reserved", "SELECT sum(reserved)::bigint FROM inventory.products", 0),
            ("P001 sold", "SELECT 1000000000 - on_hand FROM inventory.products WHERE product_id = 'P001'", 2 * wanted),
            ("P002 sold", "SELECT 1000000000 - on_hand FROM inventory.products WHERE product_id = 'P002'", wanted),
        ] {
            assert_eq!(self.database.count(sql).await, expected, "{what}");
        }
    }
}

/// Orders being placed in the background, by so many clients at once, until so many have been accepted.
pub(crate) struct Load {
    accepted: Arc<AtomicUsize>,
    /// Each ends with the orders that it was promised.
    clients: JoinSet<Vec<OrderId>>,
}

impl Load {
    /// A client that is not answered with 200 tries again, with a new order.
    pub(crate) fn begin(line: &Line, orders: usize, clients: usize) -> Self {
        let accepted = Arc::new(AtomicUsize::new(0));
        let begun = Arc::new(AtomicUsize::new(0));
        let mut set = JoinSet::new();
        for _ in 0..clients {
            let (client, accepted, begun) = (line.client(), Arc::clone(&accepted), Arc::clone(&begun));
            set.spawn(async move {
                let mut promised = Vec::new();
                while begun.fetch_add(1, Ordering::Relaxed) < orders {
                    let answer = loop {
                        match client.post_json("/api/orders/create", &documented()).await {
                            Ok(answer) if answer.status == 200 => break answer.json(),
                            _ => tokio::time::sleep(Duration::from_millis(20)).await,
                        }
                    };
                    promised.push(answer["orderId"].as_str().expect("an id").parse().expect("an order's id"));
                    accepted.fetch_add(1, Ordering::Relaxed);
                }
                promised
            });
        }
        Self { accepted, clients: set }
    }

    /// Waits until so many orders have been accepted.
    pub(crate) async fn reaches(&self, orders: usize) {
        let what = format!("{orders} orders are accepted");
        eventually(AFTER_A_CRASH, &what, async || (self.accepted.load(Ordering::Relaxed) >= orders).then_some(()))
            .await;
    }

    /// Waits for all of them, and says how many.
    pub(crate) async fn finish(self) -> usize {
        self.promised().await.len()
    }

    /// Waits for all of them, and says which.
    pub(crate) async fn promised(self) -> Vec<OrderId> {
        self.clients.join_all().await.into_iter().flatten().collect()
    }
}
