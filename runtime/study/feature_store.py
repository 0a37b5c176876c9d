"""What runs were encoded to, for good: one SQLite file beside the journal, so that no run is encoded twice.

Features are known by the hash of the pixels that they come from and by that of the encoder. Beside them: what is known
of each run, and what was read of each study. A lost file costs time: all of it is made again from the received objects.
Not for: answers (the journal), encoding (models/).
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cathrt.runtime.errors import CathrtError
from cathrt.runtime.frame import Run, TakenAt
from cathrt.runtime.model_kind import Features, RunFacts
from cathrt.runtime.outside.disk import transaction

_VERSION = 1
_USED_WITHIN_S = 600.0  # how exactly it is known when a clip was used last
_MADE = (
    """
    CREATE TABLE clip (
        pixels TEXT NOT NULL, encoder TEXT NOT NULL, tokens INTEGER NOT NULL, size INTEGER NOT NULL,
        used_at REAL NOT NULL, sha256 BLOB NOT NULL, features BLOB NOT NULL, PRIMARY KEY (pixels, encoder)
    ) STRICT
    """,
    "CREATE INDEX clip_by_use ON clip (used_at)",
    # Of which pixels the clip of a run is.
    """
    CREATE TABLE clip_of_run (
        run_id TEXT NOT NULL, encoder TEXT NOT NULL, pixels TEXT NOT NULL, PRIMARY KEY (run_id, encoder)
    ) STRICT, WITHOUT ROWID
    """,
    # facts: JSON of RunFacts.
    """
    CREATE TABLE run (
        pass_id TEXT PRIMARY KEY, study TEXT NOT NULL, arrival INTEGER NOT NULL, noted_at REAL NOT NULL,
        facts TEXT NOT NULL
    ) STRICT, WITHOUT ROWID
    """,
    "CREATE INDEX run_of_study ON run (study)",
    """
    CREATE TABLE reading (
        reader TEXT NOT NULL, study TEXT NOT NULL, revision INTEGER NOT NULL, rests_on TEXT NOT NULL,
        noted_at REAL NOT NULL, PRIMARY KEY (reader, study, revision)
    ) STRICT, WITHOUT ROWID
    """,
    # Studies whose last end says that whose study it is has to be settled first.
    "CREATE TABLE unsettled (study TEXT PRIMARY KEY) STRICT, WITHOUT ROWID",
)


class FeatureStoreError(CathrtError):
    """The file of features cannot be used."""

    exit_code = 8


@dataclass(frozen=True, slots=True)
class Held:
    """What the file holds. bytes: of all features."""

    clips: int
    bytes: int


class FeatureStore:
    """The open file. Every change is on the disk when its method returns. Thread-safe. Raises FeatureStoreError."""

    def __init__(self, path: Path, wall: Callable[[], float] = time.time) -> None:
        """path: made where it is not there. wall: seconds since 1970."""
        self._path, self._wall = path, wall
        self._lock = threading.Lock()
        with self._translated():
            self._database = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
            try:
                self._open()
            except BaseException:
                self._database.close()
                raise

    def _open(self) -> None:
        self._database.execute("PRAGMA auto_vacuum=INCREMENTAL")
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.execute("PRAGMA synchronous=FULL")
        with self._changing():
            (version,) = self._database.execute("PRAGMA user_version").fetchone()
            if version > _VERSION:
                raise FeatureStoreError(f"{self._path} has version {version}, expected at most {_VERSION}: {_REMOVE}")
            for statement in _MADE if version < _VERSION else ():
                self._database.execute(statement)
            self._database.execute(f"PRAGMA user_version={_VERSION}")

    # Features.

    def of_run(self, run_id: str, encoder: str) -> Features | None:
        """Of a run whose pixels were seen before; None where nothing is kept of them."""
        row = self._one("SELECT pixels FROM clip_of_run WHERE run_id = ? AND encoder = ?", run_id, encoder)
        return None if row is None else self.of_pixels(row[0], encoder)

    def of_pixels(self, pixels: str, encoder: str) -> Features | None:
        """By the hash of the pixels (pixels_sha256); None where nothing is kept. What was damaged is dropped."""
        key = (pixels, encoder)
        row = self._one("SELECT tokens, used_at, sha256, features FROM clip WHERE pixels = ? AND encoder = ?", *key)
        if row is None:
            return None
        tokens, used_at, sha256, body = row
        sound = hashlib.sha256(body).digest() == sha256 and tokens > 0 and len(body) % (4 * tokens) == 0
        now = self._wall()
        if sound and not 0.0 <= now - used_at < _USED_WITHIN_S:
            with self._changing():
                self._database.execute("UPDATE clip SET used_at = ? WHERE pixels = ? AND encoder = ?", (now, *key))
        elif not sound:
            with self._changing():
                self._database.execute("DELETE FROM clip WHERE pixels = ? AND encoder = ?", key)
        return np.frombuffer(body, np.float32).reshape(tokens, -1) if sound else None

    def keep(self, run_id: str, pixels: str, encoder: str, features: Features | None) -> None:
        """These are the features of the run's pixels. None: they are kept already, and the run has them too."""
        with self._changing():
            if features is not None:
                body = np.ascontiguousarray(features, np.float32).tobytes()
                self._database.execute(
                    "INSERT OR REPLACE INTO clip VALUES (?, ?, ?, ?, ?, ?, ?)",
                    (pixels, encoder, len(features), len(body), self._wall(), hashlib.sha256(body).digest(), body),
                )
            self._database.execute("INSERT OR REPLACE INTO clip_of_run VALUES (?, ?, ?)", (run_id, encoder, pixels))

    # Runs.

    def note_run(self, study: str, facts: RunFacts) -> None:
        """What decides whether a confirmed run counts."""
        document = json.dumps(asdict(facts))
        with self._changing():
            self._database.execute(
                "INSERT OR REPLACE INTO run VALUES (?, ?, ?, ?, ?)",
                (facts.pass_id, study, facts.arrival, self._wall(), document),
            )

    def run_of_pass(self, pass_id: str) -> tuple[str, RunFacts] | None:
        """Its study and what is known of it; None where it was not noted."""
        row = self._one("SELECT study, facts FROM run WHERE pass_id = ?", pass_id)
        return None if row is None else (row[0], _facts(row[1]))

    def runs_of_study(self, study: str) -> list[RunFacts]:
        """In the order of their arrival. A run that was judged again is there more than once."""
        with self._translated(), self._lock:
            rows = self._database.execute("SELECT facts FROM run WHERE study = ? ORDER BY arrival", (study,)).fetchall()
        return [_facts(facts) for (facts,) in rows]

    def note_settled(self, study: str, *, settled: bool) -> None:
        """Whether an end of the study leaves open whose it is."""
        query = "DELETE FROM unsettled WHERE study = ?" if settled else "INSERT OR IGNORE INTO unsettled VALUES (?)"
        with self._changing():
            self._database.execute(query, (study,))

    def is_settled(self, study: str) -> bool:
        """As the last end of the study says; true before any."""
        return self._one("SELECT 1 FROM unsettled WHERE study = ?", study) is None

    # Readings.

    def revision_of(self, reader: str, study: str, rests_on: str) -> int | None:
        """The revision under which this very thing was read; None where it was not."""
        row = self._one(
            "SELECT revision FROM reading WHERE reader = ? AND study = ? AND rests_on = ?", reader, study, rests_on
        )
        return None if row is None else int(row[0])

    def last_revision(self, reader: str, study: str) -> int:
        """The newest one; 0 where the study was not read."""
        row = self._one("SELECT max(revision) FROM reading WHERE reader = ? AND study = ?", reader, study)
        return 0 if row is None or row[0] is None else int(row[0])

    def note_reading(self, reader: str, study: str, revision: int, rests_on: str) -> None:
        """A reading is durable in the journal."""
        with self._changing():
            self._database.execute(
                "INSERT OR REPLACE INTO reading VALUES (?, ?, ?, ?, ?)",
                (reader, study, revision, rests_on, self._wall()),
            )

    # Retention.

    def held(self) -> Held:
        """How much there is."""
        row = self._one("SELECT count(*), coalesce(sum(size), 0) FROM clip")
        assert row is not None
        return Held(int(row[0]), int(row[1]))

    def forget_clips(self, over_bytes: int, before_s: float, most: int) -> Held:
        """Remove the clips that were not used for the longest time, and not after before_s, until as many bytes are
        gone; at most `most`. Returns what went."""
        with self._changing():
            rows = self._database.execute(
                "SELECT pixels, encoder, size FROM clip WHERE used_at < ? ORDER BY used_at LIMIT ?", (before_s, most)
            ).fetchall()
            gone, going = 0, []
            for pixels, encoder, size in rows:
                if gone >= over_bytes:
                    break
                gone += size
                going.append((pixels, encoder))
            self._database.executemany("DELETE FROM clip WHERE pixels = ? AND encoder = ?", going)
            self._database.executemany("DELETE FROM clip_of_run WHERE pixels = ? AND encoder = ?", going)
        if going:
            self._give_back()
        return Held(len(going), gone)

    def forget_studies(self, before_s: float) -> int:
        """Forget runs and readings that were noted before then. Returns how many rows went."""
        with self._changing():
            runs = self._database.execute("DELETE FROM run WHERE noted_at < ?", (before_s,)).rowcount
            return int(runs + self._database.execute("DELETE FROM reading WHERE noted_at < ?", (before_s,)).rowcount)

    def close(self) -> None:
        """Close the file. Idempotent."""
        self._database.close()

    def _give_back(self) -> None:
        with self._translated(), self._lock:
            self._database.executescript("PRAGMA incremental_vacuum")  # execute() would give one page back

    def _one(self, query: str, *values: str) -> tuple[Any, ...] | None:
        with self._translated(), self._lock:
            row: tuple[Any, ...] | None = self._database.execute(query, values).fetchone()
            return row

    @contextmanager
    def _changing(self) -> Iterator[None]:
        with self._translated(), self._lock, transaction(self._database):
            yield

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as exc:
            raise FeatureStoreError(
                f"{self._path}: {exc}: make room on the disk; if the file is damaged, {_REMOVE}"
            ) from exc


def pixels_sha256(run: Run, frames: Sequence[NDArray[Any]]) -> str:
    """Of the stored values that a clip is made of, in their order, with their size and depth."""
    shape = [run.rows, run.columns, run.grayscale.bits_stored, len(frames)]
    digest = hashlib.sha256(json.dumps(shape).encode())
    for frame in frames:
        digest.update(np.ascontiguousarray(frame, "<u2").data)
    return digest.hexdigest()


def _facts(document: str) -> RunFacts:
    found = json.loads(document)
    return RunFacts(**found | {"taken_at": TakenAt(**found["taken_at"])})


_REMOVE = "remove it: runs are then encoded again, and what the journal holds is not read twice"
