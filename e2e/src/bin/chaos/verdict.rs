//! What came of it all: waits until nothing is under way any more, and compares what was promised with what is there.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use common::broker::topology::is_signal;
use e2e::{
    assert_clean,
    books::{Books, Stock, compare},
};
use tokio::time::{Instant, sleep};
use tokio_postgres::Row;

use crate::{
    load::{Attempt, Shop, Told},
    say,
    world::{FLASH_PIECES, World},
};

/// Deadlines of a minute, leases of half of one, and the slowest retries: it is at rest long before.
const SETTLES_WITHIN: Duration = Duration::from_secs(300);

/// Longer than any deadline here.
const SIGNALS_WAIT: Duration = Duration::from_secs(90);

/// What is still to come. A refund that the gateway refuses for good is somebody's to mend.
const UNDER_WAY: &str = "
    SELECT 'orders without an outcome', count(*) FROM orders.orders o
    WHERE status IN ('pending', 'awaiting_payment') OR status = 'refunding' AND NOT EXISTS (
        SELECT FROM payments.payments p
        WHERE p.holder = 'order:ORD' || upper(replace(o.id::text, '-', '')) AND refund = 'refused')
    UNION ALL SELECT 'payments', count(*) FROM payments.payments WHERE state = 'open' OR refund = 'due'
    UNION ALL SELECT 'payments to come back to', count(*) FROM payments.follow_ups
    UNION ALL SELECT 'locks', count(*) FROM inventory.reservations WHERE state = 'locked'
    UNION ALL SELECT 'notices', count(*) FROM notifications.notifications WHERE state = 'pending'
    UNION ALL SELECT 'letters being sent again', count(*) FROM support.letters WHERE state = 'retrying'
    UNION ALL SELECT 'events of orders', count(*) FROM orders.outbox
    UNION ALL SELECT 'events of stock', count(*) FROM inventory.outbox
    UNION ALL SELECT 'events of payments', count(*) FROM payments.outbox
    UNION ALL SELECT 'events of notices', count(*) FROM notifications.outbox
    UNION ALL SELECT 'events of the console', count(*) FROM support.outbox";

/// Every letter there was: where it died and why, of whom it speaks, whether it can be read, whether nobody has mended
/// it, and whether it was refused for good.
const LETTERS: &str = "
    SELECT queue || ': ' || reason, subject, readable, state IN ('failed', 'retrying'), death = 'rejected'
    FROM support.letters";

const QUIET_ORDERS: usize = 20;
/// There is so much of these that none is ever out of stock.
const PLENTY: [&str; 3] = ["P001", "P002", "P004"];

#[derive(Debug, Default)]
pub struct Verdict {
    pub attempted: usize,
    pub acknowledged: usize,
    pub refused: usize,
    /// Promised, and not there.
    pub lost: Vec<String>,
    /// There, and nobody asked for it or was promised it.
    pub unexpected: Vec<String>,
    /// Promised only when asked again, and made before.
    pub recovered: usize,
    pub books: Books,
    /// Whatever else is not as it must be.
    pub wrong: Vec<String>,
    pub settled_after: Option<Duration>,
}

/// An order, as it is written.
struct Made {
    id: String,
    amount: i64,
    status: String,
    /// `P001 2, P002 1`
    lines: String,
}

impl Verdict {
    /// Nothing is wrong, and there was something that could have been.
    pub fn is_good(&self) -> bool {
        self.acknowledged > 0
            && self.lost.is_empty()
            && self.unexpected.is_empty()
            && self.wrong.is_empty()
            && self.books.wrong.is_empty()
    }
}

/// Everything has been as it should be since `mended`: how long until nothing is under way, and what was found then.
pub async fn reach(
    world: &Arc<World>,
    shop: &Shop,
    before: &Stock,
    babbled: usize,
    [began, mended]: [Instant; 2],
) -> Verdict {
    let mut verdict = Verdict::default();
    match settle(world, began).await {
        Ok(()) => {
            verdict.settled_after = Some(mended.elapsed());
            // Staff send again what failed, and once more if anything has come of it: what is left then is theirs to keep.
            for _ in 0..2 {
                if shop.mend().await
                    && let Err(left) = settle(world, began).await
                {
                    verdict.wrong.push(format!("still under way after a retry: {left}"));
                }
            }
        }
        Err(left) => verdict.wrong.push(format!("still under way after {} s: {left}", SETTLES_WITHIN.as_secs())),
    }
    // After all that, an ordinary order is an ordinary matter.
    let quiet = shop.quiet_day(QUIET_ORDERS).await;
    if let Err(left) = settle(world, began).await {
        verdict.wrong.push(format!("still under way on a quiet day: {left}"));
    }
    // Only when nothing is on its way any more does what is written stay as it is.
    verdict.require_rest(world).await;
    verdict.books = compare(&world.database, &*world.sandbox.lock().await, before).await;
    verdict.count(shop.attempts(), world).await;
    verdict.keep_to(&shop.told(), &quiet, world).await;
    verdict.read_letters(letters(world).await, babbled);
    verdict.look_closer(world).await;
    verdict.wrong.extend(shop.wrong());
    verdict
}

