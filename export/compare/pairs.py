"""The same runs through two lines, one after the other, run by run.

Each side is a line as `cathrt replay` opens it, with a journal of its own that goes when the comparison is done. Not
for: what the answers have in common (agreement.py and the kinds of model), or where the runs come from (inputs.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from cathrt.runtime.alert import Refusal, RunSummary, StoredRecord, Verdict
from cathrt.runtime.bundle.opening import Bundle
from cathrt.runtime.config import Config
from cathrt.runtime.frame import Run
from cathrt.runtime.journal.records import record_from_body
from cathrt.runtime.journal.writer import Journal
from cathrt.runtime.line.pipeline import Line
from cathrt.runtime.line.replay import opened_journal, opened_line, replay
from cathrt.runtime.models import record_parts
from cathrt.runtime.phantom import FrameLabel
from cathrt.runtime.ports import Opening


@dataclass(frozen=True, slots=True)
class CompareInput:
    """A run to compare on. labels: the truth of each frame of a generated run; None of a recorded one."""

    opening: Opening
    labels: tuple[FrameLabel, ...] | None = None


@dataclass(frozen=True, slots=True)
class Answers:
    """One run as one side judged it: a verdict for each frame, in order, and the summary."""

    verdicts: tuple[Verdict, ...]
    summary: RunSummary


@dataclass(frozen=True, slots=True)
class RunPair:
    """One run as both sides judged it. number: of the input, from 0, since two files may have one name."""

    number: int
    run: Run
    a: Answers
    b: Answers
    labels: tuple[FrameLabel, ...] | None


@dataclass(slots=True)
class _Kept:
    """A sink that keeps the verdicts of the run that is judged now."""

    verdicts: list[Verdict] = field(default_factory=list)

    def emit(self, stored: StoredRecord) -> None:
        record = record_from_body(stored.body, record_parts())
        if isinstance(record, Verdict):
            self.verdicts.append(record)

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Judged:
    """What one side made of one input: mostly one run, but a folder of stills may turn out to be several. By run_id."""

    runs: Mapping[str, Run]
    answers: Mapping[str, Answers]
    refusals: tuple[Refusal, ...]


@dataclass(frozen=True, slots=True)
class Side:
    """An opened line with its journal."""

    bundle: Bundle
    engine: str
    line: Line
    journal: Journal
    kept: _Kept

    def judge(self, opening: Opening) -> Judged:
        """Take one input through the line. Raises as replay() does."""
        self.kept.verdicts.clear()
        runs: list[Run] = []
        done = replay([opening], self.line, self.journal, runs.append)
        of_pass: dict[str, list[Verdict]] = {}
        for verdict in self.kept.verdicts:
            of_pass.setdefault(verdict.pass_id, []).append(verdict)
        answers = {one.run_id: Answers(tuple(of_pass.get(one.pass_id, ())), one) for one in done.summaries}
        return Judged({run.run_id: run for run in runs}, answers, done.refusals)


@contextmanager
def opened_side(bundle: Bundle, config: Config) -> Iterator[Side]:
    """A line of this bundle on config.engine, as fast as it judges. Raises as opened_line() does."""
    kept = _Kept()
    with opened_line([bundle], config, "max") as line, opened_journal(None, config, (kept,)) as journal:
        yield Side(bundle, line.models[0].engine.name, line, journal, kept)


def judged_pairs(inputs: Iterable[CompareInput], a: Side, b: Side) -> Iterator[RunPair | Refusal]:
    """Judge each input by both sides, the other side first at every second one: what else the machine does meanwhile
    falls on both. What either side refuses is a Refusal, and not compared. A run that comes twice is compared once."""
    seen: set[str] = set()
    for number, entry in enumerate(inputs):
        order = (a, b) if number % 2 == 0 else (b, a)
        judged = {id(side): side.judge(entry.opening) for side in order}
        of_a, of_b = judged[id(a)], judged[id(b)]
        yield from {refusal.message: refusal for refusal in (*of_a.refusals, *of_b.refusals)}.values()
        for run_id, answers in of_a.answers.items():
            if run_id in of_b.answers and run_id not in seen:
                seen.add(run_id)
                yield RunPair(number, of_a.runs[run_id], answers, of_b.answers[run_id], entry.labels)
