"""The training loop on frames made up in memory: it learns, and an interruption leaves no trace."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from cathrt.export.models.keyframe.demo.augment import augment
from cathrt.export.models.keyframe.demo.training import Plan, Progress, Training, TrainingFrames
from cathrt.runtime.errors import ConfigError

PLAN = Plan(
    steps=6, batch=8, resolutions=((32, 0.5), (64, 0.5)), warmup_share=0.3, learning_rate=1e-3, average=0.9, seed=3
)


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Small tensors gain nothing from a second thread and lose much where other work shares the cores."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def stripes() -> TrainingFrames:
    """Two classes told apart by the direction of broad stripes, 24 frames of each."""
    draw = torch.Generator().manual_seed(11)
    phase = torch.rand(48, 1, generator=draw) * 6.28
    wave = ((torch.sin(torch.arange(64) / 5.0 + phase) + 1) * 110).to(torch.uint8)
    horizontal = wave[:24, :, None].expand(-1, 64, 64)
    vertical = wave[24:, None, :].expand(-1, 64, 64)
    targets = torch.eye(2).repeat_interleave(24, dim=0)
    images, pools = torch.cat([horizontal, vertical]), (torch.arange(24), torch.arange(24, 48))
    return TrainingFrames(images, targets, torch.zeros(48, 8, 8, dtype=torch.uint8), targets.argmax(dim=1), pools)


def states_equal(one: Training, other: Training) -> bool:
    live = zip(one.model.state_dict().values(), other.model.state_dict().values(), strict=True)
    average = zip(one.averaged.values(), other.averaged.values(), strict=True)
    return all(torch.equal(a, b) for pairs in (live, average) for a, b in pairs)


def test_the_loss_falls_far_below_guessing(stripes: TrainingFrames) -> None:
    losses: list[float] = []
    plan = replace(PLAN, steps=60, batch=16, resolutions=((32, 1.0),), warmup_share=0.1, cell_weight=0.0)
    Training(plan, classes=2).run(stripes, report=lambda progress: losses.append(progress.loss))
    guessing = 0.693
    assert sum(losses[:5]) / 5 == pytest.approx(guessing, abs=0.15)
    assert sum(losses[-10:]) / 10 < 0.6 * guessing


def test_a_run_stopped_and_resumed_ends_with_the_same_bits(stripes: TrainingFrames, tmp_path: Path) -> None:
    whole = Training(PLAN, classes=2)
    assert whole.run(stripes)

    first = Training(PLAN, classes=2)
    ticks = iter(range(100))
    assert not first.run(stripes, deadline_s=3, clock=lambda: next(ticks))
    assert 0 < first.step < PLAN.steps
    first.save(tmp_path / "checkpoint.safetensors")
    second = Training(PLAN, classes=2)
    second.load(tmp_path / "checkpoint.safetensors")
    assert second.step == first.step
    assert second.run(stripes)

    assert states_equal(whole, second)


def test_another_seed_gives_other_weights(stripes: TrainingFrames) -> None:
    one, other = (Training(replace(PLAN, steps=1, seed=seed), classes=2) for seed in (1, 2))
    one.run(stripes)
    other.run(stripes)
    assert not states_equal(one, other)


def test_a_checkpoint_of_another_plan_is_refused(tmp_path: Path) -> None:
    Training(PLAN, classes=2).save(tmp_path / "checkpoint.safetensors")
    with pytest.raises(ConfigError, match="give the same options"):
        Training(replace(PLAN, batch=9), classes=2).load(tmp_path / "checkpoint.safetensors")


def test_each_step_takes_the_resolution_of_its_share(stripes: TrainingFrames) -> None:
    seen: list[Progress] = []
    Training(PLAN, classes=2).run(stripes, report=seen.append)
    assert [progress.side for progress in seen] == [32, 32, 32, 64, 64, 64]


def test_the_learning_rate_rises_then_falls_in_a_straight_line_to_nothing() -> None:
    plan = Plan(steps=1000, warmup_share=0.1, learning_rate=2e-3)
    rates = [plan.learning_rate_at(step) for step in range(1000)]
    assert max(rates) == pytest.approx(2e-3)
    assert rates.index(max(rates)) in (99, 100)
    assert rates[550] == pytest.approx(1e-3)
    assert 0.0 < rates[-1] < 5e-6


def test_augmentation_depends_on_its_generator_alone_and_stays_in_range(stripes: TrainingFrames) -> None:
    batch = stripes.images[:16, None]
    vessels = torch.zeros(16, 1, 8, 8)
    one, _ = augment(batch, vessels, 32, torch.Generator().manual_seed(1))
    same, _ = augment(batch, vessels, 32, torch.Generator().manual_seed(1))
    other, _ = augment(batch, vessels, 32, torch.Generator().manual_seed(2))
    assert one.shape == (16, 1, 32, 32)
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert 0.0 <= float(one.min()) < float(one.max()) <= 1.0


def test_augmentation_never_mirrors() -> None:
    """A bright left third stays on the left: mirrored, a left coronary would be taught as a right one."""
    image = torch.full((64, 1, 96, 96), 40, dtype=torch.uint8)
    image[..., :32] = 220
    moved, _ = augment(image, torch.zeros(64, 1, 12, 12), 96, torch.Generator().manual_seed(4))
    left, right = moved[..., 24:72, 10:30].mean(dim=(1, 2, 3)), moved[..., 24:72, 66:86].mean(dim=(1, 2, 3))
    assert float((left > right).float().mean()) > 0.95


def test_the_vessel_map_moves_with_the_image() -> None:
    """A bright square and its map: wherever the square lands, the map says so."""
    image, vessels = torch.zeros(32, 1, 96, 96, dtype=torch.uint8), torch.zeros(32, 1, 12, 12)
    image[..., 40:56, 24:40], vessels[..., 5:7, 3:5] = 255, 30.0
    moved, along = augment(image, vessels, 96, torch.Generator().manual_seed(5))
    seen = torch.nn.functional.interpolate(along, size=(96, 96), mode="nearest") > 15.0
    inside, outside = moved[seen].mean(), moved[~seen].mean()
    assert float(inside) > 0.5 > 3.0 * float(outside)


def test_the_cells_learn_where_the_artery_is_and_of_which_side() -> None:
    """A bright block on black: left ones in bright grey, right ones in dark grey; the cells must tell them apart."""
    draw = torch.Generator().manual_seed(7)
    images, vessels = torch.zeros(32, 64, 64, dtype=torch.uint8), torch.zeros(32, 8, 8, dtype=torch.uint8)
    for index in range(32):
        row, column = (int(value) for value in torch.randint(0, 3, (2,), generator=draw))
        images[index, 16 * row : 16 * row + 24, 16 * column : 16 * column + 24] = 250 if index < 16 else 100
        vessels[index, 2 * row : 2 * row + 3, 2 * column : 2 * column + 3] = 20
    targets = torch.eye(2).repeat_interleave(16, dim=0)
    frames = TrainingFrames(images, targets, vessels, targets.argmax(dim=1), (torch.arange(16), torch.arange(16, 32)))
    losses: list[float] = []
    plan = replace(PLAN, steps=60, batch=16, resolutions=((64, 1.0),), warmup_share=0.1)
    Training(plan, classes=2).run(frames, report=lambda progress: losses.append(progress.loss))
    guessing_labels, guessing_cells = 0.693, 1.099
    assert losses[0] > 0.8 * (guessing_labels + guessing_cells), "at first both must be guessing"
    assert sum(losses[-10:]) / 10 < 0.6 * losses[0]


def test_most_stem_filters_start_blind_to_the_grey_level() -> None:
    stem = Training(PLAN, classes=2).model.stem[0].weight.detach()
    sums = stem.sum(dim=(1, 2, 3)).abs()
    assert float(sums[len(stem) // 10 :].max()) < 1e-5
    assert float(sums[: len(stem) // 10].max()) > 1e-2
