use super::*;

const MOST: i32 = 3;
const OWED: Money = Money(10_050);

fn user(name: &str) -> UserId {
    UserId::try_from(name.to_owned()).unwrap()
}

fn attempt(number: i32, state: State) -> Attempt {
    Attempt {
        id: TransactionId::generate(),
        order_id: OrderId::generate(),
        number,
        state,
        amount: OWED,
        attempts_left: MOST - number,
        token: Some("pm_1".to_owned()),
        reference: None,
        reason: None,
        refund: None,
        refused_event: None,
    }
}

fn account(states: &[State]) -> Account {
    let owed = Owed { user_id: user("1"), amount: OWED, token: Some("pm_1".to_owned()) };
    let attempts = (1..).zip(states).map(|(number, state)| attempt(number, *state)).collect();
    Account { due: Due { owed: Some(owed), off: false, late: false }, attempts }
}

#[test]
fn the_stored_method_is_charged_once_and_every_answer_is_given_again() {
    let fresh = account(&[]);
    assert_eq!(payment_due(&fresh, OWED, MOST), OnDue::Charge(Next { number: 1, attempts_left: 2 }));
    assert_eq!(payment_due(&fresh, Money(1), MOST), OnDue::Contradiction);
    for change in [
        |account: &mut Account| account.due.off = true,
        |account: &mut Account| account.due.late = true,
        |account: &mut Account| account.due.owed.as_mut().unwrap().token = None,
        |account: &mut Account| account.due = Due { owed: None, off: true, late: false },
    ] {
        let mut account = fresh.clone();
        change(&mut account);
        assert_eq!(payment_due(&account, OWED, MOST), OnDue::Nothing);
    }
    for (states, expected) in [
        (&[State::Captured][..], OnDue::Say as fn(_) -> _),
        (&[State::Declined], OnDue::Say),
        (&[State::Open], OnDue::Follow),
        (&[State::Declined, State::Open], OnDue::Follow),
        (&[State::Declined, State::Captured], OnDue::Say),
    ] {
        let account = account(states);
        assert_eq!(payment_due(&account, OWED, MOST), expected(account.attempts.last().unwrap().id), "{states:?}");
    }
    assert_eq!(payment_due(&account(&[State::Voided]), OWED, MOST), OnDue::Nothing);
}

#[test]
fn a_customer_pays_what_is_due_until_the_limit_or_the_deadline_or_the_end() {
    let asked = |account: &Account| pay(account, &user("1"), OWED, MOST);
    assert_eq!(asked(&account(&[])), OnPay::Begin(Next { number: 1, attempts_left: 2 }));
    let twice = account(&[State::Declined, State::Voided, State::Declined]);
    assert_eq!(asked(&twice), OnPay::Begin(Next { number: 4, attempts_left: 0 }), "what was voided is not spent");
    assert_eq!(asked(&account(&[State::Declined; 3])), OnPay::UsedUp);
    assert_eq!(pay(&account(&[]), &user("2"), OWED, MOST), OnPay::NotDue);
    assert_eq!(pay(&account(&[]), &user("1"), Money(OWED.0 + 1), MOST), OnPay::OtherAmount);
    let open = account(&[State::Declined, State::Open]);
    assert_eq!(asked(&open), OnPay::Wait(open.attempts[1].id));
    let mut paid = account(&[State::Captured]);
    paid.due.late = true;
    assert_eq!(asked(&paid), OnPay::Paid(paid.attempts[0].id));
    paid.attempts[0].refund = Some(Refund::Due);
    assert_eq!(asked(&paid), OnPay::Off);
    let mut late = account(&[]);
    late.due.late = true;
    assert_eq!(asked(&late), OnPay::Late);
    late.due.off = true;
    assert_eq!(asked(&late), OnPay::Off);
}

#[test]
fn who_hears_that_an_order_is_off_says_again_that_its_money_is_here() {
    let paid = account(&[State::Declined, State::Captured]);
    assert!(called_off(&paid).eq([&paid.attempts[1]]));
    for states in [&[][..], &[State::Open], &[State::Declined], &[State::Voided]] {
        assert_eq!(called_off(&account(states)).count(), 0, "{states:?}");
    }
    let mut given_back = paid;
    given_back.attempts[1].refund = Some(Refund::Refunded);
    assert_eq!(called_off(&given_back).count(), 0);
}

