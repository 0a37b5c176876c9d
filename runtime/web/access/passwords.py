"""Passwords of the page's users: argon2id, by argon2-cffi.

Not for: where the hashes are (users_file.py), how often one may be tried (login_limit.py).
"""

from __future__ import annotations

import re
import secrets
from functools import cache

from argon2 import PasswordHasher, Type
from argon2.exceptions import VerifyMismatchError

LEAST_CHARACTERS, MOST_CHARACTERS = 10, 256
# RFC 9106, 4, its second choice, but on one lane: 64 MiB, three passes. The other processor belongs to the live line.
_HASHER = PasswordHasher(time_cost=3, memory_cost=64 << 10, parallelism=1, type=Type.ID)
_HASH = re.compile(
    r"\$argon2id\$v=19\$m=[0-9]{1,7},t=[0-9]{1,3},p=[0-9]{1,2}\$[A-Za-z0-9+/]{11,86}\$[A-Za-z0-9+/]{16,86}"
)


def password_hash(password: str) -> str:
    """What the users file holds of a password. Takes some 0.2 s of a processor and 64 MiB."""
    return _HASHER.hash(password)


def is_password_hash(text: str) -> bool:
    """Whether it is a hash that password_hash() could have made."""
    return _HASH.fullmatch(text) is not None


def is_password(password: str, kept: str | None) -> bool:
    """Whether `kept` is the hash of the password. None: of a user that there is not, which takes as long to refuse."""
    try:
        _HASHER.verify(_nobodys() if kept is None else kept, password)
    except VerifyMismatchError:
        return False
    return kept is not None


@cache
def _nobodys() -> str:
    return password_hash(secrets.token_hex())
