"""What a box and those who use it leave behind, read once everything has ended: material for the judge.

Everybody who uses the box notes what it was given in a file, so that a benchmark that is broken off can go on.
Not for: whether it is right (judge.py), and how it came to be (box.py, users.py).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.kills.box import SOURCES, KilledBox
from cathrt.runtime.alert import StoredRecord
from cathrt.runtime.errors import CathrtError, JournalError
from cathrt.runtime.journal.head import Head
from cathrt.runtime.journal.reader import JournalReader
from cathrt.runtime.journal.records import values_of
from cathrt.runtime.journal.report import verify_journal
from cathrt.runtime.listener.object_store import State
from cathrt.runtime.listener.store_reader import StoreReader
from cathrt.runtime.models import record_parts
from cathrt.runtime.processes.counts_file import read_counts

JOURNALS = ("live", "study")
Row = tuple[int, str]


@dataclass(frozen=True, slots=True)
class JournalFound:
    """One journal. rows: number and id of each, in order. faults: what verifying it says against it."""

    rows: Sequence[Row]
    faults: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Evidence:
    """journals, feeds: by name; a feed's rows as its reader got them. delivered: ids by outlet, each time one came.

    shown: ids that `cathrt run` printed, over all starts. torn: lines that a kill of it cut. stored: SOP Instance UIDs
    whose sender was told success. kept: UIDs in the store whose file has the content of its name. confirmed: UIDs with
    a summary or a refusal in the study journal. counts: of each source, at the end. starts: of `cathrt run`.
    """

    journals: Mapping[str, JournalFound]
    feeds: Mapping[str, Sequence[Row]]
    delivered: Mapping[str, Sequence[str]]
    shown: Sequence[str]
    torn: int
    stored: Sequence[str]
    kept: frozenset[str]
    confirmed: frozenset[str]
    counts: Mapping[str, Mapping[str, int]]
    starts: int


def evidence_of(box: KilledBox) -> Evidence:
    """Read it all. The box has ended. Raises CathrtError where a journal or the store cannot be read at all."""
    shown, torn = _shown(box.outputs())
    return Evidence(
        journals={name: _journal(box.journal(name)) for name in JOURNALS},
        feeds={name: [(number, id_) for number, id_ in noted(box.feed_notes(name))] for name in JOURNALS},
        delivered={path.stem: [id_ for (id_,) in noted(path)] for path in box.outlet_notes()},
        shown=shown,
        torn=torn,
        stored=[uid for (uid,) in noted(box.stored_notes)],
        kept=frozenset(_kept(StoreReader(box.state.store))),
        confirmed=confirmed_in(box.journal("study")),
        counts={source: _counts(box, source) for source in SOURCES},
        starts=len(box.outputs()),
    )


def noted(path: Path) -> Iterator[list[Any]]:
    """The lines of a file of notes; a last one that was cut is none."""
    if not path.is_file():
        return
    for line in path.read_bytes().splitlines(keepends=True):
        if line.endswith(b"\n"):
            yield json.loads(line)


def _journal(path: Path) -> JournalFound:
    if not path.exists():
        return JournalFound((), (f"{path.name}: there is none",))
    try:
        report = verify_journal(path, record_parts())
        refused = {values_of(stored.body, "source")[0] for stored in _followed(path) if stored.type == "refusal"}
    except CathrtError as exc:
        return JournalFound(tuple(_rows(path)), (str(exc),))
    faults = [f"{books.source}: {anomaly}" for books in report.passes for anomaly in books.anomalies]
    # A run at which the process has ended three times is set aside by a refusal: its pass stays without a summary.
    unfinished = [
        f"{books.source}: its pass has no summary, and no refusal says why"
        for books in report.incomplete
        if books.source not in refused
    ]
    return JournalFound(tuple(_rows(path)), (*faults, *unfinished))


def _rows(path: Path) -> Iterator[Row]:
    return ((stored.seq, stored.id) for stored in _followed(path))


def _followed(path: Path) -> Iterator[StoredRecord]:
    """The rows up to the first that cannot be read: why not, verifying says."""
    with closing(JournalReader(path)) as reader, suppress(JournalError):
        place = Head()
        while batch := reader.read(place):
            yield from (followed.stored for followed in batch)
            place = batch[-1].place


def _shown(outputs: Iterable[Path]) -> tuple[list[str], int]:
    """Ids of the records printed, and how many lines were cut."""
    ids, torn = [], 0
    for path in outputs:
        for line in path.read_bytes().splitlines(keepends=True):
            if not line.endswith(b"\n"):
                torn += 1
            elif id_ := json.loads(line).get("id"):
                ids.append(id_)
    return ids, torn


def _kept(store: StoreReader) -> Iterator[str]:
    after = 0
    while batch := store.received(after):
        for received in batch:
            path = store.path_of(received)
            whole = path.is_file() and path.stat().st_size == received.size
            if (
                whole
                and received.state is State.STORED
                and _content(path, received.arrival.transfer_syntax_uid) == (received.content_sha256)
            ):
                yield received.arrival.sop_instance_uid
        after = batch[-1].seq


def _content(path: Path, transfer_syntax_uid: str) -> str:
    """The hash by which the store names an object: of its data set, behind the file meta information."""
    octets = path.read_bytes()
    start = 144 + int.from_bytes(octets[140:144], "little")
    data_set = hashlib.sha256(octets[start:]).hexdigest()
    return hashlib.sha256(f"{transfer_syntax_uid}|{data_set}".encode()).hexdigest()


def confirmed_in(path: Path) -> frozenset[str]:
    """Sources that a journal has a summary or a refusal of."""
    if not path.exists():
        return frozenset()
    ends = (stored for stored in _followed(path) if stored.type in ("run", "refusal"))
    return frozenset(values_of(stored.body, "source")[0] for stored in ends)


def _counts(box: KilledBox, source: str) -> Mapping[str, int]:
    """As they were before the last end, which removes them."""
    printed = [
        document
        for path in box.outputs()[-1:]
        for line in path.read_bytes().splitlines()
        if (document := json.loads(line))["type"] == "counts" and document["source"] == source
    ]
    if printed:
        return {name: value for name, value in printed[-1].items() if isinstance(value, int)}
    found = read_counts(box.state.counts(source))
    return {} if found is None else found.figures()