async fn settle(world: &Arc<World>, began: Instant) -> Result<(), String> {
    let (since, mut said) = (Instant::now(), Instant::now());
    loop {
        let left = under_way(world).await;
        if left.is_empty() {
            return Ok(());
        }
        if since.elapsed() > SETTLES_WITHIN {
            return Err(left.join(", "));
        }
        if said.elapsed() > Duration::from_secs(10) {
            said = Instant::now();
            let queued = in_queues(world).await;
            say(began, &format!("settling: {}; in queues: {}", left.join(", "), queued.join(", ")));
        }
        sleep(Duration::from_millis(250)).await;
    }
}

/// What there is to do, and how much of it.
async fn under_way(world: &World) -> Vec<String> {
    let rows = world.database.connect().await.query(UNDER_WAY, &[]).await.expect("asking what is under way");
    rows.iter()
        .map(|row| (row.get::<_, String>(0), row.get::<_, i64>(1)))
        .filter(|(_, count)| *count > 0)
        .map(|(what, count)| format!("{what}: {count}"))
        .collect()
}

/// Where what is under way waits, as far as the broker knows.
async fn in_queues(world: &World) -> Vec<String> {
    let depths = world.vhost.depths().await.into_iter();
    let waiting = depths.filter(|(queue, (ready, held))| ready + held > 0 && !is_signal(queue));
    waiting.map(|(queue, (ready, held))| format!("{queue} {ready} + {held}")).collect()
}

/// A dead letter, mended or not.
struct Letter {
    what: String,
    subject: String,
    readable: bool,
    is_left: bool,
    is_rejected: bool,
}

async fn letters(world: &World) -> Vec<Letter> {
    let rows = world.database.connect().await.query(LETTERS, &[]).await.expect("reading the dead letters");
    let letter = |row: &Row| Letter {
        what: row.get(0),
        subject: row.get(1),
        readable: row.get(2),
        is_left: row.get(3),
        is_rejected: row.get(4),
    };
    rows.iter().map(letter).collect()
}

impl Verdict {
    async fn count(&mut self, attempts: HashMap<(String, String), Attempt>, world: &World) {
        let sql =
            "SELECT user_id, coalesce(idempotency_key, ''), 'ORD' || upper(replace(id::text, '-', '')), amount, status,
                          (SELECT string_agg(line->>'productId' || ' ' || (line->>'quantity'), ', ')
                           FROM json_array_elements(lines) AS line)
                   FROM orders.orders";
        let rows = world.database.connect().await.query(sql, &[]).await.expect("reading the orders");
        let mut there: HashMap<(String, String), Made> = HashMap::new();
        for row in rows {
            let made = Made { id: row.get(2), amount: row.get(3), status: row.get(4), lines: row.get(5) };
            let id = made.id.clone();
            if let Some(before) = there.insert((row.get(0), row.get(1)), made) {
                self.unexpected.push(format!("{id}, under the key of {}", before.id));
            }
        }
        self.attempted = attempts.len();
        // Of what is sold in a flash: how many were had, and how many were refused.
        let mut sold: BTreeMap<String, (i64, i64)> = BTreeMap::new();
        for (whose, attempt) in attempts {
            self.recovered += usize::from(attempt.recovered);
            // Everything that is asked for here can be had.
            self.wrong.extend(attempt.refused.iter().map(|refusal| format!("an order was refused: {refusal}")));
            let Some(made) = there.remove(&whose) else {
                match attempt.promised {
                    Some(promised) => self.lost.push(format!("{promised} of {whose:?}")),
                    None => self.refused += 1,
                }
                continue;
            };
            let Made { id, amount, status, lines } = made;
            let ordered = format!("{} {}", attempt.product, attempt.quantity);
            if (amount, &lines) != (attempt.amount, &ordered) {
                self.wrong
                    .push(format!("{id} is {lines} for {amount}, and {ordered} for {} was ordered", attempt.amount));
            }
            let is_rejected = status == "rejected";
            if is_rejected && PLENTY.contains(&attempt.product.as_str()) {
                self.wrong.push(format!("{id} is out of stock, and there is plenty of {}", attempt.product));
            }
            let (had, refused) = sold.entry(attempt.product).or_default();
            *if is_rejected { refused } else { had } += attempt.quantity;
            match attempt.promised {
                Some(promised) if promised == id => self.acknowledged += 1,
                Some(promised) => self.lost.push(format!("{promised} of {whose:?}; there is {id}")),
                // Nobody was there any more to hear of it.
                None => self.unexpected.push(format!("{id}, which nobody was told of")),
            }
        }
        self.unexpected.extend(there.into_values().map(|made| format!("{}, which nobody asked for", made.id)));
        let flashes = sold.into_iter().filter(|(product, _)| product.starts_with("FLASH"));
        let unsold = flashes.filter(|(_, (had, refused))| *refused > 0 && *had < FLASH_PIECES);
        self.wrong.extend(unsold.map(|(product, (had, _))| format!("{product}: some were refused, and {had} had one")));
    }

