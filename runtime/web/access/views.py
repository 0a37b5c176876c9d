"""Views of patients' data, for the audit trail: each once, and again only after a while.

Not for: what a message of the trail says (audit/).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from cathrt.runtime.audit.messages import Party
from cathrt.runtime.web.part.context import PageContext
from cathrt.runtime.web.part.session import Session

SAME_VIEW_S = 300.0  # a replay asks for the frames of one run hundreds of times: that is one view
_REMEMBERED = 4096


class Views:
    """For one event loop."""

    def __init__(self, context: PageContext) -> None:
        self._context = context
        self._noted_ns: OrderedDict[tuple[str, str, tuple[str, ...]], int] = OrderedDict()

    async def note(self, session: Session, studies: Sequence[str], what: str) -> None:
        """Write the view into the trail unless it was lately. Returns when it is on the disk."""
        key, now_ns = (f"{session.id} {session.address}", what, tuple(studies)), self._context.now_ns()
        noted_ns = self._noted_ns.get(key)
        if noted_ns is not None and now_ns - noted_ns < SAME_VIEW_S * 1e9:
            return
        await self._context.in_files(self._context.box.audit.viewed, party_of(session), studies, what)
        self._noted_ns[key] = now_ns
        self._noted_ns.move_to_end(key)
        while len(self._noted_ns) > _REMEMBERED:
            self._noted_ns.popitem(last=False)


def party_of(session: Session) -> Party:
    """The person, for the trail."""
    return Party(session.user, session.address, is_requestor=True)
