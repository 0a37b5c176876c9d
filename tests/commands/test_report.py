"""What `cathrt report` says while a draft takes long."""

from __future__ import annotations

import pytest

from cathrt.runtime.commands.report import _patience


def test_it_says_every_ten_seconds_that_it_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    now_s = 100.0
    told = _patience(lambda: now_s)
    for _ in range(25):
        told()
        now_s += 1.0
    assert capsys.readouterr().err.splitlines() == [
        "cathrt: still writing the draft, 10 s so far",
        "cathrt: still writing the draft, 20 s so far",
    ]
