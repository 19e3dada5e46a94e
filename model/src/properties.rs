//! What must hold: in every state; and in every state in which all has settled, more.

use inventory_worker::reservation;
use order_api::order::Status;
use payment_worker::payment::State;
use stateright::{Model as _, Property};

use crate::{
    workers,
    world::{Action, Charge, LOCKED_AHEAD, ORDERS, Saga, World},
};

pub fn all() -> Vec<Property<Saga>> {
    vec![
        Property::always(
            "nothing is oversold, and what is reserved is what is locked",
            |saga: &Saga, world: &World| {
                let of = |state| {
                    let locked = world.reservations.iter().flatten().filter(|standing| standing.state == state);
                    i64::try_from(locked.count()).unwrap_or(i64::MAX)
                };
                world.reserved == of(reservation::State::Locked)
                    && world.on_hand == saga.stock - of(reservation::State::Confirmed)
                    && (0..=world.on_hand).contains(&world.reserved)
            },
        ),
        Property::always("an order's money is captured once at a time", |_: &Saga, world: &World| {
            (0..ORDERS).all(|order| kept(world, order) <= 1)
        }),
        // Stock that was locked by request may have been given back again, until the order's own turn comes.
        Property::always("an order that is paid has its money and its stock was locked", |_: &Saga, world: &World| {
            (0..ORDERS).filter(|order| world.orders[*order].status == Status::Paid).all(|order| {
                let stock = world.reservations[order].map(|standing| standing.state);
                let is_held = matches!(stock, Some(reservation::State::Locked | reservation::State::Confirmed));
                kept(world, order) == 1 && (is_held || order == LOCKED_AHEAD)
            })
        }),
        Property::always(
            "whoever is off for good has no money of the customer's that nobody knows of",
            |_: &Saga, world: &World| {
                (0..ORDERS)
                    .filter(|order| world.orders[*order].status == Status::Refunded)
                    .all(|order| kept(world, order) == 0)
            },
        ),
        Property::always(
            "once all has settled, there are goods for money and money for goods",
            |saga: &Saga, world: &World| !has_settled(saga, world) || (0..ORDERS).all(|order| adds_up(world, order)),
        ),
        Property::always(
            "once all has settled, no message is left that cannot be dealt with",
            |saga: &Saga, world: &World| {
                !has_settled(saga, world)
                    || world.sent.iter().all(|message| workers::deliver(&mut world.clone(), *message).is_ok())
            },
        ),
        Property::sometimes("both are paid", |saga: &Saga, world: &World| {
            saga.stock < 2 || is(world, [Status::Paid, Status::Paid])
        }),
        Property::sometimes("one is paid and the other has no stock", |saga: &Saga, world: &World| {
            saga.stock > 1 || is(world, [Status::Paid, Status::Rejected])
        }),
        Property::sometimes(
            "the goods of an order that was called off are sold to the other",
            |saga: &Saga, world: &World| saga.stock > 1 || is(world, [Status::Refunded, Status::Paid]),
        ),
        Property::sometimes("an order fails for good", |_: &Saga, world: &World| {
            world.orders.iter().any(|order| order.status == Status::PaymentFailed)
        }),
    ]
}

fn is(world: &World, statuses: [Status; ORDERS]) -> bool {
    world.orders.each_ref().map(|order| order.status) == statuses
}

/// How many captures of an order the gateway has not given back.
fn kept(world: &World, order: usize) -> usize {
    world.gateway[order].iter().filter(|charge| **charge == Charge::Captured).count()
}

/// Nothing more happens by itself, and every deadline has passed: only people could still change something.
fn has_settled(saga: &Saga, world: &World) -> bool {
    let mut actions = Vec::new();
    saga.actions(world, &mut actions);
    let by_itself = |action: &Action| !matches!(action, Action::Cancel(..) | Action::Pay(_) | Action::LockAhead(_));
    world.is_late.iter().all(|is_late| *is_late)
        && actions.into_iter().filter(by_itself).all(|action| saga.next_state(world, action).is_none())
}

fn adds_up(world: &World, order: usize) -> bool {
    let stock = world.reservations[order].map(|standing| standing.state);
    let open = world.accounts[order].attempts.iter().flatten().any(|attempt| attempt.state == State::Open);
    let status = world.orders[order].status;
    let is_paid = status == Status::Paid;
    let has_left = stock == Some(reservation::State::Confirmed);
    let is_held = stock == Some(reservation::State::Locked);
    status.is_over() && !open && !is_held && is_paid == has_left && kept(world, order) == usize::from(is_paid)
}
