"""What must hold after any number of kills, held against the evidence. Pure: no box, no files.

Not for: reading the evidence (evidence.py).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping

from benchmarks.kills.evidence import Evidence
from cathrt.runtime.counts import FRAME_ENDS

_NAMED = 5  # of many
Claim = Callable[[Evidence], Iterator[str]]


def judged(evidence: Evidence) -> dict[str, list[str]]:
    """For each claim what speaks against it; nothing where it holds."""
    return {name: list(claim(evidence)) for name, claim in CLAIMS.items()}


def _verifies(evidence: Evidence) -> Iterator[str]:
    for name, journal in evidence.journals.items():
        yield from (f"{name}: {fault}" for fault in journal.faults)
        if not journal.rows:
            yield f"{name}: no row, so nothing was tried"


def _ids_once(evidence: Evidence) -> Iterator[str]:
    for name, journal in evidence.journals.items():
        yield from _more_than_once(f"{name} journal", Counter(id_ for _, id_ in journal.rows))
    yield from _more_than_once("both journals", Counter(_ids(evidence)))


def _shown_in_journal(evidence: Evidence) -> Iterator[str]:
    ids = set(_ids(evidence))
    yield from _named("shown and in no journal", set(evidence.shown) - ids)
    yield from _more_than_once("shown", Counter(evidence.shown))
    if not evidence.shown:
        yield "nothing was shown, so nothing was tried"
    if evidence.torn >= evidence.starts:
        yield f"{evidence.torn} printed lines were cut in {evidence.starts} starts, of which the last has ended well"


def _feeds_whole(evidence: Evidence) -> Iterator[str]:
    for name, rows in evidence.feeds.items():
        journal = list(evidence.journals[name].rows)
        if list(rows) != journal:
            yield f"feed {name}: {_difference(list(rows), journal)}"


def _delivered(evidence: Evidence) -> Iterator[str]:
    ids = set(_ids(evidence))
    for name, delivered in evidence.delivered.items():
        yield from _named(f"outlet {name}: delivered and in no journal", set(delivered) - ids)
        yield from _named(f"outlet {name}: not delivered", ids - set(delivered))


def _stored_kept(evidence: Evidence) -> Iterator[str]:
    yield from _named("told success, and not in the store as it was sent", set(evidence.stored) - evidence.kept)
    if not evidence.stored:
        yield "no run was stored, so nothing was tried"


def _confirmed(evidence: Evidence) -> Iterator[str]:
    yield from _named("stored, and neither judged nor refused", evidence.kept - evidence.confirmed)


def _counts_add_up(evidence: Evidence) -> Iterator[str]:
    for source, counts in evidence.counts.items():
        if not counts.get("received"):
            yield f"source {source}: no picture was counted"
            continue
        ends = sum(counts[end] for end in FRAME_ENDS)
        if counts["received"] != counts["held"] + counts["frames"]:
            yield f"source {source}: {counts['received']} received, {counts['held']} held + {counts['frames']} frames"
        if counts["frames"] != ends:
            yield f"source {source}: {counts['frames']} frames, {ends} ends"


CLAIMS: Mapping[str, Claim] = {
    "every journal verifies": _verifies,
    "no id twice": _ids_once,
    "shown is in the journal": _shown_in_journal,
    "a feed's reader has the journal": _feeds_whole,
    "each outlet has the journal": _delivered,
    "what a sender was told is stored": _stored_kept,
    "what is stored is judged": _confirmed,
    "the counts add up": _counts_add_up,
}


def _ids(evidence: Evidence) -> list[str]:
    return [id_ for journal in evidence.journals.values() for _, id_ in journal.rows]


def _more_than_once(where: str, counted: Counter[str]) -> Iterator[str]:
    yield from _named(f"{where}: more than once", {id_ for id_, times in counted.items() if times > 1})


def _named(what: str, found: set[str] | frozenset[str]) -> Iterator[str]:
    if found:
        listed = ", ".join(sorted(found)[:_NAMED])
        yield f"{what}: {len(found)} ({listed}{', ...' if len(found) > _NAMED else ''})"


def _difference(found: list[tuple[int, str]], expected: list[tuple[int, str]]) -> str:
    """Where two lists of rows part."""
    for place, (one, other) in enumerate(zip(found, expected, strict=False)):
        if one != other:
            return f"event {place + 1} is row {one[0]} ({one[1]}), expected row {other[0]} ({other[1]})"
    return f"{len(found)} events, expected {len(expected)}"
