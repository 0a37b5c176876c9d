"""What every part of the page is given when it makes its routes.

Not for: what a request brings (route.py).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from cathrt.runtime.audit.trail import AuditTrail
from cathrt.runtime.config import Config
from cathrt.runtime.decisions.desk import DecisionDesk

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Box:
    """What the process that the page runs in tells it. Paths need not exist yet.

    state: the state folder. memory: its shared memory. journals: by the name of the process that writes each. store: of
    received objects. health: as /health of the feed shows it; may wait for the disk, and raise CathrtError or OSError.
    ring_of: where the pictures of a live source are, by its name. engines: by source and kind of model, what judges
    (LiveLadder.report); may raise as health does. bundles: folders that were named at the start. desk: where people's
    decisions are taken; None where nothing can be decided.
    """

    state: Path
    memory: Path
    store: Path
    journals: Mapping[str, Path]
    health: Callable[[], Mapping[str, Any]]
    audit: AuditTrail = field(default_factory=lambda: AuditTrail(None))
    ring_of: Callable[[str], Path] = lambda source: Path("no-pictures") / source
    engines: Callable[[], Mapping[str, Any]] = dict
    bundles: tuple[Path, ...] = ()
    desk: DecisionDesk | None = None


@dataclass(frozen=True, slots=True)
class PageContext:
    """For the page's event loop, which made it.

    files: threads for work with files, so that the loop never waits for a disk; one_thread: one thread, for what may
    not be used by two. ending: set when the page stops. closing: what has to be closed then.
    """

    box: Box
    config: Config
    files: Executor
    one_thread: Executor
    ending: asyncio.Event = field(default_factory=asyncio.Event)
    closing: AsyncExitStack = field(default_factory=AsyncExitStack)
    now_ns: Callable[[], int] = time.monotonic_ns
    wall_s: Callable[[], float] = time.time

    async def in_files(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """The result of a function that waits for files. It runs on when the one who asked has gone."""
        return await asyncio.get_running_loop().run_in_executor(self.files, partial(function, *args, **kwargs))
