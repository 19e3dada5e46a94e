//! The state of everything, and what may happen next.

use inventory_worker::reservation::Standing;
use order_api::order::{Canceller, Status};
use payment_worker::payment::{Refund, State};
use stateright::{Model, Property};

use crate::{properties, workers};

/// All want one piece of the one product.
pub const MOST_ORDERS: usize = 2;
/// Attempts to pay that a customer has.
pub const MOST_ATTEMPTS: usize = 2;

/// A message that was sent. It stays: it may be delivered at any time, and again at any time after that. What is lost and
/// sent again is a message that is delivered later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Message {
    Created(usize),
    Locked(usize),
    Refused(usize),
    Due(usize),
    Completed(usize, usize),
    Failed(usize, usize, i32),
    Refunded(usize, usize),
    /// With the order's version: for the stock.
    Paid(usize, i32),
    /// The order is off: for the stock, and with `true` for the money too.
    Off(usize, i32, bool),
    RefundDue(usize, usize),
}

/// What order-api has of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Order {
    pub status: Status,
    pub version: i32,
    /// The attempt that paid it, or is given back.
    pub paid_by: Option<usize>,
    pub declines: i32,
}

/// What payment-worker has of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Attempt {
    pub state: State,
    pub attempts_left: i32,
    /// It charges a stored method: that can be done again.
    pub is_stored: bool,
    pub refund: Option<Refund>,
}

/// And of what is owed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Account {
    pub is_owed: bool,
    pub is_off: bool,
    pub attempts: [Option<Attempt>; MOST_ATTEMPTS],
}

