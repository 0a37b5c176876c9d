"""Files of an opened bundle: what was hashed is what is read, mapped and run, whatever happens to the folder since."""

from __future__ import annotations

import errno
import gc
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cathrt.export.bundle.sign import public_key, write_bundle
from cathrt.runtime.bundle import verified_file
from cathrt.runtime.bundle.files import open_file, opened_folder
from cathrt.runtime.bundle.opening import Bundle
from cathrt.runtime.bundle.verified_file import VerifiedFile
from cathrt.runtime.config import EngineConfig
from cathrt.runtime.engines import ENGINES, open_engine
from cathrt.runtime.errors import ManifestError
from cathrt.runtime.models import open_bundle
from cathrt.runtime.models.keyframe.section import CLASSIFIER
from tests.golden import INPUT, OUTPUT, conv_model, conv_reference, golden_frame, golden_manifest

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
MODEL = conv_model().SerializeToString()
OTHER = conv_model(opset=13).SerializeToString()
ONE_THREAD = EngineConfig(threads=1)
BOTH = pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    payload = {"model.onnx": MODEL, "empty.txt": b"", "notes/free.txt": b"free"}
    return write_bundle(tmp_path / "bundle", golden_manifest(), payload, KEY)


@pytest.fixture
def bundle(folder: Path) -> Bundle:
    return open_bundle(folder, [public_key(KEY)])


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def write_in_place(file: Path) -> None:
    with file.open("r+b") as stream:
        stream.seek(100)
        byte = stream.read(1)[0]
        stream.seek(100)
        stream.write(bytes([byte ^ 1]))


def write_and_set_the_times_back(file: Path) -> None:
    before = file.stat()
    write_in_place(file)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def write_over_a_mapping(file: Path) -> None:
    memory = np.memmap(file, np.uint8, "r+")
    memory[100] ^= 1
    memory.flush()


def append(file: Path) -> None:
    with file.open("ab") as stream:
        stream.write(b"more")


def replace_by_another(file: Path) -> None:
    other = file.parent.parent / "other"
    other.write_bytes(OTHER)
    other.rename(file)


def replace_by_a_link(file: Path) -> None:
    file.rename(file.parent.parent / "elsewhere")
    file.symlink_to(file.parent.parent / "elsewhere")


CHANGES = [
    write_in_place,
    write_and_set_the_times_back,
    write_over_a_mapping,
    append,
    replace_by_another,
    replace_by_a_link,
    Path.unlink,
]


def test_files_are_mapped_whole_and_read_only(bundle: Bundle) -> None:
    mapped = bundle.mapped("model.onnx")
    assert mapped.tobytes() == MODEL
    assert not mapped.flags.writeable
    assert bundle.mapped("empty.txt").tobytes() == b""
    assert bundle.mapped("notes/free.txt").tobytes() == b"free"


def test_every_reader_gets_the_same_mapping(bundle: Bundle) -> None:
    assert bundle.mapped("model.onnx") is bundle.mapped("model.onnx")


def test_whoever_writes_to_a_mapping_changes_neither_file_nor_signed_content(folder: Path, bundle: Bundle) -> None:
    writable = bundle.mapped("notes/free.txt").view()
    writable.flags.writeable = True
    writable[0] = 0
    assert (folder / "notes/free.txt").read_bytes() == b"free"
    bundle.check_unchanged()


@pytest.mark.parametrize("change", CHANGES)
def test_a_file_that_changed_since_the_bundle_was_opened_is_not_handed_out(
    folder: Path, bundle: Bundle, change: Callable[[Path], None]
) -> None:
    bundle.mapped("model.onnx")
    change(folder / "model.onnx")
    for use in (bundle.read, bundle.mapped):
        with pytest.raises(ManifestError, match=r"model\.onnx: changed after the bundle was opened \(.*ctime_ns"):
            use("model.onnx")
    with pytest.raises(ManifestError, match="changed after"):
        bundle.check_unchanged()


