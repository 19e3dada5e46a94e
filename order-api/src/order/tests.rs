use super::{
    again::{Step, again},
    *,
};

const AMOUNT: Money = Money(100);

fn order(status: Status, amount: i64) -> Order {
    Order {
        id: OrderId::generate(),
        user_id: UserId::try_from("123456".to_owned()).unwrap(),
        status,
        version: 1,
        amount: Money(amount),
        transaction_id: None,
        deadline: OffsetDateTime::UNIX_EPOCH + Duration::minutes(15),
        declines: 0,
        reminded: false,
    }
}

fn holding(status: Status, transaction_id: TransactionId) -> Order {
    Order { transaction_id: Some(transaction_id), ..order(status, AMOUNT.0) }
}

fn at(minutes: i64) -> Happened {
    let now = OffsetDateTime::UNIX_EPOCH + Duration::minutes(minutes);
    Happened::Looked(Clock { now, remind_before: Duration::minutes(5) })
}

fn captured(transaction_id: TransactionId) -> Happened {
    Happened::Paid { transaction_id, amount: AMOUNT }
}

fn declined(attempt: i32, attempts_left: i32) -> Happened {
    Happened::Declined { attempt, attempts_left, reason: "declined".to_owned() }
}

fn everything() -> Vec<Happened> {
    vec![
        Happened::StockLocked,
        Happened::StockRefused(Vec::new()),
        captured(TransactionId::generate()),
        declined(1, 1),
        declined(2, 0),
        Happened::Refunded { transaction_id: TransactionId::generate() },
        Happened::CancelAsked { by: Canceller::Customer },
        Happened::CancelAsked { by: Canceller::Shop },
        at(0),
        at(11),
        at(15),
    ]
}

/// The order after it, and the one thing that is announced.
fn step(order: &Order, happened: &Happened) -> (Order, Announcement) {
    match next(order, happened) {
        Next::Changed { order: after, mut announcements, .. } if announcements.len() == 1 => {
            assert_eq!(after.version, order.version + 1);
            (after, announcements.remove(0))
        }
        other => panic!("{happened:?} of {order:?}: {other:?}"),
    }
}

#[test]
fn the_happy_path_is_paid_in_two_steps() {
    let (due, announced) = step(&order(Status::Pending, 100), &Happened::StockLocked);
    let Announcement::PaymentDue(said) = announced else { panic!("{announced:?}") };
    assert_eq!(
        (due.status, said.version, said.amount, said.deadline),
        (Status::AwaitingPayment, 2, AMOUNT, due.deadline)
    );
    let transaction_id = TransactionId::generate();
    let (paid, announced) = step(&due, &captured(transaction_id));
    let Announcement::Paid(said) = announced else { panic!("{announced:?}") };
    assert_eq!((paid.status, paid.transaction_id, said.version), (Status::Paid, Some(transaction_id), 3));
}

#[test]
fn an_order_of_nothing_is_paid_without_a_charge_and_called_off_without_a_refund() {
    let (paid, announced) = step(&order(Status::Pending, 0), &Happened::StockLocked);
    assert!(matches!(announced, Announcement::Paid(_)) && paid.status == Status::Paid);
    let (off, announced) = step(&paid, &Happened::CancelAsked { by: Canceller::Shop });
    assert!(matches!(announced, Announcement::Cancelled(_)) && off.status == Status::Cancelled);
}

#[test]
fn what_is_heard_twice_changes_nothing_the_second_time() {
    for (status, _) in Status::NAMES {
        for happened in everything() {
            if let Next::Changed { order, .. } = next(&holding(status, TransactionId::generate()), &happened) {
                assert_eq!(next(&order, &happened), Next::Unchanged, "{status} {happened:?}");
            }
        }
    }
}

