//! Many orders at once, with every card that there is, called off and run out of time at any moment, callbacks doubled and
//! in any order: in the end the gateway's ledger, `payments` and the orders say the same, to the cent; no piece of stock is
//! missing; and the last mail of every order is true.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use e2e::{
    LONG,
    books::{compare, stock},
    eventually,
    sandbox::CARDS,
    token,
};
use fastrand::Rng;
use futures_util::StreamExt as _;
use tokio::time::sleep;

use super::{APPROVED, DECLINED, PRICES, Saga, staff};

const WALKER: &str = "walker";
const AT_ONCE: usize = 100;

#[tokio::test]
async fn the_books_of_the_whole_world_agree() {
    let number = |name: &str, usual: u64| {
        std::env::var(name).map_or(usual, |text| text.parse().unwrap_or_else(|_| panic!("{name} is no number")))
    };
    let orders = usize::try_from(number("CONVEYOR_SAGA_ORDERS", 300)).unwrap();
    let seed = number("CONVEYOR_SAGA_SEED", fastrand::u64(..));
    println!("CONVEYOR_SAGA_ORDERS={orders} CONVEYOR_SAGA_SEED={seed}");
    let sandbox_seed = seed.to_string();
    let chance = ["--duplicate-callbacks", "0.3", "--reorder-callbacks", "0.3", "--seed", sandbox_seed.as_str()];
    let saga = Saga::start(&[], &chance).await;
    saga.customer(WALKER, None).await;
    for (behaviour, _) in CARDS {
        saga.customer(behaviour, Some(behaviour)).await;
    }
    let before = stock(&saga.line.database).await;
    let began = Instant::now();
    let lives = (0..orders).map(|i| saga.live(Rng::with_seed(seed.wrapping_add(i as u64))));
    futures_util::stream::iter(lives).buffer_unordered(AT_ONCE).collect::<()>().await;
    println!("all orders were placed, and cared for, within {:.1} s", began.elapsed().as_secs_f64());
    // The time of all that nobody cares for is up as soon as no payment is under way.
    saga.until_count("SELECT count(*) FROM payments.payments WHERE state = 'open'", 0).await;
    let time_is_up = "UPDATE orders.orders SET deadline = now(); UPDATE orders.wakeups SET due = now()";
    saga.line.database.connect().await.batch_execute(time_is_up).await.unwrap();
    let dead = saga.bury().await;
    saga.assert_settled().await;
    println!("everything was settled within {:.1} s", began.elapsed().as_secs_f64());
    let books = compare(&saga.line.database, &saga.sandbox, &before).await;
    println!("{books:#?}");
    assert_eq!((books.outcomes.values().sum::<usize>(), &books.refused), (orders, &dead));
    assert!(books.wrong.is_empty(), "{}", books.wrong.join("\n"));

    // Pieces of one order that went to another would show in no sum.
    let cross = "UPDATE inventory.reservations SET lines = '[{\"productId\": \"P001\", \"quantity\": 99}]'
                 WHERE holder = (SELECT min(holder) FROM inventory.reservations WHERE state = 'confirmed')";
    saga.line.database.connect().await.batch_execute(cross).await.unwrap();
    let seen = compare(&saga.line.database, &saga.sandbox, &before).await.wrong;
    assert!(seen.len() == 1 && seen[0].ends_with("got something else than was ordered"), "{seen:?}");
}

