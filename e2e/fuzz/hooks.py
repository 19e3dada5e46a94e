"""What makes generated requests get further than the door: a good token, and now and then a good order."""

import base64
import json
import os
import zlib
from decimal import Decimal

from cryptography.hazmat.primitives.serialization import load_pem_private_key

import schemathesis
from schemathesis.generation import GenerationMode

with open(os.environ["CONVEYOR_FUZZ_KEY_FILE"], "rb") as file:
    KEY = load_pem_private_key(file.read(), password=None)
TOKEN = os.environ["CONVEYOR_FUZZ_TOKEN"]
USER = os.environ["CONVEYOR_FUZZ_USER"]
# The demo catalogue.
PRICES = {"P001": Decimal("35.25"), "P002": Decimal("30.00")}


@schemathesis.hook
def before_call(context, case, kwargs):
    """Of the orders that have the right form, half get a token and two thirds of those become orders that can be placed."""
    if case.operation.label != "POST /api/orders/create" or not isinstance(case.body, dict):
        return
    if case.meta is None or case.meta.generation.mode != GenerationMode.POSITIVE:
        return
    # By what was generated, so that a case that is found can be repeated.
    chance = zlib.crc32(json.dumps(case.body, sort_keys=True, default=str).encode()) % 6
    if chance >= 3:
        return
    case.body["token"] = TOKEN
    case.body["userId"] = USER
    if chance >= 1:
        total = Decimal(0)
        for number, item in enumerate(case.body["items"]):
            product = list(PRICES)[number % len(PRICES)]
            item["productId"] = product
            item["quantity"] = int(item["quantity"]) % 1000 + 1
            total += PRICES[product] * item["quantity"]
        case.body["orderAmount"] = float(total)
    case.body["signature"] = sign(case.body)


def sign(body):
    """Over the RFC 8785 form, as docs/signing.md shows it."""
    try:
        canonical = json.dumps(plain(body), sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    except (UnicodeEncodeError, ValueError):
        return "demo:"
    return "demo:" + base64.b64encode(KEY.sign(canonical)).decode()


def plain(value):
    if isinstance(value, dict):
        return {name: plain(inner) for name, inner in value.items() if name != "signature"}
    if isinstance(value, list):
        return [plain(inner) for inner in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
