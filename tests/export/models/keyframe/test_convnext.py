"""The network's names and shapes against those of the two libraries that publish its weights."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from cathrt.export.models.keyframe.convnext import ARCHS, ConvNext, arch_of
from cathrt.export.models.keyframe.convnext_names import linear_mlps, timm_from_torchvision, torchvision_from_timm

MANIFESTS = Path(__file__).parent.parent.parent / "manifests"


def expected_shapes(library: str) -> dict[str, tuple[int, ...]]:
    document = json.loads((MANIFESTS / f"convnext_base_6_{library}.json").read_text(encoding="utf-8"))
    return {name: tuple(shape) for name, shape in document.items()}


def meta_state(name: str, classes: int = 6) -> dict[str, torch.Tensor]:
    with torch.device("meta"):
        return ConvNext(ARCHS[name], classes=classes).state_dict()


def shapes(state: dict[str, torch.Tensor]) -> dict[str, tuple[int, ...]]:
    return {key: tuple(value.shape) for key, value in state.items()}


def test_base_has_the_names_and_shapes_of_timm() -> None:
    assert shapes(meta_state("convnext_base")) == expected_shapes("timm")


def test_base_converted_has_the_names_and_shapes_of_torchvision() -> None:
    assert shapes(torchvision_from_timm(meta_state("convnext_base"))) == expected_shapes("torchvision")


@pytest.mark.parametrize(
    ("name", "parameters"),
    # Published counts with 1000 classes, in units of 10 000 (timm's table of results).
    [
        ("convnext_atto", 370),
        ("convnext_femto", 522),
        ("convnext_pico", 905),
        ("convnext_nano", 1559),
        ("convnext_tiny", 2859),
        ("convnext_small", 5022),
        ("convnext_base", 8859),
        ("convnext_large", 19777),
    ],
)
def test_every_size_has_its_published_number_of_parameters(name: str, parameters: int) -> None:
    assert round(sum(value.numel() for value in meta_state(name, classes=1000).values()) / 10_000) == parameters


def test_conversion_to_torchvision_and_back_changes_no_number() -> None:
    state = ConvNext(ARCHS["convnext_atto"], classes=6, layer_scale=0.3).state_dict()
    returned = timm_from_torchvision(torchvision_from_timm(state))
    assert list(returned) == list(state)
    assert all(torch.equal(returned[key], state[key]) for key in state)


def test_a_name_of_another_network_is_refused_by_name() -> None:
    state = {"stem.0.weight": torch.zeros(1), "layer4.1.bn2.weight": torch.zeros(1)}
    with pytest.raises(ValueError, match=r"layer4\.1\.bn2\.weight"):
        torchvision_from_timm(state)
    with pytest.raises(ValueError, match=r"stem\.0\.weight"):
        timm_from_torchvision(state)


@pytest.mark.parametrize("name", ARCHS)
def test_the_architecture_is_read_from_the_weights(name: str) -> None:
    assert arch_of(meta_state(name, classes=5)) == (name, 5)


def test_weights_of_no_published_size_are_refused_with_what_was_found() -> None:
    state = {key: value for key, value in meta_state("convnext_atto").items() if ".blocks.5." not in key}
    with pytest.raises(ValueError, match=r"depths \(2, 2, 5, 2\), widths \(40, 80, 160, 320\)"):
        arch_of(state)


def test_convolutional_mlps_of_small_timm_sizes_become_linear_layers() -> None:
    model = ConvNext(ARCHS["convnext_atto"], classes=6)
    state = model.state_dict()
    convolutional = {
        key: value[:, :, None, None] if ".mlp." in key and value.ndim == 2 else value for key, value in state.items()
    }
    linear = linear_mlps(convolutional)
    assert all(torch.equal(linear[key], state[key]) for key in state)


def test_layer_scale_is_the_share_of_the_branch_in_the_residual() -> None:
    torch.manual_seed(0)
    model = ConvNext(ARCHS["convnext_atto"], classes=6, layer_scale=0.0)
    block = model.stages[0].blocks[0]
    x = torch.randn(2, 40, 8, 8)
    assert torch.equal(block(x), x)
