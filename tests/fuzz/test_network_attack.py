"""The attack itself: the same seed makes the same cases, and a victim that does what it may not is a finding."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import pytest

from tests.fuzz.network import attack, dicom, feed, page
from tests.fuzz.network.attack import Attack, Report
from tests.fuzz.network.doors import DOORS, Attackers, Open
from tests.fuzz.network.mutate import mutated
from tests.fuzz.network.victim import started

PIECES = [b"first message", b"second", b"third"]


def test_the_same_seed_makes_the_same_conversations() -> None:
    for conversation in (dicom.conversation, feed.conversation, page.conversation):
        once, again = ([conversation(Random(f"7 {number}")) for number in range(40)] for _ in range(2))
        assert once == again
        assert len({tuple(one) for one in once}) > 30


def test_mutations_leave_some_conversations_whole_and_most_nearly_so() -> None:
    found = [mutated(PIECES, Random(number)) for number in range(400)]
    whole = sum(one == PIECES for one in found)
    assert 30 < whole < 150
    assert sum(b"first message" in one for one in found) > 150
    assert max(len(b"".join(one)) for one in found) < 8 << 20


def test_mutations_take_nothing_for_granted() -> None:
    for number in range(200):
        mutated([], Random(number))
        mutated([b""], Random(number), (b"word",))


GOOD = "import time\nwhile True: time.sleep(0.05)\n"
FINDINGS = {
    "import sys, time\nprint('Traceback (most recent call last):\\n  File \"/x/y.py\", line 3, in f\\nKeyError: 1', "
    "file=sys.stderr, flush=True)\ntime.sleep(60)": "KeyError: 1 in y.py:3 f",
    "import time\ntime.sleep(0.5)\nraise SystemExit(7)": "the process has ended with 7",
    "import time\ntime.sleep(0.5)\nopen('stranger', 'w').close()\ntime.sleep(60)": "stranger",
    "import time, os\ntime.sleep(0.5)\nheld = [open(os.devnull) for _ in range(9)]\ntime.sleep(60)": "'/dev/null': 9",
    "import time\ntime.sleep(1)\nheld = bytearray(b'x') * (80 << 20)\ntime.sleep(60)": "memory grew by",
    "import sys, time\nprint('x' * 3000, file=sys.stderr, flush=True)\ntime.sleep(60)": "a line of 3000 characters",
}


def attacked(program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, served: bool = True) -> Report:
    """Two seconds on a process that runs this program."""
    (tmp_path / "module").mkdir()
    (tmp_path / "module" / "victim_program.py").write_text(program, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "module"))

    def peer() -> None:
        assert served, "nobody answers"

    @contextmanager
    def door(folder: Path, _attackers: Attackers) -> Iterator[Open]:
        with started(("victim_program",), folder) as running:
            yield Open(running, peer, lambda random: random.choice(("answered", "closed")))

    monkeypatch.setitem(DOORS, "tried", door)
    monkeypatch.setattr(attack, "_REST_S", 0.3)
    monkeypatch.setattr(attack, "_LOOK_S", 0.1)
    return Attack("tried", 1).carry_out(tmp_path / "place", 2.0)


@pytest.mark.parametrize("program", FINDINGS, ids=list(FINDINGS.values()))
def test_a_victim_that_does_what_it_may_not_is_a_finding(
    program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = attacked(program, tmp_path, monkeypatch)
    assert any(FINDINGS[program] in finding for finding in report.findings), report.findings


def test_a_peer_that_is_not_served_is_a_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report = attacked(GOOD, tmp_path, monkeypatch, served=False)
    assert "a well-behaved peer was not served: AssertionError: nobody answers" in report.findings[0]


def test_a_victim_that_stands_it_has_no_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report = attacked(GOOD, tmp_path, monkeypatch)
    assert report.findings == []
    assert report.served >= 5
    assert report.cases > 10
    assert set(report.row()["ends"]) == {"answered", "closed"}
