"""Bundles that were broken, forged or made by someone careless: each is refused, by name, and nothing of it runs.

Three tables: faults in the folder of a good bundle, faults in a manifest that a trusted key has signed nevertheless,
and faults in a model that a trusted key has signed. Every row says what the refusal must say.
"""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import re
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from onnx import TensorProto

from cathrt.export.bundle.sign import public_key, signature_line, write_bundle
from cathrt.runtime.errors import ManifestError
from cathrt.runtime.models import open_bundle
from tests.golden import INPUT, LABELS, OUTPUT, conv_model, golden_manifest

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
STRANGER = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
TRUSTED = [public_key(KEY)]
MODEL = conv_model().SerializeToString()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A good bundle with a file in a subfolder; tests break it."""
    payload = {"model.onnx": MODEL, "tokenizer/vocab.json": b"{}"}
    return write_bundle(tmp_path / "bundle", golden_manifest(), payload, KEY)


def refused(folder: Path, message: str) -> None:
    started = time.process_time()
    with pytest.raises(ManifestError) as caught:
        open_bundle(folder, TRUSTED)
    assert re.search(message, str(caught.value)), str(caught.value)
    assert str(caught.value).startswith(f"bundle {folder} refused: ")
    assert time.process_time() - started < 5.0


def resign(folder: Path, document: bytes, key: Ed25519PrivateKey = KEY) -> None:
    (folder / "manifest.json").write_bytes(document)
    (folder / "manifest.sig").write_bytes(signature_line(document, key))


def test_the_bundle_that_the_faults_start_from_is_good(folder: Path) -> None:
    assert open_bundle(folder, TRUSTED).read("model.onnx") == MODEL


# 1. The folder: the manifest is as it was signed, what lies beside it is not, or the signature is not.


def replace_by_link(folder: Path, name: str) -> None:
    moved = folder.parent / "moved"
    (folder / name).rename(moved)
    (folder / name).symlink_to(moved)


def swap_labels(folder: Path) -> None:
    document = (folder / "manifest.json").read_text()
    assert "lca_better" in document
    swapped = document.replace('"laterality": "left"', '"laterality": "?"').replace('"right"', '"left"')
    (folder / "manifest.json").write_text(swapped.replace('"?"', '"right"'))


def take_signature_of_another(folder: Path) -> None:
    other = write_bundle(folder.parent / "other", golden_manifest(), {"model.onnx": MODEL}, KEY)
    shutil.copy(other / "manifest.sig", folder / "manifest.sig")


def claim_a_trusted_key(folder: Path) -> None:
    document = (folder / "manifest.json").read_bytes()
    line = f"ed25519 {public_key(KEY)} {STRANGER.sign(document).hex()}\n"
    (folder / "manifest.sig").write_text(line)


def flip_one_bit(folder: Path) -> None:
    data = bytearray((folder / "model.onnx").read_bytes())
    data[len(data) // 2] ^= 1
    (folder / "model.onnx").write_bytes(data)


def remove(folder: Path, name: str) -> None:
    (folder / name).unlink()


def write(folder: Path, name: str, data: bytes) -> None:
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_bytes(data)


def fill_fifo(folder: Path, name: str) -> None:
    (folder / name).unlink()
    os.mkfifo(folder / name)


def fill_folder(folder: Path, name: str) -> None:
    (folder / name).unlink()
    (folder / name).mkdir()


def link_subfolder(folder: Path) -> None:
    (folder / "tokenizer").rename(folder.parent / "moved")
    (folder / "tokenizer").symlink_to(folder.parent / "moved")


FOLDER_FAULTS: dict[str, tuple[Callable[[Path], Any], str]] = {
    "model file with one bit flipped": (flip_one_bit, r"model\.onnx: sha256 is [0-9a-f]{64}, the manifest says"),
    "model file cut short": (lambda f: write(f, "model.onnx", MODEL[:-1]), r"model\.onnx: sha256 is"),
    "model file emptied": (lambda f: write(f, "model.onnx", b""), r"model\.onnx: sha256 is"),
    "model file swapped for a pickle": (lambda f: write(f, "model.onnx", pickle.dumps([1])), "sha256 is"),
    "model file missing": (lambda f: remove(f, "model.onnx"), r"model\.onnx: is missing"),
    "file in a subfolder missing": (lambda f: remove(f, "tokenizer/vocab.json"), r"tokenizer/vocab\.json: is missing"),
    "subfolder missing": (lambda f: shutil.rmtree(f / "tokenizer"), r"tokenizer/vocab\.json: is missing"),
    "model file a symbolic link": (lambda f: replace_by_link(f, "model.onnx"), r"model\.onnx: is a symbolic link"),
    "manifest a symbolic link": (lambda f: replace_by_link(f, "manifest.json"), r"manifest\.json: is a symbolic link"),
    "signature a symbolic link": (lambda f: replace_by_link(f, "manifest.sig"), r"manifest\.sig: is a symbolic link"),
    "subfolder a symbolic link": (link_subfolder, "tokenizer.*symbolic link"),
    "dangling link": (lambda f: (f / "more").symlink_to("/nowhere"), "'more': is not in the manifest"),
    "model file a hard link": (lambda f: os.link(f / "model.onnx", f.parent / "alias"), "has 2 hard links"),
    "model file a pipe": (lambda f: fill_fifo(f, "model.onnx"), r"model\.onnx: is no regular file"),
    "model file a folder": (lambda f: fill_folder(f, "model.onnx"), r"model\.onnx: is no regular file"),
    "manifest a pipe": (lambda f: fill_fifo(f, "manifest.json"), r"manifest\.json: is no regular file"),
    "unlisted file": (lambda f: write(f, "weights.bin", b"x"), r"'weights\.bin': is not in the manifest"),
    "unlisted hidden file": (lambda f: write(f, ".env", b"x"), r"'\.env': is not in the manifest"),
    "unlisted file in a subfolder": (lambda f: write(f, "tokenizer/x", b""), "'tokenizer/x': is not in the manifest"),
    "unlisted empty folder": (lambda f: (f / "empty").mkdir(), "'empty': is not in the manifest"),
    "unlisted copy under another case": (lambda f: write(f, "Model.onnx", MODEL), r"'Model\.onnx': is not in"),
    "manifest missing": (lambda f: remove(f, "manifest.json"), r"manifest\.json: is missing"),
    "signature missing": (lambda f: remove(f, "manifest.sig"), r"manifest\.sig: is missing"),
    "signature empty": (lambda f: write(f, "manifest.sig", b""), r"manifest\.sig: found b''"),
    "signature in binary": (lambda f: write(f, "manifest.sig", bytes(64)), r"manifest\.sig: found"),
    "signature with a second line": (
        lambda f: write(f, "manifest.sig", 2 * (f / "manifest.sig").read_bytes()),
        r"manifest\.sig: (found|larger)",
    ),
    "signature huge": (lambda f: write(f, "manifest.sig", b"0" * 10_000_000), r"manifest\.sig: larger than the 256"),
    "signature of another manifest": (take_signature_of_another, "does not fit manifest"),
    "signature by a stranger": (
        lambda f: resign(f, (f / "manifest.json").read_bytes(), STRANGER),
        f"signed by {public_key(STRANGER)}, which is none of the 1 trusted keys",
    ),
    "signature by a stranger under a trusted name": (claim_a_trusted_key, "does not fit manifest"),
    "labels swapped after signing": (swap_labels, "does not fit manifest"),
    "one blank added to the manifest": (
        lambda f: write(f, "manifest.json", (f / "manifest.json").read_bytes() + b" "),
        "does not fit manifest",
    ),
    "manifest huge": (
        lambda f: resign(f, b'{"schema_version": 2, "x": "' + b"x" * (1 << 20) + b'"}'),
        r"manifest\.json: larger than the 1048576 bytes",
    ),
}


@pytest.mark.parametrize("fault", FOLDER_FAULTS)
def test_a_folder_that_is_not_what_was_signed_is_refused(folder: Path, fault: str) -> None:
    damage, message = FOLDER_FAULTS[fault]
    damage(folder)
    refused(folder, message)


def test_a_folder_reached_over_a_link_is_refused(folder: Path) -> None:
    link = folder.parent / "link"
    link.symlink_to(folder)
    refused(link, "is a symbolic link: name the folder that it points to")


def test_a_folder_that_is_none_is_refused(tmp_path: Path) -> None:
    refused(tmp_path / "none", "none: is missing, expected a bundle")
    (tmp_path / "file").write_bytes(b"")
    refused(tmp_path / "file", "file: is not a folder")


def test_no_trusted_key_opens_nothing(folder: Path) -> None:
    with pytest.raises(ManifestError, match="none of the 0 trusted keys"):
        open_bundle(folder, [])


def test_a_manifest_is_not_parsed_before_its_signature_holds(folder: Path) -> None:
    (folder / "manifest.json").write_bytes(b"[" * 100_000)
    refused(folder, "does not fit manifest")


# 2. The manifest: a trusted key has signed something that does not fit. `fields`: the manifest, changed in place.


def set_at(*path: str | int, to: Any) -> Callable[[dict[str, Any]], None]:
    def change(fields: dict[str, Any]) -> None:
        place: Any = fields
        for part in path[:-1]:
            place = place[part]
        place[path[-1]] = to

    return change


def drop(*path: str | int) -> Callable[[dict[str, Any]], None]:
    def change(fields: dict[str, Any]) -> None:
        place: Any = fields
        for part in path[:-1]:
            place = place[part]
        del place[path[-1]]

    return change


def rename_file(name: str) -> Callable[[dict[str, Any]], None]:
    return lambda fields: fields["files"].update({name: hashlib.sha256(b"").hexdigest()})


def history(channels: Sequence[str] = ("grey", "contrast", "change"), **seconds: float) -> dict[str, Any]:
    return {"channels": list(channels), "rise_s": 0.4, "fall_s": 3.0, "recent_s": 0.2, **seconds}


BAD_NAMES = {
    "parent": "../model.onnx",
    "parent inside": "tokenizer/../../model.onnx",
    "absolute": "/etc/passwd",
    "backslash": "tokenizer\\vocab.json",
    "drive letter": "C:model.onnx",
    "empty": "",
    "dot": ".",
    "hidden": ".ssh/id",
    "empty part": "tokenizer//vocab.json",
    "trailing slash": "tokenizer/",
    "zero byte": "model.onnx\x00.txt",
    "newline": "model\n.onnx",
    "blank": "my model.onnx",
    "look-alike letter": "mоdel.onnx",  # a Cyrillic o
    "right-to-left mark": "model\u202exnno.onnx",
    "very long": "a" * 5000,
}
NETWORK = ("networks", "classifier")
MADE = (*NETWORK, "preprocessing", 0)
MANIFEST_FAULTS: dict[str, tuple[Callable[[dict[str, Any]], None], str]] = {
    **{
        f"file name: {kind}": (rename_file(name), "file name .*: expected a relative")
        for kind, name in BAD_NAMES.items()
    },
    "schema version of yesterday": (
        set_at("schema_version", to=1),
        "schema_version is 1, .* made by an earlier version",
    ),
    "schema version of tomorrow": (
        set_at("schema_version", to=3),
        "schema_version is 3, this version of cathrt reads 2",
    ),
    "schema version true": (set_at("schema_version", to=True), "schema_version is True"),
    "schema version 1.0": (set_at("schema_version", to=2.0), r"schema_version is 2\.0"),
    "schema version a text": (set_at("schema_version", to="2"), "schema_version is '2'"),
    "schema version missing": (drop("schema_version"), "schema_version is None"),
    "unknown key": (set_at("licence", to="free"), "licence: unknown key"),
    "unknown key deep down": (set_at("model", "labels", 0, "note", to=1), r"labels\.0\.note: unknown key"),
    "key missing": (drop(*MADE, "mean"), r"preprocessing\.0\.mean: missing"),
    "number as a text": (set_at(*MADE, "height", to="32"), r"preprocessing\.0\.height: found '32', expected"),
    "height zero": (set_at(*MADE, "height", to=0), r"preprocessing\.0\.height: found 0, expected"),
    "standard deviation zero": (set_at(*MADE, "std", 1, to=0.0), r"preprocessing\.0\.std\.1"),
    "four means": (set_at(*MADE, "mean", to=[0.1, 0.2, 0.3, 0.4]), r"preprocessing\.0\.mean"),
    "threshold above one": (set_at("model", "key_frame_threshold", to=1.5), r"key_frame_threshold"),
    "unknown network": (
        lambda fields: fields["networks"].update(more=fields["networks"]["classifier"]),
        r"networks: found \['classifier', 'more'\], a keyframe bundle has \['classifier'\]",
    ),
    "no network": (set_at("networks", to={}), r"networks: found \[\]"),
    "bucket without a name to set": (set_at(*NETWORK, "buckets", to=[{"N": 1}]), "sets .'N'., the shapes name nothing"),
    "name without a bucket": (set_at(*NETWORK, "inputs", 0, "shape", 0, to="N"), r"buckets: found none, .*\['N'\]"),
    "bucket of size zero": (set_at(*NETWORK, "buckets", to=[{"N": 0}]), r"buckets\.0\.N"),
    "bucket twice": (
        lambda fields: (
            set_at(*NETWORK, "inputs", 0, "shape", 0, to="N")(fields),
            set_at(*NETWORK, "buckets", to=[{"N": 1}, {"N": 1}])(fields),
        ),
        "one occurs twice",
    ),
    "input made twice": (
        lambda fields: fields["networks"]["classifier"]["preprocessing"].append(
            fields["networks"]["classifier"]["preprocessing"][0]
        ),
        "expected each input once",
    ),
    "unknown kind": (set_at("model", "kind", to="stenosis"), "kind: found 'stenosis', expected"),
    "unknown precision": (
        set_at(*NETWORK, "artifacts", "openvino", "precision", to="int2"),
        r"artifacts\.openvino\.precision",
    ),
    "unknown laterality": (set_at("model", "labels", 0, "laterality", to="both"), "laterality: found 'both'"),
    "unknown layout": (set_at(*MADE, "layout", to="CHW"), r"preprocessing\.0\.layout"),
    "percentiles swapped": (set_at(*MADE, "percentiles", to=[99.5, 0.5]), r"percentiles: found 99\.5, 0\.5"),
    "percentiles equal": (set_at(*MADE, "percentiles", to=[1.0, 1.0]), "expected the low one first"),
    "history of other channels": (
        set_at(*MADE, "history", to=history(["grey", "contrasts", "change"])),
        r"preprocessing\.0\.history\.channels\.1: found 'contrasts', expected",
    ),
    "history of two channels": (
        set_at(*MADE, "history", to=history(["grey", "change"])),
        r"preprocessing\.0\.history\.channels",
    ),
    "history that begins with contrast": (
        set_at(*MADE, "history", to=history(["contrast", "grey", "change"])),
        r"preprocessing\.0\.history\.channels: found contrast, grey, change, expected grey first, which is what people",
    ),
    "history without a difference": (
        set_at(*MADE, "history", to=history(["grey", "grey", "grey"])),
        r"preprocessing\.0\.history\.channels: found grey, grey, grey, expected contrast or change among them",
    ),
    **{
        f"history of {seconds} s in {name}": (
            set_at(*MADE, "history", to=history(**{name: seconds})),
            rf"preprocessing\.0\.history\.{name}: found {seconds}, expected",
        )
        for name in ("rise_s", "fall_s", "recent_s")
        for seconds in (0.0, -1.5)
    },
    "history without a time": (
        set_at(*MADE, "history", to={"channels": ["grey", "contrast", "change"], "rise_s": 0.4, "fall_s": 3.0}),
        r"preprocessing\.0\.history\.recent_s: missing",
    ),
    "history with an unknown key": (
        set_at(*MADE, "history", to={**history(), "past_s": 1.0}),
        r"preprocessing\.0\.history\.past_s: unknown key",
    ),
    "history in words": (set_at(*MADE, "history", to="contrast"), r"preprocessing\.0\.history"),
    "label twice": (
        set_at("model", "labels", 1, "name", to="lca_better"),
        "labels: found names .* expected each once",
    ),
    "label missing": (drop("model", "labels", 5), r"labels: found 5 .* expected logits \(1, 5\)"),
    "logits of another name": (set_at("model", "output", to="scores"), "expected scores"),
    "logits as integers": (set_at(*NETWORK, "outputs", 0, "dtype", to="int64"), "expected logits .* of floats"),
    "output twice": (
        set_at(*NETWORK, "outputs", to=2 * [{"name": OUTPUT, "shape": [1, LABELS], "dtype": "float32"}]),
        "outputs: found names .* each once",
    ),
    "no outputs": (set_at(*NETWORK, "outputs", to=[]), "outputs: found names"),
    "input of another name": (set_at(*MADE, "input", to="image"), "makes image .* inputs have no such input"),
    "input of another size": (set_at(*MADE, "width", to=224), r"makes frame \(1, 3, 32, 224\)"),
    "input of another layout": (set_at(*MADE, "layout", to="NHWC"), r"makes frame \(1, 32, 40, 3\)"),
    "input of another type": (
        set_at(*NETWORK, "inputs", 0, "dtype", to="uint8"),
        "makes frame .* inputs have frame .* uint8",
    ),
    "input nobody fills": (
        lambda fields: fields["networks"]["classifier"]["inputs"].append(
            {"name": "mask", "shape": [1], "dtype": "uint8"}
        ),
        "found inputs .*mask",
    ),
    "size negative": (set_at(*NETWORK, "inputs", 0, "shape", 0, to=-1), f"{INPUT}: found shape"),
    "shape without end": (set_at(*NETWORK, "inputs", 0, "shape", to=[]), f"{INPUT}: found shape"),
    "type that is code": (set_at(*NETWORK, "inputs", 0, "dtype", to="O"), "found dtype 'O'"),
    "type that is none": (set_at(*NETWORK, "inputs", 0, "dtype", to="float33"), "found dtype 'float33'"),
    "no artifacts": (set_at(*NETWORK, "artifacts", to={}), "artifacts: found none"),
    "float32 graph declared int8": (
        set_at(*NETWORK, "artifacts", "onnxruntime", "precision", to="int8"),
        r"artifacts\.onnxruntime: model\.onnx is declared int8, but its graph has no int8 operator",
    ),
    "artifact not listed": (
        set_at(*NETWORK, "artifacts", "openvino", "file", to="other.onnx"),
        r"'other\.onnx' is not among files",
    ),
    "artifact outside": (set_at(*NETWORK, "artifacts", "openvino", "file", to="../model.onnx"), "is not among files"),
    "IR without its weights": (
        lambda fields: (
            fields["files"].update({"net.xml": "0" * 64}),
            set_at(*NETWORK, "artifacts", "openvino", "file", to="net.xml")(fields),
        ),
        r"'net\.bin' is not among files",
    ),
    "manifest that lists itself": (
        set_at("files", "manifest.json", to="0" * 64),
        r"does not list its own manifest\.json",
    ),
    "signature listed": (set_at("files", "manifest.sig", to="0" * 64), r"does not list its own manifest\.sig"),
    "digest too short": (set_at("files", "model.onnx", to="0" * 63), r"files\.model\.onnx: found '0+', expected"),
    "digest in capitals": (set_at("files", "model.onnx", to="AB" * 32), r"files\.model\.onnx: found 'AB"),
    "digest of another file": (set_at("files", "model.onnx", to="0" * 64), "sha256 is .* the manifest says 0000"),
    "listed file that is not there": (set_at("files", "notes.txt", to="0" * 64), r"notes\.txt: is missing"),
    "file as a folder of another": (set_at("files", "model.onnx/x", to="0" * 64), r"model\.onnx"),
}


@pytest.mark.parametrize("fault", MANIFEST_FAULTS)
def test_a_signed_manifest_that_does_not_fit_is_refused(folder: Path, fault: str) -> None:
    change, message = MANIFEST_FAULTS[fault]
    fields = json.loads((folder / "manifest.json").read_bytes())
    change(fields)
    resign(folder, json.dumps(fields, sort_keys=True).encode())
    refused(folder, message)


JSON_FAULTS: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "no JSON": (lambda _: b"name: golden\n", "not valid JSON"),
    "empty": (lambda _: b"", "not valid JSON"),
    "a list": (lambda d: b"[" + d + b"]", "is a JSON list, expected an object"),
    "null": (lambda _: b"null", "is a JSON NoneType"),
    "two documents": (lambda d: d + d, "not valid JSON"),
    "cut short": (lambda d: d[: len(d) // 2], "not valid JSON"),
    "key twice": (lambda d: d.replace(b"{", b'{"schema_version": 1, ', 1), "a key occurs twice"),
    "label key twice": (lambda d: d.replace(b'"lca_bad"', b'"x", "name": "lca_bad"'), "a key occurs twice"),
    "NaN mean": (lambda d: d.replace(b"0.485", b"NaN"), "found NaN, which is no JSON number"),
    "infinite mean": (lambda d: d.replace(b"0.485", b"-Infinity"), "found -Infinity, which is no JSON number"),
    "mean beyond float64": (lambda d: d.replace(b"0.485", b"1e999"), r"preprocessing\.0\.mean\.0: found inf"),
    "not UTF-8": (lambda d: d.replace(b"golden", b"gold\xff"), "not valid JSON"),
    "UTF-16": (lambda d: d.decode().encode("utf-16"), "not valid JSON"),
    "byte order mark": (lambda d: b"\xef\xbb\xbf" + d, "not valid JSON"),
    "nested without end": (lambda _: b'{"evidence":' + b"[" * 200_000 + b"]" * 200_000 + b"}", "not valid JSON"),
    "number without end": (lambda d: d.replace(b'"height": 32', b'"height": ' + b"9" * 50_000), "not valid JSON"),
}


@pytest.mark.parametrize("fault", JSON_FAULTS)
def test_a_signed_manifest_that_is_not_plain_json_is_refused(folder: Path, fault: str) -> None:
    change, message = JSON_FAULTS[fault]
    document = (folder / "manifest.json").read_bytes()
    changed = change(document)
    assert changed != document
    resign(folder, changed)
    refused(folder, message)


# 3. The model: a trusted key has signed a model file that is none, or that reaches out of the bundle.


def external(location: str) -> bytes:
    tensor = TensorProto(name="head", data_type=TensorProto.FLOAT, dims=[8, LABELS])
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    return conv_model(head=tensor).SerializeToString()


def sparse_external(location: str) -> bytes:
    model = conv_model()
    values = model.graph.sparse_initializer.add().values
    values.name, values.data_type, values.data_location = "head", TensorProto.FLOAT, TensorProto.EXTERNAL
    values.external_data.add(key="location", value=location)
    return model.SerializeToString()


MODEL_FAULTS: dict[str, tuple[bytes, str]] = {
    "pickle named model.onnx": (pickle.dumps({"weights": [1.0]}), "not an ONNX model"),
    "torch-like zip": (b"PK\x03\x04" + bytes(100), "not an ONNX model"),
    "empty": (b"", "not an ONNX model"),
    "zeros": (bytes(1000), "not an ONNX model"),
    "text": (b"hello there", "not an ONNX model"),
    "cut in half": (MODEL[: len(MODEL) // 2], "not an ONNX model"),
    "bytes behind the end": (MODEL + b"\xff\xff", "not an ONNX model"),
    "external data beside it": (external("weights.bin"), "data in another file"),
    "external data in the parent": (external("../weights.bin"), "data in another file"),
    "external data absolute": (external("/etc/passwd"), "data in another file"),
    "external data in a listed file": (external("tokenizer/vocab.json"), "data in another file"),
    "external sparse data": (sparse_external("../weights.bin"), "data in another file"),
    "int8 graph declared float32": (conv_model(int8=True).SerializeToString(), "but its graph has QuantizeLinear"),
    "opset of tomorrow": (conv_model(opset=99).SerializeToString(), "ONNX opset 99, this runtime knows 9 to 25"),
    "opset of long ago": (conv_model(opset=1).SerializeToString(), "ONNX opset 1, this runtime knows"),
}


@pytest.mark.parametrize("fault", MODEL_FAULTS)
def test_a_signed_model_that_is_none_or_reaches_out_is_refused(folder: Path, fault: str) -> None:
    data, message = MODEL_FAULTS[fault]
    (folder / "model.onnx").write_bytes(data)
    fields = json.loads((folder / "manifest.json").read_bytes())
    fields["files"]["model.onnx"] = hashlib.sha256(data).hexdigest()
    resign(folder, json.dumps(fields, sort_keys=True).encode())
    refused(folder, f"model\\.onnx.*{message}")


def test_the_corpus_is_as_large_as_we_say() -> None:
    assert len(FOLDER_FAULTS) + len(MANIFEST_FAULTS) + len(JSON_FAULTS) + len(MODEL_FAULTS) >= 100
