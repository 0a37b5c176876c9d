"""Bundles as export writes them and the runtime opens them: what fits is opened, and comes out as it went in."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from cathrt.export.bundle.sign import canonical_json, generate_key, load_key, public_key, write_bundle
from cathrt.runtime.bundle import shipped
from cathrt.runtime.bundle.check import manifest_from_json
from cathrt.runtime.bundle.manifest import Artifact, DeclaredTensor, History, Manifest, Network, Preprocessing
from cathrt.runtime.errors import ConfigError, ManifestError
from cathrt.runtime.models import MODELS, open_bundle
from cathrt.runtime.models.keyframe.section import CLASSIFIER, KeyframeLabel, KeyframeSection
from tests.golden import conv_model, golden_manifest

ROOT = Path(__file__).resolve().parent.parent.parent
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
MODEL = conv_model().SerializeToString()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_bundle(tmp_path / "bundle", golden_manifest(), {"model.onnx": MODEL, "licence.txt": b"free"}, KEY)


def test_a_written_bundle_opens_and_says_what_was_written(folder: Path) -> None:
    bundle = open_bundle(folder, [public_key(KEY)])
    digests = {"model.onnx": hashlib.sha256(MODEL).hexdigest(), "licence.txt": hashlib.sha256(b"free").hexdigest()}
    assert bundle.manifest == dataclasses.replace(golden_manifest(), files=digests)
    assert bundle.signed_by == public_key(KEY)
    assert bundle.manifest_sha256 == hashlib.sha256((folder / "manifest.json").read_bytes()).hexdigest()
    assert bundle.path == folder


def test_the_same_input_gives_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    copied = tmp_path / "model-file"
    copied.write_bytes(MODEL)
    again = write_bundle(tmp_path / "again", golden_manifest(), {"licence.txt": b"free", "model.onnx": copied}, KEY)
    assert {file.name: file.read_bytes() for file in again.iterdir()} == {
        file.name: file.read_bytes() for file in folder.iterdir()
    }


def test_the_manifest_is_canonical_json_and_survives_the_round_trip(folder: Path) -> None:
    document = (folder / "manifest.json").read_bytes()
    assert canonical_json(manifest_from_json(document, MODELS)) == document
    assert document.endswith(b"}\n")
    assert list(json.loads(document)) == sorted(json.loads(document))


def test_a_network_may_read_float16(folder: Path) -> None:
    fields = json.loads((folder / "manifest.json").read_bytes())
    fields["networks"][CLASSIFIER]["inputs"][0]["dtype"] = "float16"
    network = manifest_from_json(json.dumps(fields).encode(), MODELS).network(CLASSIFIER)
    assert network.inputs[0].dtype == "float16"


@pytest.mark.parametrize("channels", [("grey", "contrast", "change"), ("grey", "grey", "change")], ids=" ".join)
def test_what_the_channels_show_of_a_run_is_read_back(tmp_path: Path, channels: tuple[Any, Any, Any]) -> None:
    history = History(channels, rise_s=0.4, fall_s=3.0, recent_s=1 / 3)
    network = golden_manifest().network(CLASSIFIER)
    network = dataclasses.replace(
        network, preprocessing=(dataclasses.replace(network.preprocessing[0], history=history),)
    )
    manifest = dataclasses.replace(golden_manifest(), networks={CLASSIFIER: network})
    bundle = open_bundle(write_bundle(tmp_path / "bundle", manifest, {"model.onnx": MODEL}, KEY), [public_key(KEY)])
    assert bundle.manifest.network(CLASSIFIER).preprocessing[0].history == history


def test_a_manifest_from_before_there_was_a_history_is_read(folder: Path) -> None:
    fields = json.loads((folder / "manifest.json").read_bytes())
    assert fields["networks"][CLASSIFIER]["preprocessing"][0].pop("history", "missing") is None
    (preprocessing,) = manifest_from_json(json.dumps(fields).encode(), MODELS).network(CLASSIFIER).preprocessing
    assert preprocessing == golden_manifest().network(CLASSIFIER).preprocessing[0]
    assert preprocessing.history is None


def test_files_in_folders_of_the_bundle_are_read(tmp_path: Path) -> None:
    payload = {"weights/fp32/model.onnx": MODEL, "tokenizer/vocab.json": b"{}"}
    manifest = golden_manifest(openvino=Artifact("weights/fp32/model.onnx", "float32"))
    bundle = open_bundle(write_bundle(tmp_path / "bundle", manifest, payload, KEY), [public_key(KEY)])
    assert {name: bundle.read(name) for name in payload} == payload


def test_any_one_of_several_trusted_keys_may_have_signed(folder: Path) -> None:
    other = public_key(Ed25519PrivateKey.generate())
    assert open_bundle(folder, (other, public_key(KEY))).signed_by == public_key(KEY)


def test_a_read_only_bundle_opens(folder: Path) -> None:
    for file in folder.iterdir():
        file.chmod(0o444)
    folder.chmod(0o555)
    assert open_bundle(folder, [public_key(KEY)]).read("licence.txt") == b"free"


def test_opening_writes_nothing(folder: Path) -> None:
    before = {file.name: (file.stat().st_mtime_ns, file.stat().st_size) for file in folder.iterdir()}
    open_bundle(folder, [public_key(KEY)]).read("model.onnx")
    assert {file.name: (file.stat().st_mtime_ns, file.stat().st_size) for file in folder.iterdir()} == before


def test_a_file_changed_after_opening_is_not_handed_out(folder: Path) -> None:
    bundle = open_bundle(folder, [public_key(KEY)])
    (folder / "model.onnx").write_bytes(conv_model(opset=13).SerializeToString())
    with pytest.raises(ManifestError, match="changed after"):
        bundle.read("model.onnx")


def test_a_file_replaced_by_a_link_after_opening_is_not_handed_out(folder: Path) -> None:
    bundle = open_bundle(folder, [public_key(KEY)])
    (folder / "model.onnx").rename(folder.parent / "elsewhere")
    (folder / "model.onnx").symlink_to(folder.parent / "elsewhere")
    with pytest.raises(ManifestError, match="changed after"):
        bundle.read("model.onnx")


def test_a_file_that_the_manifest_does_not_list_is_not_handed_out(folder: Path) -> None:
    with pytest.raises(ManifestError, match="lists only"):
        open_bundle(folder, [public_key(KEY)]).read("manifest.json")


def test_a_bundle_is_never_written_over(folder: Path) -> None:
    before = (folder / "manifest.json").read_bytes()
    with pytest.raises(ManifestError, match="exists already"):
        write_bundle(folder, golden_manifest(), {"model.onnx": MODEL}, KEY)
    assert (folder / "manifest.json").read_bytes() == before


def test_a_bundle_that_the_runtime_would_refuse_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="not an ONNX model"):
        write_bundle(tmp_path / "bundle", golden_manifest(), {"model.onnx": b"no model"}, KEY)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["../model.onnx", "/tmp/model.onnx", ".hidden", "a//b", ""])
def test_a_payload_name_that_leaves_the_folder_is_not_written(tmp_path: Path, name: str) -> None:
    with pytest.raises(ManifestError, match="file name"):
        write_bundle(tmp_path / "bundle", golden_manifest(), {"model.onnx": MODEL, name: b""}, KEY)
    assert list(tmp_path.iterdir()) == []


def test_a_manifest_that_lists_files_already_is_not_signed(tmp_path: Path) -> None:
    manifest = dataclasses.replace(golden_manifest(), files={"model.onnx": "0" * 64})
    with pytest.raises(ManifestError, match="write_bundle fills it"):
        write_bundle(tmp_path / "bundle", manifest, {"model.onnx": MODEL}, KEY)


@pytest.mark.parametrize(
    ("engine", "precision"), [("openvino", "float32"), ("openvino", "bfloat16"), ("onnxruntime", "int8")]
)
def test_a_bfloat16_rest_of_anything_but_int8_in_openvino_is_refused(engine: str, precision: Any) -> None:
    manifest = dataclasses.replace(
        golden_manifest(**{engine: Artifact("model.onnx", precision, rest="bfloat16")}), files={"model.onnx": "0" * 64}
    )
    with pytest.raises(
        ManifestError, match=f"a bfloat16 rest in {precision}, expected that of int8 or int4 in openvino alone"
    ):
        manifest_from_json(canonical_json(manifest), MODELS)


def test_a_number_that_is_no_json_cannot_be_signed() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_json(dataclasses.replace(golden_manifest(), evidence={"accuracy": float("nan")}))


def test_a_generated_key_is_private_and_signs(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    public = generate_key(path)
    assert path.stat().st_mode & 0o777 == 0o600
    folder = write_bundle(tmp_path / "bundle", golden_manifest(), {"model.onnx": MODEL}, load_key(path))
    assert open_bundle(folder, [public]).signed_by == public


def test_a_key_is_never_written_over(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    public = generate_key(path)
    with pytest.raises(ConfigError, match="no key written"):
        generate_key(path)
    assert public_key(load_key(path)) == public


def test_a_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    generate_key(path)
    path.chmod(0o640)
    with pytest.raises(ConfigError, match="mode is 0640"):
        load_key(path)


def test_what_is_no_ed25519_key_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    curve = ec.generate_private_key(ec.SECP256R1())
    for pem, message in (
        (b"not a key", "not an unencrypted PEM"),
        (curve.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), "expected an ed25519 key"),
    ):
        path.write_bytes(pem)
        path.chmod(0o600)
        with pytest.raises(ConfigError, match=message):
            load_key(path)
    with pytest.raises(ConfigError, match="cannot be read"):
        load_key(tmp_path / "none.pem")


@pytest.mark.parametrize("key", ["", "00" * 31, "AB" * 32, "zz" * 32, "00" * 32 + "\n"])
def test_a_trusted_key_that_is_none_is_a_configuration_error(folder: Path, key: str) -> None:
    with pytest.raises(ConfigError, match=r"trust\.keys"):
        open_bundle(folder, [public_key(KEY), key])


def test_a_bundle_installed_with_the_package_may_be_hard_linked(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.link(folder / "model.onnx", tmp_path / "installers-cache")
    with pytest.raises(ManifestError, match="2 hard links"):
        open_bundle(folder, [public_key(KEY)])
    monkeypatch.setattr(shipped, "FOLDER", folder.parent)
    assert open_bundle(folder, [public_key(KEY)]).read("model.onnx") == MODEL


def test_an_install_without_its_demonstration_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shipped, "FOLDER", tmp_path)
    with pytest.raises(ManifestError, match="install cathrt again"):
        shipped.demonstration_bundle()
    with pytest.raises(ManifestError, match="install cathrt again"):
        shipped.demonstration_drafts_bundle()
    with pytest.raises(ManifestError, match="install cathrt again"):
        shipped.demonstration_studies_bundle()
    for name in ("demonstration", "demonstration_drafts", "demonstration_studies"):
        with pytest.raises(ManifestError, match=rf"{name}\.pub.*install cathrt again"):
            shipped.shipped_keys()
        (tmp_path / name).mkdir()
        (tmp_path / f"{name}.pub").write_text(public_key(KEY) + "\n")
    assert shipped.demonstration_bundle() == tmp_path / "demonstration"
    assert shipped.demonstration_drafts_bundle() == tmp_path / "demonstration_drafts"
    assert shipped.demonstration_studies_bundle() == tmp_path / "demonstration_studies"
    assert shipped.shipped_keys() == (public_key(KEY),) * 3


@pytest.mark.parametrize(
    "schema", [Manifest, Network, Artifact, DeclaredTensor, Preprocessing, History, KeyframeSection, KeyframeLabel]
)
def test_every_key_of_the_manifest_stands_in_the_docs(schema: type) -> None:
    text = (ROOT / "docs" / "bundle.md").read_text()
    for field in dataclasses.fields(schema):
        if field.name.endswith("_threshold"):
            assert "the three thresholds" in text
        else:
            assert f"`{field.name}`" in text
