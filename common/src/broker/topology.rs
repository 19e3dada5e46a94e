//! Every exchange, queue and binding of Conveyor, as data, and their declaration.
//!
//! Every process declares the whole of it before it publishes, so the order in which processes start does not
//! matter. All arguments are those that RabbitMQ 3.10 and 4.x both honour.

use futures_util::future::try_join_all;
use lapin::{
    Channel, ExchangeKind,
    options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions},
    types::{AMQPValue, FieldTable},
};

use super::connection::BrokerError;
use crate::events::{
    InventoryLocked, InventoryRejected, OrderCancelled, OrderCreated, OrderExpired, OrderPaid, OrderPaymentDeclined,
    OrderPaymentDue, OrderPaymentFailed, OrderPaymentReminder, OrderReceived, OrderRefundDue, OrderRefunded,
    OrderRejected, Payload, PaymentCompleted, PaymentFailed, PaymentRefundRefused, PaymentRefunded, SupportRetried,
};

/// Everything is published here, with the event's type as the routing key.
pub const EVENTS: &str = "events";
/// What comes back to one queue: retries, delayed messages, staff retries. The routing key is the queue's name.
pub const REDELIVER: &str = "redeliver";
/// Dead letters. The routing key is the name of the queue they died in.
pub const DEAD_LETTERS: &str = "dead-letters";
/// Where a message goes that no queue wanted. Nothing that was published is ever dropped.
pub const UNROUTABLE: &str = "unroutable";

/// A queue that a worker consumes, and the types of event it hears.
#[derive(Debug)]
pub struct WorkQueue {
    pub name: &'static str,
    pub hears: &'static [&'static str],
    /// Whether an order waits for what comes of it. What none waits for may gather longer.
    pub awaited: bool,
}

pub const INVENTORY_LOCK: WorkQueue = WorkQueue { name: "inventory.lock", hears: &[OrderCreated::TYPE], awaited: true };
pub const INVENTORY_SETTLE: WorkQueue = WorkQueue {
    name: "inventory.settle",
    hears: &[OrderPaid::TYPE, OrderPaymentFailed::TYPE, OrderCancelled::TYPE, OrderExpired::TYPE],
    awaited: false,
};
pub const PAYMENT_CHARGE: WorkQueue =
    WorkQueue { name: "payment.charge", hears: &[OrderPaymentDue::TYPE], awaited: true };
pub const PAYMENT_SETTLE: WorkQueue = WorkQueue {
    name: "payment.settle",
    hears: &[OrderRefundDue::TYPE, OrderCancelled::TYPE, OrderExpired::TYPE, PaymentRefundRefused::TYPE],
    awaited: false,
};
pub const NOTIFICATION_SEND: WorkQueue = WorkQueue {
    name: "notification.send",
    hears: &[
        OrderReceived::TYPE,
        OrderPaymentDeclined::TYPE,
        OrderPaymentReminder::TYPE,
        OrderPaid::TYPE,
        OrderRejected::TYPE,
        OrderPaymentFailed::TYPE,
        OrderExpired::TYPE,
        OrderCancelled::TYPE,
        OrderRefunded::TYPE,
    ],
    awaited: false,
};
pub const ORDERS_PROGRESS: WorkQueue = WorkQueue {
    name: "orders.progress",
    hears: &[
        InventoryLocked::TYPE,
        InventoryRejected::TYPE,
        PaymentCompleted::TYPE,
        PaymentFailed::TYPE,
        PaymentRefunded::TYPE,
    ],
    awaited: true,
};
/// What order-api has sent to itself, to arrive when an order's time is up.
pub const ORDERS_TIMEOUT: WorkQueue = WorkQueue { name: "orders.timeout", hears: &[], awaited: false };

/// What became of what staff sent again.
pub const SUPPORT_PROGRESS: WorkQueue =
    WorkQueue { name: "support.progress", hears: &[SupportRetried::TYPE], awaited: false };

/// The line.
pub const WORK_QUEUES: &[&WorkQueue] = &[
    &INVENTORY_LOCK,
    &INVENTORY_SETTLE,
    &PAYMENT_CHARGE,
    &PAYMENT_SETTLE,
    &NOTIFICATION_SEND,
    &ORDERS_PROGRESS,
    &ORDERS_TIMEOUT,
    &SUPPORT_PROGRESS,
];

/// After so many returns the broker itself dead-letters a message. The chassis does so earlier; this is the net below.
const DELIVERY_LIMIT: i64 = 20;
/// The limit of queues that must keep what they hold, however often their consumer dies. -1 drops on 3.10.
const KEEP_LIMIT: i64 = 1_000_000;

/// The queue that holds what died in `queue`.
#[must_use]
pub fn dead_letter_queue(queue: &str) -> String {
    format!("{queue}.dlq")
}

/// The exchange, and the queue behind it, that holds a message for so long and then sends it on to the queue
/// named by its routing key.
#[must_use]
pub fn delay_line(ms: u64) -> String {
    format!("delay.{ms}")
}

/// So long at least order-api's signals wait by which it looks at orders again. The slowest retry may share their queue.
const SIGNAL_MS: u64 = 600_000;

/// Whether a queue holds nothing but signals to look at orders again, or the token by which order-api knows the broker:
/// they carry nothing, and may be there when all is done.
#[must_use]
pub fn is_signal(queue: &str) -> bool {
    let delay = queue.strip_prefix("delay.").and_then(|ms| ms.parse::<u64>().ok());
    queue == "generation.1" || delay.is_some_and(|ms| ms >= SIGNAL_MS)
}

struct Exchange {
    name: String,
    kind: ExchangeKind,
    arguments: FieldTable,
}

struct Queue {
    name: String,
    arguments: FieldTable,
}

