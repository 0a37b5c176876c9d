"""Signatures of webhooks, as Standard Webhooks (https://www.standardwebhooks.com) says: HMAC-SHA256 over id, time and
payload, so that a receiver can tell who sent it and refuse what was recorded and sent again.

Not for: reading secret files (outside/secret_file.py).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from pathlib import Path

from cathrt.runtime.config import OutletConfig
from cathrt.runtime.errors import ConfigError
from cathrt.runtime.outside.secret_file import secret_from

_PREFIX = "whsec_"
_KEY_BYTES = range(24, 65)


def signing_key_of(outlet: OutletConfig) -> bytes | None:
    """The key that signs the outlet's webhooks; None where they are not signed. Raises ConfigError."""
    if not outlet.secret_file:
        return None
    key = f"outlets.{outlet.name}.secret_file"
    line = secret_from(Path(outlet.secret_file), key)
    try:
        secret = base64.b64decode(line.removeprefix(_PREFIX), validate=True)
    except binascii.Error:
        secret = b""
    if not line.startswith(_PREFIX) or len(secret) not in _KEY_BYTES:
        raise ConfigError(
            f"{key}: {outlet.secret_file} holds no signing key, expected {_PREFIX} and {_KEY_BYTES[0]} to "
            f"{_KEY_BYTES[-1]} bytes in base64: make one with `echo {_PREFIX}$(openssl rand -base64 32)`"
        )
    return secret


def signature(key: bytes, id_: str, sent_at: str, payload: bytes) -> str:
    """The header webhook-signature. sent_at: seconds since 1970, as the header webhook-timestamp has them."""
    signed = hmac.digest(key, b"%b.%b.%b" % (id_.encode(), sent_at.encode(), payload), hashlib.sha256)
    return f"v1,{base64.b64encode(signed).decode()}"