#[test]
fn a_refund_is_made_once_and_its_answer_given_again() {
    let mut captured = attempt(1, State::Captured);
    assert!(captured.is_settled() && !attempt(1, State::Open).is_settled());
    assert_eq!(refund_due(&captured, OWED, Uuid::nil()), OnRefund::Refund);
    assert!(matches!(refund_due(&captured, Money(1), Uuid::nil()), OnRefund::Never(_)));
    captured.refund = Some(Refund::Due);
    assert_eq!(refund_due(&captured, OWED, Uuid::nil()), OnRefund::Follow);
    assert!(!captured.is_settled(), "somebody must come back to it");
    captured.refund = Some(Refund::Refunded);
    assert_eq!(refund_due(&captured, OWED, Uuid::nil()), OnRefund::Say);
    assert_eq!(refund_due(&attempt(1, State::Open), OWED, Uuid::nil()), OnRefund::Early);
    assert!(matches!(refund_due(&attempt(1, State::Declined), OWED, Uuid::nil()), OnRefund::Never(_)));
    assert_eq!(refunded(Some(Refund::Refunded), Refund::Refused), None);
    assert_eq!(refunded(Some(Refund::Due), Refund::Refused), Some(Refund::Refused));
}

#[test]
fn the_first_outcome_stands_and_captured_money_is_captured() {
    let all = [State::Open, State::Captured, State::Declined, State::Voided];
    for outcome in all {
        assert_eq!(settled(State::Captured, outcome), None);
        assert_eq!(settled(outcome, State::Open), None);
    }
    assert_eq!(settled(State::Open, State::Voided), Some(State::Voided));
    assert_eq!(settled(State::Declined, State::Voided), None);
    assert_eq!(settled(State::Voided, State::Captured), Some(State::Captured));
    for state in all {
        assert_eq!(state.as_str().parse(), Ok(state));
    }
}

#[test]
fn what_the_gateway_never_heard_of_is_charged_only_while_it_may_be() {
    let mut due = account(&[]).due;
    let stored = attempt(1, State::Open);
    let card = Attempt { token: None, ..stored.clone() };
    assert_eq!(unsettled(&due, &stored, false), Unsettled::Charge);
    assert_eq!(unsettled(&due, &card, false), Unsettled::Void);
    assert_eq!(unsettled(&due, &card, true), Unsettled::Wait);
    due.late = true;
    assert_eq!(unsettled(&due, &stored, false), Unsettled::Void);
    assert_eq!(unsettled(&due, &stored, true), Unsettled::Wait);
    due.off = true;
    assert_eq!(unsettled(&due, &stored, true), Unsettled::Void);
}

#[test]
fn people_are_told_once_that_a_refund_is_refused_and_again_when_they_ask() {
    let (first, another) = (Uuid::from_u128(1), Uuid::from_u128(2));
    let mut refused = attempt(1, State::Captured);
    refused.refund = Some(Refund::Refused);
    assert_eq!(refund_due(&refused, OWED, first), OnRefund::Refund, "nobody was told yet");
    refused.refused_event = Some(first);
    assert_eq!(refund_due(&refused, OWED, another), OnRefund::Told);
    assert_eq!(refund_due(&refused, OWED, first), OnRefund::Refund);
}

#[test]
fn whoever_pays_by_hand_hears_what_came_of_it_and_a_voided_attempt_is_not_spent() {
    let stored = attempt(3, State::Voided);
    assert_eq!((stored.news(), stored.left_after()), (None, 1));
    let by_hand = Attempt { token: None, ..stored };
    assert_eq!(by_hand.news(), Some(News::Failed));
    let declined = Attempt { state: State::Declined, ..by_hand };
    assert_eq!((declined.news(), declined.left_after()), (Some(News::Failed), 0));
    assert_eq!(Attempt { state: State::Open, ..declined }.news(), None);
}

#[test]
fn only_what_the_gateway_refuses_is_paid_back_by_hand_and_both_are_seen() {
    let mut captured = attempt(1, State::Captured);
    for (refund, may) in [
        (None, false),
        (Some(Refund::Due), false),
        (Some(Refund::Refunded), false),
        (Some(Refund::PaidBack), false),
        (Some(Refund::Refused), true),
    ] {
        captured.refund = refund;
        assert_eq!(not_to_be_paid_back(&captured).is_none(), may, "{refund:?}");
    }
    for state in [State::Open, State::Declined, State::Voided] {
        assert!(not_to_be_paid_back(&attempt(1, state)).is_some());
    }
    captured.refund = Some(Refund::PaidBack);
    captured.refused_event = Some(Uuid::nil());
    assert!(captured.is_settled());
    assert_eq!(refund_due(&captured, OWED, Uuid::nil()), OnRefund::Say, "the gateway is not asked any more");
    assert_eq!(refunded(Some(Refund::PaidBack), Refund::Refused), None);
    let after = refunded(Some(Refund::PaidBack), Refund::Refunded);
    assert_eq!(after, Some(Refund::Refunded));
    assert!(is_given_twice(Some(Refund::PaidBack), after) && !is_given_twice(Some(Refund::Refused), after));
    assert_eq!("paid_back".parse(), Ok(Refund::PaidBack));
}
