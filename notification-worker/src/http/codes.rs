//! Why something cannot be sent, besides what any request can be refused for.

common::codes! {
    NO_CONTACT = "no_contact", NOT_FOUND,
        "The customer has no address of this kind.",
        "Store one: `PUT /api/notification/contacts/{userId}`.";
    ADDRESS_REFUSED = "address_refused", UNPROCESSABLE_ENTITY,
        "The customer's address does not take it, and never will.",
        "Have the contact mended; the message says what the other side said.";
    INVALID_IDEMPOTENCY_KEY = "invalid_idempotency_key", BAD_REQUEST,
        "`Idempotency-Key` is not a name for a request.",
        "Send it once, with 1 to 255 visible ASCII characters; a UUID is a good choice.";
    IDEMPOTENCY_KEY_REUSED = "idempotency_key_reused", UNPROCESSABLE_ENTITY,
        "Something else was sent with this `Idempotency-Key`.",
        "Use a new key for a new message; to repeat a request, repeat its body.";
    UNDER_WAY = "under_way", CONFLICT,
        "The same request is being carried out, or broke off a moment ago.",
        "Send it again after `Retry-After` seconds: it is not sent twice.";
}
