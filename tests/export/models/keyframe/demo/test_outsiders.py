"""Pictures that are no angiograms: each kind is drawn, again the same, as the runtime would show it to the network."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from cathrt.export.models.keyframe.demo.dataset import IMAGE_SIDE, PREPROCESSING
from cathrt.export.models.keyframe.demo.outsiders import (
    OUTSIDER_KINDS,
    OUTSIDER_REASONS,
    kind_of,
    outsider,
    reason_of,
    render_outsiders,
)
from cathrt.export.models.keyframe.demo.outsiders.kinds import AS_TRAINED

SEEDS = range(1200)


@pytest.fixture(scope="module")
def first_seeds() -> dict[str, list[int]]:
    """Of each kind the first three seeds that draw it."""
    found: dict[str, list[int]] = {kind: [] for kind in OUTSIDER_KINDS}
    for seed in SEEDS:
        found[kind_of(seed)].append(seed)
    return {kind: seeds[:3] for kind, seeds in found.items()}


@pytest.fixture(scope="module")
def drawn(first_seeds: dict[str, list[int]]) -> dict[str, list[tuple[np.ndarray, str, str]]]:
    return {kind: [outsider(seed) for seed in seeds] for kind, seeds in first_seeds.items()}


def test_every_kind_is_drawn_and_has_one_of_the_reasons(
    drawn: dict[str, list[tuple[np.ndarray, str, str]]],
) -> None:
    for kind, pictures in drawn.items():
        assert [(again, reason) for _, again, reason in pictures] == [(kind, reason_of(kind))] * 3
    assert {reason_of(kind) for kind in OUTSIDER_KINDS} == {name for name, _, _ in OUTSIDER_REASONS}


def test_every_reason_is_drawn_for_its_share() -> None:
    counts = Counter(reason_of(kind_of(seed)) for seed in SEEDS)
    assert counts["other_picture"] / len(SEEDS) == pytest.approx(0.4, abs=0.05)
    for reason in ("inverted", "drawing", "intravascular_or_ultrasound", "test_pattern"):
        assert counts[reason] / len(SEEDS) == pytest.approx(0.15, abs=0.04), reason


def test_a_picture_has_the_network_s_size_and_uses_the_whole_grey_scale(
    drawn: dict[str, list[tuple[np.ndarray, str, str]]],
) -> None:
    for image, kind, _ in (picture for pictures in drawn.values() for picture in pictures):
        assert (image.shape, image.dtype) == ((IMAGE_SIDE, IMAGE_SIDE), np.uint8), kind
        assert np.ptp(image.astype(int)) > 60, kind
        assert len(np.unique(image)) > 1, kind


@pytest.mark.parametrize("kind", OUTSIDER_KINDS)
def test_the_same_seed_draws_the_same_picture_and_another_seed_another(
    kind: str,
    first_seeds: dict[str, list[int]],
    drawn: dict[str, list[tuple[np.ndarray, str, str]]],
) -> None:
    image, again, _ = outsider(first_seeds[kind][0])
    first, second, third = (picture for picture, _, _ in drawn[kind])
    assert again == kind
    assert np.array_equal(image, first)
    for one, other in ((first, second), (second, third), (first, third)):
        assert np.mean(np.abs(one.astype(float) - other)) > 2.0


def test_many_are_drawn_as_each_alone_with_the_place_of_its_reason(
    first_seeds: dict[str, list[int]], drawn: dict[str, list[tuple[np.ndarray, str, str]]]
) -> None:
    kinds = ("ivus_disc", "inverted_subtraction", "chart")
    images, reasons = render_outsiders([first_seeds[kind][0] for kind in kinds])
    assert np.array_equal(images, np.stack([drawn[kind][0][0] for kind in kinds]))
    assert reasons.dtype == np.int64
    assert [OUTSIDER_REASONS[k][0] for k in reasons] == [reason_of(kind) for kind in kinds]


def test_another_side_is_drawn_at_that_side() -> None:
    assert outsider(5, 96)[0].shape == (96, 96)


def test_outsiders_go_through_the_window_of_the_phantom_frames() -> None:
    grey = replace(PREPROCESSING, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0), history=None)
    assert grey == AS_TRAINED, "a still has no history; training makes theirs (training.moved)"
