//! What everyone must hear of a transition, put into the outbox that commits together with it.

use common::{ids::OrderId, outbox::Outbox};

use crate::order::Announcement;

/// `cause` is the trace of what brought it about.
pub(crate) fn announce(
    outbox: &mut Outbox,
    cause: Option<&str>,
    id: &OrderId,
    announcements: &[Announcement],
) -> Result<(), serde_json::Error> {
    announcements.iter().try_for_each(|announcement| match announcement {
        Announcement::Received(payload) => outbox.announce(cause, id, payload),
        Announcement::PaymentDue(payload) => outbox.announce(cause, id, payload),
        Announcement::PaymentDeclined(payload) => outbox.announce(cause, id, payload),
        Announcement::PaymentReminder(payload) => outbox.announce(cause, id, payload),
        Announcement::Paid(payload) => outbox.announce(cause, id, payload),
        Announcement::Rejected(payload) => outbox.announce(cause, id, payload),
        Announcement::PaymentFailed(payload) => outbox.announce(cause, id, payload),
        Announcement::Expired(payload) => outbox.announce(cause, id, payload),
        Announcement::Cancelled(payload) => outbox.announce(cause, id, payload),
        Announcement::RefundDue(payload) => outbox.announce(cause, id, payload),
        Announcement::Refunded(payload) => outbox.announce(cause, id, payload),
    })
}
