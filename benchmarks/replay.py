"""Replaying an archive: `cathrt replay` beside a plain loop of pydicom and OpenVINO, and beside decoding alone.

`python -m benchmarks.replay --json [--work DIR]` times whole processes, from start to end, on folders of runs
(benchmarks/replay_inputs.py; they stay in DIR for the next time): ours with a journal and JSON lines, and the peers of
benchmarks/replay_peers.py. All take turns, and a round's times are compared with each other. Not for: latency
(line.py).
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks import measure
from benchmarks.replay_inputs import ARCHIVES, FRAMES, RUNS, Archive, archive_folder
from benchmarks.replay_peers import pydicom_frames
from cathrt.runtime.config import LimitsConfig
from cathrt.runtime.frame import Frame
from cathrt.runtime.journal.report import verify_journal
from cathrt.runtime.models import record_parts
from cathrt.runtime.sources.decoder.sandbox import open_source
from cathrt.runtime.sources.discover import discover

ROUNDS = 2
IMPLEMENTATIONS = ("cathrt", "plain_loop", "decode", "decode_pydicom")


@dataclass(slots=True)
class Passes:
    """Passes of one implementation over one archive. cpu_s: of the process and all its children, one a pass."""

    samples: measure.Samples = field(default_factory=measure.Samples)
    cpu_s: list[float] = field(default_factory=list)

    def time(self, command: Sequence[str], out: Path) -> None:
        """Run the command once; what it prints goes to `out`. Raises CalledProcessError where it fails."""
        with out.open("wb") as stream:
            before, began = _children_cpu_s(), time.monotonic_ns()
            subprocess.run(command, cwd=measure.ROOT, stdout=stream, check=True)
            self.samples.took_ns.append(time.monotonic_ns() - began)
            self.samples.began_ns.append(began)
            self.cpu_s.append(_children_cpu_s() - before)


def rows(work: Path, runs: int, frames: int, rounds: int) -> Iterator[dict[str, Any]]:
    """One row for each archive and implementation, and the headline."""
    folders = {archive.name: archive_folder(archive, work, runs, frames) for archive in ARCHIVES}
    for folder in folders.values():
        _require_equal_pixels(folder)
    turns = [(archive.name, impl) for archive in ARCHIVES for impl in IMPLEMENTATIONS]
    passes = {turn: Passes() for turn in turns}
    shuffle = random.Random(0).shuffle
    with measure.Heartbeat() as heartbeat, TemporaryDirectory(prefix="cathrt-bench-") as scratch:
        for number in range(rounds):
            shuffle(turns)
            for name, impl in turns:
                out = Path(scratch) / f"{number}-{len(list(Path(scratch).iterdir()))}"
                passes[name, impl].time(_command(impl, folders[name], out), out)
                _require_every_frame(impl, out, runs * frames)
        heartbeat.finish()
        for (name, impl), made in passes.items():
            seconds = made.samples.median_ms / 1e3
            yield measure.row(
                "replay", name, impl, made.samples, heartbeat,
                frames=runs * frames,
                frames_per_s=round(runs * frames / seconds, 1),
                cpu_ms_a_frame=round(1e3 * float(np.median(made.cpu_s)) / (runs * frames), 2),
            )  # fmt: skip
        figures = {
            "replay_vs_plain_loop": _ratio(passes, ARCHIVES, "plain_loop"),
            "replay_vs_decode_limit": _ratio(passes, ARCHIVES, "decode"),
        }
        for archive in ARCHIVES:
            figures[f"replay_vs_plain_loop_{archive.matrix}"] = _ratio(passes, [archive], "plain_loop")
        yield measure.headline("replay", figures, heartbeat, ("numpy", "openvino", "pydicom", "python-gdcm"))


def _ratio(passes: Mapping[tuple[str, str], Passes], archives: Sequence[Archive], other: str) -> float:
    """Our time for these archives of the other's: the median over the rounds."""
    ours, others = (
        np.sum([passes[archive.name, impl].samples.took_ns for archive in archives], axis=0)
        for impl in ("cathrt", other)
    )
    return float(np.median(ours / others))


def _command(impl: str, folder: Path, out: Path) -> list[str]:
    if impl == "cathrt":
        journal = ["--json", "--journal", f"{out}.db"]
        return [sys.executable, "-m", "cathrt.runtime.commands.cli", "replay", str(folder), *journal]
    return [sys.executable, "-m", "benchmarks.replay_peers", impl, str(folder), f"{out}.jsonl"]


def _require_equal_pixels(folder: Path) -> None:
    """Whether pydicom and our decoder find the same stored values in the archive's first run."""
    path = min(folder.glob("*.dcm"))
    (found,) = discover([path]).inputs
    with closing(open_source(found, LimitsConfig())) as source:
        ours = [item.pixels if isinstance(item, Frame) else None for item in source.frames()]
    theirs, _ = pydicom_frames(path)
    if not all(np.array_equal(*pair) for pair in zip(ours, theirs, strict=True)):
        raise SystemExit(f"{path}: pydicom and our decoder find different pixels: nothing is timed")


def _require_every_frame(impl: str, out: Path, frames: int) -> None:
    """Whether every frame was judged: in ours by a MET verdict that is in the journal."""
    judged = frames
    if impl == "cathrt":
        books = verify_journal(out.with_name(f"{out.name}.db"), record_parts())
        judged = sum(one.verdicts["MET"] for one in books.passes) if books.sound else 0
    elif impl == "plain_loop":
        judged = sum(
            1 for line in out.with_name(f"{out.name}.jsonl").open(encoding="utf-8") if json.loads(line)["logits"]
        )
    if judged != frames:
        raise SystemExit(f"{impl} judged {judged} of {frames} frames: nothing is reported")


def _children_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Read the command line, measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--work", type=Path, help="folder that keeps the archives (7 GB); by default a temporary one")
    parser.add_argument("--runs", type=int, default=RUNS, help="files an archive")
    parser.add_argument("--frames", type=int, default=FRAMES, help=f"frames a file, at most {FRAMES}")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="passes of each over each archive")
    options = parser.parse_args()
    with TemporaryDirectory(prefix="cathrt-bench-") as folder:
        work = options.work or Path(folder)
        measure.report(rows(work, options.runs, options.frames, options.rounds), as_json=options.json)


if __name__ == "__main__":
    main()