/// What the gateway has of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Charge {
    #[default]
    Unheard,
    Captured,
    GivenBack,
    Declined,
    Voided,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct World {
    pub orders: [Order; MOST_ORDERS],
    pub is_late: [bool; MOST_ORDERS],
    pub reservations: [Option<Standing>; MOST_ORDERS],
    pub on_hand: i64,
    pub reserved: i64,
    pub accounts: [Account; MOST_ORDERS],
    pub gateway: [[Charge; MOST_ATTEMPTS]; MOST_ORDERS],
    /// Sorted, each once, with whether it need not come any more: it was delivered and done with since it was sent last.
    pub sent: Vec<(Message, bool)>,
    may_come_once: bool,
    /// What was done that must never be done, though all may come right again afterwards.
    pub wrong: Option<Wrong>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Wrong {
    /// An order that was paid was given up, and not by the shop, nor for want of its goods.
    GivenUp,
    /// An attempt to pay was begun for an order that was known to be off.
    BegunTooLate,
}

impl World {
    pub fn send(&mut self, message: Message) {
        match self.sent.binary_search_by_key(&message, |(sent, _)| *sent) {
            Ok(place) => self.sent[place].1 = false,
            Err(place) => self.sent.insert(place, (message, false)),
        }
    }

    fn deliver(&mut self, message: Message) {
        let Ok(place) = self.sent.binary_search_by_key(&message, |(sent, _)| *sent) else { return };
        let was_done = std::mem::replace(&mut self.sent[place].1, self.may_come_once);
        // What cannot be dealt with yet comes again.
        if workers::deliver(self, message).is_err()
            && let Ok(place) = self.sent.binary_search_by_key(&message, |(sent, _)| *sent)
        {
            self.sent[place].1 = was_done;
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    Deliver(Message),
    /// Somebody calls the order off.
    Cancel(usize, Canceller),
    /// The customer pays with a card.
    Pay(usize),
    /// The deadline passes.
    TimePasses(usize),
    /// Somebody looks at the clock.
    Look(usize),
    /// Somebody has its stock locked by request, ahead of the order's own turn.
    LockAhead(usize),
    /// That was too long ago.
    Lapse(usize),
    /// Whoever began the attempt asks for the money, perhaps after it was frozen for long; and the gateway decides.
    Charge(usize, usize, Charge),
    /// Somebody finds an attempt that nobody seems to be at, and sees to it that it comes to an end.
    Void(usize, usize),
    /// What the gateway has is heard: as an answer, by a callback, or by asking.
    Hear(usize, usize),
    /// The gateway is asked to give the money back.
    GiveBack(usize, usize),
    /// It is asked, and refuses for good.
    Refuse(usize, usize),
    /// A person notes that they have paid it back in another way.
    PayBack(usize, usize),
}

/// The order whose stock may be locked by request, too, or the last.
pub const LOCKED_AHEAD: usize = 1;

/// So much stock, for so many orders that want one piece each.
#[derive(Debug, Clone, Copy)]
pub struct Saga {
    pub stock: i64,
    pub orders: usize,
    /// Whether a message may come only once. Where it may not, what was missed is made good when it comes again, so that a
    /// fence that is not there is not missed; but there is much less to look at.
    pub may_come_once: bool,
}

impl Model for Saga {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        let order = Order { status: Status::Pending, version: 1, paid_by: None, declines: 0 };
        let mut world = World {
            orders: [order; MOST_ORDERS],
            is_late: [false; MOST_ORDERS],
            reservations: [None; MOST_ORDERS],
            on_hand: self.stock,
            reserved: 0,
            accounts: [Account::default(); MOST_ORDERS],
            gateway: [[Charge::default(); MOST_ATTEMPTS]; MOST_ORDERS],
            sent: Vec::new(),
            may_come_once: self.may_come_once,
            wrong: None,
        };
        (0..self.orders).for_each(|order| world.send(Message::Created(order)));
        vec![world]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        actions.extend(world.sent.iter().map(|(message, _)| Action::Deliver(*message)));
        let ahead = LOCKED_AHEAD.min(self.orders - 1);
        actions.extend([Action::LockAhead(ahead), Action::Lapse(ahead)]);
        for order in 0..self.orders {
            actions.extend([Canceller::Customer, Canceller::Shop].map(|by| Action::Cancel(order, by)));
            actions.extend([Action::Pay(order), Action::TimePasses(order), Action::Look(order)]);
            for attempt in 0..MOST_ATTEMPTS {
                actions
                    .extend([Charge::Captured, Charge::Declined].map(|charge| Action::Charge(order, attempt, charge)));
                actions.extend([
                    Action::Void(order, attempt),
                    Action::Hear(order, attempt),
                    Action::GiveBack(order, attempt),
                ]);
                // What two orders have to do with each other does not depend on it.
                if self.orders == 1 {
                    actions.extend([Action::Refuse(order, attempt), Action::PayBack(order, attempt)]);
                }
            }
        }
    }

    fn next_state(&self, last: &World, action: Action) -> Option<World> {
        let mut world = last.clone();
        act(&mut world, action);
        // What changes nothing is not another state.
        (world != *last).then_some(world)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::all()
    }
}

/// Lets it happen, if it can.
pub fn act(world: &mut World, action: Action) {
    match action {
        Action::Deliver(message) => world.deliver(message),
        Action::Cancel(order, by) => workers::cancel(world, order, by),
        Action::Pay(order) => workers::pay(world, order),
        Action::TimePasses(order) => world.is_late[order] = true,
        Action::Look(order) => workers::look(world, order),
        Action::LockAhead(order) => workers::lock_ahead(world, order),
        Action::Lapse(order) => workers::lapse(world, order),
        Action::Charge(order, attempt, decided) => {
            if world.accounts[order].attempts[attempt].is_some() && world.gateway[order][attempt] == Charge::Unheard {
                world.gateway[order][attempt] = decided;
            }
        }
        Action::Void(order, attempt) => workers::void(world, order, attempt),
        Action::Hear(order, attempt) => workers::hear(world, order, attempt),
        Action::GiveBack(order, attempt) => {
            let refund = world.accounts[order].attempts[attempt].and_then(|attempt| attempt.refund);
            if refund == Some(Refund::Due) && world.gateway[order][attempt] == Charge::Captured {
                world.gateway[order][attempt] = Charge::GivenBack;
            }
        }
        Action::Refuse(order, attempt) => workers::refuse(world, order, attempt),
        Action::PayBack(order, attempt) => workers::pay_back(world, order, attempt),
    }
}
