"""Bundles of several engines become one: files renamed, evidence by engine, and nothing joined that is not alike."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cathrt.export.bundle.join import join
from cathrt.export.bundle.sign import generate_key, public_key, write_bundle
from cathrt.runtime.bundle.manifest import Artifact
from cathrt.runtime.bundle.opening import Bundle
from cathrt.runtime.config import EngineConfig
from cathrt.runtime.engines import open_engine
from cathrt.runtime.errors import ConfigError, ManifestError
from cathrt.runtime.models import open_bundle
from cathrt.runtime.models.keyframe.section import CLASSIFIER
from tests.golden import INPUT, OUTPUT, conv_model, golden_frame, golden_manifest, with_external_data

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
FLOAT = conv_model().SerializeToString()
INT8 = conv_model(int8=True, weight_range=63).SerializeToString()
SEVEN_BITS = Artifact("model.onnx", "int8", weight_bits=7)
CHAIN = {"chain": {"weights": "ab" * 32}}


def written(folder: Path, payload: dict[str, bytes], artifacts: dict[str, Artifact], **changes: Any) -> Bundle:
    changes = {"provenance": CHAIN, **changes}
    manifest = replace(golden_manifest(**artifacts), **changes)
    return open_bundle(write_bundle(folder, manifest, payload, KEY), [public_key(KEY)])


@pytest.fixture
def base(tmp_path: Path) -> Bundle:
    model = Artifact("model.onnx", "float32")
    return written(
        tmp_path / "base",
        {"model.onnx": FLOAT, "NOTES.md": b"ours\n"},
        {"openvino": model, "onnxruntime": model},
        provenance={**CHAIN, "made_by": "training"},
        evidence={"temperature": 1.0},
    )


def int8_bundle(folder: Path, **changes: Any) -> Bundle:
    evidence = {"qualification": {"openvino": {"passed": True}}}
    changes = {"evidence": evidence, "provenance": {**CHAIN, "precision": "int8"}, **changes}
    return written(folder, {"model.onnx": INT8}, {"openvino": SEVEN_BITS}, **changes)


def test_an_engine_of_the_base_is_replaced_and_the_others_stay(base: Bundle, tmp_path: Path) -> None:
    path = join(base, [int8_bundle(tmp_path / "int8")], KEY, tmp_path / "joined")
    joined = open_bundle(path, [public_key(KEY)])
    assert joined.manifest.network(CLASSIFIER).artifacts == {
        "onnxruntime": Artifact("model.onnx", "float32"),
        "openvino": Artifact("openvino.model.onnx", "int8", weight_bits=7),
    }
    assert joined.read("model.onnx") == FLOAT
    assert joined.read("openvino.model.onnx") == INT8
    assert joined.read("NOTES.md") == b"ours\n"
    assert joined.manifest.name == base.manifest.name
    assert joined.manifest.provenance["made_by"] == "training"
    assert joined.manifest.provenance["engines"]["openvino"]["precision"] == "int8"
    assert joined.manifest.evidence == {"temperature": 1.0, "qualification": {"openvino": {"passed": True}}}
    for engine in ("openvino", "onnxruntime"):
        open_engine(engine, joined, CLASSIFIER, EngineConfig(threads=1)).close()


def test_the_files_that_a_graph_keeps_tensors_in_come_with_it_and_go_with_it(base: Bundle, tmp_path: Path) -> None:
    moved, data = with_external_data(
        conv_model(int8=True, weight_range=63), "data/weights.bin", ("kernel_int8", "head")
    )
    payload = {"model.onnx": moved.SerializeToString(), "data/weights.bin": data}
    other = written(tmp_path / "other", payload, {"openvino": SEVEN_BITS})
    joined = open_bundle(join(base, [other], KEY, tmp_path / "joined"), [public_key(KEY)])
    theirs = {"openvino/model.onnx", "openvino/data/weights.bin"}
    assert set(joined.manifest.files) == {"model.onnx", "NOTES.md", *theirs}
    assert joined.read("openvino/data/weights.bin") == data
    frame = golden_frame()
    ours, whole = (
        open_engine("openvino", bundle, CLASSIFIER, EngineConfig(threads=1)).infer({INPUT: frame})[OUTPUT]
        for bundle in (joined, int8_bundle(tmp_path / "int8"))
    )
    assert ours.tobytes() == whole.tobytes()
    again = open_bundle(join(joined, [int8_bundle(tmp_path / "more")], KEY, tmp_path / "again"), [public_key(KEY)])
    assert not theirs & set(again.manifest.files), "what only the replaced graph needed is gone"


def test_what_only_a_replaced_engine_needed_is_left_out(tmp_path: Path) -> None:
    base = written(tmp_path / "base", {"model.onnx": FLOAT}, {"openvino": Artifact("model.onnx", "float32")})
    joined = open_bundle(join(base, [int8_bundle(tmp_path / "int8")], KEY, tmp_path / "out"), [public_key(KEY)])
    assert set(joined.manifest.files) == {"openvino.model.onnx"}


@pytest.mark.parametrize("weights", [{}, {"chain": {"weights": "cd" * 32}}])
def test_other_weights_are_refused(base: Bundle, tmp_path: Path, weights: dict[str, Any]) -> None:
    other = int8_bundle(tmp_path / "int8", provenance=weights)
    with pytest.raises(ManifestError, match="expected the same in both"):
        join(base, [other], KEY, tmp_path / "joined")
    assert not (tmp_path / "joined").exists()


def test_another_set_of_weights_of_the_same_file_is_refused(base: Bundle, tmp_path: Path) -> None:
    read = {"weights_read": {"set": "state_dict_ema"}}
    other = int8_bundle(tmp_path / "int8", provenance={**CHAIN, **read})
    with pytest.raises(ManifestError, match=r"set of weights state_dict_ema, .* of None in the same file"):
        join(base, [other], KEY, tmp_path / "joined")
    same = written(tmp_path / "same", {"model.onnx": FLOAT}, {"onnxruntime": Artifact("model.onnx", "float32")})
    same = replace(same, manifest=replace(same.manifest, provenance={**CHAIN, **read}))
    joined = open_bundle(join(same, [other], KEY, tmp_path / "joined"), [public_key(KEY)])
    assert joined.manifest.provenance["weights_read"] == {"set": "state_dict_ema"}


def test_another_meaning_is_refused(base: Bundle, tmp_path: Path) -> None:
    keyframe = replace(base.manifest.model, key_frame_threshold=0.9)
    with pytest.raises(ManifestError, match="its model differ"):
        join(base, [int8_bundle(tmp_path / "int8", model=keyframe)], KEY, tmp_path / "joined")


def test_figures_on_real_angiograms_are_taken_if_they_are_of_this_model(base: Bundle, tmp_path: Path) -> None:
    other = int8_bundle(tmp_path / "int8")
    figures = {"engine": "openvino", "looks": 2, "model_sha256": other.manifest.files["model.onnx"]}
    joined = open_bundle(join(base, [other], KEY, tmp_path / "joined", figures), [public_key(KEY)])
    assert joined.manifest.evidence["real"] == figures
    again = open_bundle(join(joined, [], KEY, tmp_path / "again", figures | {"looks": 3}), [public_key(KEY)])
    assert again.manifest.files == joined.manifest.files
    assert again.manifest.provenance == joined.manifest.provenance
    assert again.manifest.evidence["real"]["looks"] == 3
    with pytest.raises(ConfigError, match="evaluate this bundle"):
        join(base, [other], KEY, tmp_path / "wrong", figures | {"engine": "onnxruntime"})


def test_one_engine_twice_is_refused(base: Bundle, tmp_path: Path) -> None:
    others = [int8_bundle(tmp_path / "one"), int8_bundle(tmp_path / "two")]
    with pytest.raises(ManifestError, match="openvino: in more than one"):
        join(base, others, KEY, tmp_path / "joined")


def test_the_command_joins_what_the_configuration_trusts(base: Bundle, tmp_path: Path) -> None:
    other = int8_bundle(tmp_path / "int8")
    key, config = tmp_path / "test.key", tmp_path / "cathrt.toml"
    generate_key(key)
    config.write_text(f'[trust]\nkeys = ["{public_key(KEY)}"]\n', encoding="utf-8")
    command = [sys.executable, "-m", "cathrt.export.commands.cli", "join", base.path, other.path, "--sign", key]

    def run(*more: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*command, *more], capture_output=True, text=True, timeout=120, check=False)

    untrusted = run("--out", tmp_path / "joined")
    assert (untrusted.returncode, (tmp_path / "joined").exists()) == (ManifestError.exit_code, False)
    joined = run("--out", tmp_path / "joined", "--config", config)
    assert (joined.returncode, joined.stdout) == (0, f"{tmp_path / 'joined'}\n"), joined.stderr
    again = run("--out", tmp_path / "joined", "--config", config)
    assert again.returncode == ManifestError.exit_code
    assert "exists already" in again.stderr
