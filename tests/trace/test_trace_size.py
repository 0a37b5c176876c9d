"""How large a trace gets for each judged frame, which docs/metrics.md says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cathrt.runtime.alert import Record, StageTimes
from cathrt.runtime.commands.trace import trace_command
from cathrt.runtime.journal.process_start import process_start
from tests.conftest import ROOT
from tests.passes import start, summary, verdict, write

RUNS, FRAMES = 10, 150  # pedal presses of ten seconds, back to back
PERIOD_NS = 66_666_667
SAID = re.compile(r"A judged frame takes ([\d.]+) to ([\d.]+) kB of the file, with `\.gz` ([\d.]+) to ([\d.]+) kB")


def live_records() -> Iterator[Record]:
    """What a source at 15 frames a second leaves, with times that differ from frame to frame as measured ones do."""
    began, random = process_start("live"), np.random.default_rng(0)
    yield began
    for run in range(RUNS):
        name, verdicts = f"A 09:{run // 6:02}:{run % 6 * 10:02}", []
        for index in range(FRAMES):
            whole = random.gamma(4.0, 2.5)
            times = [
                round(float(part), 6) for part in (random.uniform(60.0, 66.0), *whole * np.array([0.2, 0.6, 0.05, 1.0]))
            ]
            acquired_ns = began.monotonic_ns + (run * FRAMES + index) * PERIOD_NS
            verdicts.append(replace(verdict(index, name), latency_ms=StageTimes(*times), acquired_ns=acquired_ns))
        yield replace(start(name), source=name, rate="live")
        yield from verdicts
        yield replace(summary(verdicts, name), source=name)


@pytest.mark.parametrize(("file", "least", "most"), [("trace.json", 1, 2), ("trace.json.gz", 3, 4)])
def test_a_frame_takes_what_the_page_says(tmp_path: Path, file: str, least: int, most: int) -> None:
    said = SAID.search((ROOT / "docs" / "metrics.md").read_text(encoding="utf-8"))
    assert said is not None
    write(tmp_path / "live.journal", list(live_records()))
    trace_command(tmp_path, tmp_path / file, None, None, None)
    kb_a_frame = (tmp_path / file).stat().st_size / (RUNS * FRAMES) / 1e3
    assert float(said[least]) <= kb_a_frame <= float(said[most])
