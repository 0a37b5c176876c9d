"""Artifacts larger than memory should hold: opened, hashed, checked and run with little memory of our own."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from onnx import TensorProto, helper

from cathrt.export.bundle.sign import Content, canonical_json, public_key, signature_line, write_bundle
from cathrt.runtime.bundle.verified_file import CHUNK
from cathrt.runtime.errors import ManifestError
from cathrt.runtime.models import open_bundle
from tests.golden import HEAD, OUTPUT, conv_model, conv_reference, golden_frame, golden_manifest, refer

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
MIB, GIB = 1 << 20, 1 << 30
OURS_MIB = 200  # of memory, whatever the size of the artifact
ROW_BYTES = 64 * 1024
ROW = 5  # of the table, the one that is not zero

# Prints, in MiB, the largest resident size so far, and what of the resident memory no file stands behind.
_CHILD = """
import json, sys
from pathlib import Path
from cathrt.runtime.config import EngineConfig
from cathrt.runtime.engines import open_engine
from cathrt.runtime.models import open_bundle
from cathrt.runtime.errors import ManifestError
from cathrt.runtime.models import open_bundle
from tests.golden import INPUT, OUTPUT, golden_frame

def memory():
    fields = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
    return {key: int(fields[key].split()[0]) // 1024 for key in ("VmHWM", "RssAnon")}

bundle = open_bundle(Path(sys.argv[1]), [sys.argv[2]])
rows = {"opened": memory()}
for name in sys.argv[3:]:
    engine = open_engine(name, bundle, "classifier", EngineConfig(threads=1))
    rows[name] = memory() | {"logits": engine.infer({INPUT: golden_frame()})[OUTPUT].tolist()}
    engine.close()
print(json.dumps(rows))
"""


def large_bundle(folder: Path, size: int) -> None:
    """A signed bundle whose external file is almost all holes. Its graph adds a row of a table of `size` bytes."""
    folder.mkdir()
    model = conv_model()
    table = TensorProto(name="table", data_type=TensorProto.FLOAT, dims=[size // ROW_BYTES, ROW_BYTES // 4])
    refer(table, {"location": "weights.bin", "offset": "4096", "length": str(size)})
    head = model.graph.initializer[0]
    refer(head, {"location": "weights.bin", "offset": "0", "length": str(HEAD.nbytes)})
    model.graph.initializer.append(table)
    model.graph.node[-1].output[0] = "before"
    row = helper.make_tensor("row", TensorProto.INT64, [1], [ROW])
    model.graph.initializer.append(row)
    model.graph.node.append(helper.make_node("Gather", ["table", "row"], ["picked"], axis=0))
    model.graph.node.append(helper.make_node("ReduceMean", ["picked"], ["mean"], axes=[1], keepdims=1))
    model.graph.node.append(helper.make_node("Add", ["before", "mean"], [OUTPUT]))
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    with (folder / "weights.bin").open("wb") as stream:
        stream.write(HEAD.tobytes())
        stream.seek(4096 + ROW * ROW_BYTES)
        stream.write(np.full(ROW_BYTES // 4, 2.5, np.float32).tobytes())
        stream.truncate(4096 + size)
    manifest = golden_manifest()
    for name in ("model.onnx", "weights.bin"):
        digest = hashlib.sha256()
        with (folder / name).open("rb") as stream:
            while chunk := stream.read(CHUNK):
                digest.update(chunk)
        manifest.files[name] = digest.hexdigest()
    document = canonical_json(manifest)
    (folder / "manifest.json").write_bytes(document)
    (folder / "manifest.sig").write_bytes(signature_line(document, KEY))


@pytest.mark.parametrize("size", [512 * MIB, pytest.param(4 * GIB, marks=pytest.mark.slow)], ids=["512MiB", "4GiB"])
def test_a_large_artifact_opens_and_runs_with_little_memory_of_our_own(tmp_path: Path, size: int) -> None:
    large_bundle(tmp_path / "bundle", size)
    arguments = [str(tmp_path / "bundle"), public_key(KEY), "openvino"]
    child = subprocess.run([sys.executable, "-c", _CHILD, *arguments], capture_output=True, text=True, check=False)
    assert child.returncode == 0, child.stderr
    rows = json.loads(child.stdout)
    assert rows["opened"]["VmHWM"] < OURS_MIB, rows  # everything that was ever resident, the program included
    assert rows["openvino"]["RssAnon"] < OURS_MIB, rows
    np.testing.assert_allclose(rows["openvino"]["logits"], conv_reference(golden_frame()) + 2.5, rtol=0, atol=1e-4)


@pytest.mark.parametrize("source", ["path", "another bundle"])
def test_a_large_file_is_signed_without_being_in_memory(tmp_path: Path, source: str) -> None:
    large_bundle(tmp_path / "large", 64 * MIB)
    bundle = open_bundle(tmp_path / "large", [public_key(KEY)])
    listed: dict[str, Content] = dict(bundle.files)
    if source == "path":
        listed = {name: bundle.path / name for name in bundle.files}
    tracemalloc.start()
    try:
        written = write_bundle(tmp_path / "copy", golden_manifest(), listed, KEY)
        assert tracemalloc.get_traced_memory()[1] < 8 * MIB
    finally:
        tracemalloc.stop()
    assert open_bundle(written, [public_key(KEY)]).manifest == bundle.manifest


def test_a_file_of_another_bundle_that_has_changed_is_not_signed(tmp_path: Path) -> None:
    large_bundle(tmp_path / "large", MIB)
    bundle = open_bundle(tmp_path / "large", [public_key(KEY)])
    with (tmp_path / "large" / "weights.bin").open("r+b") as stream:
        stream.write(b"\x01")
    with pytest.raises(ManifestError, match=r"weights\.bin: changed after the bundle was opened"):
        write_bundle(tmp_path / "copy", golden_manifest(), dict(bundle.files), KEY)
    assert not (tmp_path / "copy").exists()
