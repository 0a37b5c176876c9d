"""What an image processor's settings become, and which are refused by name."""

from __future__ import annotations

from typing import Any

import pytest

from cathrt.export.models.generic.processor import Crop, Prepared, prepared_as
from cathrt.runtime.errors import ConfigError

VIT: dict[str, Any] = {
    "image_processor_type": "ViTImageProcessor",
    "do_resize": True,
    "size": {"height": 96, "width": 64},
    "resample": 2,
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "image_mean": [0.5, 0.4, 0.3],
    "image_std": [0.2, 0.25, 0.5],
    "do_convert_rgb": None,
}
CONVNEXT = VIT | {"image_processor_type": "ConvNextImageProcessor", "size": {"shortest_edge": 224}, "crop_pct": 0.875}
BIT = VIT | {"size": {"shortest_edge": 256}, "do_center_crop": True, "crop_size": {"height": 224, "width": 220}}


def prepared(processor: dict[str, Any], *, approximate: bool = False) -> Prepared:
    return prepared_as(processor, window="percentile", approximate_resample=approximate)


def size_of(found: Prepared) -> tuple[int, int]:
    return found.preprocessing.height, found.preprocessing.width


def test_a_stretched_frame_is_represented_as_it_is() -> None:
    found = prepared(VIT)
    assert (size_of(found), found.crop, found.square_frames, found.replaced) == ((96, 64), None, False, "")
    assert found.preprocessing.mean == pytest.approx((0.5, 0.4, 0.3))
    assert found.preprocessing.std == pytest.approx((0.2, 0.25, 0.5))
    assert found.preprocessing.window == "percentile"


def test_a_crop_of_the_middle_is_cut_out_of_the_resized_frame_and_asks_for_square_frames() -> None:
    found = prepared(BIT)
    assert (size_of(found), found.crop, found.square_frames) == ((256, 256), Crop(16, 18, 224, 220), True)


def test_convnext_crops_by_its_share_and_stretches_from_384_on() -> None:
    small, large = prepared(CONVNEXT), prepared(CONVNEXT | {"size": {"shortest_edge": 384}})
    assert (size_of(small), small.crop, small.square_frames) == ((256, 256), Crop(16, 16, 224, 224), True)
    assert (size_of(large), large.crop, large.square_frames) == ((384, 384), None, False)


def test_a_crop_of_the_whole_is_none() -> None:
    assert prepared(BIT | {"crop_size": {"height": 256, "width": 256}}).crop is None


@pytest.mark.parametrize(
    ("changes", "of_black", "of_white"),
    [
        ({"do_normalize": False}, 0.0, 1.0),
        ({"do_rescale": False, "do_normalize": False}, 0.0, 255.0),
        ({"rescale_factor": 1 / 127.5, "rescale_offset": True, "do_normalize": False}, -1.0, 1.0),
        ({"image_mean": 0.5, "image_std": [0.25]}, -2.0, 2.0),
        ({"image_mean": 0.5, "image_std": 0.5, "include_top": True}, -2.0, 2.0),
        ({"do_normalize": False, "image_std": 0.5, "include_top": True}, 0.0, 2.0),
    ],
)
def test_every_rescaling_and_normalisation_is_one_mean_and_std(
    changes: dict[str, Any], of_black: float, of_white: float
) -> None:
    made = prepared(VIT | changes).preprocessing
    assert (0.0 - made.mean[0]) / made.std[0] == pytest.approx(of_black)
    assert (1.0 - made.mean[0]) / made.std[0] == pytest.approx(of_white)


def test_another_filter_is_refused_by_name_unless_its_replacement_is_asked_for() -> None:
    bicubic = VIT | {"resample": 3}
    with pytest.raises(ConfigError, match=r"ViTImageProcessor: .* resample = bicubic .*--approximate-resample"):
        prepared(bicubic)
    assert prepared(bicubic, approximate=True).replaced.endswith("instead of bicubic")


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"do_pad": True}, "do_pad = True"),
        ({"do_resize": False}, "do_resize = False"),
        ({"size": {"longest_edge": 224}}, "size = "),
        ({"size": 224}, "size = 224"),
        ({"size": {"height": 0, "width": 4}}, "size = "),
        ({"do_center_crop": True, "crop_size": {"height": 100, "width": 64}}, "nothing is padded"),
        ({"do_center_crop": True, "crop_size": None}, "crop_size = None"),
        ({"image_mean": [0.5]*4}, "image_mean = "),
        ({"image_std": [0.0]*3}, "image_std = "),
        ({"rescale_factor": 0}, "rescale_factor = 0"),
        ({"do_sharpen": 3}, "do_sharpen = 3"),
    ],
)  # fmt: skip
def test_what_cannot_be_represented_is_named(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigError, match="cannot be represented") as caught:
        prepared(VIT | changes)
    assert named in str(caught.value)


def test_every_setting_at_fault_is_named_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        prepared(VIT | {"do_pad": True, "resample": 0, "size": {"longest_edge": 7}})
    assert all(name in str(caught.value) for name in ("do_pad", "nearest", "longest_edge"))


def test_a_step_that_is_switched_off_is_no_fault() -> None:
    assert prepared(VIT | {"do_pad": False, "pad_size": {"height": 8}, "do_reduce_labels": None}) == prepared(VIT)
