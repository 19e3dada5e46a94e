//! What must hold: in every state; and in every state in which all has settled, more.

use inventory_worker::reservation;
use order_api::order::Status;
use payment_worker::payment::{Refund, State};
use stateright::{Model as _, Property};

use crate::{
    workers,
    world::{Action, Charge, LOCKED_AHEAD, MOST_ORDERS, Saga, World},
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
        Property::always("an order's money is captured once at a time", |saga: &Saga, world: &World| {
            (0..saga.orders).all(|order| kept(world, order) <= 1)
        }),
        Property::always(
            "what is paid is given up by the shop alone, and nothing is begun for what is off",
            |_: &Saga, world: &World| world.wrong.is_none(),
        ),
        // Stock that was locked by request may have been given back again, until the order's own turn comes.
        Property::always(
            "an order that is paid has its money and its stock was locked",
            |saga: &Saga, world: &World| {
                (0..saga.orders).filter(|order| world.orders[*order].status == Status::Paid).all(|order| {
                    let stock = world.reservations[order].map(|standing| standing.state);
                    let is_held = matches!(stock, Some(reservation::State::Locked | reservation::State::Confirmed));
                    kept(world, order) == 1 && (is_held || order == LOCKED_AHEAD.min(saga.orders - 1))
                })
            },
        ),
        Property::always(
            "whoever is off for good has no money of the customer's that nobody knows of",
            |saga: &Saga, world: &World| {
                (0..saga.orders)
                    .filter(|order| world.orders[*order].status == Status::Refunded)
                    .all(|order| kept(world, order) == 0)
            },
        ),
        Property::always(
            "what a person has paid back the gateway does not give back as well",
            |saga: &Saga, world: &World| {
                (0..saga.orders).all(|order| {
                    let mut charges = world.gateway[order].iter().enumerate();
                    charges.all(|(i, charge)| *charge != Charge::GivenBack || !is_paid_back(world, order, i))
                })
            },
        ),
        Property::always(
            "once all has settled, there are goods for money and money for goods",
            |saga: &Saga, world: &World| {
                !has_settled(saga, world) || (0..saga.orders).all(|order| adds_up(world, order))
            },
        ),
        Property::always(
            "once nothing else happens, no message is left that cannot be dealt with",
            |saga: &Saga, world: &World| !is_stuck(saga, world),
        ),
        // Else the two above would say nothing.
        Property::sometimes("all has settled", has_settled),
        Property::sometimes("both are paid", |saga: &Saga, world: &World| {
            saga.orders < 2 || saga.stock < 2 || is(world, [Status::Paid, Status::Paid])
        }),
        Property::sometimes("one is paid and the other has no stock", |saga: &Saga, world: &World| {
            saga.orders < 2 || saga.stock > 1 || is(world, [Status::Paid, Status::Rejected])
        }),
        Property::sometimes(
            "the goods of an order that was called off are sold to the other",
            |saga: &Saga, world: &World| {
                saga.orders < 2 || saga.stock > 1 || is(world, [Status::Refunded, Status::Paid])
            },
        ),
        Property::sometimes("somebody is paid back by hand", |saga: &Saga, world: &World| {
            saga.orders > 1 || world.orders[0].status == Status::Refunded && is_paid_back(world, 0, 0)
        }),
        Property::sometimes("an order fails for good", |_: &Saga, world: &World| {
            world.orders.iter().any(|order| order.status == Status::PaymentFailed)
        }),
    ]
}

fn is(world: &World, statuses: [Status; MOST_ORDERS]) -> bool {
    world.orders.each_ref().map(|order| order.status) == statuses
}

/// How many captures of an order nobody has given back.
fn kept(world: &World, order: usize) -> usize {
    let charges = world.gateway[order].iter().enumerate();
    charges.filter(|(i, charge)| **charge == Charge::Captured && !is_paid_back(world, order, *i)).count()
}

fn is_paid_back(world: &World, order: usize, index: usize) -> bool {
    world.accounts[order].attempts[index].is_some_and(|attempt| attempt.refund == Some(Refund::PaidBack))
}

/// All that was said was heard, and nothing more happens by itself. Only people could still change something, or a message
/// that comes again.
fn has_settled(saga: &Saga, world: &World) -> bool {
    match saga.may_come_once {
        true => is_all_done(world) && nothing_happens(saga, world, |action| !matches!(action, Action::Deliver(_))),
        false => nothing_happens(saga, world, |_| true),
    }
}

fn is_all_done(world: &World) -> bool {
    world.sent.iter().all(|(_, is_done)| *is_done)
}

/// What was said and cannot be dealt with, though nothing else happens any more.
fn is_stuck(saga: &Saga, world: &World) -> bool {
    if saga.may_come_once {
        // One that is left would have changed something.
        let is_first = |action: &Action| match action {
            Action::Deliver(message) => world.sent.contains(&(*message, false)),
            _ => true,
        };
        return !is_all_done(world) && nothing_happens(saga, world, is_first);
    }
    has_settled(saga, world)
        && world.sent.iter().any(|(message, _)| workers::deliver(&mut world.clone(), *message).is_err())
}

/// Nothing of this happens by itself, and every deadline has passed.
fn nothing_happens(saga: &Saga, world: &World, of: impl Fn(&Action) -> bool) -> bool {
    let by_itself = |action: &Action| !matches!(action, Action::Cancel(..) | Action::Pay(_) | Action::LockAhead(_));
    let mut actions = Vec::new();
    saga.actions(world, &mut actions);
    world.is_late.iter().take(saga.orders).all(|is_late| *is_late)
        && actions.into_iter().filter(by_itself).filter(of).all(|action| saga.next_state(world, action).is_none())
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
