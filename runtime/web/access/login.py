"""/api/session: who is logged in, logging in and out.

Not for: what a session is (sessions.py), whether one may try again (login_limit.py).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

from annotated_types import MaxLen
from starlette.responses import Response

from cathrt.runtime.alert import NOTICE
from cathrt.runtime.audit.messages import Party
from cathrt.runtime.errors import ConfigError, SinkError
from cathrt.runtime.web.access.door import Door, Entered, entered_by
from cathrt.runtime.web.access.login_limit import LoginLimit
from cathrt.runtime.web.access.passwords import MOST_CHARACTERS, is_password
from cathrt.runtime.web.access.sessions import Sessions, read_sessions, write_sessions
from cathrt.runtime.web.access.users_file import NO_PASSWORD, User, read_users
from cathrt.runtime.web.access.views import party_of
from cathrt.runtime.web.part.answers import json_answer
from cathrt.runtime.web.part.context import PageContext
from cathrt.runtime.web.part.errors import RefusedError
from cathrt.runtime.web.part.route import STRICT, Asked, PageRoute
from cathrt.runtime.web.part.session import Role

_log = logging.getLogger(__name__)

_MOST_WAITING = 16  # logins at once: each takes 0.2 s of one thread
_PATH = "/api/session"


@dataclass(frozen=True, slots=True)
class Login:
    """What is sent to log in."""

    __pydantic_config__ = STRICT
    user: Annotated[str, MaxLen(64)]
    password: Annotated[str, MaxLen(MOST_CHARACTERS)]


@dataclass(frozen=True, slots=True)
class SessionAnswer:
    """Who is logged in; user is null for nobody. csrf: what changes have to show. login: how one gets in here."""

    user: str | None
    display_name: str
    role: Literal["anybody", "viewer", "operator", "admin"]
    csrf: str | None
    demo: bool
    expires_at: str | None
    login: Literal["password", "proxy", "none"]
    notice: str


class LoginDesk:
    """For one event loop. users_file: read again with each login, and with each renew()."""

    def __init__(
        self, context: PageContext, door: Door, sessions: Sessions, limit: LoginLimit, users_file: Path
    ) -> None:
        self._context, self._door, self._sessions = context, door, sessions
        self._limit, self._users_file = limit, users_file
        self._kept_at = context.box.memory / "page-sessions.json"
        self._one_at_a_time = ThreadPoolExecutor(1, "page-passwords")
        context.closing.callback(self._one_at_a_time.shutdown, wait=False, cancel_futures=True)
        self._waiting = 0
        self._fault = ""

    async def begin(self) -> None:
        """Take up the sessions of the gateway before this one, as far as their users are still there."""
        kept = await self._context.in_files(read_sessions, self._kept_at)
        if kept is not None:
            try:
                self._sessions.take_up(kept)
            except ValueError as exc:
                _log.warning("page: %s: %s: everybody logs in again", self._kept_at.name, exc)
        await self.renew()

    async def renew(self) -> None:
        """Take up what has changed in the users file; end the sessions that are over.

        With a file that cannot be read, the users stay those before: a slip of the editor locks nobody out.
        """
        try:
            self._door.users = await self._context.in_files(read_users, self._users_file)
            self._fault = ""
        except ConfigError as exc:
            if str(exc) != self._fault:
                _log.warning("page: the users stay as they were: %s", exc)
            self._fault = str(exc)
        if self._sessions.sweep(self._door.users):
            await self._keep()

    def routes(self) -> Sequence[PageRoute]:
        """The routes of /api/session."""
        return [
            PageRoute("GET", _PATH, Role.ANYBODY, self._show, "Who is logged in.", answer=SessionAnswer),
            PageRoute(
                "POST", _PATH, Role.ANYBODY, self._log_in, "Log in. The answer sets the session's cookie.",
                body=Login, answer=SessionAnswer, status=201, errors=(409, 415),
            ),
            PageRoute("DELETE", _PATH, Role.ANYBODY, self._log_out, "Log out.", status=204),
        ]  # fmt: skip

    async def _show(self, asked: Asked[None, None]) -> Response:
        return self._answer(self._door.who(asked.request))

    async def _log_in(self, asked: Asked[None, Login]) -> Response:
        address = asked.session.address
        if asked.session.demo or self._door.is_proxy(address):
            raise RefusedError(409, "found a login where nobody logs in: this is a demonstration, or a proxy lets in")
        name = asked.body.user
        if wait_s := self._limit.begin(name, address):
            self._context.box.audit.alert(
                "logins of the page are held back", Party("unknown", address, is_requestor=True)
            )
            raise RefusedError(429, f"found too many logins that failed: wait {wait_s} s", {"retry-after": str(wait_s)})
        await self.renew()
        user = self._door.users.get(name)
        well = await self._is_password(asked.body.password, user)
        # A name that is none may be a password in the wrong field.
        party = Party("unknown" if user is None else user.name, address, is_requestor=True)
        await self._context.in_files(self._context.box.audit.logged_in, party, well=well)
        if user is None or not well:
            raise RefusedError(401, "found no such user with this password: check both, or ask an administrator")
        self._limit.succeeded(name, address)
        if (before := self._door.token_of(asked.request)) is not None:
            self._sessions.end_token(before)
        token, held = self._sessions.begin(user, address)
        await self._keep()
        answer = self._answer(entered_by(held, address))
        answer.set_cookie(
            self._door.cookie, token, httponly=True, samesite="strict", secure=self._door.is_tls, path="/"
        )
        answer.status_code = 201
        return answer

    async def _log_out(self, asked: Asked[None, None]) -> Response:
        token = self._door.token_of(asked.request)
        if token is not None and asked.session.role is not Role.ANYBODY and not asked.session.demo:
            self._sessions.end_token(token)
            await self._keep()
            await self._context.in_files(self._context.box.audit.logged_out, party_of(asked.session))
        answer = Response(status_code=204)
        answer.delete_cookie(self._door.cookie, path="/", secure=self._door.is_tls, httponly=True, samesite="strict")
        return answer

    async def _is_password(self, password: str, user: User | None) -> bool:
        if self._waiting >= _MOST_WAITING:
            raise RefusedError(429, "found too many logins at once, expected fewer: wait", {"retry-after": "5"})
        kept = None if user is None or user.kept == NO_PASSWORD else user.kept
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._one_at_a_time, is_password, password, kept)
        finally:
            self._waiting -= 1

    async def _keep(self) -> None:
        try:
            await self._context.in_files(write_sessions, self._kept_at, self._sessions.document())
        except SinkError as exc:  # they hold until the gateway ends
            _log.warning("page: %s", exc)

    def _answer(self, entered: Entered) -> Response:
        session = entered.session
        nobody = session.role is Role.ANYBODY
        expires = datetime.fromtimestamp(session.expires_s, UTC).isoformat(timespec="seconds")
        return json_answer(
            SessionAnswer(
                user=None if nobody else session.user,
                display_name=session.display_name,
                role=session.role.word,  # type: ignore[arg-type]
                csrf=None if nobody else entered.csrf,
                demo=session.demo,
                expires_at=expires if session.expires_s else None,
                login="none" if session.demo else "proxy" if self._door.is_proxy(session.address) else "password",
                notice=NOTICE,
            )
        )
