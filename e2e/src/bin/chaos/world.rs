//! Everything there is in a run: servers, services, the ways between them, and the outside world.

use std::{collections::BTreeMap, fs, path::Path, time::Duration};

use e2e::{Console, Database, Process, Proxy, Sandbox, Server, Vhost, http::Client, sandbox::CARDS, service_settings};
use futures_util::future::join_all;
use tokio::sync::{Mutex, MutexGuard};

use crate::plan::{INSTANCES, Member, NODES, SERVICES, To, members};

/// Who has no stored card, and pays by hand.
pub const WALKER: &str = "walker";
/// What is on the back of every card, as requests say it.
const CVV: &str = "\"9417\"";
/// So many pieces has each product that is sold in a flash.
pub const FLASH_PIECES: i64 = 20;

const SCHEMAS: [&str; 5] = ["orders", "inventory", "payments", "notifications", "support"];

/// A run is short: what takes minutes in a shop takes seconds here.
const TIMES: [(&str, &str); 15] = [
    ("LOG__FILTER", "info,lapin=off"),
    ("CONSUMER__RETRY_DELAYS_MS", "500,1000,2000,4000,8000"),
    ("CONSUMER__HOLD_MS", "15000"),
    ("CONSUMER__EFFECT_MS", "12000"),
    ("ORDERS__TIMES__DEADLINE_MS", "60000"),
    ("ORDERS__TIMES__REMIND_BEFORE_MS", "20000"),
    ("ORDERS__TIMES__STUCK_MS", "10000"),
    ("PAYMENTS__CALL_TIMEOUT_MS", "2500"),
    ("PAYMENTS__ASK_AFTER_MS", "1000"),
    ("PAYMENTS__ASK_AFTER_MOST_MS", "5000"),
    ("PAYMENTS__ANSWER_WITHIN_MS", "2000"),
    ("PAYMENTS__WAIT_MS", "500"),
    ("NOTIFICATIONS__TIMEOUT_MS", "4000"),
    ("NOTIFICATIONS__BREAKER_REST_MS", "1000"),
    ("NOTIFICATIONS__BREAKER_REST_MOST_MS", "4000"),
];

/// Nobody looks at an order again before the run is over: whatever is lost on its way stays lost, and is seen.
const NEVER: [(&str, &str); 2] =
    [("CONVEYOR__ORDERS__TIMES__STUCK_MS", "36000000"), ("CONVEYOR__ORDERS__TIMES__DEADLINE_MS", "36000000")];

pub struct World {
    /// Whether everything is said only once: nobody looks after an order that has come to a stop.
    pub once: bool,
    // First, so that the processes end before what they use is taken away.
    pub services: Vec<Service>,
    /// What the console's staff identify themselves with.
    pub operator: String,
    pub sandbox: Mutex<Sandbox>,
    /// The way to the gateway, and the one to the mail server.
    pub outside: [Proxy; 2],
    pub database: Database,
    pub vhost: Vhost,
    pub postgres: Mutex<Server>,
    pub nodes: Vec<Mutex<Server>>,
}

/// A service, in one process or several.
pub struct Service {
    to_database: Proxy,
    to_broker: Proxy,
    processes: Vec<Mutex<Process>>,
    clients: Vec<Client>,
}

impl Service {
    pub fn way(&self, to: To) -> &Proxy {
        match to {
            To::Database => &self.to_database,
            To::Broker => &self.to_broker,
        }
    }

    /// The process whose turn it is.
    pub fn client(&self, turn: usize) -> &Client {
        &self.clients[turn % self.clients.len()]
    }
}

