"""Which trials there are, and in which order: every implementation in turn, in rounds, each round in processes anew.

Not for: one trial (trial.py), and what is made of them (rows.py).
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from benchmarks.frame_stream.consumer import ALL, LINE
from benchmarks.frame_stream.figures import Stream
from benchmarks.frame_stream.generator import LateGeneratorError, require_punctual
from benchmarks.frame_stream.loads import Load, under
from benchmarks.frame_stream.schedule import Pauses, Schedule
from benchmarks.frame_stream.setting import Setting
from benchmarks.frame_stream.stalls import Stalls
from benchmarks.frame_stream.trial import Ran, run_trial
from benchmarks.turns import Variant

CASES = ("cold", "steady", "pauses", "overload")
OVERLOAD = 1.2  # of what the fastest implementation can do
_COLD_S = 1.0
_MOST_BACKLOG_S = 30.0  # an overloaded queue of all pictures only fills the memory
_CONSUMER = "benchmarks.frame_stream.consumer"


@dataclass(frozen=True, slots=True)
class Key:
    """What is reported together."""

    case: str
    implementation: str
    load: Load = "none"


@dataclass(frozen=True, slots=True)
class Plan:
    """fps, seconds: of each case, over all rounds. load: under which the line's steady case is run once more.

    budget_ms: from intended arrival to reader; overload_budget_ms: the same where not every picture can be judged.
    """

    fps: float
    seconds: float
    rounds: int
    pauses: Pauses
    load: Load
    budget_ms: float
    overload_budget_ms: float
    implementations: tuple[str, ...]
    cases: tuple[str, ...] = CASES

    def schedule(self, key: Key, overload_hz: float) -> Schedule:
        """Of one trial."""
        each_s = self.seconds / self.rounds
        if key.case == "cold":
            return Schedule(self.fps, _COLD_S)
        if key.case == "overload":
            keeps_all = key.implementation.endswith(ALL)
            return Schedule(overload_hz, min(each_s, _MOST_BACKLOG_S) if keeps_all else each_s)
        return Schedule(self.fps, each_s, self.pauses if key.case == "pauses" else None)

    def budget_of(self, case: str) -> float:
        return self.overload_budget_ms if case == "overload" else self.budget_ms


@dataclass(slots=True)
class Gathered:
    """The trials of one key. opened_ms: of the cold case, what opening took each time."""

    streams: list[Stream] = field(default_factory=list)
    peak_rss_mb: float = 0.0
    stolen_ms: float = 0.0
    opened_ms: list[float] = field(default_factory=list)

    def add(self, ran: Ran) -> None:
        self.streams += ran.streams
        self.peak_rss_mb = max(self.peak_rss_mb, ran.peak_rss_mb)
        self.stolen_ms += ran.stolen_ms


@dataclass(frozen=True, slots=True)
class Checked:
    """What there is to run. not_here: by implementation, why it is left out. service_ms: of each that is here, what it
    takes for one picture after the other."""

    service_ms: Mapping[str, float]
    not_here: Mapping[str, str]

    @property
    def overload_hz(self) -> float:
        return OVERLOAD * 1000.0 / min(self.service_ms.values())


def check(setting: Setting, implementations: Sequence[str]) -> Checked:
    """Open each implementation once: whether it is here, how fast it is, and whether all networks answer alike.

    Ends the program where they do not: then nothing is timed.
    """
    service_ms, not_here, logits = {}, {}, {}
    for name in implementations:
        with Variant(_CONSUMER, name, replace(setting, check=True).to_text()) as process:
            if "not_here" in process.facts:
                not_here[name] = process.facts["not_here"]
            else:
                service_ms[name] = process.facts["service_ms"]
                logits[name] = np.array(process.facts["logits"])
    if not service_ms:
        raise SystemExit("no implementation can run here: " + "; ".join(f"{n}: {why}" for n, why in not_here.items()))
    require_alike(logits)
    return Checked(service_ms, not_here)


def require_alike(logits: Mapping[str, np.ndarray]) -> None:
    """Whether all networks find the same in the same pictures, as far as their precisions let them."""
    (first, expected), *others = logits.items()
    for name, found in others:
        likeness = float(np.sum(found * expected) / (np.linalg.norm(found) * np.linalg.norm(expected)))
        if not likeness > 0.95:
            raise SystemExit(f"{first} and {name} answer differently (cosine {likeness:.3f}): nothing is timed")


def carry_out(plan: Plan, setting: Setting, checked: Checked, scratch: Path) -> dict[Key, Gathered]:
    """Every trial of the plan."""
    gathered: dict[Key, Gathered] = {}
    shuffle = random.Random(0).shuffle
    order = list(checked.service_ms)
    for number in range(plan.rounds):
        shuffle(order)
        for name in order:
            with Variant(_CONSUMER, name, setting.to_text()) as process:
                for key in _keys(plan, name, number):
                    group = gathered.setdefault(key, Gathered())
                    if key.case == "cold":
                        group.opened_ms.append(process.facts["opened_ms"])
                    with ExitStack() as stack:
                        if key.load != "none":
                            stack.enter_context(under(key.load, setting, scratch))
                        schedule = plan.schedule(key, checked.overload_hz)
                        budget_ms, real_time = plan.budget_of(key.case), key.case != "overload"
                        group.add(
                            run_trial(process, schedule, setting.sources, budget_ms, scratch, real_time=real_time)
                        )
    return gathered


def _keys(plan: Plan, name: str, number: int) -> list[Key]:
    """An implementation's trials of one round. The line's steady case comes beside the same under load, in turn."""
    keys = []
    for case in plan.cases:
        keys.append(Key(case, name))
        if case == "steady" and name == LINE and plan.load != "none":
            keys.insert(len(keys) - number % 2, Key(case, name, plan.load))
    return keys


def require_punctual_all(gathered: Mapping[Key, Gathered], stalls: Stalls) -> None:
    """Raise LateGeneratorError, naming the trial, where a generator was late for another reason than the machine's."""
    for key, group in gathered.items():
        for stream in group.streams:
            sent = [(picture.intended_ns, picture.sent_ns) for picture in stream.pictures]
            try:
                require_punctual(np.array(sent), stream.rate_hz, stalls)
            except LateGeneratorError as exc:
                raise LateGeneratorError(f"{key.implementation}, {key.case}, load {key.load}: {exc}") from None
