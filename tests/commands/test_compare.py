"""`cathrt compare` as a user types it: what it prints, the page it writes, how it exits."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from onnx import numpy_helper
from PIL import Image

from cathrt.export.bundle.sign import public_key, write_bundle
from cathrt.export.commands import compare as command
from cathrt.export.compare import inputs
from cathrt.export.models import EXPORTS
from cathrt.runtime.alert import NO_BETTER_NOTICE, NOTICE
from cathrt.runtime.bundle.manifest import NO_BETTER, Artifact
from cathrt.runtime.bundle.opening import Bundle
from cathrt.runtime.bundle.shipped import demonstration_bundle
from cathrt.runtime.config import Config, LimitsConfig
from cathrt.runtime.errors import ConfigError
from cathrt.runtime.phantom.dicom import write_xa
from tests.docs.records_page import unlike_page
from tests.e2e.commands import Done, cathrt
from tests.golden import HEAD, conv_model, golden_manifest
from tests.lines import ArraySource

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
FRAMES, ROWS, COLUMNS = 8, 40, 50


def noise(index: int) -> np.ndarray:
    return np.random.default_rng(index).integers(0, 200, (ROWS, COLUMNS)).astype(np.uint8)


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two tiny bundles with unlike heads, a configuration that trusts them, and a run."""
    folder = tmp_path_factory.mktemp("compare")
    manifest = golden_manifest(
        openvino=Artifact("model.onnx", "float32"), onnxruntime=Artifact("model.onnx", "float32")
    )
    manifest = replace(manifest, provenance={})
    for name, head in (("a", HEAD), ("b", HEAD[:, ::-1])):
        model = conv_model(head=numpy_helper.from_array(np.ascontiguousarray(head), "head")).SerializeToString()
        write_bundle(folder / name, replace(manifest, name=f"net {name}"), {"model.onnx": model}, KEY)
    poor = replace(manifest, name="poor", worth=NO_BETTER)
    write_bundle(folder / "poor", poor, {"model.onnx": conv_model().SerializeToString()}, KEY)
    config = folder / "cathrt.toml"
    config.write_text(f'[trust]\nkeys = ["{public_key(KEY)}"]\n[engine]\nname = "onnxruntime"\nthreads = 1\n')
    source = ArraySource([noise(index) for index in range(FRAMES)])
    shaped = replace(source.run, rows=ROWS, columns=COLUMNS)
    (folder / "runs").mkdir()
    write_xa(shaped, noise, folder / "runs" / "run.dcm")
    return {name: folder / name for name in ("a", "b", "poor", "runs", "cathrt.toml")}


def compare(places: dict[str, Path], tmp_path: Path, a: str, b: str, *more: str | Path) -> Done:
    return cathrt("compare", places[a], places[b], *more, "--config", places["cathrt.toml"], "--out", tmp_path)


def test_two_bundles_on_recorded_runs_give_a_line_that_the_page_of_fields_describes(
    places: dict[str, Path], tmp_path: Path
) -> None:
    done = compare(places, tmp_path, "a", "b", places["runs"], "--json")
    assert done.returncode == 0, done.stderr
    (line,) = done.records
    assert unlike_page(line) == []
    assert (line["a"]["bundle"], line["b"]["bundle"], line["runs"], line["frames"]) == ("net a", "net b", 1, FRAMES)
    assert line["against_truth"] == {}
    classes = line["common"]["frames_same_class"]
    assert len(line["flips"]) >= classes["of"] - classes["hits"] > 0, "a head in reverse order names other classes"


def test_the_page_shows_the_frames_that_differ_with_both_answers_and_fetches_nothing(
    places: dict[str, Path], tmp_path: Path
) -> None:
    assert compare(places, tmp_path, "a", "b", places["runs"]).returncode == 0
    page = (tmp_path / "comparison.html").read_text(encoding="utf-8")
    for text in (NOTICE, "net a on onnxruntime", "net b on onnxruntime", "Not a gate", "run.dcm frame 0: flip"):
        assert text in page
    assert not re.findall(r"<script|https?://|<link", page)
    pictures = re.findall(r'alt="run\.dcm frame (\d+)" src="data:image/png;base64,([^"]+)"', page)
    assert sorted(int(index) for index, _ in pictures) == list(range(FRAMES))
    shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(dict(pictures)["3"]))))
    assert shown.shape == (ROWS, COLUMNS)
    assert np.corrcoef(shown.ravel(), noise(3).ravel())[0, 1] > 0.99, "the picture is that of its own frame"


