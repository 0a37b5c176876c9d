"""Looks at each source that is opened on its way to the line, also where one input turns out to be several runs.

Not for: opening anything itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial

from cathrt.runtime.ports import Opening, SeveralRunsError, Source

Then = Callable[[Opening, Source], Source]


def each_opened(openings: Iterable[Opening], then: Then) -> Iterator[Opening]:
    """The same openings, of which the line gets then(opening, source) for each source that is opened."""
    for opening in openings:
        yield replace(opening, open=partial(_open, opening, then))


def _open(opening: Opening, then: Then) -> Source:
    try:
        source = opening.open()
    except SeveralRunsError as exc:
        raise SeveralRunsError(str(exc), tuple(each_opened(exc.openings, then))) from exc
    return then(opening, source)
