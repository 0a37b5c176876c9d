"""Hot swaps of the bundle, to and fro, by the command that a person gives. Not for: how a swap is done."""

from __future__ import annotations

import subprocess
import time
from collections import Counter
from collections.abc import Sequence
from itertools import cycle
from pathlib import Path

from benchmarks.measure import ROOT
from benchmarks.soak.lab import COMMAND, Lab

_LONGEST_S = 300.0


class Swaps:
    """done: swaps that the command called good. failed: what it said of others, counted. longest_s: of the command."""

    def __init__(self, lab: Lab, bundles: Sequence[Path]) -> None:
        self.done = 0
        self.failed: Counter[str] = Counter()
        self.longest_s = 0.0
        self._lab = lab
        self._next = cycle(bundles)

    def swap(self) -> None:
        """To the next bundle. Raises subprocess.TimeoutExpired where the command does not end."""
        began = time.monotonic()
        command = [*COMMAND, "swap", str(self._lab.state.path), str(next(self._next))]
        ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=_LONGEST_S)
        self.longest_s = max(self.longest_s, time.monotonic() - began)
        if ended.returncode == 0:
            self.done += 1
        else:
            self.failed[f"{ended.returncode}: {(ended.stderr or ended.stdout).strip()[-300:]}"] += 1
