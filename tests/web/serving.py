"""A page over a state folder, for tests: opened on a port of its own, asked by a client that can log in.

Not for: a browser (tests/web/browser).
"""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from argon2 import PasswordHasher

from cathrt.runtime.audit.trail import AuditTrail
from cathrt.runtime.config import Config
from cathrt.runtime.web.access.users_file import User, write_users
from cathrt.runtime.web.app import PARTS, Part
from cathrt.runtime.web.page import USERS_FILE, Page, PageLimits, opened_page
from cathrt.runtime.web.part.context import Box
from cathrt.runtime.web.part.session import ROLES

PATIENCE_S = 60.0
PASSWORD = "correct horse battery"
HOST = "127.0.0.1"
HEALTHY = {"healthy": True, "reasons": []}


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer, read to its end."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def error(self) -> str:
        """What is said of a refusal."""
        return str(self.json["error"])


@dataclass
class Client:
    """One browser. user: who it has logged in as; "" for nobody."""

    port: int
    user: str = ""
    cookie: str = ""
    csrf: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    tls: ssl.SSLContext | None = None

    def get(self, path: str, **headers: str) -> Answer:
        """GET."""
        return self.ask("GET", path, headers=headers)

    def post(self, path: str, document: Any, **headers: str) -> Answer:
        """POST of JSON, with X-CSRF where there is a session."""
        return self.ask("POST", path, document, headers)

    def delete(self, path: str, **headers: str) -> Answer:
        """DELETE."""
        return self.ask("DELETE", path, headers=headers)

    def ask(self, method: str, path: str, document: Any = None, headers: Mapping[str, str] | None = None) -> Answer:
        """One request on a connection of its own. headers: `_` stands for `-`."""
        connection = self._connection()
        try:
            body = None if document is None else document if isinstance(document, bytes) else json.dumps(document)
            connection.request(method, path, body, self.sent(method, body is not None, headers or {}))
            found = connection.getresponse()
            return Answer(found.status, {name.lower(): value for name, value in found.getheaders()}, found.read())
        finally:
            connection.close()

    @contextmanager
    def opened(self, path: str) -> Iterator[http.client.HTTPResponse]:
        """The answer to a GET, whose body is still to be read."""
        connection = self._connection()
        try:
            connection.request("GET", path, headers=self.sent("GET", False, {}))
            with connection.getresponse() as answer:
                yield answer
        finally:
            connection.close()

    def _connection(self) -> http.client.HTTPConnection:
        if self.tls is not None:
            return http.client.HTTPSConnection(HOST, self.port, timeout=PATIENCE_S, context=self.tls)
        return http.client.HTTPConnection(HOST, self.port, timeout=PATIENCE_S)

    def sent(self, method: str, has_body: bool, more: Mapping[str, str]) -> dict[str, str]:
        """The headers of a request."""
        headers = dict(self.headers)
        if has_body:
            headers["content-type"] = "application/json"
        if self.cookie:
            headers["cookie"] = self.cookie
        if self.csrf and method != "GET":
            headers["x-csrf"] = self.csrf
        return headers | {name.replace("_", "-"): value for name, value in more.items()}

    def log_in(self, user: str, password: str = PASSWORD) -> Answer:
        """Log in; the cookie is kept as a browser keeps it."""
        answer = self.post("/api/session", {"user": user, "password": password})
        if answer.status == 201:
            self.user, self.csrf = user, answer.json["csrf"]
            self.cookie = answer.headers["set-cookie"].partition(";")[0]
        return answer


@dataclass
class Served:
    """A page that is open, and the folder that it is over."""

    page: Page
    box: Box

    @property
    def url(self) -> str:
        """Where it is."""
        return self.page.url

    def client(self, user: str = "", password: str = PASSWORD) -> Client:
        """A browser, logged in as one of viewer, operator and admin, or as nobody."""
        client = Client(self.page.port)
        if user:
            answer = client.log_in(user, password)
            assert answer.status == 201, answer.body
        return client


@cache
def kept() -> str:
    """A hash of PASSWORD that is checked in no time, unlike those that the product makes."""
    return PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)


def make_users(path: Path, names: tuple[str, ...] = tuple(ROLES)) -> None:
    """A users file with one user of each role, called as the role is."""
    write_users(path, {name: User(name, ROLES[name], kept()) for name in names})


def box_at(state: Path, **more: Any) -> Box:
    """What the gateway would tell a page over this state folder. The folder of its memory is made."""
    memory = state / "memory"
    memory.mkdir(parents=True, exist_ok=True)
    names = ("live", "study", "gateway")
    return Box(
        **{
            "state": state,
            "memory": memory,
            "store": state / "store",
            "journals": {name: state / f"{name}.journal" for name in names},
            "health": lambda: HEALTHY,
            "audit": AuditTrail(state / "audit.xml"),
        }
        | more
    )


@contextmanager
def served(
    state: Path,
    *,
    parts: tuple[Part, ...] = PARTS,
    config: Config | None = None,
    limits: PageLimits | None = None,
    users: bool = True,
    page: Mapping[str, Any] | None = None,
    **box: Any,
) -> Iterator[Served]:
    """A page over `state`, with users viewer, operator and admin. page: keys of [page]; box: fields of Box."""
    settings = config or Config()
    settings = replace(settings, page=replace(settings.page, **({"port": 0} | dict(page or {}))))
    told = box_at(state, **box)
    if users and not (state / USERS_FILE).exists():
        make_users(state / USERS_FILE)
    with opened_page(settings, told, parts, limits or PageLimits()) as opened:
        yield Served(opened, told)
