"""The front of a journal, for whoever decides what of it may be pruned: how large, how old, where a pass ends.

Read beside the writer, in short transactions. Not for: pruning (journal/pruning.py), what may be pruned
(runtime/retention/).
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from cathrt.runtime.journal.check import anchor_in
from cathrt.runtime.journal.errors import translated
from cathrt.runtime.journal.file import open_for_reading, real_path
from cathrt.runtime.journal.head import Head, noted_head


@dataclass(frozen=True, slots=True)
class Extent:
    """A journal as it is. anchor: the last row that was pruned. head: the last one that is durable.

    used_bytes: of its pages that hold something. log_bytes: of its log.
    """

    anchor: int
    head: int
    used_bytes: int
    log_bytes: int


def extent_of(path: Path) -> Extent | None:
    """How large the journal is; None where there is none. Raises JournalError."""
    if not real_path(path).exists():
        return None
    noted = noted_head(real_path(path)) or Head()
    with closing(open_for_reading(path)) as connection, translated(path):
        anchor = anchor_in(connection)
        pages, free, size = (
            int(connection.execute(f"PRAGMA {name}").fetchone()[0])
            for name in ("page_count", "freelist_count", "page_size")
        )
    return Extent(anchor.seq, max(noted.seq, anchor.seq), (pages - free) * size, log_bytes_of(path))


def stored_before(path: Path, moment_s: float) -> int:
    """The last row that is known to have been stored before that moment (seconds since 1970); 0: none.

    Where the clock was set back, marks are not in order: a row behind a younger mark counts as younger. Raises
    JournalError.
    """
    with closing(open_for_reading(path)) as connection, translated(path):
        if not connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'mark'").fetchone():
            return 0  # a journal of an earlier schema, which its writer has not opened yet
        (last,) = connection.execute(
            "SELECT max(seq) FROM mark WHERE at_s < ?1 AND "
            "seq < ifnull((SELECT min(seq) FROM mark WHERE at_s >= ?1), 9223372036854775807)",
            (moment_s,),
        ).fetchone()
    return int(last or 0)


def whole_passes_through(path: Path, seq: int) -> int:
    """The last row up to `seq` at which no pass is cut in two; 0 where there is none. Linear in the rows up to `seq`.

    So a journal never holds half a pass for pruning's sake. Raises JournalError.
    """
    with closing(open_for_reading(path)) as connection, translated(path):
        passes = connection.execute(
            "SELECT min(seq), (SELECT max(seq) FROM record AS other WHERE other.pass_id = front.pass_id) "
            "FROM record AS front WHERE seq <= ? AND pass_id IS NOT NULL GROUP BY pass_id",
            (seq,),
        ).fetchall()
    return _uncut(passes, seq)


def _uncut(passes: Iterable[tuple[int, int]], seq: int) -> int:
    """Move the cut before the first row of each pass that it would cut. passes: first and last row of each."""
    spans = sorted(passes, reverse=True)
    for first, last in spans:  # from the back: a cut that moves may cut a pass that begins before
        if first <= seq < last:
            seq = first - 1
    return seq


def log_bytes_of(path: Path) -> int:
    """Size of the journal's log, which grows for as long as any program holds a read transaction open."""
    real = real_path(path)
    with suppress(FileNotFoundError):
        return real.with_name(real.name + "-wal").stat().st_size
    return 0