    /// Whatever customers were told came true.
    async fn keep_to(&mut self, told: &Told, quiet: &[String], world: &World) {
        let sql = "SELECT 'ORD' || upper(replace(o.id::text, '-', '')), o.status,
                          EXISTS (SELECT FROM payments.payments AS p WHERE p.state = 'captured'
                                  AND p.holder = 'order:ORD' || upper(replace(o.id::text, '-', '')))
                   FROM orders.orders AS o";
        let rows = world.database.connect().await.query(sql, &[]).await.expect("reading the orders");
        let stands: HashMap<String, (String, bool)> =
            rows.iter().map(|row| (row.get(0), (row.get(1), row.get(2)))).collect();
        let is = |id: &String, status: &str| stands.get(id).is_some_and(|(is, _)| is == status);
        let unpaid = told.paid.iter().filter(|id| !stands.get(*id).is_some_and(|(_, is_captured)| *is_captured));
        self.wrong.extend(unpaid.map(|id| format!("{id}: the payment was successful, it was said, and none is there")));
        let still_on = told.off.iter().filter(|id| is(id, "paid"));
        self.wrong.extend(still_on.map(|id| format!("{id} is off, it was said, and it is paid")));
        let forgotten = quiet.iter().filter(|id| !is(id, "paid"));
        self.wrong.extend(forgotten.map(|id| format!("{id} was placed on a quiet day, and is not paid")));
        if quiet.len() < QUIET_ORDERS {
            self.wrong.push(format!("{} of {QUIET_ORDERS} orders were taken on a quiet day", quiet.len()));
        }
    }

    /// Nothing may be left but refunds that the gateway refuses, and what nobody can read; and nothing else may ever have
    /// been refused for good.
    fn read_letters(&mut self, letters: Vec<Letter>, babbled: usize) {
        let mut unreadable = 0;
        let (mut owed, mut others) = (BTreeSet::new(), BTreeMap::<String, usize>::new());
        for Letter { what, subject, readable, is_left, is_rejected } in letters {
            if !readable {
                unreadable += 1;
            } else if what.starts_with("payment.settle: ") && self.books.refused.contains(&subject) {
                owed.extend(is_left.then_some(subject));
            } else if is_left || is_rejected {
                *others.entry(format!("{what} ({subject})")).or_default() += 1;
            }
        }
        if unreadable > babbled {
            self.wrong.push(format!("{unreadable} letters cannot be read, and only {babbled} were like that"));
        }
        let untold: Vec<_> = self.books.refused.difference(&owed).collect();
        if !untold.is_empty() {
            self.wrong.push(format!("refunds are refused, and no letter says so: {untold:?}"));
        }
        self.wrong.extend(others.into_iter().map(|(what, count)| format!("{count} dead: {what}")));
    }

    /// No queue has a message, no outbox a row, and nothing is under way.
    async fn require_rest(&mut self, world: &Arc<World>) {
        // The signals of the last orders wait for as long as an order may take.
        let since = Instant::now();
        while since.elapsed() < SIGNALS_WAIT && !in_queues(world).await.is_empty() {
            sleep(Duration::from_millis(250)).await;
        }
        let held = Arc::clone(world);
        let clean = tokio::spawn(async move { assert_clean(&held.database, &held.vhost).await }).await;
        if clean.is_err() {
            self.wrong.push("queues are not empty".to_owned());
        }
        let left = under_way(world).await;
        self.wrong.extend((!left.is_empty()).then(|| format!("under way again: {}", left.join(", "))));
    }

    /// What the books do not show.
    async fn look_closer(&mut self, world: &Arc<World>) {
        for (what, sql) in [
            (
                "orders whose timeline has a gap",
                "SELECT count(*) FROM orders.orders o WHERE o.version <> (SELECT count(*) FROM orders.history h WHERE h.order_id = o.id)",
            ),
            (
                "notices that were not told",
                "SELECT count(*) FROM notifications.notifications WHERE state IN ('no_contact', 'refused')",
            ),
            (
                "reservations of no order",
                "SELECT count(*) FROM inventory.reservations r WHERE NOT EXISTS (SELECT FROM orders.orders o WHERE r.holder = 'order:ORD' || upper(replace(o.id::text, '-', '')))",
            ),
            (
                "payments of another amount",
                "SELECT count(*) FROM payments.payments p JOIN orders.orders o ON p.holder = 'order:ORD' || upper(replace(o.id::text, '-', '')) WHERE p.amount <> o.amount",
            ),
        ] {
            let count = world.database.count(sql).await;
            if count > 0 {
                self.wrong.push(format!("{count} {what}"));
            }
        }
        self.wrong.extend(world.slips().await);
    }
}
