"""What a keyframe network is worth, on answers that are made up: right ones, constant ones and random ones."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from cathrt.export.models.keyframe.comparison import RunLogits
from cathrt.export.models.keyframe.demo.evaluate import semantics
from cathrt.export.models.keyframe.truth import Side, best_frames
from cathrt.export.models.keyframe.worth import GENERATED, GIVEN, KEY_FRAME, LATERALITY, worth_of
from cathrt.export.qualify.worth import Worth, WorthFigure
from cathrt.runtime.bundle.manifest import BETTER, NO_BETTER
from cathrt.runtime.models.keyframe.policy import KeyframePolicyConfig
from cathrt.runtime.phantom import sample_scene
from cathrt.runtime.phantom.labels import label_frames
from tests.export.made_up import COLUMN

MEANING = semantics(0.6, 0.5, 0.5)
FRAMES, BEST = 40, 20


def run(
    number: int,
    logits: NDArray[np.float64],
    *,
    generated: bool = True,
    wanted: frozenset[int] | None = frozenset({BEST}),
) -> RunLogits:
    """Sides take turns by thirds: two of three runs are of the left artery."""
    side: Side = "right" if number % 3 == 0 else "left"
    indices = np.arange(len(logits))
    known = (side,) * len(logits)
    return RunLogits(
        f"run {number}", indices, indices * 66.7, known, logits, logits, generated=generated, wanted=wanted
    )


def sure(classes: list[str]) -> NDArray[np.float64]:
    return np.stack([np.eye(6)[COLUMN[name]] * 6.0 for name in classes])


def right_answer(number: int) -> NDArray[np.float64]:
    """The true side in every frame, and the best frame ahead of the others."""
    side = "RCA" if number % 3 == 0 else "LCA"
    classes = [f"{side}-better" if abs(index - BEST) <= 2 else f"{side}-bad" for index in range(FRAMES)]
    return sure(classes)


def figure(worth: Worth, what: str, on: str = GENERATED) -> WorthFigure:
    (found,) = [figure for figure in worth.figures if (figure.what, figure.on) == (what, on)]
    return found


def of(runs: list[RunLogits]) -> Worth:
    return worth_of(runs, MEANING, KeyframePolicyConfig())


def test_a_network_that_is_right_is_better_than_chance() -> None:
    worth = of([run(number, right_answer(number)) for number in range(60)])
    side, key = figure(worth, LATERALITY), figure(worth, KEY_FRAME)
    assert side.right is not None
    assert (side.right.hits, side.right.of) == (60, 60)
    assert side.chance == pytest.approx(2 / 3), "two of three runs are of the left artery"
    assert key.right is not None
    assert (key.right.hits, key.right.of) == (60, 60)
    assert key.chance == pytest.approx(7 / FRAMES), "three frames to either side of the best, and itself"
    assert worth.verdict == BETTER


def test_the_commonest_answer_everywhere_is_no_better_than_chance() -> None:
    always_left = sure(["LCA-better"] * FRAMES)
    worth = of([run(number, always_left) for number in range(60)])
    side = figure(worth, LATERALITY)
    assert side.right is not None
    assert side.right.hits == 40
    assert (side.verdict, worth.verdict) == (NO_BETTER, NO_BETTER)


def test_key_frames_at_random_are_no_better_than_chance_though_every_side_is_right() -> None:
    draw = np.random.default_rng(0)

    def at_random(number: int) -> NDArray[np.float64]:
        side = "RCA" if number % 3 == 0 else "LCA"
        logits = sure([f"{side}-bad"] * FRAMES)
        logits[draw.integers(FRAMES), COLUMN[f"{side}-better"]] = 12.0
        return logits

    worth = of([run(number, at_random(number)) for number in range(90)])
    assert figure(worth, LATERALITY).verdict == BETTER
    assert figure(worth, KEY_FRAME).verdict == NO_BETTER
    assert worth.verdict == NO_BETTER


def test_a_run_without_a_key_frame_or_a_side_is_wrong() -> None:
    silent = sure(["LCA-others"] * FRAMES)
    worth = of([run(number, silent) for number in range(40)])
    for what in (LATERALITY, KEY_FRAME):
        right = figure(worth, what).right
        assert right is not None
        assert right.hits == 0


def test_given_runs_have_a_row_of_their_own_and_no_known_key_frames() -> None:
    generated = [run(number, right_answer(number)) for number in range(40)]
    given = [run(number, right_answer(number)[:1], generated=False, wanted=None) for number in range(40)]
    worth = of([*given, *generated])
    assert [(found.what, found.on) for found in worth.figures] == [
        (LATERALITY, GENERATED),
        (KEY_FRAME, GENERATED),
        (LATERALITY, GIVEN),
    ]
    side = figure(worth, LATERALITY, GIVEN)
    assert side.right is not None
    assert side.right.of == 40


def test_runs_in_which_nothing_is_to_be_found_ask_no_question() -> None:
    nothing = run(0, right_answer(0), wanted=None)
    unknown = RunLogits("a", nothing.frames, nothing.due_ms, (None,) * FRAMES, nothing.reference, nothing.engine)
    worth = of([unknown])
    assert all(found.right is None for found in worth.figures)


def test_the_best_frames_of_a_phantom_are_nearly_as_readable_as_its_best() -> None:
    labels = label_frames(sample_scene(60_000_000, kind="coronary", matrix=64))
    best = best_frames(labels)
    assert best
    most = max(label.readability for label in labels)
    assert min(labels[index].readability for index in best) >= 0.95 * most
    assert len(best) < len(labels)
    assert best_frames(label_frames(sample_scene(60_000_001, kind="empty", matrix=64))) is None
