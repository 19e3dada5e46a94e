//! What each service does with one message, in one transaction. The decisions are the services' own.

use common::{
    events::Shortage,
    ids::{OrderId, ProductId, TransactionId, UserId},
    money::Money,
};
use inventory_worker::reservation::{self, Ahead, Lock, Quantities, Settlement, Standing, Stock};
use order_api::order::{self, Announcement, Canceller, Clock, Happened, Next, Status};
use payment_worker::payment::{self, Due, News, OnDue, OnPay, OnRefund, Owed, Refund, State, Unsettled};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::world::{Account, Attempt, Charge, MOST_ATTEMPTS, Message, World, Wrong};

const AMOUNT: Money = Money(100);
const DEADLINE: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;

/// Why a message is not done with: it would come again, or go to the dead letters.
#[derive(Debug, PartialEq, Eq)]
pub struct Undone(pub String);

pub fn deliver(world: &mut World, message: Message) -> Result<(), Undone> {
    match message {
        Message::Created(order) => lock(world, order),
        Message::Paid(order, version) => settle(world, order, Settlement::Confirm, version)?,
        Message::Off(order, version, for_the_money_too) => {
            if for_the_money_too {
                called_off(world, order);
            }
            settle(world, order, Settlement::Release, version)?;
        }
        Message::Due(order) => payment_due(world, order)?,
        Message::RefundDue(order, attempt) => refund_due(world, order, attempt)?,
        Message::Locked(order) => progress(world, order, &Happened::StockLocked)?,
        Message::Refused(order) => {
            let shortage = Shortage { product_id: product(), asked: 1, available: 0 };
            progress(world, order, &Happened::StockRefused(vec![shortage]))?;
        }
        Message::Completed(order, attempt) => {
            let transaction_id = transaction(order, attempt);
            progress(world, order, &Happened::Paid { transaction_id, amount: AMOUNT })?;
        }
        Message::Failed(order, attempt, attempts_left) => {
            let attempt = number(attempt);
            progress(world, order, &Happened::Declined { attempt, attempts_left, reason: String::new() })?;
        }
        Message::Refunded(order, attempt) => {
            progress(world, order, &Happened::Refunded { transaction_id: transaction(order, attempt) })?;
        }
    }
    Ok(())
}

// order-api

pub fn cancel(world: &mut World, order: usize, by: Canceller) {
    let _ = progress(world, order, &Happened::CancelAsked { by });
}

pub fn look(world: &mut World, order: usize) {
    if world.is_late[order] {
        let _ = progress(world, order, &Happened::Looked(Clock { now: DEADLINE, remind_before: Duration::ZERO }));
    }
}

fn progress(world: &mut World, index: usize, happened: &Happened) -> Result<(), Undone> {
    match order::next(&the_order(world, index), happened) {
        Next::Unchanged => {}
        Next::Absurd(why) => return Err(Undone(why)),
        Next::Said(announcement) => announce(world, index, &announcement),
        Next::Changed { order, announcements, .. } => {
            let may_give_up =
                matches!(happened, Happened::CancelAsked { by: Canceller::Shop } | Happened::StockRefused(_));
            if world.orders[index].status == Status::Paid && order.status != Status::Paid && !may_give_up {
                world.wrong = Some(Wrong::GivenUp);
            }
            let stored = &mut world.orders[index];
            stored.status = order.status;
            stored.version = order.version;
            stored.declines = order.declines;
            stored.paid_by = order.transaction_id.map(|id| attempt_of(index, id));
            announcements.iter().for_each(|announcement| announce(world, index, announcement));
        }
    }
    Ok(())
}

/// Who hears of it; customers are not here.
fn announce(world: &mut World, index: usize, announcement: &Announcement) {
    let message = match announcement {
        Announcement::PaymentDue(_) => Message::Due(index),
        Announcement::Paid(said) => Message::Paid(index, said.version),
        Announcement::PaymentFailed(said) => Message::Off(index, said.version, false),
        Announcement::Expired(said) => Message::Off(index, said.version, true),
        Announcement::Cancelled(said) => Message::Off(index, said.version, true),
        Announcement::RefundDue(said) => Message::RefundDue(index, attempt_of(index, said.transaction_id)),
        Announcement::PaymentDeclined(_)
        | Announcement::PaymentReminder(_)
        | Announcement::Received(_)
        | Announcement::Rejected(_)
        | Announcement::Refunded(_) => return,
    };
    world.send(message);
}

// inventory-worker

