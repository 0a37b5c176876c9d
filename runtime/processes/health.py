"""Whether `cathrt run` is well: every picture accounted for, a real inference of late, all processes, room on the disk.

Idle and dead must not look alike, so health is no port that answers: it rests on the counts of what was judged.
Not for: starting processes again (supervisor.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, TypeVar

from cathrt.runtime.alert import NOTICE
from cathrt.runtime.audit.state import AUDIT, audit_said
from cathrt.runtime.config import Config, Policy, SourceConfig, config_from_document
from cathrt.runtime.decisions.book import DECISIONS, decisions_said
from cathrt.runtime.errors import CathrtError
from cathrt.runtime.outlets.state import OUTLETS, reasons_and_notes
from cathrt.runtime.processes.counts_file import CountsRead, read_counts
from cathrt.runtime.processes.engine_health import ENGINES, against_engines
from cathrt.runtime.processes.heartbeat import last_beat_ns
from cathrt.runtime.processes.journal_check import CHECKED, check_said
from cathrt.runtime.processes.restarts import patience_with
from cathrt.runtime.processes.retention_said import retention_said
from cathrt.runtime.processes.state_folder import StateFolder, disk_free_mib
from cathrt.runtime.processes.supervisor import SUPERVISOR

_T = TypeVar("_T")

CONFIGURED = "config"  # a report: the configuration in effect
PAGE = "page"  # a report: where the page is, or why it is not
MOST_IN_HAND = 100  # a queue, a group commit at 250 Hz and some more; beyond, the engine or the disk does not keep up


@dataclass(frozen=True, slots=True)
class SourceHealth:
    """One live source. reasons: why it is not well, in words. notes: what else a person may want to know.

    in_words: the counts for a person. waiting: pictures not yet held or given to the line. unjudged: frames without an
    end yet. *_age_s: of the newest picture, durable verdict, and inference whose result was used or that ran because no
    frame came; None: none yet.
    """

    name: str
    reasons: tuple[str, ...]
    notes: tuple[str, ...]
    counts: Mapping[str, int]
    in_words: str
    waiting: int
    unjudged: int
    picture_age_s: float | None
    verdict_age_s: float | None
    inference_age_s: float | None


@dataclass(frozen=True, slots=True)
class ProcessHealth:
    """One process. granted, refused: priorities that it asked for."""

    name: str
    reasons: tuple[str, ...]
    notes: tuple[str, ...]
    state: str
    pid: int | None
    restarts: int
    heartbeat_age_s: float | None
    granted: tuple[str, ...]
    refused: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Health:
    """The whole. reasons: of all parts, each with the part's name; none of them: healthy."""

    reasons: tuple[str, ...]
    notes: tuple[str, ...]
    disk_free_mib: int | None
    processes: tuple[ProcessHealth, ...]
    sources: tuple[SourceHealth, ...]

    @property
    def healthy(self) -> bool:
        """Whether there is nothing to say against it."""
        return not self.reasons

    def document(self) -> dict[str, Any]:
        """As one JSON object (docs/records.md, but for its "type")."""
        return {"healthy": self.healthy, **asdict(self), "notice": NOTICE}

    def lines(self) -> list[str]:
        """For a person."""
        lines = ["healthy" if self.healthy else "NOT HEALTHY", *(f"  {reason}" for reason in self.reasons)]
        for process in self.processes:
            lines.append(f"{process.name:10}{process.state}, {process.restarts} restarts")
        for source in self.sources:
            told = ", ".join(
                f"{what} {'never' if age_s is None else f'{age_s:.1f} s ago'}"
                for what, age_s in (
                    ("picture", source.picture_age_s),
                    ("verdict", source.verdict_age_s),
                    ("inference", source.inference_age_s),
                )
            )
            lines += [f"source {source.name}: {told}", f"  {source.in_words}"]
        return [*lines, *(f"note: {note}" for note in self.notes)]


def configured(state: StateFolder, policies: Mapping[str, type[Policy]]) -> Config:
    """The configuration with which `cathrt run` was started on that folder; defaults where it does not run.

    policies: the dataclass of each kind of model (models.policies). Raises SinkError, ConfigError.
    """
    return config_from_document(state.read_report(CONFIGURED) or {}, policies, origin=str(state.report(CONFIGURED)))


def health_of(state: StateFolder, config: Config, now_ns: int) -> Health:
    """How all is now. now_ns: of the monotonic clock. Never raises: what cannot be read is a reason."""
    reasons: list[str] = []
    supervisor = _read(reasons, lambda: state.read_report(SUPERVISOR)) or {}
    age_s = _age_s(now_ns, _read(reasons, lambda: last_beat_ns(state.heartbeat(SUPERVISOR))))
    if age_s is None:
        reasons.append("not running: no `cathrt run` has this state folder")
    elif age_s > patience_with(SUPERVISOR).hung_s:
        reasons.append(f"not running: the supervisor's last heartbeat is {age_s:.0f} s old")
    processes = tuple(_process(state, told, now_ns) for told in supervisor.get("processes", ()))
    sources = tuple(
        source_health(source, _read(reasons, partial(read_counts, state.counts(source.name))), config, now_ns)
        for source in config.sources
    )
    free = _read(reasons, lambda: disk_free_mib(state.path))
    if free is not None and free < config.supervisor.reserve_mib:
        reasons.append(f"disk: {free} MiB free, expected {config.supervisor.reserve_mib} (supervisor.reserve_mib)")
    reasons += [f"{process.name}: {reason}" for process in processes for reason in process.reasons]
    reasons += [f"source {source.name}: {reason}" for source in sources for reason in source.reasons]
    outlet_reasons, outlet_notes = _of_outlets(config, _read(reasons, lambda: state.read_report(OUTLETS)))
    reasons += outlet_reasons
    page = _read(reasons, lambda: state.read_report(PAGE)) or {}
    if config.page.enabled and page.get("fault"):
        reasons.append(f"page: not running: {page['fault']}")
    kept = _read(reasons, lambda: retention_said(state, config.retention, now_ns)) or ([], [])
    reasons += kept[0]
    reasons += decisions_said(_read(reasons, lambda: state.read_report(DECISIONS)))
    audit_reasons, audit_notes = audit_said(_read(reasons, lambda: state.read_report(AUDIT)))
    reasons += [f"audit: {reason}" for reason in audit_reasons]
    notes = [f"{process.name}: {note}" for process in processes for note in process.notes]
    notes += [f"source {source.name}: {note}" for source in sources for note in source.notes]
    notes += [*outlet_notes, *kept[1], *(f"audit: {note}" for note in audit_notes)]
    notes += check_said(_read(reasons, lambda: state.read_report(CHECKED)), now_ns)
    engines = _read(reasons, lambda: state.read_report(ENGINES)) or {}
    for source in sources:
        against, more = against_engines(engines, source.name, now_ns)
        reasons += [f"source {source.name}: {reason}" for reason in against]
        notes += [f"source {source.name}: {note}" for note in more]
    return Health(tuple(reasons), tuple(notes), free, processes, sources)