#[test]
fn only_money_and_the_shop_move_an_order_that_has_its_answer() {
    for (status, _) in Status::NAMES.into_iter().filter(|(status, _)| status.is_answered()) {
        for happened in everything() {
            let order = holding(status, TransactionId::generate());
            let is_moved = matches!(next(&order, &happened), Next::Changed { .. });
            let may_be = match happened {
                Happened::Paid { .. } => {
                    matches!(status, Status::Rejected | Status::PaymentFailed | Status::Expired | Status::Cancelled)
                }
                // Stock that was locked by request may be gone by the time that the order asks for it.
                Happened::CancelAsked { by: Canceller::Shop } | Happened::StockRefused(_) => status == Status::Paid,
                _ => false,
            };
            assert_eq!(is_moved, may_be, "{status} {happened:?}");
        }
    }
}

#[test]
fn an_order_can_be_called_off_until_it_is_paid() {
    for status in [Status::Pending, Status::AwaitingPayment] {
        for (by, word) in [(Canceller::Customer, "by the customer"), (Canceller::Shop, "by the shop")] {
            let Next::Changed { order, announcements, detail } =
                next(&order(status, 100), &Happened::CancelAsked { by })
            else {
                panic!("not cancelled")
            };
            assert!(matches!(announcements.as_slice(), [Announcement::Cancelled(said)] if said.version == 2));
            assert_eq!((order.status, detail.as_deref()), (Status::Cancelled, Some(word)));
        }
    }
    let paid = holding(Status::Paid, TransactionId::generate());
    assert_eq!(next(&paid, &Happened::CancelAsked { by: Canceller::Customer }), Next::Unchanged);
}

#[test]
fn the_shop_calls_off_what_is_paid_and_its_money_goes_back() {
    let transaction_id = TransactionId::generate();
    let paid = holding(Status::Paid, transaction_id);
    let Next::Changed { order, announcements, .. } = next(&paid, &Happened::CancelAsked { by: Canceller::Shop }) else {
        panic!("not called off")
    };
    let [Announcement::Cancelled(_), Announcement::RefundDue(due)] = announcements.as_slice() else {
        panic!("{announcements:?}")
    };
    assert_eq!((order.status, due.transaction_id, due.amount), (Status::Refunding, transaction_id, AMOUNT));
    assert_eq!(next(&order, &captured(transaction_id)), Next::Unchanged);
    let other = Happened::Refunded { transaction_id: TransactionId::generate() };
    assert_eq!(next(&order, &other), Next::Unchanged);
    let (refunded, announced) = step(&order, &Happened::Refunded { transaction_id });
    assert!(matches!(announced, Announcement::Refunded(_)) && refunded.status == Status::Refunded);
}

#[test]
fn money_that_comes_late_or_twice_is_never_kept() {
    let (first, other) = (TransactionId::generate(), TransactionId::generate());
    for status in [Status::Rejected, Status::PaymentFailed, Status::Expired, Status::Cancelled] {
        let (refunding, announced) = step(&order(status, 100), &captured(first));
        assert!(matches!(announced, Announcement::RefundDue(due) if due.transaction_id == first));
        assert_eq!((refunding.status, refunding.transaction_id), (Status::Refunding, Some(first)));
    }
    for status in [Status::Paid, Status::Refunding, Status::Refunded] {
        assert_eq!(next(&holding(status, first), &captured(first)), Next::Unchanged);
        let Next::Said(Announcement::RefundDue(due)) = next(&holding(status, first), &captured(other)) else {
            panic!("{status}: it was kept")
        };
        assert_eq!(due.transaction_id, other);
    }
}

#[test]
fn a_decline_leaves_the_order_open_until_it_was_the_last() {
    let due = order(Status::AwaitingPayment, 100);
    let (still, announced) = step(&due, &declined(1, 2));
    let Announcement::PaymentDeclined(said) = announced else { panic!("{announced:?}") };
    assert_eq!((still.status, still.declines, said.attempts_left), (Status::AwaitingPayment, 1, 2));
    // The third is heard of before the second.
    let (failed, announced) = step(&still, &declined(3, 0));
    assert!(matches!(announced, Announcement::PaymentFailed(_)) && failed.status == Status::PaymentFailed);
    assert_eq!(next(&failed, &declined(2, 1)), Next::Unchanged);
}

