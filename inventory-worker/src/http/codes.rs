//! Why a request about stock can be refused, besides what any request can be refused for.

common::codes! {
    INVALID_ITEMS = "invalid_items", BAD_REQUEST,
        "There are no lines, or too many.",
        "Send 1 to 100 lines.";
    INVALID_QUANTITY = "invalid_quantity", BAD_REQUEST,
        "A quantity is not a positive whole number.",
        "Send a JSON number from 1 to 1,000,000.";
    UNKNOWN_PRODUCT = "unknown_product", BAD_REQUEST,
        "There is no stock of such a product, not even none.",
        "See whether it is misspelt; an administrator adds it with `PUT /api/inventory/{productId}`.";
    INSUFFICIENT_INVENTORY = "insufficient_inventory", BAD_REQUEST,
        "More is asked of a product than is there. Nothing was locked.",
        "`errors` says for each such product what was asked and what is available; ask for less, or later.";
    OTHER_ITEMS = "other_items", CONFLICT,
        "Other quantities are locked for this order already.",
        "To repeat a request, repeat its items; for other items, use another order.";
    ORDER_IS_OFF = "order_is_off", CONFLICT,
        "The order was called off, has expired or could not be paid. Its stock was given back.",
        "Place a new order.";
    BELOW_RESERVED = "below_reserved", CONFLICT,
        "There would be less on hand than is reserved for orders.",
        "`GET /api/inventory/{productId}` says how much is reserved; wait until those orders have their outcome.";
    TOO_MUCH_STOCK = "too_much_stock", CONFLICT,
        "There would be more on hand than can be.",
        "The most is 10^12.";
}