@BOTH
@pytest.mark.parametrize("change", CHANGES)
def test_an_engine_of_a_file_that_changes_while_it_is_loaded_does_not_open(
    folder: Path, bundle: Bundle, change: Callable[[Path], None], engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = ENGINES[engine]

    def load_and_change(request: object) -> object:
        loaded = load(request)  # type: ignore[arg-type]
        change(folder / "model.onnx")
        return loaded

    monkeypatch.setitem(ENGINES, engine, load_and_change)
    with pytest.raises(ManifestError, match="changed after"):
        open_engine(engine, bundle, CLASSIFIER, ONE_THREAD)


def test_a_file_that_the_address_space_has_no_room_for_is_a_manifest_error(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOMEM, "Cannot allocate memory")

    monkeypatch.setattr(verified_file.mmap, "mmap", full)
    with pytest.raises(ManifestError, match=r"free\.txt: its 4 bytes cannot be mapped .Cannot allocate memory."):
        bundle.mapped("notes/free.txt")


def test_a_file_that_changes_while_it_is_hashed_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = verified_file._chunks

    def chunks(descriptor: int) -> object:
        yield from real(descriptor)
        os.utime(folder / "model.onnx")

    monkeypatch.setattr(verified_file, "_chunks", chunks)
    with pytest.raises(ManifestError, match="changed while it was hashed"):
        open_bundle(folder, [public_key(KEY)])


def test_a_change_within_one_tick_of_the_file_clock_is_seen(folder: Path) -> None:
    """A write right after the hash gets another time of change, although the file was written just before."""
    for _ in range(20):
        (folder / "notes/free.txt").write_bytes(b"free")
        bundle = open_bundle(folder, [public_key(KEY)])
        (folder / "notes/free.txt").write_bytes(b"fr33")
        with pytest.raises(ManifestError, match="changed after"):
            bundle.mapped("notes/free.txt")


@pytest.mark.parametrize(("age_ns", "waits"), [(0, 1), (9_999_999, 1), (10_000_000, 0), (-1, 0)])
def test_a_file_written_within_the_last_tick_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, age_ns: int, waits: int
) -> None:
    """Newer kernels give each write its own time; with an older one a write right after could bear the same."""
    (tmp_path / "file").write_bytes(b"free")
    changed_ns = (tmp_path / "file").stat().st_ctime_ns
    slept: list[float] = []
    monkeypatch.setattr(verified_file.time, "time_ns", lambda: changed_ns + age_ns)
    monkeypatch.setattr(verified_file.time, "sleep", slept.append)
    with opened_folder(tmp_path) as opened:
        VerifiedFile("file", open_file(opened, "file"), verified_file.hashlib.sha256(b"free").hexdigest())
    assert slept == [0.01] * waits


@BOTH
def test_an_engine_runs_what_was_verified_after_the_folder_is_gone(folder: Path, bundle: Bundle, engine: str) -> None:
    opened = open_engine(engine, bundle, CLASSIFIER, ONE_THREAD)
    for name in ("model.onnx", "empty.txt", "notes/free.txt"):
        (folder / name).unlink()
    bundle.close()
    frame = golden_frame()
    np.testing.assert_allclose(opened.infer({INPUT: frame})[OUTPUT], conv_reference(frame), rtol=0, atol=1e-5)


def test_a_closed_bundle_hands_nothing_out(bundle: Bundle) -> None:
    with bundle as inside:
        mapped = inside.mapped("model.onnx")
    bundle.close()
    for use in (bundle.read, bundle.mapped):
        with pytest.raises(ManifestError, match=r"model\.onnx: the bundle is closed: open it again"):
            use("model.onnx")
    assert mapped.tobytes() == MODEL


def test_a_thousand_bundles_leave_no_descriptor_open(folder: Path) -> None:
    open_bundle(folder, [public_key(KEY)]).close()
    gc.collect()
    before = descriptors()
    for number in range(1000):
        bundle = open_bundle(folder, [public_key(KEY)])
        bundle.mapped("model.onnx")
        if number % 2:
            bundle.close()  # the others are only forgotten
    del bundle
    gc.collect()
    assert descriptors() == before


def test_a_refused_bundle_leaves_no_descriptor_open(folder: Path) -> None:
    (folder / "notes/free.txt").write_bytes(b"fr33")
    before = descriptors()
    for _ in range(10):
        with pytest.raises(ManifestError, match="sha256 is"):
            open_bundle(folder, [public_key(KEY)])
    assert descriptors() == before


def test_a_process_that_is_started_inherits_no_file_of_the_bundle(folder: Path, bundle: Bundle) -> None:
    bundle.mapped("model.onnx")
    listing = "import os; print([os.path.realpath(f'/proc/self/fd/{n}') for n in os.listdir('/proc/self/fd')])"
    child = subprocess.run([sys.executable, "-c", listing], capture_output=True, text=True, check=True, close_fds=False)
    assert str(folder) not in child.stdout


def test_a_file_is_hashed_and_read_in_pieces(tmp_path: Path) -> None:
    content = np.random.default_rng(1).bytes(2 * verified_file.CHUNK + 7)
    (tmp_path / "file").write_bytes(content)
    with opened_folder(tmp_path) as opened:
        file = VerifiedFile("file", open_file(opened, "file"), verified_file.hashlib.sha256(content).hexdigest())
    pieces = [bytes(chunk) for chunk in file.chunks()]
    assert [len(piece) for piece in pieces] == [verified_file.CHUNK, verified_file.CHUNK, 7]
    assert b"".join(pieces) == content
