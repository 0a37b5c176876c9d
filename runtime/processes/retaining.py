"""The retention of each process of `cathrt run`: what it keeps, under which limits, and where its report is.

Not for: what may go (runtime/retention/).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

from cathrt.runtime.alert import StoredRecord
from cathrt.runtime.config import Config, RetentionConfig
from cathrt.runtime.decisions.book import DecisionBook
from cathrt.runtime.journal.lookups import first_row_of
from cathrt.runtime.journal.writer import Journal
from cathrt.runtime.listener.object_store import ObjectStore
from cathrt.runtime.listener.store_reader import StoreReader
from cathrt.runtime.processes.counts_file import CountsFile
from cathrt.runtime.processes.kept_report import KeptReport
from cathrt.runtime.processes.state_folder import StateFolder
from cathrt.runtime.processes.tally import durable_verdicts
from cathrt.runtime.processes.undelivered import first_row_needed, undelivered
from cathrt.runtime.retention.keeper import Disk, Keeper, Look
from cathrt.runtime.retention.kept_features import FeatureLimits, KeptFeatures
from cathrt.runtime.retention.kept_journal import JournalLimits, KeptJournal, Looked, Moment
from cathrt.runtime.retention.kept_objects import KeptObjects, ObjectLimits
from cathrt.runtime.retention.old_studies import forget_studies
from cathrt.runtime.retention.rules import DAY_S
from cathrt.runtime.study.feature_store import FeatureStore
from cathrt.runtime.study.intake_book import IntakeBook
from cathrt.runtime.study.intake_reader import intake_of
from cathrt.runtime.study.old_inputs import forget_inputs

_HOUR_S = 3600.0


def live_keeper(state: StateFolder, config: Config, journal: Journal, counts: Mapping[str, CountsFile]) -> Keeper:
    """Of the live journal. counts: of each source, which count on where the journal has nothing left to count."""

    def before(through: int) -> None:
        for name, page in counts.items():
            pruned = durable_verdicts(state.live_journal, name, counts, page.since_seq, through)
            page.count_from(through, pruned)

    kept = config.retention
    limits = JournalLimits(kept.live_days, kept.live_mib, kept.keep_hours * _HOUR_S)
    rows = KeptJournal("live", journal, limits, config.outlets, state.outbox, before=before)
    return _keeper(state, kept, "live", {"live rows": rows.look})


def study_keeper(
    state: StateFolder,
    config: Config,
    journal: Journal,
    book: IntakeBook,
    store: StoreReader,
    features: FeatureStore | None = None,
) -> Keeper:
    """Of the study journal, of what the intake book knows of inputs that are gone, and of what runs were encoded to."""
    kept = config.retention
    limits = JournalLimits(kept.study_days, kept.study_mib, kept.keep_hours * _HOUR_S)

    def needed(head: int) -> int:
        """What is yet to be made of studies that have ended, by models and as objects, rests on their summaries."""
        done = book.first_done_end()
        waiting = [] if done is None else store.study_ends(after=done)
        passes = [pass_id for end in waiting for _, pass_id in book.passes_of(end.objects) if pass_id]
        firsts = (
            first_row_of(journal.path, passes),
            first_row_needed(journal.path, _undelivered(state, config)),
        )
        return min((first - 1 for first in firsts if first is not None), default=head)

    rows = KeptJournal("study", journal, limits, config.outlets, state.outbox, needed=needed)
    looks = {"study rows": rows.look, "inputs": _inputs(book, store)}
    if features is not None:
        limits_of_clips = FeatureLimits(kept.features_mib, kept.books_days, kept.keep_hours * _HOUR_S)
        looks["features"] = KeptFeatures(features, limits_of_clips).look
    return _keeper(state, kept, "study", looks)


def gateway_keeper(state: StateFolder, config: Config, store: ObjectStore, book: DecisionBook) -> Keeper:
    """Of the received objects, of what the store's index knows of studies that are gone, and of decisions."""
    kept = config.retention
    objects = KeptObjects(
        store,
        partial(intake_of, state.intake),
        state.backup_lock,
        ObjectLimits(kept.store_days, kept.store_mib, kept.keep_hours * _HOUR_S),
        awaited=lambda: bool(_undelivered(state, config)),
    )

    def studies(moment: Moment) -> Looked:
        if not kept.books_days:
            return Looked()
        return Looked(forget_studies(store.index, moment.now_s - kept.books_days * DAY_S))

    unknown = _once(store.remove_unknown)
    looks = {"files of no object": unknown, "objects": objects.look, "studies": studies}
    return _keeper(state, kept, "gateway", {**looks, "gateway rows": decision_rows(state, config, book)})


def decision_rows(state: StateFolder, config: Config, book: DecisionBook) -> Look:
    """Of gateway.journal, whenever it is open."""
    kept = config.retention
    limits = JournalLimits(kept.gateway_days, kept.gateway_mib, kept.keep_hours * _HOUR_S)
    rows: KeptJournal | None = None

    def look(moment: Moment) -> Looked:
        nonlocal rows
        journal = book.journal
        if journal is None:
            return Looked()
        if rows is None or rows.journal is not journal:
            rows = KeptJournal("gateway", journal, limits, config.outlets, state.outbox)
        return rows.look(replace(moment, disk_is_short=False))  # they are small, and made by people

    return look


def _undelivered(state: StateFolder, config: Config) -> list[StoredRecord]:
    return undelivered(state.study_journal, state.outbox, config.outlets, state.gateway_journal)


def _keeper(state: StateFolder, kept: RetentionConfig, process: str, looks: Mapping[str, Look]) -> Keeper:
    kept_report = KeptReport(state, f"retention-{process}")

    def told(report: dict[str, object]) -> None:
        kept_report.write({"at_ns": time.monotonic_ns(), **report})

    return Keeper(looks, Disk(state.path, kept.free_mib), told)


def _inputs(book: IntakeBook, store: StoreReader) -> Look:
    after = b""

    def look(_moment: Moment) -> Looked:
        nonlocal after
        first = store.received()[:1]
        removed, after = forget_inputs(book, first[0].seq if first else 0, after)
        return Looked(removed)

    return look


def _once(remove: Callable[[], int]) -> Look:
    """What a killed process may have left is looked for at the start."""
    done = False

    def look(_moment: Moment) -> Looked:
        nonlocal done
        removed, done = 0 if done else remove(), True
        return Looked(removed)

    return look
