"""A path of the page's API: the least role that it needs, what it takes, and who answers.

Not for: finding the role of who asks, and checking what was sent (access/endpoint.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeVar

from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.websockets import WebSocket

from cathrt.runtime.web.part.answers import JSON
from cathrt.runtime.web.part.session import Role, Session

STRICT = {"extra": "forbid", "strict": True, "allow_inf_nan": False}

Inputs = TypeVar("Inputs")
Body = TypeVar("Body")
View = Callable[[Session, Sequence[str], str], Awaitable[None]]


@dataclass(slots=True)
class Asked(Generic[Inputs, Body]):
    """One request that was let in. inputs: of path and query; body: of the JSON sent; None where the route has none.

    ended: set when the session is over or the page stops; a stream ends then.
    """

    request: HTTPConnection
    session: Session
    inputs: Inputs
    body: Body
    ended: asyncio.Event
    view: View
    was_audited: bool = field(default=False, init=False)

    async def viewed(self, *, studies: Sequence[str] = (), what: str) -> None:
        """Note in the audit trail that this person now sees data of patients. Returns when it is on the disk.

        studies: Study Instance UIDs, none where there are none, as of live pictures. what: what is seen, in words and
        without a patient's data: "run", "live pictures". Seeing the same again soon is the same view.
        """
        await self.view(self.session, studies, what)
        self.was_audited = True


@dataclass(frozen=True, slots=True)
class PageRoute:
    """One method of one path. There is none without a role.

    inputs: dataclass of what stands in the path's braces and in the query. body: dataclass of the JSON sent. answer:
    type of the JSON answered, for the description. media: of the answer. errors: statuses beside those that any route
    may have. patients: whether the answer may hold data of patients: it then has to call Asked.viewed() first.
    """

    method: Literal["GET", "POST", "PUT", "DELETE"]
    path: str
    role: Role
    handler: Callable[[Asked[Any, Any]], Awaitable[Response]]
    summary: str
    inputs: type[Any] | None = None
    body: type[Any] | None = None
    answer: Any = None
    media: str = JSON
    status: int = 200
    errors: tuple[int, ...] = ()
    patients: bool = False


@dataclass(frozen=True, slots=True)
class PageSocket:
    """One WebSocket. The handler checks, accepts, and ends it. Else as PageRoute."""

    path: str
    role: Role
    handler: Callable[[Asked[Any, None], WebSocket], Awaitable[None]]
    summary: str
    inputs: type[Any] | None = None
    patients: bool = False
