"""The benchmark of the page: what it counts of what came to browsers, and that its peers show what they were given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.page import __main__ as page
from benchmarks.page import peers

MS = 1_000_000


class NoStalls:
    """A heartbeat of a machine that never stood still."""

    def hits(self, _samples: object) -> int:
        return 0


def test_a_frame_is_seen_once_its_picture_and_its_record_have_come() -> None:
    judged = [page.Judged(n * 100 * MS, n * 100 * MS + 20 * MS, 20.0, counts=n != 4) for n in range(1, 9)]
    turns = [page.Turn(0, 450 * MS, watched=False), page.Turn(450 * MS, 850 * MS, watched=True)]
    came: dict[str, Any] = {
        "pictures": [
            [0, 500 * MS, 550 * MS],
            [0, 500 * MS, 999 * MS],
            [0, 700 * MS, 725 * MS],
            [1, 600 * MS, 640 * MS],
        ],
        "durable": {500 * MS: 525 * MS, 600 * MS: 630 * MS, 700 * MS: 730 * MS},
        "records": [[0, 500 * MS, 530 * MS], [0, 700 * MS, 760 * MS], [1, 500 * MS, 530 * MS], [0, 1, 2]],
    }
    rows = page._page_rows(judged, turns, came, NoStalls())  # type: ignore[arg-type]
    found = []
    with pytest.raises(StopIteration) as ended:
        while True:
            found.append(next(rows))
    told = {(row["case"], row["impl"]): row for row in found}
    assert told["verdict to picture", "cathrt"]["n"] == 3
    assert told["verdict to both", "cathrt"]["max_ms"] == 40.0
    assert told["journal to both", "cathrt"]["max_ms"] == 30.0
    assert told["live line", "without page"]["n"] == 3
    assert told["live line", "with page"]["n"] == 4
    assert ended.value.value["journal_to_picture_p99_ms"] == 30.0
    assert ended.value.value["live_p99_page_vs_without"] == 1.0


def test_the_peers_show_the_picture_that_was_written(tmp_path: Path) -> None:
    pixels = peers.picture(64, 3)
    peers.written(tmp_path, pixels, 77)
    for name in peers.FORMATS:
        shown_ns, found = peers.decoded(name, (tmp_path / name).read_bytes(), 64)
        assert shown_ns == 77
        assert np.abs(found.astype(int) - pixels).mean() < 3.0
