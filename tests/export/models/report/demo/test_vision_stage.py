"""The first stage: maps lie where the arteries do, move with the picture, and a small network learns them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from cathrt.export.checkpoint.training_loop import Plan, Training
from cathrt.export.models.report.demo.network import look_at_differences
from cathrt.export.models.report.demo.shown import shown
from cathrt.export.models.report.demo.targets import MAP_SIDE, SEGMENT_NUMBERS, painted
from cathrt.export.models.report.demo.vision_stage import (
    new_heads,
    normalised,
    soft_tokens,
    still_inside,
    vision_loss,
    vision_scores,
)
from tests.export.models.report.demo.small import made_up_picture, one_thread, small_library, small_network


@pytest.fixture(autouse=True, scope="module")
def alone() -> Iterator[None]:
    threads = one_thread()
    yield
    torch.set_num_threads(threads)


def test_maps_show_segments_and_narrowings_where_they_are() -> None:
    maps, degrees = painted([made_up_picture(0), made_up_picture(1)])
    diagonal = range(int(0.25 * MAP_SIDE), int(0.75 * MAP_SIDE))
    assert all(maps[0, 5, at, at] for at in diagonal)  # segment 6
    assert maps[0, SEGMENT_NUMBERS + 5, MAP_SIDE // 2, MAP_SIDE // 2] == 1
    assert degrees[0].tolist() == [0, 0, 0, 0, 0, 2, *[0] * 10]
    assert maps[1, SEGMENT_NUMBERS:].sum() == 0
    assert degrees[1].sum() == 0


def test_maps_move_with_the_picture() -> None:
    scenes = small_library(2).scenes
    images, maps = torch.zeros_like(scenes.images), torch.zeros_like(scenes.maps)
    images[:, 40:60, 120:140], maps[:, 0, 8:11, 23:26] = 255, 1  # the same place, at 192 and at 36 pixels a side
    pixels, moved = shown(images, maps, torch.Generator().manual_seed(2))
    bright = (pixels[0, 0] > pixels[0, 0].amax() - 0.5).nonzero().float().mean(0) / images.shape[-1]
    there = (moved[0, 0] > 0.5).nonzero().float().mean(0) / MAP_SIDE
    assert float((bright - there).abs().max()) < 0.04


def test_a_narrowing_that_was_moved_out_of_the_picture_is_forgotten() -> None:
    maps, degrees = (torch.from_numpy(one) for one in painted([made_up_picture(0)]))
    assert still_inside(degrees, maps.float()).sum() == 2
    assert still_inside(degrees, torch.zeros_like(maps).float()).sum() == 0


def test_soft_tokens_are_what_the_projector_projects() -> None:
    network = small_network()
    pixels = normalised(small_library(2).scenes.images.float() / 255.0)
    patches = network.model.vision_tower(pixel_values=pixels).last_hidden_state
    projector = network.model.multi_modal_projector
    expected = projector(patches)
    found = soft_tokens(network, patches) @ projector.mm_input_projection_weight
    torch.testing.assert_close(found, expected)


def test_the_first_filters_answer_to_all_differences_alike() -> None:
    network, images = small_network(), small_library(6).scenes.images
    noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(0))
    noisy = (images.float() + 20.0 * noise).clamp(0, 255)
    look_at_differences(network, noisy.to(torch.uint8).numpy())
    layer = network.model.vision_tower.embeddings.patch_embedding
    answers = layer(normalised(noisy / 255.0)).detach().flatten(2).std(dim=(0, 2))
    assert float(answers.max() / answers.min()) < 3.0


def test_a_small_network_learns_sides_from_few_pictures() -> None:
    network, scenes = small_network(), small_library(6).scenes
    heads = new_heads(network, 0)
    named = {f"tower.{name}": one for name, one in network.model.vision_tower.named_parameters()}
    named |= {f"heads.{name}": one for name, one in heads.named_parameters()}
    losses: list[float] = []
    plan = Plan("vision", seed=0, steps=25, batch=4, learning_rate=5e-3, warmup=3, average=0.8)
    training = Training(plan, named)
    loss_of = vision_loss(network, heads, scenes, 4, torch.float32)
    training.run(loss_of, report=lambda one: losses.append(one.loss))
    training.take_average()
    assert sum(losses[-5:]) < 0.7 * sum(losses[:5])
    assert vision_scores(network, heads, scenes)["side_right"] == 1.0


def test_bfloat16_gives_nearly_the_same_loss() -> None:
    network, scenes = small_network(), small_library(6).scenes
    heads = new_heads(network, 0)
    single, half = (
        vision_loss(network, heads, scenes, 4, dtype)(torch.Generator().manual_seed(1)).detach()
        for dtype in (torch.float32, torch.bfloat16)
    )
    torch.testing.assert_close(half, single, rtol=0.02, atol=0.0)
