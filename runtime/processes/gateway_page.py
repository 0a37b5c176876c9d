"""The page as the gateway opens it: what it is told of the state folder, and where decisions are taken.

Not for: keeping it open (page_keeper.py), the page itself (web/).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from cathrt.runtime.audit.trail import AuditTrail
from cathrt.runtime.config import Config
from cathrt.runtime.decisions.book import DecisionBook
from cathrt.runtime.decisions.confirmed import ConfirmedStudies
from cathrt.runtime.decisions.desk import DecisionDesk
from cathrt.runtime.listener.store_reader import StoreReader
from cathrt.runtime.processes.child import ProcessArguments
from cathrt.runtime.processes.engine_health import ENGINES
from cathrt.runtime.processes.page_keeper import kept_page
from cathrt.runtime.processes.state_folder import StateFolder
from cathrt.runtime.web.page import Page, opened_page
from cathrt.runtime.web.part.context import Box


def page_of(
    arguments: ProcessArguments,
    settings: Config,
    audit: AuditTrail,
    book: DecisionBook,
    health: Callable[[], Mapping[str, Any]],
) -> AbstractContextManager[object]:
    """The page for people, until the end of the block. Nothing else of the gateway waits for it."""
    if not settings.page.enabled:
        return nullcontext()
    state = arguments.state
    box = Box(
        state=state.path,
        memory=state.memory,
        store=state.store,
        journals=state.journals,
        health=health,
        audit=audit,
        desk=desk_of(state, book),
        ring_of=state.pictures,
        engines=lambda: state.read_report(ENGINES) or {},
        bundles=arguments.bundles,
    )

    def opening() -> AbstractContextManager[Page]:
        return opened_page(settings, box)

    return kept_page(opening, state)


def desk_of(state: StateFolder, book: DecisionBook) -> DecisionDesk:
    """Where decisions on the studies of a state folder are taken."""
    return DecisionDesk(book, ConfirmedStudies(state.study_journal, StoreReader(state.store)))
