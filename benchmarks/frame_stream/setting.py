"""What an implementation's process is told: once, when it opens its models, and again for each trial. As JSON.

Not for: what it does with it (line.py, loops.py, gstreamer.py, holoscan.py).
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

from cathrt.runtime.bundle.opening import Bundle
from cathrt.runtime.bundle.shipped import demonstration_bundle, shipped_keys
from cathrt.runtime.config import SourceConfig
from cathrt.runtime.engines.cpu import cpu_quota
from cathrt.runtime.models import open_bundle

CHECKED_PICTURES = 4  # on which every implementation's network must answer alike
QUEUE_FRAMES = SourceConfig("default", "video").queue_frames
_TIMED_PICTURES = 24  # one after the other, for the time that one takes


@dataclass(frozen=True, slots=True)
class Setting:
    """bundle: its folder; "" for the shipped one. trusted_keys: beside ours. pictures: folder of pictures.py.

    sources: streams at once; each has a model of its own. threads: of each model; 0 for its share of the CPUs.
    queue_frames: of the line's sources. holoscan: folder of packages that holds holoscan, for the implementations that
    need it; "" for none.
    report_bundle: folder of the bundle that writes drafts under the load "report"; "" for none.
    check: whether the process answers the first pictures before it is ready; without, it starts cold.
    """

    bundle: str
    trusted_keys: tuple[str, ...]
    pictures: str
    sources: int = 1
    threads: int = 0
    queue_frames: int = QUEUE_FRAMES
    holoscan: str = ""
    report_bundle: str = ""
    check: bool = False

    def to_text(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_text(cls, text: str) -> Setting:
        read = json.loads(text)
        return cls(**{**read, "trusted_keys": tuple(read["trusted_keys"])})

    def opened_bundle(self) -> Bundle:
        folder = Path(self.bundle) if self.bundle else demonstration_bundle()
        return open_bundle(folder, (*shipped_keys(), *self.trusted_keys))

    def opened_report_bundle(self) -> Bundle:
        return open_bundle(Path(self.report_bundle), (*shipped_keys(), *self.trusted_keys))

    @property
    def used_threads(self) -> int:
        """Several sources share the CPUs, as in the live process."""
        return self.threads or max(1, cpu_quota() // self.sources)


@dataclass(frozen=True, slots=True)
class Trial:
    """fifos: of the streams, one a source. out: file for the ends. folder: for whatever is written meanwhile; empty.
    real_time: whether what takes and judges pictures has real-time priority."""

    fifos: tuple[str, ...]
    out: str
    folder: str
    rate_hz: float
    budget_ms: float
    real_time: bool

    def to_text(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_text(cls, text: str) -> Trial:
        read = json.loads(text)
        return cls(**{**read, "fifos": tuple(read["fifos"])})


class NotHereError(Exception):
    """This implementation cannot run on this machine, or with this bundle. Its row says why."""


class Implementation(Protocol):
    """check(): as answers_and_time has it. run(): one trial, to its end, with its ends in trial.out."""

    def check(self) -> tuple[list[list[float]], float]: ...
    def run(self, trial: Trial) -> None: ...


def answers_and_time(logits: Callable[[int], list[float]], pictures: int) -> tuple[list[list[float]], float]:
    """What logits() says of the first pictures, and the ms that it takes for one: the median of further ones."""
    answers = [logits(number) for number in range(pictures)]
    times_ns = []
    for number in range(pictures, pictures + _TIMED_PICTURES):
        began_ns = time.monotonic_ns()
        logits(number)
        times_ns.append(time.monotonic_ns() - began_ns)
    return answers, statistics.median(times_ns) / 1e6