impl World {
    pub async fn make(seed: u64, sales: usize, once: bool, mistake: Option<&str>) -> Self {
        let (postgres, first) = tokio::join!(Server::postgres(), Server::rabbitmq());
        let mut nodes = vec![first];
        while nodes.len() < NODES {
            let next = Server::rabbitmq_joining(&nodes[0]).await;
            nodes.push(next);
        }
        let seed = seed.to_string();
        let chance = ["--duplicate-callbacks", "0.2", "--reorder-callbacks", "0.2", "--seed", seed.as_str()];
        let outside = [chance.as_slice(), &["--keep-messages", "1000000", "--keep-charges", "1000000"]].concat();
        let (database, vhost, sandbox) = tokio::join!(
            Database::create_at(postgres.url()),
            Vhost::create_at(nodes[0].url(), nodes[0].management_url()),
            Sandbox::start_with(&outside),
        );
        furnish(&database, sales).await;
        let gateway = Proxy::to(&sandbox.address()).await;
        let mail = Proxy::to(&format!("127.0.0.1:{}", sandbox.smtp_port())).await;
        let mut services = Vec::new();
        let mut operator = String::new();
        for (name, schema) in SERVICES.into_iter().zip(SCHEMAS) {
            let to_database = Proxy::to(database.address()).await;
            let to_broker = Proxy::among(nodes.iter().map(Server::address)).await;
            let mut settings = service_settings(schema, &database, &vhost);
            settings.extend(own_settings(schema, &sandbox, [&gateway, &mail]));
            if once && schema == "orders" {
                settings.extend(NEVER.map(|(key, value)| (key.to_owned(), value.to_owned())));
            }
            settings.extend(mistake.map(|it| ("CONVEYOR_MISTAKE".to_owned(), it.to_owned())));
            let mut through = |key: &str, url: String| settings.insert(key.to_owned(), url);
            through("CONVEYOR__DATABASE__URL", database.url_through(&to_database.address(), schema));
            through("CONVEYOR__BROKER__URL", vhost.url_through(&to_broker.address()));
            let processes = if schema == "support" {
                let console = Console::start(&database, &vhost, settings).await;
                operator = console.account("operator", "operator").await;
                vec![console.process]
            } else {
                join_all((0..INSTANCES).map(|_| Process::spawn(name, settings.clone()))).await
            };
            let clients = processes.iter().map(|process| Client::new(&process.url())).collect();
            let processes = processes.into_iter().map(Mutex::new).collect();
            services.push(Service { to_database, to_broker, processes, clients });
        }
        let world = Self {
            once,
            services,
            operator,
            sandbox: Mutex::new(sandbox),
            outside: [gateway, mail],
            database,
            vhost,
            postgres: Mutex::new(postgres),
            nodes: nodes.into_iter().map(Mutex::new).collect(),
        };
        world.until_ready().await;
        world
    }

    pub async fn process(&self, member: Member) -> MutexGuard<'_, Process> {
        self.services[member.service].processes[member.instance].lock().await
    }

    pub async fn until_ready(&self) {
        for member in members() {
            self.process(member).await.wait_ready().await;
        }
    }

    /// Starts again whoever has ended without being told to, and says who they were.
    pub async fn revive(&self) -> Vec<String> {
        let mut ended = Vec::new();
        for member in members() {
            // Whoever is just being killed is somebody else's to start.
            let process = &self.services[member.service].processes[member.instance];
            let Ok(mut process) = process.try_lock() else { continue };
            if let Some(status) = process.exited() {
                ended.push(format!("{member} ended by itself: {status}"));
                process.start().await;
            }
        }
        ended
    }

    /// What every process has said, a file for each.
    pub async fn write_logs(&self, folder: &Path) {
        let _ = fs::create_dir_all(folder);
        for member in members() {
            let file = folder.join(format!("{}-{}.log", SERVICES[member.service], member.instance + 1));
            let _ = fs::write(file, self.process(member).await.said());
        }
    }

    /// Digits of a card's number that a process has said, or that are in a table; and what no process should have said.
    pub async fn slips(&self) -> Vec<String> {
        let mut found = Vec::new();
        for member in members() {
            let said = self.process(member).await.said();
            let slips = CARDS.iter().map(|(_, number)| *number).chain([CVV, "panicked"]);
            found.extend(slips.filter(|slip| said.contains(slip)).map(|slip| format!("{member} has said {slip}")));
        }
        let client = self.database.connect().await;
        // Bodies are bytes, and would be shown as hexadecimal digits.
        client.batch_execute("SET bytea_output = 'escape'").await.expect("asking for bytes as they are");
        let tables = "SELECT table_schema || '.' || table_name FROM information_schema.tables
                      WHERE table_schema = ANY($1) AND table_type = 'BASE TABLE'";
        for table in client.query(tables, &[&SCHEMAS.as_slice()]).await.expect("listing tables") {
            let table: String = table.get(0);
            let slips = CARDS.iter().map(|(_, number)| *number).chain([CVV]);
            let numbers: Vec<String> = slips.map(|slip| format!("%{slip}%")).collect();
            let sql = format!("SELECT count(*) FROM {table} AS t WHERE t::text LIKE ANY($1)");
            let rows: i64 = client.query_one(&sql, &[&numbers]).await.expect("searching a table").get(0);
            if rows > 0 {
                found.push(format!("{rows} rows of {table} have a card's number, or what is on its back"));
            }
        }
        found
    }
}

