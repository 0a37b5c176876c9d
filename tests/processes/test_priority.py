"""Priorities: what is asked for, what a refusal looks like, and how the CPUs are shared out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from cathrt.runtime.processes import priority
from cathrt.runtime.processes.priority import Grants, cpus_in, make_real_time, shared_out, take_priority


def cores_of(*cores: set[int]) -> dict[int, frozenset[int]]:
    return {cpu: frozenset(core) for core in cores for cpu in core}


def test_live_and_study_get_whole_cores_of_their_own() -> None:
    siblings = cores_of({0, 4}, {1, 5}, {2, 6}, {3, 7})
    assert shared_out(set(range(8)), siblings) == (frozenset({0, 4, 1, 5}), frozenset({2, 6, 3, 7}))


def test_live_gets_the_odd_core() -> None:
    live, study = shared_out(set(range(5)), cores_of({0}, {1}, {2}, {3}, {4}))
    assert (live, study) == (frozenset({0, 1, 2}), frozenset({3, 4}))


def test_cpus_that_this_process_may_not_use_are_nobodys() -> None:
    siblings = cores_of({0, 4}, {1, 5}, {2, 6}, {3, 7})
    live, study = shared_out({0, 1, 2, 3}, siblings)
    assert (live, study) == (frozenset({0, 1}), frozenset({2, 3}))


@pytest.mark.parametrize("cpus", [1, 2, 3, 6])
def test_too_few_cores_are_shared_by_all(cpus: int) -> None:
    siblings = cores_of({0, 1}, {2, 3}, {4, 5})
    assert shared_out(set(range(cpus)), siblings) == (frozenset(), frozenset())


def test_lists_of_cpus_as_the_kernel_writes_them() -> None:
    assert [cpus_in(text) for text in ("0\n", "0-1,8", "3,5-6")] == [{0}, {0, 1, 8}, {3, 5, 6}]


@pytest.mark.parametrize("wanted", ["live", "idle"])
def test_each_request_is_granted_or_refused_and_the_system_agrees(wanted: str) -> None:
    code = (
        "import json, os, threading; from cathrt.runtime.processes.priority import take_priority\n"
        "from dataclasses import asdict\n"
        f"grants = take_priority({wanted!r}); found = []\n"
        "def look(): found.extend([os.getpriority(os.PRIO_PROCESS, 0), os.sched_getscheduler(0)])\n"
        "thread = threading.Thread(target=look); thread.start(); thread.join()\n"
        "print(json.dumps([asdict(grants), found]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    grants, (nice, scheduler) = json.loads(done.stdout)
    asked = grants["granted"] + [refusal.partition(":")[0] for refusal in grants["refused"]]
    if wanted == "live":
        assert asked[0] == f"nice {priority.LIVE_NICE}"
        assert ("nice -5" in grants["granted"]) == (nice == -5)  # of a thread that was started later
    else:
        assert asked[:2] == ["idle CPU class", "idle disk class"]
        assert ("idle CPU class" in grants["granted"]) == (scheduler == os.SCHED_IDLE)


def test_a_refusal_names_what_would_change_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "setpriority", refuse)
    monkeypatch.setattr(os, "sched_setscheduler", refuse)
    monkeypatch.setattr(os, "sched_setaffinity", refuse)
    monkeypatch.setattr(priority, "_nicer_session", refuse)
    grants = take_priority("live")
    make_real_time(grants, "the line")
    assert not grants.granted
    assert "nice -5: Operation not permitted: give it CAP_SYS_NICE or a LimitNICE of -5" in grants.refused
    assert "real time for the line: Operation not permitted: give it CAP_SYS_NICE or a LimitRTPRIO of 1" in (
        grants.refused
    )


@pytest.mark.parametrize(("switch", "expected"), [("1\n", True), ("0\n", False), (None, False)])
def test_a_session_is_made_nicer_only_where_nice_counts_within_sessions(
    switch: str | None, expected: bool, tmp_path: Path
) -> None:
    file = tmp_path / "sched_autogroup_enabled"
    if switch is not None:
        file.write_text(switch)
    assert priority.sessions_share_alike(file) is expected


def test_real_time_is_for_the_one_thread_and_not_for_those_that_it_starts() -> None:
    grants, found = Grants(), []

    def inner() -> None:
        found.append(os.sched_getscheduler(0) & ~os.SCHED_RESET_ON_FORK)

    def work() -> None:
        make_real_time(grants, "the line")
        inner()
        thread = threading.Thread(target=inner)
        thread.start()
        thread.join()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == ([os.SCHED_RR, os.SCHED_OTHER] if grants.granted else [os.SCHED_OTHER, os.SCHED_OTHER])
    assert os.sched_getscheduler(0) == os.SCHED_OTHER


def test_the_normal_priority_asks_for_nothing() -> None:
    assert take_priority("normal") == Grants()
