"""The benchmark of runs found in a stream: it scores what is known by hand, and its quick run reports every row."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.live_runs import field_only, found_by_live_runs, found_by_threshold
from benchmarks.live_runs_score import FoundRun, score
from benchmarks.live_runs_streams import Stream, TrueRun
from tests.conftest import ROOT


def stream(pulses: int = 12, each: int = 4, hold: int = 60) -> Stream:
    """Two runs of one view at 15 pulses a second, shown at 60 Hz."""
    random = np.random.default_rng(0)
    view = random.uniform(20.0, 200.0, (32, 32))
    shown, numbers, runs = [view] * hold, [-1] * hold, []
    for run in range(2):
        first = len(shown)
        for pulse in range(pulses):
            shown += [view + random.normal(0.0, 2.0, view.shape)] * each
            numbers += [run * pulses + pulse] * each
        runs.append(TrueRun(first, len(shown) - each, replay=False))
        shown += [shown[-1]] * hold
        numbers += [-1] * hold
    return Stream("two runs", "exact", 15.0, 60.0, np.stack(shown).astype(np.float32), np.array(numbers), tuple(runs))


def judged(played: Stream, run: int) -> frozenset[int]:
    """The first picture of every pulse of a true run."""
    true = played.runs[run]
    return frozenset(range(true.first, true.last + 1, 4))


def test_runs_found_as_they_were_played_have_no_error() -> None:
    played = stream()
    found = [FoundRun(true.first, true.last + 20, judged(played, k)) for k, true in enumerate(played.runs)]
    one = score(lambda _: found, [played])
    assert (one.runs, one.whole, one.missed, one.split, one.merged, one.invented) == (2, 2, 0, 0, 0, 0)
    assert one.start_ms == one.end_ms == [0.0, 0.0]
    assert one.known_ms == pytest.approx([20 / 60.0 * 1e3] * 2)
    assert (one.pulses, one.pulses_not_judged, one.repeats, one.repeats_judged) == (24, 0, 66, 0)


def test_every_kind_of_error_is_counted_as_what_it_is() -> None:
    played = stream()
    first, second = played.runs
    halves = [FoundRun(first.first, 80, frozenset({first.first})), FoundRun(90, first.last, frozenset({first.last}))]
    one = score(lambda _: [FoundRun(0, 9, frozenset({0})), *halves], [played])
    assert (one.whole, one.missed, one.split, one.merged, one.invented) == (0, 1, 1, 0, 1)
    assert one.pulses_not_judged == 10
    all_in_one = FoundRun(first.first - 2, second.last, judged(played, 0) | judged(played, 1) | {first.first + 1})
    one = score(lambda _: [all_in_one], [played])
    assert (one.whole, one.missed, one.split, one.merged, one.invented) == (0, 0, 0, 1, 0)
    assert one.start_ms == pytest.approx([-2 / 60.0 * 1e3]), "where the second one begins was not found at all"
    assert one.repeats_judged == 1


@pytest.mark.parametrize("found_in", [found_by_live_runs, found_by_threshold])
def test_an_easy_stream_is_found_whole_by_the_product_and_by_the_threshold(found_in: object) -> None:
    one = score(found_in, [stream(hold=90)])  # type: ignore[arg-type]
    assert (one.whole, one.invented) == (2, 0)
    assert one.pulses_not_judged == one.repeats_judged == 0


def test_a_known_field_fills_the_picture_with_the_blocks_in_which_a_run_changes() -> None:
    played = stream()
    covered = played.signatures.copy()
    covered[:, :31] = 0.0  # 3 % of the picture are open: less than what may change unnoticed
    narrow = replace(played, signatures=covered)
    assert found_by_live_runs(narrow) == []
    assert score(found_by_live_runs, [field_only(narrow)]).whole == 2


@pytest.mark.slow
def test_the_quick_run_reports_every_coding_and_finder() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.live_runs", "--json", "--quick"],
        cwd=ROOT, capture_output=True, text=True, timeout=280, check=True,
    )  # fmt: skip
    *rows, last = [json.loads(line) for line in done.stdout.splitlines()]
    ours, known, simple = "pedal", "pedal, field known", "fixed threshold"
    assert [(row["case"], row["impl"]) for row in rows] == [
        *((coding, impl) for coding in ("exact", "jpeg", "h264") for impl in (ours, known, simple)),
        ("h264, temporal filter", ours),
    ]
    assert all(row["n"] == 6 for row in rows)
    assert last["headline"]["exact_found_whole"] == 1.0
    assert last["headline"]["picture_ms"] > 0.0