fn lock(world: &mut World, order: usize) {
    let wanted = Quantities::from([(product(), 1)]);
    let before = world.reservations[order].map(|standing| (standing, &wanted));
    match reservation::lock(before, &wanted) {
        Lock::Take => {
            let state = if take(world, &wanted) { reservation::State::Locked } else { reservation::State::Rejected };
            world.reservations[order] = Some(Standing::new(state));
        }
        Lock::Adopt => world.reservations[order] = Some(Standing::new(reservation::State::Locked)),
        // All want the same here.
        Lock::Replace | Lock::Keep => {}
    }
    match world.reservations[order].map(|standing| standing.state) {
        Some(reservation::State::Locked | reservation::State::Confirmed) => world.send(Message::Locked(order)),
        Some(reservation::State::Rejected) => world.send(Message::Refused(order)),
        _ => {}
    }
}

pub fn lock_ahead(world: &mut World, order: usize) {
    let wanted = Quantities::from([(product(), 1)]);
    let before = world.reservations[order].map(|standing| (standing.state, &wanted));
    match reservation::lock_ahead(before, &wanted) {
        Ahead::Take if take(world, &wanted) => {
            let locked = Standing::new(reservation::State::Locked);
            world.reservations[order] = Some(Standing { is_provisional: true, ..locked });
        }
        Ahead::Keep => {}
        Ahead::Take | Ahead::OtherItems | Ahead::Rejected | Ahead::Off => return,
    }
    world.send(Message::Locked(order));
}

/// It leaves nothing behind: the order may still come.
pub fn lapse(world: &mut World, order: usize) {
    if world.reservations[order].is_some_and(|standing| standing.is_provisional) {
        world.reservations[order] = None;
        world.reserved -= 1;
    }
}

fn take(world: &mut World, wanted: &Quantities) -> bool {
    let mut stock = Stock::new([(product(), world.on_hand - world.reserved)].into());
    let is_enough = stock.take(wanted).is_ok();
    world.reserved += stock.taken().values().sum::<i64>();
    is_enough
}

fn settle(world: &mut World, order: usize, settlement: Settlement, version: i32) -> Result<(), Undone> {
    let before = world.reservations[order];
    if let Some(after) = reservation::settle(before, settlement, version).map_err(Undone)? {
        if let Some(before) = before {
            let moves = reservation::moves(before.state, after.state);
            world.on_hand += moves.on_hand;
            world.reserved += moves.reserved;
        }
        world.reservations[order] = Some(after);
    }
    Ok(())
}

// payment-worker

fn payment_due(world: &mut World, order: usize) -> Result<(), Undone> {
    world.accounts[order].is_owed = true;
    match payment::payment_due(&the_account(world, order), AMOUNT, most_attempts()) {
        OnDue::Charge(next) => begin(world, order, next, true),
        OnDue::Say(id) => say(world, order, attempt_of(order, id)),
        OnDue::Follow(_) | OnDue::Nothing => {}
        OnDue::Contradiction => return Err(Undone("another amount".to_owned())),
    }
    Ok(())
}

pub fn pay(world: &mut World, order: usize) {
    if let OnPay::Begin(next) = payment::pay(&the_account(world, order), &user(), AMOUNT, most_attempts()) {
        begin(world, order, next, false);
    }
}

fn begin(world: &mut World, order: usize, next: payment::Next, is_stored: bool) {
    if world.accounts[order].is_off {
        world.wrong = Some(Wrong::BegunTooLate);
    }
    let index = usize::try_from(next.number - 1).unwrap_or_default();
    // A customer whose attempts were voided may begin more than are counted here.
    if let Some(place) = world.accounts[order].attempts.get_mut(index) {
        *place = Some(Attempt { state: State::Open, attempts_left: next.attempts_left, is_stored, refund: None });
    }
}

fn called_off(world: &mut World, order: usize) {
    world.accounts[order].is_off = true;
    for attempt in payment::called_off(&the_account(world, order)) {
        world.send(Message::Completed(order, attempt_of(order, attempt.id)));
    }
}

fn refund_due(world: &mut World, order: usize, index: usize) -> Result<(), Undone> {
    let account = the_account(world, order);
    let id = transaction(order, index);
    let Some(attempt) = account.attempts.iter().find(|attempt| attempt.id == id) else {
        return Err(Undone("there is no such attempt".to_owned()));
    };
    match payment::refund_due(attempt, AMOUNT, Uuid::nil()) {
        OnRefund::Refund => change(world, order, index, |attempt| attempt.refund = Some(Refund::Due)),
        OnRefund::Say => world.send(Message::Refunded(order, index)),
        OnRefund::Follow | OnRefund::Told => {}
        OnRefund::Early => return Err(Undone("the charge has no outcome yet".to_owned())),
        OnRefund::Never(why) => return Err(Undone(why.to_owned())),
    }
    Ok(())
}

