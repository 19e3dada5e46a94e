//! Group commit: concurrent requests share one transaction, and before it whatever else can be done for many at once.
//! While one group is being written, the next gathers.

mod checks;
mod gather;

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use common::{
    backoff::Backoff,
    crash::{self, Mistake},
    db::DbError,
    events::{Line, OrderCreated},
    http::Problem,
    ids::{OrderId, UserId},
    money::{Currency, Money},
    outbox::Units,
};
use tokio::{
    sync::{Notify, mpsc, oneshot},
    time::Instant,
};
use tracing::Span;

use self::{checks::Checks, gather::Gather};
use crate::{
    Orders,
    admission::{Admission, Place},
    catalogue::Catalogue,
    http::{CreateOrder, Wanted, codes},
    once::Once,
    signing::{Signatures, Signed},
    store,
    times::Times,
};

/// How often a group looks again because somebody else was there first.
const MOST_CONFLICTS: u32 = 5;

/// An order that somebody asks for: the body can be read, and the token is good.
pub(crate) struct Asked {
    pub user_id: UserId,
    pub request: CreateOrder,
    /// None where signatures are not required.
    pub signed: Option<Signed>,
    pub once: Option<Once>,
    pub traceparent: String,
}

/// An order that has passed every check and only needs to be written.
#[derive(Debug, Clone)]
pub(crate) struct NewOrder {
    pub id: OrderId,
    pub user_id: UserId,
    pub amount: Money,
    pub lines: Vec<Line>,
    pub once: Option<Once>,
    pub traceparent: String,
}

/// What became of a request: the order that stands for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Taken {
    pub order_id: OrderId,
    /// It was made by an earlier request of the same name.
    pub again: bool,
}

/// Something that was asked, and whoever waits for its answer.
struct Waiting<T> {
    it: T,
    answer: oneshot::Sender<Result<Taken, Problem>>,
    /// The request's, for what is said of it in the log.
    span: Span,
}

impl<T> Waiting<T> {
    /// The client may have gone away meanwhile; its order stands all the same.
    fn answer(self, answer: Result<Taken, Problem>) {
        let _ = self.answer.send(answer);
    }
}

/// Hands requests to the task that writes them.
#[derive(Clone)]
pub(crate) struct Intake {
    queue: mpsc::Sender<Waiting<Asked>>,
    admission: Arc<Admission>,
}

impl Intake {
    /// The intake, the task that writes until every handle on it is gone, and one that brings the good answers to where
    /// requests wait for them.
    pub(crate) fn new(
        units: Units,
        signatures: Option<Signatures>,
        catalogue: Catalogue,
        settings: &Orders,
        accepted: Arc<Notify>,
    ) -> (Self, impl Future<Output = ()> + Send + use<>, impl Future<Output = ()> + Send + use<>) {
        let (sender, mut queue) = mpsc::channel(settings.waiting);
        let admission = Arc::new(Admission::new(settings.limits()));
        // What is in it waits no longer than it takes to be handed out, and each is one of those that may wait.
        let (written, mut answers) = mpsc::unbounded_channel::<Vec<Waiting<NewOrder>>>();
        let (currency, times) = (settings.currency.clone(), settings.times.clone());
        let writer = Writer { units, written, catalogue, currency, times, accepted };
        let mut gather = Gather::new(settings);
        let intake = Self { queue: sender, admission: Arc::clone(&admission) };
        let write = async move {
            let mut checks = Checks::new(signatures);
            while let Some(group) = gather.group(&mut queue, |there| checks.look(there)).await {
                let began = Instant::now();
                writer.write(checks.finish(group).await).await;
                admission.served(began.elapsed());
            }
        };
        let deliver = async move {
            while let Some(part) = answers.recv().await {
                for waiting in part {
                    let taken = Taken { order_id: waiting.it.id, again: false };
                    waiting.answer(Ok(taken));
                }
            }
        };
        (intake, write, deliver)
    }

