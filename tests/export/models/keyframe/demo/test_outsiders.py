"""Pictures that are no angiograms: each kind is drawn, again the same, as the runtime would show it to the network."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cathrt.export.models.keyframe.demo.dataset import IMAGE_SIDE, PREPROCESSING
from cathrt.export.models.keyframe.demo.outsiders import (
    OUTSIDER_KINDS,
    OUTSIDER_REASONS,
    outsider,
    reason_of,
    render_outsiders,
)
from cathrt.export.models.keyframe.demo.outsiders.kinds import AS_TRAINED

SEEDS = range(200)


@pytest.fixture(scope="module")
def drawn() -> list[tuple[np.ndarray, str, str]]:
    return [outsider(seed) for seed in SEEDS]


def test_every_kind_and_every_reason_is_drawn(drawn: list[tuple[np.ndarray, str, str]]) -> None:
    assert {kind for _, kind, _ in drawn} == set(OUTSIDER_KINDS)
    assert {reason for _, _, reason in drawn} == {name for name, _, _ in OUTSIDER_REASONS}
    assert all(reason == reason_of(kind) for _, kind, reason in drawn)


def test_a_picture_has_the_network_s_size_and_uses_the_whole_grey_scale(
    drawn: list[tuple[np.ndarray, str, str]],
) -> None:
    for image, kind, _ in drawn:
        assert (image.shape, image.dtype) == ((IMAGE_SIDE, IMAGE_SIDE), np.uint8), kind
        assert np.ptp(image.astype(int)) > 60, kind
        assert len(np.unique(image)) > 1, kind


@pytest.mark.parametrize("kind", OUTSIDER_KINDS)
def test_the_same_seed_draws_the_same_picture(kind: str, drawn: list[tuple[np.ndarray, str, str]]) -> None:
    seed = next(seed for seed in SEEDS if drawn[seed][1] == kind)
    image, again, _ = outsider(seed)
    assert again == kind
    assert np.array_equal(image, drawn[seed][0])


def test_many_are_drawn_as_each_alone_with_the_place_of_its_reason(
    drawn: list[tuple[np.ndarray, str, str]],
) -> None:
    images, reasons = render_outsiders([3, 1, 4])
    assert np.array_equal(images, np.stack([drawn[seed][0] for seed in (3, 1, 4)]))
    assert (reasons.dtype, [OUTSIDER_REASONS[k][0] for k in reasons]) == (np.int64, [drawn[s][2] for s in (3, 1, 4)])


def test_another_side_is_drawn_at_that_side() -> None:
    assert outsider(5, 96)[0].shape == (96, 96)


def test_outsiders_go_through_the_window_of_the_phantom_frames() -> None:
    assert replace(PREPROCESSING, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0)) == AS_TRAINED