/// Somebody looks after an attempt that nobody is at any more, or so it seems.
pub fn void(world: &mut World, order: usize, index: usize) {
    let account = the_account(world, order);
    let id = transaction(order, index);
    let Some(attempt) = account.attempts.iter().find(|attempt| attempt.id == id && attempt.state == State::Open) else {
        return;
    };
    if world.gateway[order][index] == Charge::Unheard
        && payment::unsettled(&account.due, attempt, false) == Unsettled::Void
    {
        world.gateway[order][index] = Charge::Voided;
    }
}

/// What the gateway has is recorded.
pub fn hear(world: &mut World, order: usize, index: usize) {
    let Some(attempt) = world.accounts[order].attempts[index] else { return };
    let outcome = match world.gateway[order][index] {
        Charge::Unheard => return,
        Charge::Captured | Charge::GivenBack => State::Captured,
        Charge::Declined => State::Declined,
        Charge::Voided => State::Voided,
    };
    if let Some(state) = payment::settled(attempt.state, outcome) {
        change(world, order, index, |attempt| attempt.state = state);
        say(world, order, index);
    }
    if world.gateway[order][index] == Charge::GivenBack
        && let Some(refund) = payment::refunded(attempt.refund, Refund::Refunded)
    {
        change(world, order, index, |attempt| attempt.refund = Some(refund));
        world.send(Message::Refunded(order, index));
    }
}

fn say(world: &mut World, order: usize, index: usize) {
    let account = the_account(world, order);
    let id = transaction(order, index);
    let Some(attempt) = account.attempts.iter().find(|attempt| attempt.id == id) else { return };
    match attempt.news() {
        Some(News::Completed) => world.send(Message::Completed(order, index)),
        Some(News::Failed) => world.send(Message::Failed(order, index, attempt.left_after())),
        Some(News::Refunded) => world.send(Message::Refunded(order, index)),
        // A refusal is told to people alone.
        Some(News::RefundRefused) | None => {}
    }
}

fn change(world: &mut World, order: usize, index: usize, change: impl FnOnce(&mut Attempt)) {
    if let Some(attempt) = &mut world.accounts[order].attempts[index] {
        change(attempt);
    }
}

// From what is stored here to what the services decide by.

fn the_order(world: &World, index: usize) -> order::Order {
    let stored = &world.orders[index];
    order::Order {
        id: order_id(index),
        user_id: user(),
        status: stored.status,
        version: stored.version,
        amount: AMOUNT,
        transaction_id: stored.paid_by.map(|attempt| transaction(index, attempt)),
        deadline: DEADLINE,
        declines: stored.declines,
        reminded: false,
    }
}

pub fn the_account(world: &World, order: usize) -> payment::Account {
    let Account { is_owed, is_off, attempts } = world.accounts[order];
    // The first order's customer has a stored method, the other pays by hand.
    let token = || (order == 0).then(|| "stored".to_owned());
    let attempts = attempts.iter().enumerate().filter_map(|(index, attempt)| {
        let attempt = (*attempt)?;
        Some(payment::Attempt {
            id: transaction(order, index),
            order_id: order_id(order),
            number: number(index),
            state: attempt.state,
            amount: AMOUNT,
            attempts_left: attempt.attempts_left,
            token: attempt.is_stored.then(|| "stored".to_owned()),
            reference: None,
            reason: None,
            refund: attempt.refund,
            refused_event: None,
        })
    });
    payment::Account {
        due: Due {
            owed: is_owed.then(|| Owed { user_id: user(), amount: AMOUNT, token: token() }),
            off: is_off,
            late: world.is_late[order],
        },
        attempts: attempts.collect(),
    }
}

fn user() -> UserId {
    UserId::try_from("u".to_owned()).unwrap_or_else(|_| unreachable!("it is well formed"))
}

fn product() -> ProductId {
    ProductId::try_from("P".to_owned()).unwrap_or_else(|_| unreachable!("it is well formed"))
}

fn order_id(index: usize) -> OrderId {
    OrderId(Uuid::from_u128(index as u128))
}

fn transaction(order: usize, attempt: usize) -> TransactionId {
    TransactionId(Uuid::from_u128((order * MOST_ATTEMPTS + attempt) as u128))
}

fn attempt_of(order: usize, id: TransactionId) -> usize {
    usize::try_from(id.0.as_u128()).unwrap_or_default() - order * MOST_ATTEMPTS
}

fn number(index: usize) -> i32 {
    i32::try_from(index + 1).unwrap_or(i32::MAX)
}

fn most_attempts() -> i32 {
    i32::try_from(MOST_ATTEMPTS).unwrap_or(i32::MAX)
}
