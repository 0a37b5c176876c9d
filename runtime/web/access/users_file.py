"""The users of the page: a file with a line for each, `name:role:hash` or `name:role:hash:display name`.

The hash is argon2id's, or `-` for somebody whom a reverse proxy lets in and who has no password here. Not for: how a
password is checked (passwords.py), who has logged in (sessions.py).
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cathrt.runtime.errors import ConfigError
from cathrt.runtime.outside.secret_file import require_private
from cathrt.runtime.web.access.passwords import is_password_hash
from cathrt.runtime.web.part.session import ROLES, Role

NO_PASSWORD = "-"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
_LONGEST_DISPLAY_NAME = 64
_MOST_BYTES = 1 << 20
_HEADING = "# users of the page, by `cathrt user`: name:role:argon2id hash[:display name]\n"


@dataclass(frozen=True, slots=True)
class User:
    """One line. kept: hash of the password, or NO_PASSWORD."""

    name: str
    role: Role
    kept: str
    display_name: str = ""

    @property
    def line(self) -> str:
        """As the file has it."""
        return ":".join((self.name, self.role.word, self.kept, *([self.display_name] if self.display_name else [])))

    @property
    def shown_name(self) -> str:
        """What people are shown."""
        return self.display_name or self.name


def user_from(name: str, role: str, kept: str, display_name: str = "") -> User:
    """Raises ValueError naming the part that does not fit."""
    if not _NAME.fullmatch(name):
        raise ValueError(f"found the name {name[:40]!r}, expected 1 to 64 of A-Z a-z 0-9 . _ @ -, the first no sign")
    if role not in ROLES:
        raise ValueError(f"found the role {role[:40]!r}, expected one of {', '.join(ROLES)}")
    if kept != NO_PASSWORD and not is_password_hash(kept):
        raise ValueError("found no argon2id hash, expected one that `cathrt user add` has made")
    if len(display_name) > _LONGEST_DISPLAY_NAME or not display_name.isprintable():
        raise ValueError(f"found {len(display_name)} characters, expected a display name of at most 64 that print")
    return User(name, ROLES[role], kept, display_name)


def read_users(path: Path) -> dict[str, User]:
    """The users by name; none where there is no file. Raises ConfigError naming the line."""
    try:
        with open(path, "rb") as file:
            require_private(os.fstat(file.fileno()), path, "page.users_file")
            content = file.read(_MOST_BYTES + 1)
    except FileNotFoundError:
        return {}
    except OSError as exc:
        raise ConfigError(
            f"page.users_file: {path} cannot be read ({exc.strerror}): check the path and the permissions"
        ) from exc
    if len(content) > _MOST_BYTES:
        raise ConfigError(f"page.users_file: {path} has more than {_MOST_BYTES} bytes: is it the right file?")
    users: dict[str, User] = {}
    for number, line in enumerate(content.decode("utf-8", "replace").splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        try:
            user = user_from(*_parts(line))
        except ValueError as exc:
            raise ConfigError(f"page.users_file: {path}, line {number}: {exc}") from exc
        if user.name in users:
            raise ConfigError(f"page.users_file: {path}, line {number}: the user {user.name} is there twice")
        users[user.name] = user
    return users


def write_users(path: Path, users: Mapping[str, User]) -> None:
    """Put the file in its place as a whole, for its owner alone. Raises ConfigError."""
    new = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        try:
            descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with open(descriptor, "w", encoding="utf-8") as file:
                file.write(_HEADING + "".join(f"{user.line}\n" for user in users.values()))
                file.flush()
                os.fsync(descriptor)
            new.replace(path)
        finally:
            new.unlink(missing_ok=True)
    except OSError as exc:
        raise ConfigError(f"{path}: cannot be written ({exc.strerror}): check the path and the permissions") from exc


def _parts(line: str) -> list[str]:
    parts = line.split(":", 3)
    if len(parts) < 3:
        raise ValueError(f"found {len(parts)} parts, expected name:role:hash or name:role:hash:display name")
    return parts
