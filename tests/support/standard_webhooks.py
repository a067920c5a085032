"""Standard Webhooks 1.0.0, the receiving side, written from the specification as an independent check."""

import base64
import hashlib
import hmac
import time

TOLERANCE_S = 300


class Invalid(AssertionError):
    pass


def new_secret(seed):
    """A secret as it stands in a configuration; the same seed gives the same one."""
    return "whsec_" + base64.b64encode(hashlib.sha256(seed.encode()).digest()).decode()


def signature(secret, message_id, timestamp, body):
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{message_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def verify(secrets, fields, body, now=None):
    """Raises Invalid unless one signature fits one of the secrets and the time is right."""
    message_id, stamp = fields.get("webhook-id"), fields.get("webhook-timestamp")
    offered = (fields.get("webhook-signature") or "").split()
    if not message_id or not stamp or not offered:
        raise Invalid(f"webhook-id, -timestamp or -signature is missing: {list(fields)}")
    if abs((time.time() if now is None else now) - int(stamp)) > TOLERANCE_S:
        raise Invalid(f"timestamp {stamp} is out of tolerance")
    for secret in [secrets] if isinstance(secrets, str) else secrets:
        expected = signature(secret, message_id, stamp, body)
        if any(hmac.compare_digest(expected, each) for each in offered):
            return
    raise Invalid(f"no signature fits: {offered}")
