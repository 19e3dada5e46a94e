//! Why an order can be refused, besides what any request can be refused for.

common::codes! {
    INVALID_USER = "invalid_user", BAD_REQUEST,
        "`userId` cannot be the name of a user.",
        "Use 1 to 64 characters out of `A-Z a-z 0-9 . _ @ : + -`.";
    INVALID_AMOUNT = "invalid_amount", BAD_REQUEST,
        "`orderAmount` is no amount of the shop's currency.",
        "Send a JSON number from 0 to 10^12 with no more decimals than the currency has.";
    AMOUNT_MISMATCH = "amount_mismatch", BAD_REQUEST,
        "`orderAmount` is not the sum of prices times quantities.",
        "The message names the sum; read the prices again if they have changed.";
    INVALID_ITEMS = "invalid_items", BAD_REQUEST,
        "There are no lines, or too many.",
        "Send 1 to 100 lines.";
    INVALID_QUANTITY = "invalid_quantity", BAD_REQUEST,
        "A quantity is not a positive whole number.",
        "Send a JSON number from 1 to 1,000,000.";
    UNKNOWN_PRODUCT = "unknown_product", BAD_REQUEST,
        "A product is not in the catalogue.",
        "`GET /api/products` lists those that are.";
    WRONG_USER = "wrong_user", FORBIDDEN,
        "The order is for another user than the token.",
        "Order for the user whose token you send.";
    INVALID_SIGNATURE = "invalid_signature", FORBIDDEN,
        "The body was not signed, as it is, with a key that is registered for its user.",
        "The message says which of these it is; `docs/signing.md` shows how to sign.";
    INVALID_KEY = "invalid_key", BAD_REQUEST,
        "What was sent is not an Ed25519 public key that signatures can be trusted by.",
        "Send the PEM that `openssl pkey -pubout` writes for a key made by `openssl genpkey -algorithm ed25519`.";
    TOO_MANY_KEYS = "too_many_keys", CONFLICT,
        "The user has as many signing keys as one may have.",
        "Revoke one that is no longer used.";
    INVALID_IDEMPOTENCY_KEY = "invalid_idempotency_key", BAD_REQUEST,
        "`Idempotency-Key` is not a name for a request.",
        "Send it once, with 1 to 255 visible ASCII characters; a UUID is a good choice.";
    IDEMPOTENCY_KEY_REUSED = "idempotency_key_reused", UNPROCESSABLE_ENTITY,
        "An order was made with this `Idempotency-Key` and another body.",
        "Use a new key for a new order; to repeat a request, repeat its body.";
    NOT_CANCELLABLE = "not_cancellable", CONFLICT,
        "The order can no longer be cancelled: it has its outcome.",
        "Read the order: the message names its status. Only the shop can call off an order that is paid.";
}
