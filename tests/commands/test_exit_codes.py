"""What a command that has judged runs ends with."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cathrt.runtime.commands.options import exit_code_of
from cathrt.runtime.line.replay import Replayed
from tests.passes import refusal, summary, verdict

WHOLE = summary([verdict(0), verdict(1)])
FAILED = replace(WHOLE, verdicts={**WHOLE.verdicts, "MET": 1, "FAILED": 1})
DROPPED = replace(WHOLE, verdicts={**WHOLE.verdicts, "MET": 1, "DROPPED": 1})


@pytest.mark.parametrize(
    ("done", "code", "code_of_a_demo"),
    [
        (Replayed((WHOLE,), ()), 0, 0),
        (Replayed((WHOLE, FAILED), ()), 9, 9),
        (Replayed((WHOLE, DROPPED), ()), 9, 0),
        (Replayed((WHOLE,), (refusal(),)), 9, 9),
        (Replayed((DROPPED,), (refusal(),)), 9, 9),
        (Replayed((), (refusal(),)), 4, 4),
        (Replayed((), ()), 4, 4),
    ],
)
def test_the_exit_code_counts_refused_inputs_and_unjudged_frames(
    done: Replayed, code: int, code_of_a_demo: int
) -> None:
    assert (exit_code_of(done), exit_code_of(done, may_drop=True)) == (code, code_of_a_demo)