#[test]
fn time_reminds_once_and_then_ends_it() {
    let due = order(Status::AwaitingPayment, 100);
    assert_eq!(next(&due, &at(9)), Next::Unchanged);
    let (reminded, announced) = step(&due, &at(10));
    assert!(matches!(announced, Announcement::PaymentReminder(_)) && reminded.status == Status::AwaitingPayment);
    assert_eq!(next(&reminded, &at(14)), Next::Unchanged);
    for open in [reminded, order(Status::Pending, 100)] {
        let (expired, announced) = step(&open, &at(15));
        assert!(matches!(announced, Announcement::Expired(_)) && expired.status == Status::Expired);
    }
    // Whoever waits for stock has nothing to pay yet.
    assert_eq!(next(&order(Status::Pending, 100), &at(12)), Next::Unchanged);
    let never = Happened::Looked(Clock { now: due.deadline - Duration::seconds(1), remind_before: Duration::ZERO });
    assert_eq!(next(&due, &never), Next::Unchanged);
}

#[test]
fn the_wrong_amount_is_never_taken_for_payment() {
    let happened = Happened::Paid { transaction_id: TransactionId::generate(), amount: Money(99) };
    assert!(matches!(next(&order(Status::AwaitingPayment, 100), &happened), Next::Absurd(_)));
}

/// The order after all of this, its timeline, and all that was said, but for what was overtaken.
fn told(happened: &[Happened]) -> (Order, Vec<Step>, Vec<Announcement>) {
    let mut order = order(Status::Pending, 100);
    let (mut steps, mut said) = (Vec::new(), Vec::new());
    for happened in happened {
        let Next::Changed { order: after, announcements, detail } = next(&order, happened) else {
            panic!("{happened:?} of {order:?}")
        };
        steps.push(Step { version: after.version, status: after.status, detail: detail.unwrap_or_default() });
        if after.status.is_answered() && !order.status.is_answered() || after.status == Status::AwaitingPayment {
            said.clear();
        }
        said.extend(announcements);
        order = after;
    }
    (order, steps, said)
}

#[test]
fn what_may_have_been_lost_is_said_again_as_it_was() {
    let transaction_id = TransactionId::generate();
    let (locked, paid, refunded) =
        (|| Happened::StockLocked, || captured(transaction_id), || Happened::Refunded { transaction_id });
    let cancel = |by| Happened::CancelAsked { by };
    let lives = [
        vec![],
        vec![locked()],
        vec![locked(), paid()],
        vec![Happened::StockRefused(Vec::new())],
        vec![locked(), declined(1, 1), declined(2, 0)],
        vec![at(15)],
        vec![locked(), at(11), at(15)],
        vec![locked(), cancel(Canceller::Customer)],
        vec![locked(), at(15), paid()],
        vec![locked(), declined(1, 0), paid()],
    ];
    for life in lives {
        let (order, steps, said) = told(&life);
        assert_eq!(again(&order, &steps), said, "{life:?}");
    }
    // What is over by now is not asked for any more.
    let is_due = |said: &Announcement| matches!(said, Announcement::RefundDue(_));
    for life in
        [vec![locked(), at(15), paid(), refunded()], vec![locked(), paid(), cancel(Canceller::Shop), refunded()]]
    {
        let (order, steps, mut said) = told(&life);
        said.retain(|said| !is_due(said) && !matches!(said, Announcement::Paid(_)));
        assert_eq!(again(&order, &steps), said, "{life:?}");
    }
    // What was paid once and is off now.
    let (order, steps, said) = told(&[locked(), paid(), cancel(Canceller::Shop)]);
    assert_eq!(again(&order, &steps), said[1..]);
}

#[test]
fn every_status_has_a_name_of_its_own() {
    for (status, name) in Status::NAMES {
        assert_eq!(name.parse(), Ok(status));
        assert_eq!(status.to_string(), name);
    }
}