    /// A place in the queue, if the wait in it is not too long. It is to be kept until the request is answered.
    pub(crate) fn admit(&self) -> Option<Place> {
        self.admission.admit(self.queue.max_capacity() - self.queue.capacity())
    }

    /// Returns once the order is committed, or why it will not be.
    pub(crate) async fn take(&self, asked: Asked) -> Result<Taken, Problem> {
        let (answer, answered) = oneshot::channel();
        self.queue
            .try_send(Waiting { it: asked, answer, span: Span::current() })
            .map_err(|_| Problem::overloaded("too many orders are waiting; try again shortly"))?;
        answered.await.unwrap_or_else(|_| Err(unavailable()))
    }
}

fn unavailable() -> Problem {
    Problem::unavailable("orders cannot be stored at the moment; try again shortly")
}

struct Writer {
    units: Units,
    /// To those who wait.
    written: mpsc::UnboundedSender<Vec<Waiting<NewOrder>>>,
    catalogue: Catalogue,
    currency: Currency,
    times: Times,
    /// Told of every group that was accepted.
    accepted: Arc<Notify>,
}

impl Writer {
    /// Answers everyone in the group, whose signatures are good. An order that was made once is answered as it was then,
    /// whatever has changed since.
    async fn write(&self, group: Vec<Waiting<Asked>>) {
        let group = self.not_made_yet(group, |asked| (&asked.user_id, asked.once.as_ref())).await;
        self.insert(self.in_order(group)).await;
    }

    /// Those that no order stands for yet.
    async fn not_made_yet<T>(
        &self,
        group: Vec<Waiting<T>>,
        name: impl Fn(&T) -> (&UserId, Option<&Once>),
    ) -> Vec<Waiting<T>> {
        let names = group.iter().filter_map(|waiting| {
            let (user, once) = name(&waiting.it);
            Some((user, once?.key.as_str()))
        });
        let made = match store::find_made(&self.units.db, names.collect()).await {
            Ok(made) => made,
            Err(error) => {
                refuse_all(group, &error);
                return Vec::new();
            }
        };
        if made.is_empty() {
            return group;
        }
        let made: HashMap<(&str, &str), &store::Made> =
            made.iter().map(|made| ((made.user_id.as_str(), made.key.as_str()), made)).collect();
        let mut new = Vec::with_capacity(group.len());
        for waiting in group {
            let (user, once) = name(&waiting.it);
            let earlier = once.and_then(|once| Some((once, *made.get(&(user.as_str(), once.key.as_str()))?)));
            match earlier {
                None => new.push(waiting),
                Some((once, made)) if made.hash == once.hash => {
                    let taken = Taken { order_id: made.order_id, again: true };
                    waiting.answer(Ok(taken));
                }
                Some(_) => waiting.answer(Err(Problem::new(
                    codes::IDEMPOTENCY_KEY_REUSED,
                    "this Idempotency-Key was used for an order with another body",
                ))),
            }
        }
        new
    }

    fn in_order(&self, group: Vec<Waiting<Asked>>) -> Vec<Waiting<NewOrder>> {
        let Some(prices) = self.catalogue.prices() else {
            let problem = Problem::unavailable("the catalogue has not been read yet");
            group.into_iter().for_each(|waiting| waiting.answer(Err(problem.clone())));
            return Vec::new();
        };
        let mut orders = Vec::with_capacity(group.len());
        for Waiting { it: Asked { user_id, request, once, traceparent, .. }, answer, span } in group {
            match request.check(&prices, &self.currency) {
                Ok(Wanted { amount, lines }) => {
                    let it = NewOrder { id: OrderId::generate(), user_id, amount, lines, once, traceparent };
                    orders.push(Waiting { it, answer, span });
                }
                Err(errors) => drop(answer.send(Err(Problem::invalid(errors)))),
            }
        }
        orders
    }

