//! Whether the orders, `payments`, the gateway's ledger, the stock and the mails say the same, order by order.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::{Database, Sandbox, sandbox::Mail};

/// What was found when everything was at rest.
#[derive(Debug, Default)]
pub struct Books {
    /// How many orders ended how.
    pub outcomes: BTreeMap<String, usize>,
    /// In minor units, and how often.
    pub captured: (i64, i64),
    pub given_back: i64,
    pub declined: i64,
    /// Mails that came more than once, with the same Message-ID each time: a reader of mails shows one of them.
    pub mails_repeated: usize,
    /// Orders whose refund the gateway refuses for good.
    pub refused: BTreeSet<String>,
    /// Everything that does not agree.
    pub wrong: Vec<String>,
}

/// How much of each product there was before anything was ordered.
pub type Stock = BTreeMap<String, i64>;

/// What there is of each product.
pub async fn stock(database: &Database) -> Stock {
    let rows = database.connect().await.query("SELECT product_id, on_hand FROM inventory.products", &[]).await;
    rows.expect("counting stock").iter().map(|row| (row.get(0), row.get(1))).collect()
}

/// Compares all books. `before` is the stock that there was.
pub async fn compare(database: &Database, sandbox: &Sandbox, before: &Stock) -> Books {
    let mut books = Books::default();
    let (ledger, mails) = (sandbox.ledger().await, sandbox.mails().await);
    // By order: captured, given back, how often captured, how often declined.
    let mut theirs: HashMap<String, [i64; 4]> = HashMap::new();
    for charge in ledger.charges {
        if !["captured", "declined", "voided"].contains(&charge.status.as_str()) {
            books.wrong.push(format!("a charge is still {}: {charge:?}", charge.status));
        }
        let is_captured = charge.status == "captured";
        let more = [
            if is_captured { charge.amount } else { 0 },
            charge.refunded,
            is_captured.into(),
            (charge.status == "declined").into(),
        ];
        let sums = theirs.entry(charge.order_id).or_default();
        *sums = std::array::from_fn(|i| sums[i] + more[i]);
    }
    let mut last_words = books.read(mails);
    let client = database.connect().await;
    for row in client.query(include_str!("books.sql"), &[]).await.expect("reading the books") {
        let (id, status, amount): (String, String, i64) = (row.get(0), row.get(1), row.get(2));
        let ours: [i64; 4] = [row.get(3), row.get(4), row.get(5), row.get(6)];
        let (is_refused, reserved, address): (bool, Option<String>, String) = (row.get(7), row.get(8), row.get(9));
        books.audit(&id, &status, amount, ours, theirs.remove(&id).unwrap_or_default(), is_refused);
        books.check_stock(&id, &status, reserved.as_deref());
        if !row.get::<_, bool>(10) {
            books.wrong.push(format!("{id} got something else than was ordered"));
        }
        match last_words.remove(&id) {
            None => books.wrong.push(format!("nobody was told of {id}, which is {status}")),
            Some((subject, _)) if !is_true(&status, &subject) => {
                books.wrong.push(format!("{id} is {status}, and the customer's last mail is {subject:?}"));
            }
            Some((_, to)) if to != address => {
                books.wrong.push(format!("{id} was told of to {to}, and is {address}'s"));
            }
            Some(_) => {}
        }
        *books.outcomes.entry(status).or_default() += 1;
    }
    books.wrong.extend(
        last_words.iter().map(|(order, mail)| format!("a mail of an order that is not there: {order} {mail:?}")),
    );
    // What was voided before anything was charged has no order there.
    theirs.retain(|_, sums| *sums != [0; 4]);
    books.wrong.extend(theirs.iter().map(|(order, sums)| format!("charged for no order: {order:?} {sums:?}")));
    books.count_stock(database, before).await;
    books
}

