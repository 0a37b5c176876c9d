"""The figures of /metrics: gathered from what is in shared memory, from reports and from the sizes of files.

Nothing here asks the live or the study process for anything. Not for: what the metrics mean (metrics/catalogue.py).
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from cathrt.runtime.alert import Outcome
from cathrt.runtime.config import Config
from cathrt.runtime.counts import Count
from cathrt.runtime.gateway.feed import FeedStatus
from cathrt.runtime.journal.head import Head, noted_head
from cathrt.runtime.metrics import catalogue
from cathrt.runtime.metrics.family import Family, Metric, family
from cathrt.runtime.metrics.histogram import Histogram
from cathrt.runtime.outlets.state import OUTLETS
from cathrt.runtime.processes.engine_health import ENGINES
from cathrt.runtime.processes.health import Health, health_of
from cathrt.runtime.processes.restarts import patience_with
from cathrt.runtime.processes.state_folder import StateFolder
from cathrt.runtime.processes.times_file import read_times
from cathrt.runtime.processes.timings import RECEIVED

_MIB = 1 << 20
_OF_COUNTS: tuple[tuple[Metric, Count], ...] = (
    (catalogue.RECEIVED, "received"),
    (catalogue.HELD, "held"),
    (catalogue.FRAMES, "frames"),
    (catalogue.LOST, "lost"),
    (catalogue.REFUSED, "refused"),
    (catalogue.RUNS, "runs"),
    (catalogue.OPENED, "opened"),
    (catalogue.HUNG, "hung"),
)
_OF_OUTLETS = (
    (catalogue.OUTLET_BEHIND, "rows_behind"),
    (catalogue.OUTLET_OLDEST, "oldest_s"),
    (catalogue.OUTLET_DELIVERED, "delivered"),
    (catalogue.OUTLET_FAILED, "failed"),
    (catalogue.OUTLET_DEAD, "dead"),
)
_OUTCOMES: tuple[tuple[Outcome, Count], ...] = (
    (Outcome.MET, "met"),
    (Outcome.LATE, "late"),
    (Outcome.DROPPED, "dropped"),
    (Outcome.FAILED, "failed"),
    (Outcome.DUPLICATE, "duplicate"),
)


def figures(state: StateFolder, config: Config, feed: FeedStatus) -> tuple[Family, ...]:
    """Every metric with its values now; without values where they are not known. Raises CathrtError, OSError."""
    health = health_of(state, config, time.monotonic_ns())
    return (
        *_of_the_whole(health, feed),
        *_of_sources(health),
        _stages(state, config),
        *_engines(state),
        *_of_processes(health),
        *_of_journals(state),
        *_of_outlets(state),
    )


def _of_the_whole(health: Health, feed: FeedStatus) -> Iterable[Family]:
    free_mib = health.disk_free_mib
    yield family(catalogue.BUILD, [((version("cathrt"),), 1)])
    yield family(catalogue.HEALTHY, [((), int(health.healthy and not feed.faults))])
    yield family(catalogue.REASONS, [((), len(health.reasons) + len(feed.faults))])
    yield family(catalogue.DISK_FREE, [((), None if free_mib is None else free_mib * _MIB)])
    yield family(catalogue.FEED_READERS, [((), feed.readers)])


def _of_sources(health: Health) -> Iterable[Family]:
    known = [source for source in health.sources if source.counts]
    for metric, count in _OF_COUNTS:
        yield family(metric, (((source.name,), source.counts[count]) for source in known))
    yield family(
        catalogue.VERDICTS,
        (((source.name, outcome.value), source.counts[count]) for source in known for outcome, count in _OUTCOMES),
    )
    yield family(catalogue.WAITING, (((source.name,), source.waiting) for source in known))
    yield family(catalogue.UNJUDGED, (((source.name,), source.unjudged) for source in known))
    yield family(catalogue.PICTURE_AGE, (((source.name,), source.picture_age_s) for source in known))
    yield family(catalogue.VERDICT_AGE, (((source.name,), source.verdict_age_s) for source in known))
    yield family(catalogue.INFERENCE_AGE, (((source.name,), source.inference_age_s) for source in known))


def _stages(state: StateFolder, config: Config) -> Family:
    found: list[tuple[tuple[str, ...], Histogram]] = []
    for process, source in (*(("live", each.name) for each in config.sources), ("study", RECEIVED)):
        if (times := read_times(state.times(source, process))) is not None:
            found += [((process, source, stage), histogram) for stage, histogram in times.stages.items()]
    return family(catalogue.STAGE, found)


def _engines(state: StateFolder) -> Iterable[Family]:
    """By what the live process tells of its ladders."""
    told = [
        (source, kind, one)
        for source, kinds in (state.read_report(ENGINES) or {}).items()
        for kind, one in kinds.items()
    ]
    yield family(
        catalogue.ENGINE,
        (
            ((source, kind, str(one["engine"]), str(one["manifest_sha256"])), 1)
            for source, kind, one in told
            if one["live_ai"]
        ),
    )
    yield family(catalogue.RUNG, (((source, kind), one["rung"]) for source, kind, one in told))
    yield family(catalogue.LIVE_AI, (((source, kind), int(one["live_ai"])) for source, kind, one in told))


def _of_processes(health: Health) -> Iterable[Family]:
    def up(state: str, name: str, age_s: float | None) -> bool:
        return state == "running" and age_s is not None and age_s <= patience_with(name).hung_s

    yield family(
        catalogue.PROCESS_UP,
        (((one.name,), int(up(one.state, one.name, one.heartbeat_age_s))) for one in health.processes),
    )
    yield family(catalogue.RESTARTS, (((one.name,), one.restarts) for one in health.processes))
    yield family(catalogue.HEARTBEAT_AGE, (((one.name,), one.heartbeat_age_s) for one in health.processes))


def _of_journals(state: StateFolder) -> Iterable[Family]:
    paths = {"live": state.live_journal, "study": state.study_journal, "gateway": state.gateway_journal}
    there = {name: path for name, path in paths.items() if path.exists()}
    yield family(catalogue.JOURNAL_ROWS, (((name,), (noted_head(path) or Head()).seq) for name, path in there.items()))
    yield family(catalogue.JOURNAL_BYTES, (((name,), _bytes(path)) for name, path in there.items()))


def _bytes(journal: Path) -> int:
    total = 0
    for path in (journal, journal.with_name(f"{journal.name}-wal")):
        try:
            total += path.stat().st_size
        except FileNotFoundError:  # the log is gone when the last connection is
            continue
    return total


def _of_outlets(state: StateFolder) -> Iterable[Family]:
    told: Iterable[Mapping[str, Any]] = (state.read_report(OUTLETS) or {}).get("outlets", ())
    for metric, key in _OF_OUTLETS:
        yield family(metric, (((str(one["name"]), str(one["kind"])), one.get(key)) for one in told))
