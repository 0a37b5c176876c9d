"""The random kills of kill_journal.py, a few of them; `python -m tests.faults.kill_journal` makes a thousand."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.kill_journal import kill_journal


@pytest.mark.parametrize("kills", [20, pytest.param(200, marks=pytest.mark.slow)])
def test_writers_killed_at_random_beside_a_reader(tmp_path: Path, kills: int) -> None:
    tally = kill_journal(kills, seed=1, root=tmp_path)

    assert tally.faults == []
    assert tally.kills == kills
    assert tally.shown > 0  # the writers came to write
