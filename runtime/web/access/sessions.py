"""Sessions: who has logged in, until when, and the tokens by which their browsers show it.

They are kept in the state folder's shared memory, so that a gateway that was killed comes back with the screens still
logged in, and a machine that was started anew does not. Only a hash of each token is kept there. Not for: passwords,
cookies (door.py).
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from cathrt.runtime.errors import SinkError
from cathrt.runtime.web.access.users_file import User
from cathrt.runtime.web.part.session import Role, Session

MOST_SESSIONS, MOST_OF_ONE_USER = 512, 32  # one more, and the one that was used least lately ends


@dataclass(frozen=True, slots=True)
class Clocks:
    """now_s only goes forward; wall_s is seconds since 1970, by which a session ends also where the first was reset."""

    now_s: Callable[[], float]
    wall_s: Callable[[], float]


@dataclass(slots=True)
class Held:
    """One session as it is held. proof: a hash of the user's line, which ends the session when it changes.

    via_proxy: it has no token of its own; a reverse proxy says who asks, each time. open: streams of it.
    """

    session: Session
    proof: str
    csrf: str
    last_use_s: float
    ends_s: float
    via_proxy: bool = False
    open: int = 0
    ended: asyncio.Event = field(default_factory=asyncio.Event)


class Sessions:
    """For one event loop. idle_s: longest without a request and without an open stream. longest_s: in all."""

    def __init__(self, clocks: Clocks, idle_s: float, longest_s: float) -> None:
        self._clocks, self._idle_s, self._longest_s = clocks, idle_s, longest_s
        self._held: dict[str, Held] = {}  # by the hash of the token, or "proxy:NAME"
        self._secret = secrets.token_bytes(32)  # of CSRF values for those who have no token

    def __len__(self) -> int:
        return len(self._held)

    def begin(self, user: User, address: str) -> tuple[str, Held]:
        """A new session, and the token that its browser has to show."""
        token = secrets.token_urlsafe(32)
        return token, self._add(_key_of(token), user, address, _csrf_of(token.encode()))

    def of_token(self, token: str) -> Held | None:
        """The session that a token is of; None where there is none, or no longer."""
        return self._used(_key_of(token))

    def of_proxy(self, user: User, address: str) -> Held:
        """The session of somebody whom a reverse proxy has let in; begun where there is none."""
        key = f"proxy:{user.name}"
        held = self._used(key)
        if held is None or held.proof != _proof_of(user):
            self.end(key)
            held = self._add(key, user, address, _csrf_of(self._secret + user.name.encode()), via_proxy=True)
        return held

    def csrf_of_nobody(self) -> str:
        """What changes have to show where nobody logs in, in a demonstration."""
        return _csrf_of(self._secret)

    def end_token(self, token: str) -> None:
        """End the session of a token."""
        self.end(_key_of(token))

    def end(self, key: str) -> None:
        """End a session, and its streams."""
        held = self._held.pop(key, None)
        if held is not None:
            held.ended.set()

    def end_all(self) -> None:
        """End all streams; who has logged in stays so."""
        for held in self._held.values():
            held.ended.set()

    def sweep(self, users: Mapping[str, User]) -> int:
        """End what is over: by time, and where the user is gone, has another role or another password.

        Returns how many have ended.
        """
        over = [
            key
            for key, held in self._held.items()
            if self._is_over(held) or (user := users.get(held.session.user)) is None or _proof_of(user) != held.proof
        ]
        for key in over:
            self.end(key)
        return len(over)

    def document(self) -> str:
        """What is kept, as JSON: no token, and no session of a proxy, which begins again with its next request."""
        kept = [
            {"key": key, "proof": held.proof, "csrf": held.csrf, "session": asdict(held.session)}
            for key, held in self._held.items()
            if not held.via_proxy
        ]
        return json.dumps(kept)

    def take_up(self, document: bytes) -> None:
        """Go on with the sessions of a gateway before this one. Raises ValueError: it is not what document() gives."""
        try:
            kept = _KEPT.validate_json(document)
        except ValidationError as exc:
            raise ValueError(f"found {exc.error_count()} faults, expected sessions of the page") from exc
        for one in kept:
            left_s = min(one.session.expires_s - self._clocks.wall_s(), self._longest_s)
            if left_s > 0:
                now_s = self._clocks.now_s()
                session = replace(one.session, role=Role(one.session.role))
                self._held[one.key] = Held(session, one.proof, one.csrf, now_s, now_s + left_s)

    def _add(self, key: str, user: User, address: str, csrf: str, *, via_proxy: bool = False) -> Held:
        self._make_room(user.name)
        now_s = self._clocks.now_s()
        session = Session(
            id=secrets.token_hex(4),
            user=user.name,
            display_name=user.shown_name,
            role=user.role,
            address=address,
            expires_s=self._clocks.wall_s() + self._longest_s,
        )
        held = Held(session, _proof_of(user), csrf, now_s, now_s + self._longest_s, via_proxy=via_proxy)
        self._held[key] = held
        return held

    def _make_room(self, user: str) -> None:
        own = {key: held for key, held in self._held.items() if held.session.user == user}
        for full, among in ((len(own) >= MOST_OF_ONE_USER, own), (len(self._held) >= MOST_SESSIONS, self._held)):
            if full:
                self.end(min(among, key=lambda key: among[key].last_use_s))

    def _used(self, key: str) -> Held | None:
        held = self._held.get(key)
        if held is None:
            return None
        if self._is_over(held):
            self.end(key)
            return None
        held.last_use_s = self._clocks.now_s()
        return held

    def _is_over(self, held: Held) -> bool:
        now_s = self._clocks.now_s()
        if held.open:
            held.last_use_s = now_s
        return now_s >= held.ends_s or now_s - held.last_use_s >= self._idle_s


@dataclass(frozen=True, slots=True)
class _Kept:
    key: str
    proof: str
    csrf: str
    session: Session


_KEPT: TypeAdapter[list[_Kept]] = TypeAdapter(list[_Kept])


def write_sessions(path: Path, document: str) -> None:
    """Put document() in its place, for this user alone. Raises SinkError."""
    new = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "w") as file:
            file.write(document)
        new.replace(path)
    except OSError as exc:
        raise SinkError(f"{path}: sessions cannot be kept ({exc.strerror}): make room in shared memory") from exc


def read_sessions(path: Path) -> bytes | None:
    """What was written there; None where nothing was, or it cannot be read."""
    try:
        return path.read_bytes()
    except OSError:
        return None


def _key_of(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def _csrf_of(secret: bytes) -> str:
    return hmac.new(secret, b"cathrt csrf", hashlib.sha256).hexdigest()


def _proof_of(user: User) -> str:
    return hashlib.sha256(user.line.encode()).hexdigest()
