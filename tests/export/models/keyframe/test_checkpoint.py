"""Checkpoints: every library's names and wrappers give the same network, in little memory."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from cathrt.export.models.keyframe.checkpoint import Checkpoint, load_checkpoint, random_checkpoint
from cathrt.export.models.keyframe.convnext import ARCHS, ConvNext
from cathrt.export.models.keyframe.convnext_names import LAYOUTS, Layout, name_in
from tests.export.checkpoint_files import ATTO, made_up, published, stored

MANIFESTS = Path(__file__).parent.parent.parent / "manifests"


def assert_is(checkpoint: Checkpoint, state: Mapping[str, Tensor]) -> None:
    assert list(checkpoint.state) == list(state)
    assert all(torch.equal(checkpoint.state[name], state[name]) for name in state)
    assert {value.dtype for value in checkpoint.state.values()} == {torch.float32}


@pytest.mark.parametrize("suffix", ["safetensors", "pth", "pt", "ckpt", "bin"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_library_s_names_give_the_same_network(layout: Layout, suffix: str, tmp_path: Path) -> None:
    state = made_up(classes=5)
    path = stored(tmp_path / f"weights.{suffix}", published(state, layout))
    checkpoint = load_checkpoint(path)
    assert_is(checkpoint, state)
    assert (checkpoint.arch, checkpoint.classes, checkpoint.layout) == (ATTO, 5, layout)
    assert checkpoint.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("layout", ["timm", "torchvision"])
def test_the_published_names_and_shapes_of_base_are_read(layout: str, tmp_path: Path) -> None:
    shapes = json.loads((MANIFESTS / f"convnext_base_6_{layout}.json").read_text(encoding="utf-8"))
    # one stored value for all of a tensor: the file is small, the shapes are whole
    path = stored(tmp_path / "base.pth", {name: torch.tensor(0.5).expand(shape) for name, shape in shapes.items()})
    checkpoint = load_checkpoint(path)
    assert (checkpoint.arch, checkpoint.classes, checkpoint.layout) == ("convnext_base", 6, layout)


@pytest.mark.parametrize(
    ("layout", "expected"),
    [
        (
            "transformers",
            [
                "convnext.embeddings.patch_embeddings.weight",
                "convnext.embeddings.layernorm.bias",
                "convnext.encoder.stages.2.downsampling_layer.0.weight",
                "convnext.encoder.stages.2.downsampling_layer.1.bias",
                "convnext.encoder.stages.1.layers.1.dwconv.weight",
                "convnext.encoder.stages.1.layers.1.layernorm.weight",
                "convnext.encoder.stages.1.layers.1.pwconv1.bias",
                "convnext.encoder.stages.1.layers.1.pwconv2.weight",
                "convnext.encoder.stages.1.layers.1.layer_scale_parameter",
                "convnext.layernorm.weight",
                "classifier.weight",
            ],
        ),
        (
            "facebook",
            [
                "downsample_layers.0.0.weight",
                "downsample_layers.0.1.bias",
                "downsample_layers.2.0.weight",
                "downsample_layers.2.1.bias",
                "stages.1.1.dwconv.weight",
                "stages.1.1.norm.weight",
                "stages.1.1.pwconv1.bias",
                "stages.1.1.pwconv2.weight",
                "stages.1.1.gamma",
                "norm.weight",
                "head.weight",
            ],
        ),
    ],
)
def test_the_names_of_the_other_libraries_are_theirs(layout: Layout, expected: list[str]) -> None:
    ours = [
        "stem.0.weight",
        "stem.1.bias",
        "stages.2.downsample.0.weight",
        "stages.2.downsample.1.bias",
        "stages.1.blocks.1.conv_dw.weight",
        "stages.1.blocks.1.norm.weight",
        "stages.1.blocks.1.mlp.fc1.bias",
        "stages.1.blocks.1.mlp.fc2.weight",
        "stages.1.blocks.1.gamma",
        "head.norm.weight",
        "head.fc.weight",
    ]
    assert [name_in(layout, name) for name in ours] == expected


def test_convolutional_mlps_of_timm_become_linear_layers(tmp_path: Path) -> None:
    state = made_up()
    convolutional = {
        k: v[:, :, None, None] if k.endswith(("fc1.weight", "fc2.weight")) else v for k, v in state.items()
    }
    assert_is(load_checkpoint(stored(tmp_path / "atto.safetensors", convolutional)), state)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: {"state_dict": state, "epoch": 3},
        lambda state: {"model": state, "optimizer": {"state": {}}, "lr": 0.1},
        lambda state: {"model": {"state_dict": state}},
        lambda state: {f"module.{name}": value for name, value in state.items()},
        lambda state: {"state_dict": {f"_orig_mod.module.{name}": value for name, value in state.items()}},
        lambda state: {"n_averaged": torch.tensor(7), **{f"module.{name}": value for name, value in state.items()}},
    ],
)
def test_wrappers_and_prefixes_of_training_programs_are_taken_off(
    wrap: Callable[[dict[str, Tensor]], Any], tmp_path: Path
) -> None:
    state = made_up()
    path = stored(tmp_path / "last.pth", wrap(published(state, "torchvision")))
    assert_is(load_checkpoint(path), state)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_floats_are_widened_without_changing_a_value(dtype: torch.dtype, tmp_path: Path) -> None:
    halved = {name: value.to(dtype) for name, value in made_up().items()}
    checkpoint = load_checkpoint(stored(tmp_path / "half.safetensors", halved))
    assert_is(checkpoint, {name: value.float() for name, value in halved.items()})


def test_channels_last_weights_come_out_contiguous(tmp_path: Path) -> None:
    state = made_up()
    model = ConvNext(ARCHS[ATTO], classes=6)
    model.load_state_dict(state)
    path = stored(tmp_path / "nhwc.pth", model.to(memory_format=torch.channels_last).state_dict())
    checkpoint = load_checkpoint(path)
    assert_is(checkpoint, state)
    assert all(value.is_contiguous() for value in checkpoint.state.values())


def test_a_loaded_checkpoint_outlives_its_file(tmp_path: Path) -> None:
    state = made_up()
    for suffix in ("safetensors", "pth"):
        path = stored(tmp_path / f"weights.{suffix}", state)
        checkpoint = load_checkpoint(path)
        with path.open("r+b") as file:
            file.truncate(100)
        assert_is(checkpoint, state)


# VmHWM, not ru_maxrss: the latter is inherited from whoever started the process.
PEAK = """
import sys
from pathlib import Path
from cathrt.export.models.keyframe.checkpoint import load_checkpoint