def source_health(source: SourceConfig, counts: CountsRead | None, config: Config, now_ns: int) -> SourceHealth:
    """How one source is, by its counts; None where there are none."""
    if counts is None:
        none = "no counts: the live process has not begun, or shared memory was cleared"
        return SourceHealth(source.name, (none,), (), {}, "", 0, 0, None, None, None)
    values = counts.values
    picture_s, verdict_s, inference_s = (
        _age_s(now_ns, values[moment]) for moment in ("picture_ns", "verdict_ns", "inference_ns")
    )
    reasons = [*_against_conservation(counts)]
    if inference_s is None:
        reasons.append("no inference yet")
    elif inference_s > config.supervisor.inference_s:
        waits = f", and {counts.unjudged} frames wait" if counts.unjudged else ""
        reasons.append(
            f"the last inference is {inference_s:.0f} s old, expected one within {config.supervisor.inference_s:g} s "
            f"(supervisor.inference_s){waits}"
        )
    notes = []
    if picture_s is None:
        notes.append("no picture yet")
    elif picture_s > source.no_signal_s:
        notes.append(f"no picture for {picture_s:.0f} s")
    if values["lost"]:
        notes.append(f"{values['lost']} frames lost with processes that were killed")
    if values["hung"]:
        notes.append(f"{values['hung']} calls into the source never returned")
    return SourceHealth(
        source.name, tuple(reasons), tuple(notes), counts.figures(), counts.in_words(),
        counts.waiting, counts.unjudged, picture_s, verdict_s, inference_s,
    )  # fmt: skip


def _against_conservation(counts: CountsRead) -> list[str]:
    """received = held + frames, frames = verdicts + lost + refused; but for a handful in hand."""
    if counts.waiting < 0 or counts.unjudged < 0:
        return [f"the counts do not add up ({counts.waiting} waiting, {counts.unjudged} unjudged): report this bug"]
    if (in_hand := counts.waiting + counts.unjudged) > MOST_IN_HAND:
        return [f"{in_hand} pictures in hand, expected at most {MOST_IN_HAND}: the engine or the disk does not keep up"]
    return []


def _process(state: StateFolder, told: Mapping[str, Any], now_ns: int) -> ProcessHealth:
    """told: its part of the supervisor's report."""
    reasons: list[str] = []
    own = _read(reasons, lambda: state.read_report(told["name"])) or {}
    age_s = _age_s(now_ns, _read(reasons, lambda: last_beat_ns(state.heartbeat(told["name"]))))
    since = f", since it {told['last_end']}" if told["last_end"] else ""
    if told["state"] == "starting":
        reasons.append(f"starting{since}")
    elif told["state"] != "running":
        reasons.append(told["why"])
    elif age_s is None or age_s > patience_with(told["name"]).hung_s:
        reasons.append("no heartbeat yet" if age_s is None else f"its last heartbeat is {age_s:.0f} s old")
    notes = [f"restart {told['restarts']}{since}"] if told["restarts"] else []
    notes += [f"not granted: {what}" for what in own.get("refused", ())]
    return ProcessHealth(
        told["name"], tuple(reasons), tuple(notes), told["state"], told["pid"], told["restarts"], age_s,
        tuple(own.get("granted", ())), tuple(own.get("refused", ())),
    )  # fmt: skip


def _of_outlets(config: Config, report: Mapping[str, Any] | None) -> tuple[list[str], list[str]]:
    """Reasons and notes of all outlets, each with its name. report: of the gateway, None where there is none."""
    reasons: list[str] = []
    notes: list[str] = []
    told = {one["name"]: one for one in (report or {}).get("outlets", ())}
    for outlet in config.outlets:
        against, more = reasons_and_notes(outlet, told.get(outlet.name))
        reasons += [f"outlet {outlet.name}: {reason}" for reason in against]
        notes += [f"outlet {outlet.name}: {note}" for note in more]
    return reasons, notes


def _age_s(now_ns: int, at_ns: int | None) -> float | None:
    return (now_ns - at_ns) / 1e9 if at_ns else None


def _read(reasons: list[str], read: Callable[[], _T]) -> _T | None:
    """What `read` returns; None, and the reason noted, where it cannot be read."""
    try:
        return read()
    except (CathrtError, OSError, ValueError) as exc:
        reasons.append(str(exc))
        return None