struct Binding {
    exchange: String,
    routing_key: String,
    queue: String,
}

/// What is declared: made from the work queues and the delays, and nothing else.
pub struct Topology {
    exchanges: Vec<Exchange>,
    queues: Vec<Queue>,
    bindings: Vec<Binding>,
}

impl Topology {
    #[must_use]
    pub fn new(work_queues: &[&WorkQueue], delays_ms: &[u64]) -> Self {
        let catch_all = || table([("alternate-exchange", text(UNROUTABLE))]);
        let keep =
            || table([("x-queue-type", text("quorum")), ("x-delivery-limit", AMQPValue::LongLongInt(KEEP_LIMIT))]);
        let mut topology = Self {
            exchanges: vec![
                Exchange { name: UNROUTABLE.to_owned(), kind: ExchangeKind::Fanout, arguments: FieldTable::default() },
                Exchange { name: EVENTS.to_owned(), kind: ExchangeKind::Topic, arguments: catch_all() },
                Exchange { name: REDELIVER.to_owned(), kind: ExchangeKind::Direct, arguments: catch_all() },
                Exchange { name: DEAD_LETTERS.to_owned(), kind: ExchangeKind::Direct, arguments: catch_all() },
            ],
            queues: vec![Queue { name: UNROUTABLE.to_owned(), arguments: keep() }],
            bindings: vec![Binding::new(UNROUTABLE, "", UNROUTABLE)],
        };
        for queue in work_queues {
            topology.add_work_queue(queue, keep());
        }
        for ms in delays_ms {
            topology.add_delay_line(*ms);
        }
        topology
    }

    fn add_work_queue(&mut self, queue: &WorkQueue, keep: FieldTable) {
        let graveyard = dead_letter_queue(queue.name);
        let mut arguments =
            table([("x-queue-type", text("quorum")), ("x-delivery-limit", AMQPValue::LongLongInt(DELIVERY_LIMIT))]);
        dead_letter_safely(&mut arguments, DEAD_LETTERS);
        arguments.insert("x-dead-letter-routing-key".into(), text(queue.name));
        self.queues.push(Queue { name: queue.name.to_owned(), arguments });
        self.queues.push(Queue { name: graveyard.clone(), arguments: keep });
        self.bindings.push(Binding::new(REDELIVER, queue.name, queue.name));
        self.bindings.push(Binding::new(DEAD_LETTERS, queue.name, &graveyard));
        for kind in queue.hears {
            self.bindings.push(Binding::new(EVENTS, kind, queue.name));
        }
    }

    fn add_delay_line(&mut self, ms: u64) {
        let name = delay_line(ms);
        let mut arguments = table([
            ("x-queue-type", text("quorum")),
            ("x-delivery-limit", AMQPValue::LongLongInt(KEEP_LIMIT)),
            ("x-message-ttl", AMQPValue::LongLongInt(i64::try_from(ms).unwrap_or(i64::MAX))),
        ]);
        // No dead-letter routing key: the message keeps its own, which names its destination.
        dead_letter_safely(&mut arguments, REDELIVER);
        self.exchanges.push(Exchange {
            name: name.clone(),
            kind: ExchangeKind::Fanout,
            arguments: FieldTable::default(),
        });
        self.queues.push(Queue { name: name.clone(), arguments });
        self.bindings.push(Binding::new(&name, "", &name));
    }

    /// Declares all of it; harmless when it is there already.
    pub async fn declare(&self, channel: &Channel) -> Result<(), BrokerError> {
        try_join_all(self.exchanges.iter().map(|exchange| {
            channel.exchange_declare(
                exchange.name.as_str().into(),
                exchange.kind.clone(),
                ExchangeDeclareOptions { durable: true, ..Default::default() },
                exchange.arguments.clone(),
            )
        }))
        .await
        .map_err(refused)?;
        try_join_all(self.queues.iter().map(|queue| {
            channel.queue_declare(
                queue.name.as_str().into(),
                QueueDeclareOptions { durable: true, ..Default::default() },
                queue.arguments.clone(),
            )
        }))
        .await
        .map_err(refused)?;
        try_join_all(self.bindings.iter().map(|binding| {
            channel.queue_bind(
                binding.queue.as_str().into(),
                binding.exchange.as_str().into(),
                binding.routing_key.as_str().into(),
                QueueBindOptions::default(),
                FieldTable::default(),
            )
        }))
        .await
        .map_err(refused)?;
        Ok(())
    }
}

impl Binding {
    fn new(exchange: &str, routing_key: &str, queue: &str) -> Self {
        Self { exchange: exchange.to_owned(), routing_key: routing_key.to_owned(), queue: queue.to_owned() }
    }
}

/// At-least-once dead-lettering needs all three arguments, or it silently becomes at most once.
fn dead_letter_safely(arguments: &mut FieldTable, exchange: &str) {
    arguments.insert("x-dead-letter-exchange".into(), text(exchange));
    arguments.insert("x-dead-letter-strategy".into(), text("at-least-once"));
    arguments.insert("x-overflow".into(), text("reject-publish"));
}

fn table<const N: usize>(entries: [(&str, AMQPValue); N]) -> FieldTable {
    let mut table = FieldTable::default();
    for (key, value) in entries {
        table.insert(key.into(), value);
    }
    table
}

fn text(value: &str) -> AMQPValue {
    AMQPValue::LongString(value.into())
}

/// A broker that answers but will not declare is too old or holds something else under one of our names.
fn refused(error: lapin::Error) -> BrokerError {
    if error.is_amqp_soft_error() {
        return BrokerError::Topology(format!(
            "{error}. RabbitMQ 3.10 or newer is needed; an object of the same name with other arguments must be \
             deleted first"
        ));
    }
    error.into()
}
