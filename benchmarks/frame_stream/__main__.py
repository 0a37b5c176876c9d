"""FrameStream: pictures that come at a fixed rate, ready or not, through the live line and through plain loops.

`python -m benchmarks.frame_stream --fps 15 --seconds 60 --json`. Latency runs from each picture's intended arrival.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks import measure
from benchmarks.frame_stream.consumer import IMPLEMENTATIONS
from benchmarks.frame_stream.generator import LateGeneratorError
from benchmarks.frame_stream.loads import LOADS
from benchmarks.frame_stream.page import write_page
from benchmarks.frame_stream.pictures import write_pictures
from benchmarks.frame_stream.plan import CASES, Plan, carry_out, check, require_punctual_all
from benchmarks.frame_stream.rows import rows
from benchmarks.frame_stream.schedule import pauses_from_text
from benchmarks.frame_stream.setting import QUEUE_FRAMES, Setting
from benchmarks.frame_stream.stalls import Stalls, real_time_heartbeat

_LIVE_BUDGET_MS = 150.0  # from capture to alert, whatever the frame period is
_PICTURES, _QUICK_PICTURES = 48, 8


def main() -> None:
    options = _options()
    plan = Plan(
        fps=options.fps,
        seconds=options.seconds,
        rounds=options.rounds,
        pauses=options.pause_pattern,
        load=options.load,
        budget_ms=options.budget_ms or 1000.0 / options.fps,
        overload_budget_ms=max(options.budget_ms or 0.0, _LIVE_BUDGET_MS),
        implementations=tuple(options.implementations),
        cases=tuple(options.cases),
    )
    with TemporaryDirectory(prefix="cathrt-stream-", dir=options.work) as scratch:
        setting = Setting(
            bundle=str(options.bundle.resolve()) if options.bundle else "",
            trusted_keys=tuple(options.trust_key),
            pictures=scratch,
            sources=options.sources,
            threads=options.threads,
            queue_frames=options.queue_frames,
            holoscan=str(options.holoscan.resolve()) if options.holoscan else "",
            report_bundle=str(options.report_bundle.resolve()) if options.report_bundle else "",
        )
        write_pictures(Path(scratch), _QUICK_PICTURES if options.quick else _PICTURES)
        try:
            reported = measured(plan, setting, Path(scratch), page=options.report, quick=options.quick)
        except LateGeneratorError as exc:
            sys.exit(f"frame_stream: {exc}")
    _print(reported, as_json=options.json)


def measured(plan: Plan, setting: Setting, scratch: Path, *, page: Path | None, quick: bool) -> list[dict[str, Any]]:
    """All rows, the headline last; the page is written. quick: no figure is to be quoted, so a late generator is only
    said. Raises LateGeneratorError."""
    heartbeat, real_time = real_time_heartbeat()
    with heartbeat:
        checked = check(setting, plan.implementations)
        gathered = carry_out(plan, setting, checked, scratch)
        heartbeat.finish()
    stalls = Stalls.of(heartbeat.stalls)
    try:
        require_punctual_all(gathered, stalls)
    except LateGeneratorError as exc:
        if not quick:
            raise
        print(f"frame_stream: {exc}", file=sys.stderr)
    *found, last = rows(plan, setting, checked, gathered, heartbeat)
    last["machine"]["heartbeat"] = "real time" if real_time else "ordinary"
    if page is not None:
        write_page(page, plan, gathered, [*found, last], stalls)
    return [*found, last]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m benchmarks.frame_stream")
    parser.add_argument(
        "--bundle", type=Path, help="folder of a signed keyframe bundle; the demonstration's by default"
    )
    parser.add_argument("--trust-key", action="append", default=[], help="public key that signed it, 64 hex digits")
    parser.add_argument("--fps", type=float, help="pictures a second of each source (15)")
    parser.add_argument("--seconds", type=float, help="of each case, over all rounds (60)")
    parser.add_argument("--rounds", type=int, help="in how many turns each implementation gets them (3)")
    parser.add_argument("--sources", type=int, default=1, help="streams at once, each with a line and an engine")
    parser.add_argument("--threads", type=int, default=0, help="of each engine; 0: its share of the CPUs")
    parser.add_argument("--queue-frames", type=int, default=QUEUE_FRAMES, help="of the line's sources")
    parser.add_argument("--pause-pattern", help="seconds pressed and paused, as in 2/3")
    parser.add_argument("--load", choices=LOADS, default="study", help="the line's steady case once more beside it")
    parser.add_argument("--report-bundle", type=Path, help="folder of a signed report bundle, for --load report")
    parser.add_argument("--budget-ms", type=float, help="to the reader; one frame period by default")
    parser.add_argument("--implementations", nargs="+", choices=IMPLEMENTATIONS, default=list(IMPLEMENTATIONS))
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--holoscan", type=Path, help="folder of packages with holoscan-cu12 and CUDA's runtime")
    parser.add_argument("--work", type=Path, help="folder on the disk that journals are written to; /tmp by default")
    parser.add_argument("--report", type=Path, help="write a page with plots, one HTML file")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--quick", action="store_true", help="seconds a case: no figure to quote")
    options = parser.parse_args()
    fps, seconds, rounds, pattern = (20.0, 2.0, 1, "0.5/1") if options.quick else (15.0, 60.0, 3, "2/3")
    options.fps = options.fps or fps
    options.seconds = options.seconds or seconds
    options.rounds = options.rounds or rounds
    try:
        options.pause_pattern = pauses_from_text(options.pause_pattern or pattern)
    except ValueError as exc:
        parser.error(str(exc))
    if options.load == "report" and options.report_bundle is None:
        parser.error("--load report: no bundle that writes drafts was named: --report-bundle DIR")
    if not (0.2 <= options.fps <= 250.0 and options.seconds > 0.0 and options.rounds > 0 and options.sources > 0):
        parser.error("--fps must be 0.2 to 250, --seconds, --rounds and --sources above 0")
    return options


def _print(reported: list[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        measure.report(reported, as_json=True)
        return
    *found, last = reported
    for row in found:
        if "reason" in row:
            print(f"{row['impl']:<22} left out: {row['reason']}")
            continue
        keys = ("min_ms", "median_ms", "p95_ms", "p99_ms", "p99_9_ms", "max_ms")
        times = "  ".join(f"{key[:-3]} {'-' if row[key] is None else format(row[key], '.2f'):>9}" for key in keys)
        named = f"{row['case']:<18} {row['load']:<6} {row['impl']:<22} {row['stage']:<11}"
        missed = f"  missed {row['missed']} of {row['pictures']}" if "missed" in row else ""
        print(f"{named} {times} ms  n {row['n']}{missed}")
    for key, value in last["headline"].items():
        print(f"{key}: {'not measured' if value is None else value}")


if __name__ == "__main__":
    main()