impl Saga {
    /// The life of one order, as its customer and chance will have it.
    async fn live(&self, mut rng: Rng) {
        let (behaviour, number) = CARDS[rng.usize(..CARDS.len())];
        let is_stored = rng.bool();
        let user = if is_stored { behaviour } else { WALKER };
        let (product, price) = PRICES[rng.usize(..PRICES.len())];
        let quantity = rng.i64(1..=6);
        let amount = price * quantity;
        let id = self.place(user, &[(product, quantity)]).await;
        // Whatever becomes of it, half of them are left in peace.
        let (end, moment) = (rng.u8(..12), Duration::from_millis(rng.u64(..1_500)));
        let off = async {
            sleep(moment).await;
            match end {
                0..=2 => drop(self.cancel(&id, &token(user)).await),
                3 | 4 => drop(self.cancel(&id, &staff()).await),
                5 => self.hurry(&id, 0.0).await,
                _ => {}
            }
        };
        let second = rng.u8(..4);
        let paying = async {
            if !is_stored {
                self.pay_somehow(user, &id, amount, number).await;
            }
            // Once more, to be sure; or with cards that are no good; or never mind.
            match second {
                0 | 1 => drop(self.pay_somehow(user, &id, amount, APPROVED).await),
                2 => while self.pay_somehow(user, &id, amount, DECLINED).await == 400 {},
                _ => {}
            }
        };
        tokio::join!(off, paying);
    }

    /// Pays as soon as that is possible; says what the answer was, 404 if it never was.
    async fn pay_somehow(&self, user: &str, id: &str, amount: i64, card: &str) -> u16 {
        if amount == 0 {
            return 404;
        }
        eventually(LONG * 2, &format!("{id} can be paid for, or not"), async || {
            let answer = self.try_to_pay(user, id, amount, card).await;
            match (answer.status.as_u16(), answer.json()["errors"][0]["code"].as_str()) {
                // Not yet; or never.
                (404, _) => {
                    let is_early =
                        ["pending", "awaiting_payment"].contains(&self.order(id).await["status"].as_str().unwrap());
                    (!is_early).then_some(404)
                }
                (503, _) | (409, Some("payment_open")) => None,
                (status @ (200 | 202 | 400 | 409), _) => Some(status),
                (status, _) => panic!("{status}: {}", answer.text()),
            }
        })
        .await
    }

    /// Takes out of the dead letters what belongs there: the refunds that the gateway refuses for good.
    async fn bury(&self) -> BTreeSet<String> {
        let open = "SELECT (SELECT count(*) FROM payments.payments WHERE refund = 'due' OR state = 'open')
                         + (SELECT count(*) FROM orders.orders o WHERE status IN ('pending', 'awaiting_payment')
                            OR status = 'refunding' AND NOT EXISTS (
                                SELECT FROM payments.payments p WHERE p.id = o.transaction_id AND refund = 'refused'))";
        eventually(LONG * 5, "every order has its end", async || {
            (self.line.database.count(open).await == 0).then_some(())
        })
        .await;
        let client = self.line.database.connect().await;
        let mut dead: BTreeMap<String, String> = BTreeMap::new();
        let mut differ = (Vec::new(), Vec::new());
        eventually(LONG, "refused refunds are dead letters", async || {
            for message in self.line.vhost.drain("payment.settle.dlq").await {
                assert_eq!(message.header("x-death-kind"), "rejected");
                let reason = message.header("x-reason");
                for event in message.events() {
                    let order = event["subject"].as_str().unwrap().to_owned();
                    assert!(
                        dead.insert(order.clone(), reason.to_owned()).is_none(),
                        "people were told twice of {order}"
                    );
                }
            }
            let refused = "SELECT substr(holder, 7) FROM payments.payments WHERE refund = 'refused'";
            let refused = client.query(refused, &[]).await.unwrap();
            let refused: BTreeSet<String> = refused.iter().map(|row| row.get(0)).collect();
            let missing: Vec<_> = refused.iter().filter(|order| !dead.contains_key(*order)).cloned().collect();
            let surplus: Vec<_> =
                dead.iter().filter(|(order, _)| !refused.contains(*order)).map(|(o, r)| format!("{o}: {r}")).collect();
            if differ != (missing.clone(), surplus.clone()) {
                differ = (missing.clone(), surplus.clone());
                println!(
                    "{} refused, {} dead; not dead: {missing:?}; dead without being refused: {surplus:?}",
                    refused.len(),
                    dead.len()
                );
            }
            (missing.is_empty() && surplus.is_empty()).then_some(())
        })
        .await;
        dead.into_keys().collect()
    }
}
