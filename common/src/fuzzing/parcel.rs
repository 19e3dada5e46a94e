use serde_json::{Value, value::RawValue};

use crate::events::{
    Event, InventoryLocked, InventoryRejected, MOST_EVENTS, Opened, OrderCancelled, OrderCreated, OrderExpired,
    OrderPaid, OrderPaymentDeclined, OrderPaymentDue, OrderPaymentFailed, OrderPaymentReminder, OrderReceived,
    OrderRefundDue, OrderRefunded, OrderRejected, OrderWakeup, Payload, PaymentCompleted, PaymentFailed,
    PaymentRefundRefused, PaymentRefunded, SupportRetried, open, pack,
};

/// A message: each event in it is read or kept as it is, and what was read says the same when it travels on.
pub fn parcel(bytes: &[u8]) {
    let Ok(opened) = open(bytes) else { return };
    assert!((1..=MOST_EVENTS).contains(&opened.len()));
    for one in &opened {
        match one {
            Opened::Event(event) => travels_on(event),
            Opened::Unreadable { raw, .. } => assert!(serde_json::from_str::<&RawValue>(raw).is_ok(), "{raw}"),
        }
    }
}

fn travels_on(event: &Event) {
    let text = serde_json::to_vec(event).unwrap();
    let opened = open(&pack([text.as_slice()])).unwrap();
    let [Opened::Event(again)] = opened.as_slice() else { panic!("{opened:?}") };
    assert_eq!(format!("{again:?}"), format!("{event:?}"));
    reads::<InventoryLocked>(event);
    reads::<InventoryRejected>(event);
    reads::<OrderCancelled>(event);
    reads::<OrderCreated>(event);
    reads::<OrderExpired>(event);
    reads::<OrderPaid>(event);
    reads::<OrderPaymentDeclined>(event);
    reads::<OrderPaymentDue>(event);
    reads::<OrderPaymentFailed>(event);
    reads::<OrderPaymentReminder>(event);
    reads::<OrderReceived>(event);
    reads::<OrderRefundDue>(event);
    reads::<OrderRefunded>(event);
    reads::<OrderRejected>(event);
    reads::<OrderWakeup>(event);
    reads::<PaymentCompleted>(event);
    reads::<PaymentFailed>(event);
    reads::<PaymentRefundRefused>(event);
    reads::<PaymentRefunded>(event);
    reads::<SupportRetried>(event);
}

/// What is read of a payload, written and read again, is the same.
fn reads<P: Payload>(event: &Event) {
    let Ok(payload) = event.payload::<P>() else { return };
    assert_eq!(event.kind, P::TYPE);
    let written = serde_json::to_value(&payload).unwrap();
    let again: P = serde_json::from_value(written.clone()).unwrap();
    assert_eq!(serde_json::to_value(&again).unwrap(), written);
    assert!(matches!(written, Value::Object(_)), "{written}");
}
