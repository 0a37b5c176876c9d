"""A box under everything at once for hours: `python -m benchmarks.soak --hours 1 --json [--samples FILE]`.

Two live planes at 15 frames/s with pauses, whole runs by C-STORE, an outlet whose receiver comes and goes, hot swaps,
readers that come, go and freeze, limits so small that rows are deleted, scrapes of the metrics. Reported: how fast
memory, descriptors, threads and files grow (Theil-Sen, 95 %), how the live p99 drifts, and whether every picture and
every record has its end. Ctrl-C ends it early and still reports, marked partial.
"""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks import measure
from benchmarks.soak.figures import headline_figures, intervals, sizes, slope_rows
from benchmarks.soak.lab import SoakError
from benchmarks.soak.plan import Plan, short
from benchmarks.soak.soak import Soaked, soak

BENCH = "soak"
_STOPS = (signal.SIGINT, signal.SIGTERM)  # end it early, and its box with it
PACKAGES = ("numpy", "openvino", "pynetdicom", "psutil")


def main() -> None:
    options = _options()
    plan = short(Plan(seconds=options.seconds))
    if options.quick:
        plan = replace(plan, matrix=256, runs=2, run_frames=40, stored_runs=2)
    stop = threading.Event()
    before = {number: signal.signal(number, lambda _number, _frame: stop.set()) for number in _STOPS}
    try:
        with TemporaryDirectory(prefix="cathrt-soak-", dir=options.work) as work, measure.Heartbeat() as heartbeat:
            soaked = soak(plan, Path(work), options.samples, stop)
            heartbeat.finish()
    except SoakError as exc:
        sys.exit(f"soak: {exc}")
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    reported = list(rows(plan, soaked, heartbeat))
    _print(reported, as_json=options.json)


def rows(plan: Plan, soaked: Soaked, heartbeat: measure.Heartbeat) -> Iterator[dict[str, Any]]:
    """A row a process, one of what was written, one of the load, and last the headline."""
    common = {"bench": BENCH, "seconds": round(soaked.seconds, 1), "partial": soaked.partial}
    yield from slope_rows(soaked.samples, _warm_up_s(plan, soaked), common)
    steady = [one for one in soaked.samples if one.at_s >= _warm_up_s(plan, soaked)]
    for name, found in sizes(steady).items():
        yield {**common, "case": "size", "impl": name, **found}
    books = soaked.books
    yield {
        **common, "case": "load", "impl": "all", **soaked.load, "ends": books.outcome_totals(),
        "faults_of_delivery": list(books.faults_of_delivery), "disagreements": books.disagreements(),
        "unconfirmed": books.unconfirmed, "exit_code": soaked.exit_code, "faults": soaked.faults,
        "failures": soaked.failures, "log": soaked.warnings,
    }  # fmt: skip
    figures = headline_figures(soaked.samples, books, _warm_up_s(plan, soaked), soaked.seconds)
    yield measure.headline(BENCH, figures, heartbeat, PACKAGES) | {
        "partial": soaked.partial,
        "seconds": round(soaked.seconds, 1),
        "intervals_95": intervals(soaked.samples, _warm_up_s(plan, soaked)),
    }


def _warm_up_s(plan: Plan, soaked: Soaked) -> float:
    """Of what was run, which may be less than was planned."""
    return min(plan.warm_up_s, soaked.seconds / 4.0)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, prog="python -m benchmarks.soak", formatter_class=argparse.RawDescriptionHelpFormatter
    )
    length = parser.add_mutually_exclusive_group(required=True)
    length.add_argument("--hours", type=float, help="how long, once everything is prepared")
    length.add_argument("--minutes", type=float, help="the same, in minutes")
    parser.add_argument("--samples", type=Path, help="file for every sample, one JSON object a line")
    parser.add_argument("--work", type=Path, help="folder on the disk that the box writes to; /tmp by default")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--quick", action="store_true", help="small pictures: no figure to quote")
    options = parser.parse_args()
    options.seconds = options.hours * 3600.0 if options.hours is not None else options.minutes * 60.0
    if options.seconds < 30.0:
        parser.error("expected at least half a minute")
    return options


def _print(reported: list[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        measure.report(reported, as_json=True)
        return
    for row in reported[:-1]:
        print(f"{row['case']:<8} {row['impl']}")
        for key, value in row.items():
            if key not in ("bench", "case", "impl", "seconds", "partial"):
                print(f"    {key}: {value}")
    for key, value in reported[-1]["headline"].items():
        print(f"{key}: {value}")


if __name__ == "__main__":
    main()