/// What a service knows besides where its servers are.
fn own_settings(schema: &str, sandbox: &Sandbox, [gateway, mail]: [&Proxy; 2]) -> BTreeMap<String, String> {
    let mut own = match schema {
        "payments" => sandbox.payment_settings(),
        "notifications" => sandbox.notification_settings(),
        _ => BTreeMap::new(),
    };
    let section = format!("{}__", schema.to_uppercase());
    let is_anothers = |key: &str| SCHEMAS.iter().any(|s| key.starts_with(&format!("{}__", s.to_uppercase())));
    let times = TIMES.iter().filter(|(key, _)| key.starts_with(&section) || !is_anothers(key));
    own.extend(times.map(|(key, value)| (format!("CONVEYOR__{key}"), (*value).to_owned())));
    match schema {
        "payments" => {
            own.insert("CONVEYOR__PAYMENTS__GATEWAY_URL".to_owned(), format!("http://{}", gateway.address()));
        }
        "notifications" => {
            let port = mail.address().rsplit(':').next().unwrap_or_default().to_owned();
            own.insert("CONVEYOR__NOTIFICATIONS__SMTP__PORT".to_owned(), port);
        }
        _ => {}
    }
    own
}

/// Puts customers, their cards and products in place.
async fn furnish(database: &Database, sales: usize) {
    database.load_demo().await;
    let client = database.connect().await;
    for user in CARDS.iter().map(|(behaviour, _)| *behaviour).chain([WALKER]) {
        database.register_key(user).await;
        let contact =
            "INSERT INTO notifications.contacts (user_id, email, channel) VALUES ($1, $1 || '@example.test', 'email')";
        client.execute(contact, &[&user]).await.expect("noting a contact");
        if user != WALKER {
            let sql = "INSERT INTO payments.methods (user_id, token, brand, last4, exp_month, exp_year)
                       VALUES ($1, 'pm_sandbox_' || $1 || '_1111', 'visa', '1111', 12, 2030)";
            client.execute(sql, &[&user]).await.expect("storing a card");
        }
    }
    for sale in 0..sales {
        let sql = "WITH priced AS (INSERT INTO orders.products (product_id, name, price) VALUES ($1, $1, 1000))
                   INSERT INTO inventory.products (product_id, on_hand) VALUES ($1, $2)";
        client.execute(sql, &[&flash_product(sale), &FLASH_PIECES]).await.expect("adding a product");
    }
}

pub fn flash_product(sale: usize) -> String {
    format!("FLASH{sale:03}")
}

/// Time enough for what is asked of a process that is well.
pub const PATIENCE: Duration = Duration::from_secs(5);
