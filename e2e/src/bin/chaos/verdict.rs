//! What came of it all: waits until nothing is under way any more, and compares what was promised with what is there.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use e2e::{
    assert_clean,
    books::{Books, Stock, compare},
};
use tokio::time::{Instant, sleep};

use crate::{
    load::{Attempt, Shop},
    say,
    world::World,
};

/// Deadlines of a minute, leases of half of one, and the slowest retries: it is at rest long before.
const SETTLES_WITHIN: Duration = Duration::from_secs(300);

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

/// Letters that nobody has mended: what they are, how many, and how many of them can be read.
const LETTERS: &str = "
    SELECT queue || ': ' || reason, subject, readable FROM support.letters WHERE state IN ('failed', 'retrying')";

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

impl Verdict {
    pub fn is_good(&self) -> bool {
        self.lost.is_empty() && self.unexpected.is_empty() && self.wrong.is_empty() && self.books.wrong.is_empty()
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
    verdict.books = compare(&world.database, &*world.sandbox.lock().await, before).await;
    verdict.count(shop.attempts(), world).await;
    verdict.read_letters(failed(world).await, babbled);
    verdict.look_closer(world).await;
    verdict.wrong.extend(shop.wrong());
    verdict
}

async fn settle(world: &Arc<World>, began: Instant) -> Result<(), String> {
    let (since, mut said) = (Instant::now(), Instant::now());
    loop {
        let client = world.database.connect().await;
        let rows = client.query(UNDER_WAY, &[]).await.map_err(|error| error.to_string())?;
        let left: Vec<String> = rows
            .iter()
            .map(|row| (row.get::<_, String>(0), row.get::<_, i64>(1)))
            .filter(|(_, count)| *count > 0)
            .map(|(what, count)| format!("{what}: {count}"))
            .collect();
        if left.is_empty() {
            return Ok(());
        }
        if since.elapsed() > SETTLES_WITHIN {
            return Err(left.join(", "));
        }
        if said.elapsed() > Duration::from_secs(10) {
            said = Instant::now();
            say(began, &format!("settling: {}", left.join(", ")));
        }
        sleep(Duration::from_millis(250)).await;
    }
}

/// What, of which order, and whether it can be read.
async fn failed(world: &World) -> Vec<(String, String, bool)> {
    let rows = world.database.connect().await.query(LETTERS, &[]).await.unwrap_or_default();
    rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect()
}

impl Verdict {
    async fn count(&mut self, attempts: HashMap<(String, String), Attempt>, world: &World) {
        let sql = "SELECT user_id, idempotency_key, 'ORD' || upper(replace(id::text, '-', '')) FROM orders.orders";
        let rows = world.database.connect().await.query(sql, &[]).await.unwrap_or_default();
        let mut there: HashMap<(String, String), String> = HashMap::new();
        for row in rows {
            let (user, key, id): (String, Option<String>, String) = (row.get(0), row.get(1), row.get(2));
            if let Some(before) = there.insert((user, key.unwrap_or_default()), id.clone()) {
                self.unexpected.push(format!("{id}, under the key of {before}"));
            }
        }
        self.attempted = attempts.len();
        for (whose, attempt) in attempts {
            self.recovered += usize::from(attempt.recovered);
            match (attempt.promised, there.remove(&whose)) {
                (Some(promised), Some(id)) if promised == id => self.acknowledged += 1,
                (Some(promised), found) => self.lost.push(format!("{promised} of {whose:?}; there is {found:?}")),
                // Nobody was there any more to hear of it; or it was asked for once too often.
                (None, Some(id)) => match attempt.refused {
                    Some(refusal) => self.unexpected.push(format!("{id}, which was refused: {refusal}")),
                    None => self.unexpected.push(format!("{id}, which nobody was told of")),
                },
                (None, None) => self.refused += 1,
            }
        }
        self.unexpected.extend(there.into_values().map(|id| format!("{id}, which nobody asked for")));
    }

    /// Nothing may have failed but refunds that the gateway refuses, and what nobody can read.
    fn read_letters(&mut self, letters: Vec<(String, String, bool)>, babbled: usize) {
        let mut unreadable = 0;
        let (mut owed, mut others) = (BTreeSet::new(), BTreeMap::<String, usize>::new());
        for (what, subject, readable) in letters {
            if !readable {
                unreadable += 1;
            } else if what.starts_with("payment.settle: ") && self.books.refused.contains(&subject) {
                owed.insert(subject);
            } else {
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
        self.wrong.extend(world.card_numbers().await);
        let held = Arc::clone(world);
        let clean = tokio::spawn(async move { assert_clean(&held.database, &held.vhost).await }).await;
        if clean.is_err() {
            self.wrong.push("queues are not empty".to_owned());
        }
    }
}
