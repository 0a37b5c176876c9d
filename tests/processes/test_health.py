"""Health: what makes it bad, in words; and what is worth a note without making it bad."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from cathrt.runtime.config import Config, OutletConfig, SourceConfig, SupervisorConfig
from cathrt.runtime.counts import COUNTS, MOMENTS
from cathrt.runtime.outlets.state import OUTLETS, OutletState, reasons_and_notes
from cathrt.runtime.processes.counts_file import CountsFile, CountsRead
from cathrt.runtime.processes.health import MOST_IN_HAND, Health, health_of, source_health
from cathrt.runtime.processes.heartbeat import Heartbeat
from cathrt.runtime.processes.restarts import patience_with
from cathrt.runtime.processes.state_folder import StateFolder
from cathrt.runtime.processes.supervisor import SUPERVISOR
from tests.docs.records_page import unlike_page

HUNG_S = patience_with("live").hung_s
SOURCE = SourceConfig("A", "phantom")
CONFIG = Config(sources=(SOURCE,), supervisor=SupervisorConfig(inference_s=10.0, reserve_mib=1))
NOW_NS = 1_000_000_000_000
WELL = {"received": 100, "held": 60, "frames": 40, "met": 37, "dropped": 2, "picture_ns": NOW_NS - 30_000_000,
        "verdict_ns": NOW_NS - 60_000_000, "inference_ns": NOW_NS - 60_000_000}  # fmt: skip


def counts(**values: int) -> CountsRead:
    return CountsRead("A", 0, dict.fromkeys((*COUNTS, *MOMENTS), 0) | WELL | values)  # type: ignore[arg-type]


def reasons(**values: int) -> tuple[str, ...]:
    return source_health(SOURCE, counts(**values), CONFIG, NOW_NS).reasons


def notes(**values: int) -> tuple[str, ...]:
    return source_health(SOURCE, counts(**values), CONFIG, NOW_NS).notes


def test_a_source_with_a_frame_in_hand_is_well() -> None:
    health = source_health(SOURCE, counts(), CONFIG, NOW_NS)
    assert (health.reasons, health.notes, health.unjudged, health.waiting) == ((), (), 1, 0)
    assert health.picture_age_s == pytest.approx(0.03)
    assert health.verdict_age_s == pytest.approx(0.06)


def test_an_inference_of_long_ago_is_unhealthy_though_pictures_come() -> None:
    assert reasons(inference_ns=NOW_NS - 12 * 10**9) == (
        "the last inference is 12 s old, expected one within 10 s (supervisor.inference_s), and 1 frames wait",
    )


def test_no_inference_at_all_is_unhealthy() -> None:
    assert reasons(inference_ns=0) == ("no inference yet",)


@pytest.mark.parametrize("wrong", [{"held": 61}, {"met": 40}, {"frames": 41, "received": 100}])
def test_counts_that_do_not_add_up_are_unhealthy(wrong: dict[str, int]) -> None:
    (reason,) = reasons(**wrong)
    assert reason.startswith("the counts do not add up")


def test_more_in_hand_than_any_queue_holds_is_unhealthy() -> None:
    assert reasons(received=99 + MOST_IN_HAND) == ()
    (reason,) = reasons(received=100 + MOST_IN_HAND)
    assert reason == "101 pictures in hand, expected at most 100: the engine or the disk does not keep up"


def test_every_kind_of_end_counts_as_one() -> None:
    assert reasons(frames=1040, received=1100, met=900, late=20, dropped=20, failed=20, duplicate=20, lost=20,
                   refused=20) == ()  # fmt: skip


def test_a_source_that_is_switched_off_is_a_note() -> None:
    off = {"picture_ns": NOW_NS - 3600 * 10**9}
    assert (reasons(**off), notes(**off)) == ((), ("no picture for 3600 s",))


def test_what_was_lost_and_what_hangs_are_notes() -> None:
    assert notes(lost=1, met=37, hung=2) == (
        "1 frames lost with processes that were killed", "2 calls into the source never returned",
    )  # fmt: skip


def test_a_source_without_counts_is_unhealthy() -> None:
    (reason,) = source_health(SOURCE, None, CONFIG, NOW_NS).reasons
    assert reason.startswith("no counts")


@pytest.fixture
def state(tmp_path: Path) -> StateFolder:
    """A folder in which all is well at NOW_NS."""
    (tmp_path / "shm").mkdir()
    made = StateFolder(tmp_path / "state")
    made.make(tmp_path / "shm")
    for name in (SUPERVISOR, "live"):
        Heartbeat(made.heartbeat(name), lambda: NOW_NS - 10**9).beat()
    made.write_report(SUPERVISOR, {"pid": 1, "processes": [told()]})
    made.write_report("live", {"pid": 2, "granted": ["nice -5"], "refused": []})
    written = CountsFile(made.counts("A"), "A")
    written.settle({})
    for name, value in WELL.items():
        (written.note if name.endswith("_ns") else written.add)(name, value)  # type: ignore[arg-type, operator]
    written.close()
    return made


def told(state: str = "running", why: str = "ready", restarts: int = 0, last_end: str = "") -> dict[str, object]:
    return {"name": "live", "state": state, "pid": 2, "restarts": restarts, "why": why, "last_end": last_end}


def health(state: StateFolder, config: Config = CONFIG, now_ns: int = NOW_NS) -> Health:
    return health_of(state, config, now_ns)


def test_all_well(state: StateFolder) -> None:
    found = health(state)
    assert (found.healthy, found.reasons, found.notes) == (True, (), ())
    assert found.lines()[0] == "healthy"
    assert found.lines()[-1] == "  received 100, held 60, frames 40, met 37, dropped 2, in hand 1"
    document = found.document()
    assert (document["healthy"], document["processes"][0]["granted"]) == (True, ("nice -5",))
    assert not unlike_page(json.loads(json.dumps({"type": "health", **document})))


def test_nothing_is_well_where_nothing_runs(tmp_path: Path) -> None:
    found = health(StateFolder(tmp_path))
    assert not found.healthy
    assert found.reasons[0] == "not running: no `cathrt run` has this state folder"


def test_a_supervisor_without_heartbeats_is_not_running(state: StateFolder) -> None:
    found = health(state, now_ns=NOW_NS + int((HUNG_S + 1) * 10**9))
    assert found.reasons[0] == f"not running: the supervisor's last heartbeat is {HUNG_S + 2:.0f} s old"
    assert found.reasons[1] == f"live: its last heartbeat is {HUNG_S + 2:.0f} s old"
    assert found.lines()[0] == "NOT HEALTHY"


@pytest.mark.parametrize("how", ["given up", "waiting", "stopped"])
def test_a_process_that_does_not_run_is_unhealthy_and_says_why(state: StateFolder, how: str) -> None:
    state.write_report(SUPERVISOR, {"pid": 1, "processes": [told(how, "ended by SIGSEGV: given up")]})
    assert health(state).reasons == ("live: ended by SIGSEGV: given up",)


def test_a_process_that_starts_again_is_unhealthy_and_says_what_ended_it(state: StateFolder) -> None:
    state.write_report(SUPERVISOR, {"pid": 1, "processes": [told("starting", "started", 4, "ended by SIGSEGV")]})
    assert health(state).reasons == ("live: starting, since it ended by SIGSEGV",)


def test_restarts_of_a_process_that_runs_again_are_a_note(state: StateFolder) -> None:
    state.write_report(SUPERVISOR, {"pid": 1, "processes": [told("running", "ready", 4, "ended by SIGSEGV")]})
    found = health(state)
    assert (found.reasons, found.notes) == ((), ("live: restart 4, since it ended by SIGSEGV",))


def test_a_priority_that_was_refused_is_a_note(state: StateFolder) -> None:
    state.write_report("live", {"pid": 2, "granted": [], "refused": ["nice -5: Operation not permitted: ..."]})
    found = health(state)
    assert (found.reasons, found.notes) == ((), ("live: not granted: nice -5: Operation not permitted: ...",))


def test_a_disk_that_fills_up_is_unhealthy(state: StateFolder) -> None:
    full = replace(CONFIG, supervisor=replace(CONFIG.supervisor, reserve_mib=10**9))
    (reason,) = health(state, full).reasons
    assert reason.startswith("disk: ")
    assert reason.endswith("expected 1000000000 (supervisor.reserve_mib)")


def test_what_cannot_be_read_is_a_reason_and_no_error(state: StateFolder) -> None:
    state.counts("A").write_bytes(b"x" * 4096)
    state.report(SUPERVISOR).write_bytes(b"{")
    found = health(state)
    assert [reason for reason in found.reasons if "expected counts of this version" in reason]
    assert [reason for reason in found.reasons if "Expecting property name" in reason]


def test_a_source_of_the_configuration_that_nobody_watches_is_unhealthy(state: StateFolder) -> None:
    two = replace(CONFIG, sources=(SOURCE, SourceConfig("B", "phantom")))
    (reason,) = health(state, two).reasons
    assert reason.startswith("source B: no counts")


OUTLET = OutletConfig("ward", "webhook", "http://127.0.0.1", lag_s=300.0)
REACHED = asdict(OutletState("ward", "webhook", False, reachable=True))


def test_an_outlet_that_is_up_to_date_is_not_spoken_of() -> None:
    assert reasons_and_notes(OUTLET, REACHED) == ([], [])


def test_an_outlet_that_is_behind_is_a_note_and_a_mandatory_one_a_reason() -> None:
    behind = {**REACHED, "reachable": False, "error": "answered 503", "rows_behind": 12, "oldest_s": 301.0}
    said = "12 rows behind for 301 s, expected at most 300 (outlets.lag_s): answered 503"
    assert reasons_and_notes(OUTLET, behind) == ([], [said])
    assert reasons_and_notes(replace(OUTLET, mandatory=True), behind) == ([said], [])
    assert reasons_and_notes(replace(OUTLET, mandatory=True), {**behind, "oldest_s": 299.0}) == (
        [], ["not reached: answered 503"],
    )  # fmt: skip


def test_what_a_person_has_to_decide_about_an_outlet_is_a_note_and_a_fault_a_reason() -> None:
    reasons, notes = reasons_and_notes(
        OUTLET, {**REACHED, "faults": ["live.journal: another one"], "dead": 2, "limited": 3, "pruned": 4}
    )
    assert reasons == ["live.journal: another one"]
    assert [note.split()[:2] for note in notes] == [["2", "dead"], ["3", "alerts"], ["4", "rows"]]


def test_outlets_are_named_in_the_health_of_the_whole(tmp_path: Path) -> None:
    state = StateFolder(tmp_path / "state")
    state.make()
    try:
        config = replace(CONFIG, outlets=(OUTLET, replace(OUTLET, name="lab")))
        state.write_report(OUTLETS, {"outlets": [{**REACHED, "dead": 1}]})
        health = health_of(state, config, NOW_NS)
    finally:
        state.dismiss_memory()
    assert "outlet lab: no report of it: the gateway has not begun" in health.reasons
    assert "outlet ward: 1 dead letters: `cathrt outbox list STATE` shows them" in health.notes
