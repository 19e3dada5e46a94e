//! Why a request about payments can be refused, besides what any request can be refused for.

common::codes! {
    WRONG_USER = "wrong_user", FORBIDDEN,
        "The payment is for another user than the token.",
        "Pay for the user whose token you send.";
    INVALID_AMOUNT = "invalid_amount", BAD_REQUEST,
        "`paymentAmount` is no amount of the shop's currency.",
        "Send a JSON number with no more decimals than the currency has.";
    AMOUNT_MISMATCH = "amount_mismatch", BAD_REQUEST,
        "`paymentAmount` is not what is due.",
        "Pay the order's amount, all of it at once.";
    INVALID_METHOD = "invalid_method", BAD_REQUEST,
        "`paymentMethod` is not the name of a way to pay, or there is no stored one.",
        "Send `credit_card` with a card, `stored`, or another name of 1 to 32 characters out of `a-z 0-9 _`.";
    INVALID_CARD_NUMBER = "invalid_card_number", BAD_REQUEST,
        "The card number has a wrong length or a wrong check digit.",
        "Send 12 to 19 digits and nothing else; see whether one is mistyped.";
    INVALID_EXPIRY = "invalid_expiry", BAD_REQUEST,
        "`expiryDate` is no month.",
        "Send it as it stands on the card: `MM/YY`.";
    CARD_EXPIRED = "card_expired", BAD_REQUEST,
        "The card is out of date.",
        "Use another card.";
    INVALID_CVV = "invalid_cvv", BAD_REQUEST,
        "`cvv` is not 3 or 4 digits.",
        "Send the digits that stand on the card beside its number.";
    CARD_REFUSED = "card_refused", BAD_REQUEST,
        "The payment gateway does not store this card.",
        "Use another card.";
    NOT_PAYABLE = "not_payable", CONFLICT,
        "The order is off, or its deadline has passed: nothing can be paid for it any more.",
        "Read the order; to buy all the same, place a new one.";
    PAYMENT_OPEN = "payment_open", CONFLICT,
        "Another attempt to pay for this order is under way.",
        "Wait for its outcome: read the order, or send the request again after a while.";
    ATTEMPTS_USED_UP = "attempts_used_up", CONFLICT,
        "Payments for this order were declined as often as they may be.",
        "Place a new order.";
    NOT_REFUSED = "refund_not_refused", CONFLICT,
        "Only money whose refund the gateway refuses for good can be noted as paid back by hand.",
        "The message says how it stands; while the gateway is being asked, look again in a moment.";
    NOTED_OTHERWISE = "noted_otherwise", CONFLICT,
        "The payment was noted as paid back before, with another note.",
        "Read the order's payments to see who paid it back and how, and do not pay it back again.";
    REPLAYED_CALLBACK = "replayed_callback", UNAUTHORIZED,
        "These very bytes, signed at that moment, were taken before.",
        "There is no need to send them again; to be sure that they were heard, sign them anew.";
    INVALID_CALLBACK = "invalid_callback", UNAUTHORIZED,
        "The callback is not signed with our secret, or not of this moment.",
        "Only the payment gateway may send them: `Gateway-Signature: t=<unix seconds>,v1=<hex HMAC-SHA256>`.";
}