def test_two_engines_of_one_bundle_answer_alike(places: dict[str, Path], tmp_path: Path) -> None:
    done = compare(places, tmp_path, "a", "a", places["runs"], "--engine-b", "openvino", "--json")
    assert done.returncode == 0, done.stderr
    (line,) = done.records
    assert (line["a"]["engine"], line["b"]["engine"]) == ("onnxruntime", "openvino")
    assert line["flips"] == []
    assert line["common"]["frames_same_class"]["share"] == 1.0


def test_the_text_has_both_sides_every_figure_and_that_it_is_no_gate(places: dict[str, Path], tmp_path: Path) -> None:
    done = compare(places, tmp_path, "a", "b", places["runs"])
    lines = done.stdout.splitlines()
    assert lines[0] == NOTICE
    assert lines[1].startswith("A: net a on onnxruntime, manifest ")
    assert any(line.startswith("  infer ") for line in lines)
    assert any(line.endswith("runs of the same side") for line in lines)
    assert lines[-1] == "This is no gate: nothing is signed or refused for these figures."


def test_the_graver_notice_of_the_two_bundles_stands_everywhere(places: dict[str, Path], tmp_path: Path) -> None:
    done = compare(places, tmp_path, "a", "poor", places["runs"], "--json")
    assert done.records[0]["notice"] == NO_BETTER_NOTICE
    assert NO_BETTER_NOTICE in (tmp_path / "comparison.html").read_text(encoding="utf-8")
    assert compare(places, tmp_path, "poor", "a", places["runs"]).stdout.splitlines()[0] == NO_BETTER_NOTICE


def test_a_refused_input_is_named_and_the_exit_code_says_so(places: dict[str, Path], tmp_path: Path) -> None:
    broken = tmp_path / "broken.dcm"
    broken.write_bytes(b"\0" * 128 + b"DICM")
    among = compare(places, tmp_path, "a", "b", places["runs"], broken, "--json")
    assert among.returncode == 9
    assert [one["source"] for one in among.records[0]["refused"]] == ["broken.dcm"]
    assert "refused broken.dcm: " in among.stderr
    assert compare(places, tmp_path, "a", "b", broken).returncode == 4
    assert compare(places, tmp_path, "a", "b", tmp_path / "nothing").returncode == 4
    assert compare(places, tmp_path, "a", "b", places["runs"], "--engine-b", "abacus").returncode == 3
    assert cathrt("compare", places["a"], places["b"], "--out", tmp_path).returncode == 5, "nobody trusts their signer"


@pytest.mark.slow
def test_without_paths_generated_runs_are_compared_with_each_other_and_with_the_truth(tmp_path: Path) -> None:
    bundle = demonstration_bundle()
    done = cathrt(
        "compare", bundle, bundle, "--engine-b", "onnxruntime", "--phantoms", "2", "--json", "--out", tmp_path
    )
    assert done.returncode == 0, done.stderr
    (line,) = done.records
    assert unlike_page(line) == []
    assert line["runs"] == 2
    assert line["common"]["frames_same_class"]["share"] > 0.9
    assert line["against_truth"]["runs_right_laterality"]["a"]["of"] == 1
    assert "seeds 80000000 to 80000001" in (tmp_path / "comparison.html").read_text(encoding="utf-8")


def test_generated_runs_are_the_same_each_time_and_come_with_the_truth_of_each_frame(tmp_path: Path) -> None:
    drawn: list[tuple[int, int]] = []
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (found,) = inputs.phantom_inputs(1, tmp_path / folder, LimitsConfig(), lambda *at: drawn.append(at), matrix=64)
    one, two = ((tmp_path / folder / "phantom-80000000.dcm").read_bytes() for folder in ("one", "two"))
    assert one == two
    source = found.opening.open()
    frames = source.run.frame_count
    source.close()
    assert found.labels is not None
    assert len(found.labels) == frames
    assert drawn == [(index + 1, frames) for index in range(frames or 0)] * 2


@pytest.mark.parametrize(
    ("kinds", "said"),
    [(("keyframe", "vector"), "A is a keyframe model, B a vector model"), (("vector", "vector"), "says nothing of")],
)
def test_only_two_of_one_kind_that_can_be_compared_are(
    kinds: tuple[str, str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(EXPORTS, "vector", replace(EXPORTS["keyframe"], agreement=None))
    bundles = [cast(Bundle, SimpleNamespace(manifest=SimpleNamespace(kind=kind))) for kind in kinds]
    with pytest.raises(ConfigError, match=said):
        command._compared(bundles, [Config(), Config()], [], "nothing", lambda done, total: None)


def test_the_columns_of_the_text_are_as_wide_as_their_longest_cell() -> None:
    assert list(command._in_columns([("a", "bb"), ("ccc", "d")])) == ["  a    bb", "  ccc  d"]
