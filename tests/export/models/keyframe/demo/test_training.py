"""The training loop on frames made up in memory: it learns, and an interruption leaves no trace."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from cathrt.export.models.keyframe.demo.losses import order_loss
from cathrt.export.models.keyframe.demo.network import network_input
from cathrt.export.models.keyframe.demo.plan import LastLayer, Plan
from cathrt.export.models.keyframe.demo.training import (
    Progress,
    Training,
    TrainingFrames,
    _draw_pairs,
    forgetful,
    moved,
    unsteady,
)
from cathrt.runtime.errors import ConfigError

PLAN = Plan(
    steps=6,
    batch=8,
    outsiders=2,
    resolutions=((32, 0.5), (64, 0.5)),
    warmup_share=0.3,
    learning_rate=1e-3,
    average=0.9,
    seed=3,
)
ROWS = LastLayer(classes=2, domain=3)
RUN = 8  # frames of each made-up run


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Small tensors gain nothing from a second thread and lose much where other work shares the cores."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def striped(seed: int, runs: int = 6) -> TrainingFrames:
    """Runs of two classes, told apart by the direction of broad stripes; what can be read of a frame is how far its
    stripes stand out from the grey. Outsiders: white crosses on black, and black squares on white."""
    draw = torch.Generator().manual_seed(seed)
    count = runs * RUN
    strength = torch.rand(count, generator=draw)
    phase = torch.rand(count, 1, generator=draw) * 6.28
    wave = 128.0 + 110.0 * strength[:, None] * torch.sin(torch.arange(64) / 5.0 + phase)
    upright = torch.arange(count) // RUN % 2 == 1
    images = torch.where(
        upright[:, None, None], wave[:, None, :].expand(-1, 64, 64), wave[:, :, None].expand(-1, 64, 64)
    )
    crosses = torch.zeros(12, 64, 64)
    crosses[:, 28:36], crosses[:, :, 28:36] = 255.0, 255.0
    squares = torch.full((12, 64, 64), 255.0)
    squares[:, 20:44, 20:44] = 0.0
    begins = torch.arange(count) // RUN * RUN
    return TrainingFrames(
        images=as_first(images.to(torch.uint8)),
        targets=torch.eye(2)[upright.long()],
        vessels=torch.zeros(count, 8, 8, dtype=torch.uint8),
        side=upright.long(),
        readability=strength,
        runs=torch.stack([begins, torch.full((count,), RUN)], dim=1),
        outsiders=torch.cat([crosses, squares]).to(torch.uint8),
        reasons=torch.arange(2).repeat_interleave(12) + 1,
        pools=(torch.nonzero(~upright).flatten(), torch.nonzero(upright).flatten()),
    )


def as_first(images: torch.Tensor) -> torch.Tensor:
    """(N, 3, 64, 64): frames or pictures as the first of their runs."""
    return images[:, None].expand(-1, 3, -1, -1)


@pytest.fixture(scope="module")
def stripes() -> TrainingFrames:
    return striped(11)


def states_equal(one: Training, other: Training) -> bool:
    live = zip(one.model.state_dict().values(), other.model.state_dict().values(), strict=True)
    average = zip(one.averaged.values(), other.averaged.values(), strict=True)
    return all(torch.equal(a, b) for pairs in (live, average) for a, b in pairs)


def taught_by(frames: TrainingFrames) -> Training:
    plan = replace(
        PLAN, steps=180, batch=20, outsiders=4, resolutions=((32, 1.0),), warmup_share=0.1, cell_weight=0.0, seed=5
    )
    training = Training(plan, ROWS)
    assert training.run(frames)
    training.model.load_state_dict(training.averaged)
    training.model.eval()
    return training


@pytest.fixture(scope="module")
def taught(stripes: TrainingFrames) -> Training:
    return taught_by(stripes)


def rows_of(training: Training, images: torch.Tensor) -> torch.Tensor:
    """(N, rows) of the averaged weights for (N, 3, 64, 64) planes, halved to the size that was learnt."""
    halved = torch.nn.functional.avg_pool2d(images.float() / 255.0, 2)
    with torch.inference_mode():
        return training.model(network_input(halved))


@pytest.mark.slow
def test_classes_and_readability_are_learnt(taught: Training) -> None:
    unseen = striped(12)
    rows = rows_of(taught, unseen.images)
    clear = unseen.readability > 0.3
    assert float((rows[:, :2].argmax(dim=1) == unseen.side)[clear].float().mean()) > 0.9
    found = rows[:, 2].sigmoid()
    assert float(torch.corrcoef(torch.stack([found, unseen.readability]))[0, 1]) > 0.3


@pytest.mark.slow
def test_which_of_two_frames_of_a_run_is_the_more_readable_is_learnt(taught: Training) -> None:
    unseen = striped(13)
    found = rows_of(taught, unseen.images)[:, 2].view(-1, RUN)
    truth = unseen.readability.view(-1, RUN)
    ahead, truly = found[:, :, None] - found[:, None, :], truth[:, :, None] - truth[:, None, :]
    apart = truly > 0.2
    assert float((ahead[apart] > 0).float().mean()) > 0.7, "guessing is right in half of the pairs"


@pytest.mark.slow
def test_what_is_no_angiogram_is_learnt_with_its_reason(taught: Training) -> None:
    unseen = striped(14)
    assert float((rows_of(taught, unseen.images)[:, 3:].argmax(dim=1) == 0).float().mean()) > 0.9
    found = rows_of(taught, as_first(unseen.outsiders))[:, 3:].argmax(dim=1)
    assert float((found == unseen.reasons).float().mean()) > 0.9


def test_a_class_that_only_the_history_tells_is_learnt(stripes: TrainingFrames) -> None:
    """Frames are flat, and the stripes were there before: what has become darker or brighter tells the class."""

    def emptied(frames: TrainingFrames) -> TrainingFrames:
        flat = torch.full_like(frames.images[:, :1], 128)
        return replace(frames, images=torch.cat([flat, frames.images[:, :1], flat], dim=1))

    taught, unseen = taught_by(emptied(stripes)), emptied(striped(15))
    clear = unseen.readability > 0.3
    found = rows_of(taught, unseen.images)[:, :2].argmax(dim=1)
    assert float((found == unseen.side)[clear].float().mean()) > 0.9
    without = rows_of(taught, as_first(unseen.images[:, 0]))
    assert torch.equal(without, without[:1].expand_as(without)), "without it they are all alike"


@pytest.fixture(scope="module")
def pairs() -> torch.Tensor:
    """(400, 3, 8, 8): 200 pairs in which each frame and each plane differs."""
    return torch.rand(400, 3, 8, 8, generator=torch.Generator().manual_seed(1))


def test_of_a_share_of_the_pairs_the_history_is_forgotten(pairs: torch.Tensor) -> None:
    assert torch.equal(forgetful(pairs, 0.0, torch.Generator().manual_seed(2)), pairs)
    forgotten = pairs[:, :1].expand(-1, 3, -1, -1)
    assert torch.equal(forgetful(pairs, 1.0, torch.Generator().manual_seed(2)), forgotten)
    some = forgetful(pairs, 0.25, torch.Generator().manual_seed(2))
    first = (some == forgotten).all(dim=3).all(dim=2).all(dim=1)
    assert torch.equal(some[~first], pairs[~first])
    assert torch.equal(first[0::2], first[1::2]), "both frames of a pair or neither"
    assert float(first.float().mean()) == pytest.approx(0.25, abs=0.1)


def test_an_unsteady_history_is_the_same_for_both_of_a_pair_and_leaves_the_frame_alone(pairs: torch.Tensor) -> None:
    twins = pairs[0::2].repeat_interleave(2, dim=0)
    shaken = unsteady(twins, torch.Generator().manual_seed(3))
    assert torch.equal(shaken[:, 0], twins[:, 0])
    assert torch.equal(shaken[0::2], shaken[1::2])
    assert not torch.equal(shaken[0::2, 1:], twins[0::2, 1:])


def test_an_unsteady_history_lies_a_little_elsewhere_in_a_third_of_the_pairs() -> None:
    spot = torch.zeros(1200, 3, 16, 16)
    spot[:, :, 8, 8] = 1.0
    shaken = unsteady(spot, torch.Generator().manual_seed(4))
    brightest = shaken[:, 1:].flatten(2).argmax(dim=2)
    assert torch.equal(brightest[:, 0], brightest[:, 1]), "background and recent mean together"
    rows, columns = brightest[:, 0] // 16 - 8, brightest[:, 0] % 16 - 8
    assert (int(rows.min()), int(rows.max()), int(columns.min()), int(columns.max())) == (-3, 3, -3, 3)
    elsewhere = ((rows != 0) | (columns != 0)).float()
    assert float(elsewhere.mean()) == pytest.approx(48 / 49 / 3, abs=0.06)
    gain = shaken[:, 1].amax(dim=(1, 2)) - shaken[:, 1].amin(dim=(1, 2))
    assert (float(gain.mean()), float(gain.std())) == pytest.approx((1.0, 0.02), abs=0.005)


def test_half_of_the_outsiders_are_first_frames_and_half_were_elsewhere_before() -> None:
    pictures = torch.randint(0, 256, (400, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(5))
    planes = moved(pictures, torch.Generator().manual_seed(6))
    assert (planes.shape, planes.dtype) == ((400, 3, 32, 32), torch.uint8)
    frame, background, recent = planes.unbind(dim=1)
    assert torch.equal(frame, pictures)
    assert torch.equal(background, torch.maximum(frame, recent)), "what became darker shows in the contrast"
    assert torch.equal(recent.flatten(1).sort().values, frame.flatten(1).sort().values), "the picture, shifted"
    first = (recent == frame).all(dim=2).all(dim=1)
    assert float(first.float().mean()) == pytest.approx(0.5, abs=0.1)


def test_order_alone_teaches_order_and_the_log_odds_of_equals_are_free() -> None:
    found, truth = torch.tensor([1.0, -1.0, 0.3, 0.9]), torch.tensor([0.8, 0.2, 0.5, 0.5])
    assert float(order_loss(found, truth)) < 0.01
    assert float(order_loss(-found, truth)) > 3.0
    close = torch.tensor([0.51, 0.5, 0.8, 0.2])
    assert float(order_loss(torch.tensor([-1.0, 1.0, 1.0, -1.0]), close)) < 1.0, "what is close counts little"
    assert float(order_loss(found, torch.zeros(4))) == 0.0


def test_pairs_are_of_one_run_and_come_from_each_pool_and_frame(stripes: TrainingFrames) -> None:
    drawn = _draw_pairs(stripes, 600, torch.Generator().manual_seed(1))
    first, second = drawn[0::2], drawn[1::2]
    assert torch.equal(stripes.runs[first], stripes.runs[second])
    assert set(first.tolist()) == set(second.tolist()) == set(range(len(stripes.images)))
    assert float(stripes.side[first].float().mean()) == pytest.approx(0.5, abs=0.08)
    assert torch.equal(drawn, _draw_pairs(stripes, 600, torch.Generator().manual_seed(1)))


def test_a_run_stopped_and_resumed_ends_with_the_same_bits(stripes: TrainingFrames, tmp_path: Path) -> None:
    whole = Training(PLAN, ROWS)
    assert whole.run(stripes)

    first = Training(PLAN, ROWS)
    ticks = iter(range(100))
    assert not first.run(stripes, deadline_s=3, clock=lambda: next(ticks))
    assert 0 < first.step < PLAN.steps
    first.save(tmp_path / "checkpoint.safetensors")
    second = Training(PLAN, ROWS)
    second.load(tmp_path / "checkpoint.safetensors")
    assert second.step == first.step
    assert second.run(stripes)

    assert states_equal(whole, second)


def test_weights_to_begin_with_are_copied_and_rows_that_they_lack_are_drawn(stripes: TrainingFrames) -> None:
    earlier = Training(replace(PLAN, seed=9), LastLayer(classes=2, domain=0))
    start = {name: value.clone() for name, value in earlier.averaged.items()}
    fresh, begun = Training(PLAN, ROWS), Training(PLAN, ROWS, start)
    for states in (begun.model.state_dict(), begun.averaged):
        for name, value in states.items():
            assert torch.equal(value[: len(start[name])], start[name]), name
    assert len(start["head.fc.weight"]) == 3 < ROWS.total
    for name in ("head.fc.weight", "head.fc.bias"):
        assert torch.equal(begun.model.state_dict()[name][3:], fresh.model.state_dict()[name][3:])
    begun.run(stripes)
    assert all(torch.equal(value, earlier.averaged[name]) for name, value in start.items()), "they are not written to"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"head.fc.weight": torch.zeros(7, 320)}, r"start: head.fc.weight: found \(7, 320\), expected \(6, 320\)"),
        ({"stem.0.weight": torch.zeros(40, 3, 2, 2)}, r"start: stem.0.weight: found \(40, 3, 2, 2\), expected"),
        ({"head.norm.weight": None}, "start: head.norm.weight: found None, expected"),
    ],
)
def test_weights_of_another_size_are_refused(change: dict[str, torch.Tensor | None], said: str) -> None:
    start = {**Training(PLAN, ROWS).averaged, **change}
    with pytest.raises(ConfigError, match=said):
        Training(PLAN, ROWS, {name: value for name, value in start.items() if value is not None})


def test_a_batch_without_room_for_a_pair_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"batch 7: 6 of it are outsiders, .* give at least 8"):
        Training(Plan(batch=7, outsiders=6), ROWS)


def test_another_seed_gives_other_weights(stripes: TrainingFrames) -> None:
    one, other = (Training(replace(PLAN, steps=1, seed=seed), ROWS) for seed in (1, 2))
    one.run(stripes)
    other.run(stripes)
    assert not states_equal(one, other)


def test_a_checkpoint_of_another_plan_is_refused(tmp_path: Path) -> None:
    Training(PLAN, ROWS).save(tmp_path / "checkpoint.safetensors")
    with pytest.raises(ConfigError, match="give the same options"):
        Training(replace(PLAN, batch=9), ROWS).load(tmp_path / "checkpoint.safetensors")


def test_each_step_takes_the_resolution_of_its_share(stripes: TrainingFrames) -> None:
    seen: list[Progress] = []
    Training(PLAN, ROWS).run(stripes, report=seen.append)
    assert [progress.side for progress in seen] == [32, 32, 32, 64, 64, 64]


def test_the_learning_rate_rises_then_falls_in_a_straight_line_to_nothing() -> None:
    plan = Plan(steps=1000, warmup_share=0.1, learning_rate=2e-3)
    rates = [plan.learning_rate_at(step) for step in range(1000)]
    assert max(rates) == pytest.approx(2e-3)
    assert rates.index(max(rates)) in (99, 100)
    assert rates[550] == pytest.approx(1e-3)
    assert 0.0 < rates[-1] < 5e-6


def test_the_cells_learn_where_the_artery_is_and_of_which_side() -> None:
    """A bright block on black: left ones in bright grey, right ones in dark grey; the cells must tell them apart."""
    draw = torch.Generator().manual_seed(7)
    images, vessels = torch.zeros(32, 64, 64, dtype=torch.uint8), torch.zeros(32, 8, 8, dtype=torch.uint8)
    for index in range(32):
        row, column = (int(value) for value in torch.randint(0, 3, (2,), generator=draw))
        images[index, 16 * row : 16 * row + 24, 16 * column : 16 * column + 24] = 250 if index < 16 else 100
        vessels[index, 2 * row : 2 * row + 3, 2 * column : 2 * column + 3] = 20
    targets = torch.eye(2).repeat_interleave(16, dim=0)
    frames = TrainingFrames(
        images=as_first(images),
        targets=targets,
        vessels=vessels,
        side=targets.argmax(dim=1),
        readability=torch.full((32,), 0.5),
        runs=torch.tensor([[0, 16], [16, 16]]).repeat_interleave(16, dim=0),
        outsiders=torch.full((2, 64, 64), 255, dtype=torch.uint8),
        reasons=torch.ones(2, dtype=torch.int64),
        pools=(torch.arange(16), torch.arange(16, 32)),
    )
    losses: list[float] = []
    plan = replace(
        PLAN, steps=60, batch=18, resolutions=((64, 1.0),), warmup_share=0.1, readability_weight=0.0, domain_weight=0.0
    )
    Training(plan, ROWS).run(frames, report=lambda progress: losses.append(progress.loss))
    guessing_labels, guessing_cells = 0.693, 1.099
    assert losses[0] > 0.8 * (guessing_labels + guessing_cells), "at first both must be guessing"
    assert sum(losses[-10:]) / 10 < 0.6 * losses[0]


def test_most_stem_filters_start_blind_to_the_grey_level() -> None:
    stem = Training(PLAN, ROWS).model.stem[0].weight.detach()
    sums = stem.sum(dim=(1, 2, 3)).abs()
    assert float(sums[len(stem) // 10 :].max()) < 1e-5
    assert float(sums[: len(stem) // 10].max()) > 1e-2