def peak_kib():
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1])

before = peak_kib()
state = load_checkpoint(Path(sys.argv[1])).state
print((peak_kib() - before) * 1024 / sum(value.nbytes for value in state.values()))
"""


@pytest.mark.parametrize(
    ("arch", "suffix", "dtype"),
    [
        ("convnext_nano", "safetensors", torch.float16),
        pytest.param("convnext_base", "safetensors", torch.float32, marks=pytest.mark.slow),
        pytest.param("convnext_base", "safetensors", torch.bfloat16, marks=pytest.mark.slow),
        pytest.param("convnext_base", "pth", torch.float32, marks=pytest.mark.slow),
    ],
)
def test_loading_takes_less_than_twice_the_weights(arch: str, suffix: str, dtype: torch.dtype, tmp_path: Path) -> None:
    with torch.device("meta"):
        shapes = ConvNext(ARCHS[arch], classes=6).state_dict()
    path = stored(tmp_path / f"w.{suffix}", {k: torch.rand(v.shape, dtype=dtype) for k, v in shapes.items()})
    child = subprocess.run([sys.executable, "-c", PEAK, str(path)], capture_output=True, text=True, check=True)
    assert 0.9 < float(child.stdout) < 2.0


def test_random_weights_are_the_same_for_the_same_seed_and_leave_the_generator_alone() -> None:
    torch.manual_seed(11)
    expected = torch.rand(3)
    torch.manual_seed(11)
    first, again, other = (random_checkpoint(ATTO, 6, seed) for seed in (1, 1, 2))
    assert torch.equal(torch.rand(3), expected)
    assert_is(again, first.state)
    assert (first.sha256, first.layout, first.arch, first.classes) == (again.sha256, "random", ATTO, 6)
    assert first.sha256 != other.sha256
    with pytest.raises(ValueError, match="expected one of"):
        random_checkpoint("resnet50", 6, 1)
    with pytest.raises(ValueError, match="at least 1"):
        random_checkpoint(ATTO, 0, 1)


def test_random_weights_keep_activations_sane_and_use_every_block() -> None:
    checkpoint = random_checkpoint(ATTO, 6, 0)
    model = ConvNext(ARCHS[ATTO], classes=6).eval()
    model.load_state_dict(dict(checkpoint.state))
    torch.manual_seed(0)
    spreads, shares = [], []
    with torch.no_grad():
        image = torch.randn(2, 3, 64, 64)
        x = model.stem(image)
        for stage in model.stages:
            x = stage.downsample(x)
            for block in stage.blocks:
                y = block(x)
                spreads.append(float(y.std()))
                shares.append(float((y - x).std() / x.std()))
                x = y
        logits = model(image)
    assert 0.01 < min(spreads) <= max(spreads) < 10.0
    assert min(shares) > 1e-3
    assert bool(torch.isfinite(logits).all())
    assert not torch.equal(logits[0], logits[1])