impl Books {
    /// The last that was said of each order, the first time that it was said, and to whom.
    fn read(&mut self, mut mails: Vec<Mail>) -> HashMap<String, (String, String)> {
        mails.reverse();
        let mut read: HashMap<String, String> = HashMap::new();
        let mut last_words = HashMap::new();
        for mail in mails {
            let is_order = |word: &&str| word.starts_with("ORD") && word.len() == 35;
            let Some(order) = mail.text.split(|c: char| !c.is_alphanumeric()).find(is_order) else {
                self.wrong.push(format!("a mail of no order: {mail:?}"));
                continue;
            };
            let what = format!("{order} {}", mail.subject);
            match read.get(&mail.message_id) {
                None => drop(last_words.insert(order.to_owned(), (mail.subject, mail.to))),
                Some(before) if *before == what => self.mails_repeated += 1,
                Some(before) => self.wrong.push(format!("two mails with one id: {before}, {what}")),
            }
            read.insert(mail.message_id, what);
        }
        let mut told: HashMap<&String, usize> = HashMap::new();
        for what in read.values() {
            *told.entry(what).or_default() += 1;
        }
        // Declined, one may be several times; reminded again, if there was time for it.
        let twice = told.iter().filter(|(what, times)| **times > 1 && !what.contains("declined"));
        self.wrong.extend(twice.map(|(what, times)| format!("told {times} times, as if it were new: {what}")));
        last_words
    }

    fn audit(&mut self, id: &str, status: &str, amount: i64, ours: [i64; 4], theirs: [i64; 4], is_refused: bool) {
        if ours != theirs {
            self.wrong.push(format!("{id} {status}: payments say {ours:?}, the gateway {theirs:?}"));
        }
        let [captured, given_back, captures, declines] = ours;
        let kept = if status == "paid" || is_refused { amount } else { 0 };
        if captured - given_back != kept {
            self.wrong.push(format!("{id} {status}: {captured} captured and {given_back} given back, of {amount}"));
        }
        if amount > 0 && status == "refunded" && given_back == 0 {
            self.wrong.push(format!("{id} is refunded, and nothing was given back"));
        }
        if captures > 1 {
            self.wrong.push(format!("{id} {status}: captured {captures} times"));
        }
        if (status == "refunding") != is_refused {
            self.wrong
                .push(format!("{id} {status}, and its refund is {}refused", if is_refused { "" } else { "not " }));
        }
        if is_refused {
            self.refused.insert(id.to_owned());
        }
        self.captured = (self.captured.0 + captured, self.captured.1 + captures);
        self.given_back += given_back;
        self.declined += declines;
    }

    fn check_stock(&mut self, id: &str, status: &str, reserved: Option<&str>) {
        let is_well = match status {
            "paid" => reserved == Some("confirmed"),
            "rejected" => reserved == Some("rejected"),
            _ => matches!(reserved, None | Some("released" | "restocked" | "rejected")),
        };
        if !is_well {
            self.wrong.push(format!("{id} is {status}, and its stock {}", reserved.unwrap_or("never reserved")));
        }
    }

    async fn count_stock(&mut self, database: &Database, before: &Stock) {
        let sql = "SELECT p.product_id, p.on_hand, p.reserved,
                          coalesce((SELECT sum((line->>'quantity')::bigint) FROM orders.orders o, json_array_elements(o.lines) AS line
                                    WHERE o.status = 'paid' AND line->>'productId' = p.product_id), 0)::bigint
                   FROM inventory.products p";
        for row in database.connect().await.query(sql, &[]).await.expect("counting stock") {
            let (product, on_hand, reserved, sold): (String, i64, i64, i64) =
                (row.get(0), row.get(1), row.get(2), row.get(3));
            let had = before.get(&product).copied().unwrap_or_default();
            if (had - on_hand, reserved) != (sold, 0) {
                let what = format!("{product}: {had} before, {on_hand} now, {sold} sold, {reserved} reserved");
                self.wrong.push(what);
            }
        }
    }
}

/// Whether this may be the last mail about an order that stands like this.
fn is_true(status: &str, subject: &str) -> bool {
    match status {
        "paid" => subject == "Your order is paid",
        "rejected" => subject == "Your order is out of stock",
        "payment_failed" => subject == "Your payment failed",
        "expired" => subject == "Your order has expired",
        "cancelled" => subject == "Your order is cancelled",
        "refunded" => subject == "Your money is on its way back",
        // Money that is on its way back is told of when it is back.
        "refunding" => ["Your order has expired", "Your order is cancelled"].contains(&subject),
        _ => false,
    }
}
