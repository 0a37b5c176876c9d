"""A secret out of a file of its own, which only its owner may change and only who needs it may read.

Not for: secrets in the configuration, where they do not belong.
"""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from cathrt.runtime.errors import ConfigError

_LEAST, _MOST = 16, 4096  # characters
_TOKEN = re.compile(r"[\x21-\x7e]+")


def secret_from(path: Path, key: str, least: int = _LEAST) -> str:
    """The one line of the file. key: of the configuration, for messages, which never show what the file holds. least:
    characters; a password that somebody else has chosen may be short.

    Raises ConfigError: it cannot be read, others may read or change it, it holds no such secret.
    """
    try:
        with open(path, "rb") as file:
            found = os.fstat(file.fileno())
            content = file.read(_MOST + 2)
    except OSError as exc:
        raise ConfigError(f"{key}: {path} cannot be read ({exc.strerror}): check the path and the permissions") from exc
    require_private(found, path, key)
    secret = content.decode("latin-1").removesuffix("\n").removesuffix("\r")
    if not _TOKEN.fullmatch(secret) or not least <= len(secret) <= _MOST:
        raise ConfigError(
            f"{key}: {path} holds no secret, expected one line of {least} to {_MOST} visible ASCII characters: "
            "make one with `openssl rand -hex 32`"
        )
    return secret


def require_private(found: os.stat_result, path: Path, key: str) -> None:
    """Raises ConfigError: others may read or change the file of which `found` says whose it is."""
    if found.st_uid not in (0, os.geteuid()) or stat.S_IMODE(found.st_mode) & 0o027:
        raise ConfigError(
            f"{key}: {path} has mode {stat.S_IMODE(found.st_mode):04o} and owner {found.st_uid}, expected one of root "
            f"or of user {os.geteuid()} that others can neither read nor change: chmod 600, or 640 for a group"
        )
