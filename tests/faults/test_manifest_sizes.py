"""Tensors that no machine has, in a signed manifest or a network: an error by name, and nothing is allocated."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cathrt.export.bundle.sign import public_key, signature_line, write_bundle
from cathrt.runtime.bundle.opening import Bundle
from cathrt.runtime.engines.tensors import page_aligned
from cathrt.runtime.errors import EngineError, ManifestError
from cathrt.runtime.models import open_bundle
from cathrt.runtime.models.keyframe.section import CLASSIFIER
from cathrt.runtime.tensor import MAX_TENSOR_BYTES, TensorSpec
from tests.golden import INPUT, LABELS, OUTPUT, conv_model, golden_manifest

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    payload = {"model.onnx": conv_model().SerializeToString()}
    return write_bundle(tmp_path_factory.mktemp("sizes") / "bundle", golden_manifest(), payload, KEY)


def opened_with(bundle: Path, side: str, tensor: dict[str, Any], tmp_path: Path) -> Bundle:
    """The bundle with one more tensor, or more files, in its manifest, signed again by the same key."""
    folder = tmp_path / "bundle"
    folder.mkdir()
    (folder / "model.onnx").write_bytes((bundle / "model.onnx").read_bytes())
    fields = json.loads((bundle / "manifest.json").read_bytes())
    if side == "files":
        fields["files"].update(tensor)
    else:
        fields["networks"][CLASSIFIER][side].append(tensor)
    document = json.dumps(fields).encode()
    (folder / "manifest.json").write_bytes(document)
    (folder / "manifest.sig").write_bytes(signature_line(document, KEY))
    return open_bundle(folder, [public_key(KEY)])


TOO_LARGE = rf"inputs and outputs take \d+ bytes, expected at most {MAX_TENSOR_BYTES}"
NO_SHAPE = "expected 1 to 8 sizes of 1 and more"
SHAPES: dict[str, tuple[list[Any], str, str]] = {
    "2^40 elements": ([1, 2**40], "float32", TOO_LARGE),
    "2^40 elements of one byte": ([2**40], "int8", TOO_LARGE),
    "2^40 elements in small sizes": ([32] * 8, "bool", TOO_LARGE),
    "a product beyond 64 bits": ([2**31, 2**31, 2**31], "float32", TOO_LARGE),
    "a product that is 0 in 64 bits": ([2**32, 2**32], "float32", TOO_LARGE),
    "a size beyond 64 bits": ([2**70], "uint8", TOO_LARGE),
    "one byte too many with the others": ([MAX_TENSOR_BYTES - 3 * 32 * 40 * 4 - LABELS * 4 + 1], "uint8", TOO_LARGE),
    "size zero": ([1, 0], "float32", NO_SHAPE),
    "size negative": ([1, -1], "float32", NO_SHAPE),
    "two negative sizes": ([-(2**20), -(2**20)], "float32", NO_SHAPE),
    "zero hides a huge size": ([0, 2**62], "float32", NO_SHAPE),
    "no size": ([], "float32", NO_SHAPE),
    "nine sizes": ([1] * 9, "float32", NO_SHAPE),
    "a hundred thousand sizes": ([1] * 100_000, "float32", NO_SHAPE),
    "size true": ([True], "float32", "expected a valid (integer|string)"),
    "size 1.0": ([1.0], "float32", "expected a valid (integer|string)"),
    "size a text": (["1"], "float32", "buckets: found none, the shapes name .'1'."),
    "a shape inside the type": ([1], "(1099511627776,)f4", "found dtype '\\(1099511627776,\\)f4'"),
    "fields inside the type": ([1], "f4,f4", "found dtype 'f4,f4'"),
    "a type with a bracket": ([1], "m8[", "found dtype 'm8\\['"),
    "a type without end": ([1], "f" * 100_000, "found dtype 'f+"),
    "a type of 16 bytes": ([1], "float128", "found dtype 'float128'"),
}


@pytest.mark.parametrize("side", ["inputs", "outputs"])
@pytest.mark.parametrize("case", SHAPES)
def test_a_signed_tensor_that_no_engine_could_allocate_is_a_manifest_error(
    bundle: Path, tmp_path: Path, side: str, case: str
) -> None:
    shape, dtype, said = SHAPES[case]
    with pytest.raises(ManifestError, match=said) as caught:
        opened_with(bundle, side, {"name": "more", "shape": shape, "dtype": dtype}, tmp_path)
    assert len(str(caught.value)) < 2000


def test_thousands_of_faults_are_a_message_that_can_be_read(bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="; and 4981 more: export the bundle again") as caught:
        opened_with(bundle, "files", {f"f{number}": "0" for number in range(5000)}, tmp_path)
    assert len(str(caught.value)) < 3000


def test_a_tensor_that_just_fits_is_taken(bundle: Path, tmp_path: Path) -> None:
    taken = sum(spec.size_bytes for spec in (TensorSpec(INPUT, (1, 3, 32, 40), "float32"), _logits()))
    tensor = {"name": "more", "shape": [1] * 7 + [MAX_TENSOR_BYTES - taken], "dtype": "uint8"}
    assert (
        opened_with(bundle, "outputs", tensor, tmp_path).manifest.network(CLASSIFIER).output_specs()[1].size_bytes
        == MAX_TENSOR_BYTES - taken
    )


def test_a_network_that_declares_such_a_tensor_is_an_engine_error_before_anything_is_allocated() -> None:
    with pytest.raises(EngineError, match=r"tensor more of shape \(1, 1099511627776\) takes 4398046511104 bytes"):
        page_aligned(TensorSpec("more", (1, 2**40), "float32"))


def _logits() -> TensorSpec:
    return TensorSpec(OUTPUT, (1, LABELS), "float32")


def test_a_bundle_of_more_files_than_a_process_may_hold_open_is_refused(tmp_path: Path) -> None:
    payload = {"model.onnx": conv_model().SerializeToString()} | {f"f{number}": b"" for number in range(256)}
    with pytest.raises(ManifestError, match="files: found 257, expected at most 256, since each is kept open"):
        write_bundle(tmp_path / "bundle", golden_manifest(), payload, KEY)
