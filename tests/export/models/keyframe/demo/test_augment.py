"""Domain randomisation: what moves together, what stays alike, what never happens."""

from __future__ import annotations

import pytest
import torch

from cathrt.export.models.keyframe.demo.augment import augment


@pytest.fixture(scope="module")
def grating() -> torch.Tensor:
    """(48, 64, 64) uint8: broad stripes of every phase."""
    phase = torch.linspace(0.0, 6.28, 48)[:, None]
    wave = ((torch.sin(torch.arange(64) / 5.0 + phase) + 1) * 110).to(torch.uint8)
    return wave[:, :, None].expand(-1, 64, 64)


def test_augmentation_depends_on_its_generator_alone_and_stays_in_range(grating: torch.Tensor) -> None:
    batch = grating[:16, None]
    vessels = torch.zeros(16, 1, 8, 8)
    one, _ = augment(batch, vessels, 32, torch.Generator().manual_seed(1))
    same, _ = augment(batch, vessels, 32, torch.Generator().manual_seed(1))
    other, _ = augment(batch, vessels, 32, torch.Generator().manual_seed(2))
    assert one.shape == (16, 1, 32, 32)
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert 0.0 <= float(one.min()) < float(one.max()) <= 1.0


def test_frames_that_are_compared_get_the_same_draws_but_noise(grating: torch.Tensor) -> None:
    twins = grating[::3].repeat_interleave(2, dim=0)[:, None]
    vessels = torch.rand(len(twins) // 2, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    vessels = vessels.repeat_interleave(2, dim=0)
    grey, along = augment(twins, vessels, 64, torch.Generator().manual_seed(3), alike=2)
    assert torch.equal(along[0::2], along[1::2])
    between = (grey[0::2] - grey[1::2]).abs().mean(dim=(1, 2, 3))
    assert float(between.min()) > 0.0
    assert float(between.max()) < 0.06, "noise to 0.025 and blotches to 0.015, twice"
    apart, _ = augment(twins, vessels, 64, torch.Generator().manual_seed(3))
    others = (apart[0::2] - apart[1::2]).abs().mean(dim=(1, 2, 3))
    assert float(others.mean()) > 3.0 * float(between.mean())


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


def test_one_display_shows_a_frame_and_what_its_run_showed_before(grating: torch.Tensor) -> None:
    frame = grating[:, None]
    background = frame.clone()
    background[..., 24:40] = 255
    planes, first = torch.cat([frame, background, frame], dim=1), frame.expand(-1, 3, -1, -1)
    vessels = torch.zeros(len(frame), 1, 8, 8)
    shown, as_first = (augment(images, vessels, 64, torch.Generator().manual_seed(6))[0] for images in (planes, first))
    assert torch.equal(as_first[:, 1], as_first[:, 2]), "moved, lit and windowed alike"
    assert torch.equal(shown[:, [0, 2]], as_first[:, [0, 2]]), "neither rests on the background"
    same = (shown[:, 1] == as_first[:, 1]).float().mean(dim=(1, 2))
    assert float(same.mean()) > 0.6, "the background differs where it did before, and nowhere else"
    assert float(same.max()) < 1.0


def test_only_the_frame_itself_has_noise() -> None:
    flat = torch.full((48, 3, 64, 64), 128, dtype=torch.uint8)
    shown, _ = augment(flat, torch.zeros(48, 1, 8, 8), 64, torch.Generator().manual_seed(7))
    noise = shown[:, 0] - shown[:, 1]
    assert torch.equal(shown[:, 1], shown[:, 2])
    assert 0.002 < float(noise.std(dim=(1, 2)).median()) < 0.04
    assert abs(float(noise.mean())) < 0.002