    /// Writes the orders. Where the database refuses them, they are split until the culprit stands alone: one bad order
    /// never costs another request its answer.
    async fn insert(&self, orders: Vec<Waiting<NewOrder>>) {
        // Each with whether somebody may have made some of them meanwhile.
        let mut parts = vec![(orders, false)];
        let mut backoff = Backoff::new(Duration::from_millis(10), Duration::from_millis(200));
        let mut conflicts = 0;
        while let Some((mut part, look)) = parts.pop() {
            // Whoever waited too long was told to try again: what is not on its way yet must not appear after all.
            part.retain(|waiting| !waiting.answer.is_closed());
            if look {
                part = self.not_made_yet(part, |order| (&order.user_id, order.once.as_ref())).await;
            }
            let (mut part, same) = firsts(part);
            if !same.is_empty() {
                parts.push((same, true));
            }
            if part.is_empty() {
                continue;
            }
            if crash::makes(Mistake::AckBeforeCommit) {
                promise(&mut part).await;
            }
            match self.insert_together(&part).await {
                // Whoever delivers them ends after this.
                Ok(()) => {
                    self.accepted.notify_one();
                    drop(self.written.send(part));
                }
                Err(DbError::Conflict(_)) if conflicts < MOST_CONFLICTS => {
                    conflicts += 1;
                    parts.push((part, true));
                    backoff.wait().await;
                }
                Err(DbError::Refused(_) | DbError::Conflict(_)) if part.len() > 1 => {
                    let right = part.split_off(part.len() / 2);
                    parts.extend([(right, true), (part, true)]);
                }
                Err(error) => refuse_all(part, &error),
            }
        }
    }

    async fn insert_together(&self, part: &[Waiting<NewOrder>]) -> Result<(), DbError> {
        let mut orders: Vec<&NewOrder> = part.iter().map(|waiting| &waiting.it).collect();
        // In the order of their names, so that two groups cannot wait for each other.
        orders.sort_by_key(|order| order.once.as_ref().map(|once| (&order.user_id, &once.key)));
        let mut unit = self.units.begin().await?;
        store::insert(&mut unit.tx, &orders, &self.times)?;
        for order in orders {
            let created = OrderCreated {
                order_id: order.id,
                user_id: order.user_id.clone(),
                version: 1,
                amount: order.amount,
                items: order.lines.clone(),
            };
            unit.outbox.announce(Some(&order.traceparent), &order.id, &created).map_err(DbError::unexpected)?;
        }
        unit.commit().await
    }
}

/// Tells everybody that their order stands, which is a mistake as long as it is not committed.
async fn promise(part: &mut [Waiting<NewOrder>]) {
    for waiting in part {
        // Later there is nobody to be answered.
        let answer = std::mem::replace(&mut waiting.answer, oneshot::channel().0);
        let _ = answer.send(Ok(Taken { order_id: waiting.it.id, again: false }));
    }
    tokio::time::sleep(crash::LONG_ENOUGH).await;
}

/// Of requests with one name the first, and apart from them the others.
fn firsts(part: Vec<Waiting<NewOrder>>) -> (Vec<Waiting<NewOrder>>, Vec<Waiting<NewOrder>>) {
    if part.iter().all(|waiting| waiting.it.once.is_none()) {
        return (part, Vec::new());
    }
    let mut names = HashSet::new();
    part.into_iter().partition(|waiting| match &waiting.it.once {
        Some(once) => names.insert((waiting.it.user_id.clone(), once.key.clone())),
        None => true,
    })
}

fn refuse_all<T>(part: Vec<Waiting<T>>, error: &DbError) {
    let problem = match error {
        DbError::Refused(why) => {
            for waiting in &part {
                waiting.span.in_scope(|| tracing::error!(error = why, "the database refused an order"));
            }
            Problem::internal()
        }
        DbError::Outage(_) | DbError::Conflict(_) => {
            tracing::warn!(%error, orders = part.len(), "orders could not be written");
            unavailable()
        }
    };
    part.into_iter().for_each(|waiting| waiting.answer(Err(problem.clone())));
}
