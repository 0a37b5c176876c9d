"""Attacks the doors of cathrt: python -m tests.fuzz.network --door DOOR... --minutes N --seed S [--json].

Each door is attacked for N minutes by conversations that are nearly right, drawn from the seed, while a well-behaved
peer is served each second. Ends with 1 if there are findings: the process ended, said a traceback, did not serve, grew,
kept descriptors, or wrote where it may not. --first K begins with case K of the seed, and --cases M ends after M, to
try a finding again.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks import measure
from tests.fuzz.network.attack import Attack, Report
from tests.fuzz.network.doors import DOORS

PACKAGES = ("pynetdicom", "pydicom", "starlette", "uvicorn", "pyigtl", "av")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, prog="python -m tests.fuzz.network", formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--door", nargs="+", choices=[*DOORS, "all"], required=True)
    parser.add_argument("--minutes", type=float, required=True, help="for each door")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=1, help="number of the first case")
    parser.add_argument("--cases", type=int, help="stop after so many")
    parser.add_argument("--work", type=Path, help="folder that keeps what the process said; by default a temporary one")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    options = parser.parse_args()
    measure.exit_at_sigterm()
    doors = list(DOORS) if "all" in options.door else options.door
    reports = []
    with TemporaryDirectory(prefix="cathrt-fuzz-") as scratch:
        for name in doors:
            attack = Attack(name, options.seed, options.first)
            last = None if options.cases is None else options.first - 1 + options.cases
            report = attack.carry_out((options.work or Path(scratch)) / name, 60.0 * options.minutes, last)
            reports.append(report)
            _print(report, as_json=options.json)
    if options.json:
        print(json.dumps(headline(reports)))
    raise SystemExit(1 if any(report.findings for report in reports) else 0)


def headline(reports: list[Report]) -> dict[str, Any]:
    """The figures to quote."""
    return {
        "bench": "network_fuzz",
        "headline": {
            "doors": len(reports),
            "cases": sum(report.cases for report in reports),
            "findings": sum(len(report.findings) for report in reports),
            "most_rss_growth_mb": round(max(report.rss_growth_mb for report in reports), 1),
            "served": sum(report.served for report in reports),
        },
        "machine": measure.machine(PACKAGES),
        "commit": measure.commit(),
        "config": measure.config(),
    }


def _print(report: Report, *, as_json: bool) -> None:
    row = report.row()
    if as_json:
        print(json.dumps(row), flush=True)
        return
    print(
        f"{report.door}: "
        + ", ".join(f"{key} {value}" for key, value in row.items() if key not in ("bench", "findings"))
    )
    for finding in report.findings:
        print(f"  {finding}")


if __name__ == "__main__":
    main()
