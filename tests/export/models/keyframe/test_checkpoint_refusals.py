"""What is not the whole, finite weights of one ConvNeXt is refused with all that is wrong, and no code of it is run."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

import pytest
import torch

from cathrt.export.checkpoint.file import CheckpointError
from cathrt.export.models.keyframe.checkpoint import load_checkpoint
from tests.export.checkpoint_files import ATTO, made_up, published, stored


def refusal(path: Path, arch: str | None = None) -> str:
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(path, arch)
    return str(caught.value)


class Payload:
    """Unpickled, it makes a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.folder),)


@pytest.mark.parametrize("archive", [True, False])
def test_code_in_a_checkpoint_is_refused_with_the_way_out_and_not_run(archive: bool, tmp_path: Path) -> None:
    path = tmp_path / "evil.pth"
    torch.save({"state_dict": {}, "x": Payload(tmp_path / "made")}, path, _use_new_zipfile_serialization=archive)
    message = refusal(path)
    assert "safetensors" in message
    assert "nothing was read" in message
    assert not (tmp_path / "made").exists()
    torch.load(path, weights_only=False)  # the trap is a real one
    assert (tmp_path / "made").exists()


def test_what_asks_for_a_class_is_refused_by_the_name_of_the_class(tmp_path: Path) -> None:
    path = stored(tmp_path / "run.pth", {"model": made_up(), "args": argparse.Namespace(lr=0.1)})
    assert "argparse.Namespace" in refusal(path)


def test_all_differences_are_listed_in_the_file_s_own_names(tmp_path: Path) -> None:
    state = published(made_up(), "torchvision")
    del state["features.3.1.layer_scale"]
    state["features.0.0.weight"] = torch.zeros(40, 5, 4, 4)
    state["features.3.0.block.1.running_mean"] = torch.zeros(80)
    state["classifier.2.bias"] = torch.zeros(4)
    message = refusal(stored(tmp_path / "broken.safetensors", state))
    assert "not the weights of convnext_atto in the names of torchvision, 4 differences" in message
    assert "features.3.1.layer_scale: found nothing, expected (80, 1, 1)" in message
    assert "features.0.0.weight: found (40, 5, 4, 4), expected (40, 3, 4, 4)" in message
    assert "features.3.0.block.1.running_mean: found (80), expected nothing" in message
    assert "classifier.2.bias: found (4), expected (6)" in message


def test_twenty_differences_are_listed_and_the_rest_counted(tmp_path: Path) -> None:
    state = {name: value for name, value in made_up().items() if not name.startswith("stages.2.blocks")}
    message = refusal(stored(tmp_path / "broken.safetensors", state))
    assert "54 differences. Of its 128 tensors 74 match, 54 are missing, 0 have another shape; 0 are left" in message
    assert message.count("expected") == 20
    assert "and 34 more" in message


def test_weights_without_a_classifier_are_refused(tmp_path: Path) -> None:
    state = {name: value for name, value in made_up().items() if not name.startswith("head.fc")}
    assert "head.fc.weight: found nothing, expected (classes, 320)" in refusal(
        stored(tmp_path / "b.safetensors", state)
    )


def test_another_size_than_the_one_asked_for_is_refused_by_its_name(tmp_path: Path) -> None:
    path = stored(tmp_path / "atto.safetensors", made_up())
    assert load_checkpoint(path, ATTO).arch == ATTO
    assert "holds convnext_atto, expected convnext_base" in refusal(path, "convnext_base")
    with pytest.raises(ValueError, match="expected one of convnext_atto"):
        load_checkpoint(path, "resnet50")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_value_that_is_not_finite_is_refused_with_its_name(value: float, dtype: torch.dtype, tmp_path: Path) -> None:
    state = {name: weight.to(dtype) for name, weight in published(made_up(), "facebook").items()}
    state["stages.2.3.pwconv1.weight"][5, 7] = value
    message = refusal(stored(tmp_path / "w.safetensors", state))
    assert "stages.2.3.pwconv1.weight: 1 of 102400 values" in message


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"layer1.weight": torch.zeros(2)}, "1 tensors (layer1.weight"),
        (
            {"state_dict": made_up(), "state_dict_ema": made_up()},
            "several sets of weights (state_dict, state_dict_ema)",
        ),
        ({"epoch": 3}, "no tensors, only epoch"),
        ({"state_dict": {}}, "an empty mapping"),
        ([torch.zeros(2)], "found list"),
        ({**made_up(), "head.fc.bias": torch.zeros(6, dtype=torch.int64)}, "head.fc.bias: found torch.int64"),
    ],
)
def test_what_is_no_set_of_weights_is_refused_with_what_was_found(document: Any, expected: str, tmp_path: Path) -> None:
    assert expected in refusal(stored(tmp_path / "x.pth", document))


@pytest.mark.parametrize(
    ("name", "data", "expected"),
    [
        ("w.safetensors", b"version https://git-lfs", "not a safetensors file"),
        ("w.pth", b"<html>not found</html>", "not an archive"),
        ("w.ckpt", b"\x80\x02}q\x00.", "not an archive"),
        ("w.onnx", b"", "expected a name that ends in"),
        ("w.safetensors", None, "no such file"),
    ],
)
def test_other_files_are_refused_by_name(name: str, data: bytes | None, expected: str, tmp_path: Path) -> None:
    if data is not None:
        (tmp_path / name).write_bytes(data)
    message = refusal(tmp_path / name)
    assert message.startswith(f"{name}: ")
    assert expected in message


@pytest.mark.parametrize("suffix", ["safetensors", "pth"])
def test_a_file_that_was_cut_short_is_refused(suffix: str, tmp_path: Path) -> None:
    path = stored(tmp_path / f"w.{suffix}", made_up())
    for share in (0.1, 0.5, 0.99):
        cut = tmp_path / f"cut.{suffix}"
        cut.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
        assert "cut" in refusal(cut)
