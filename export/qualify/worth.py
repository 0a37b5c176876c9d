"""What a network is worth: how often it is right where the truth is known, beside what takes no network to reach.

Fidelity, that an engine answers as its network does, says nothing of it: random weights are copied faithfully too. Not
for: what is counted as right (a kind's Criteria), or what becomes of a network that is worth nothing (evidence.py).
"""

from __future__ import annotations

from dataclasses import dataclass

from cathrt.export.qualify.intervals import Share
from cathrt.runtime.bundle.manifest import BETTER, NO_BETTER, TOO_FEW, WORTH_VERDICTS, WorthVerdict

FEWEST = 30  # trials; of fewer, also a good network's interval is too wide to tell it from chance


@dataclass(frozen=True, slots=True)
class WorthFigure:
    """How often the network is right in one question on one set.

    what: the question. on: the set. right: of the runs where the answer is known. chance: the share that is reached
    without looking, and how, in words. Without a trial, `right` is None.
    """

    what: str
    on: str
    right: Share | None
    chance: float
    how: str

    @property
    def verdict(self) -> WorthVerdict:
        """Better than chance where the lower end of the 95 % interval lies above it."""
        if self.right is None or self.right.of < FEWEST:
            return TOO_FEW
        return BETTER if self.right.interval[0] > self.chance else NO_BETTER

    def __str__(self) -> str:
        if self.right is None:
            return f"{self.what}, {self.on}: no run of known truth"
        return f"{self.what}, {self.on}: right in {self.right}; without a network {self.chance:.3f} ({self.how})"


@dataclass(frozen=True, slots=True)
class Worth:
    """figures: at least one of each question that the model answers."""

    figures: tuple[WorthFigure, ...]

    @property
    def verdict(self) -> WorthVerdict:
        """A network is better than chance if in every question it is, on one of the sets at least."""
        questions = dict.fromkeys(figure.what for figure in self.figures)
        return max((self._verdict_on(what) for what in questions), key=WORTH_VERDICTS.index)

    def _verdict_on(self, what: str) -> WorthVerdict:
        found = {figure.verdict for figure in self.figures if figure.what == what}
        return next(verdict for verdict in (BETTER, NO_BETTER, TOO_FEW) if verdict in found)
