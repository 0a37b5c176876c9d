"""The accuracy benchmark on made-up angiograms and a network that only reads brightness, so that each figure is known.

Bright is a left artery, dark a right one, in between is neither: all through a signed bundle, decoder and engine.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper
from PIL import Image

from benchmarks.accuracy import main
from benchmarks.cine_truth import PUBLIC_TRUTH, read_truth
from benchmarks.figures import Figures
from benchmarks.real_runs import find_stills, measure_stills
from cathrt.export.bundle.real_figures import figures_of, printed_figures
from cathrt.export.bundle.sign import generate_key, load_key, write_bundle
from cathrt.export.models.keyframe.demo.model_card import model_card
from cathrt.runtime.bundle.manifest import DeclaredTensor
from cathrt.runtime.bundle.shipped import demonstration_bundle, shipped_keys
from cathrt.runtime.engines.fake import FakeEngine
from cathrt.runtime.errors import ConfigError, SourceError
from cathrt.runtime.frame import Grayscale, Timing
from cathrt.runtime.line.pipeline import Line
from cathrt.runtime.models import open_bundle
from cathrt.runtime.models.keyframe.section import (
    CLASSIFIER,
    DomainOutput,
    DomainReason,
    KeyframeSection,
    ReadabilityOutput,
    section_of,
)
from cathrt.runtime.phantom import PhantomSource, sample_scene
from cathrt.runtime.phantom.dicom import write_xa
from tests.golden import CHANNELS, KERNEL, conv_model, golden_manifest
from tests.lines import BUNDLE, MANIFEST, Tensors, brightness, line

Compute = Callable[[float], tuple[float, ...]]  # the mean of a picture to an output's row

SIZE = 64
BRIGHT, DARK, UNSURE, NEITHER = 0.9, 0.1, 0.5, 0.485  # share of bright pixels; UNSURE leans left, too little to say so
KEYS_OF_REAL_DATA = {
    "real_laterality_f1", "real_frames", "real_unknown_rate", "real_better_recall", "cine_laterality_correct",
    "cine_keyframes_inside",
}  # fmt: skip
KEYS_OF_PHANTOMS = {
    "phantom_keyframe_hit3", "phantom_frangi_hit3", "phantom_frangi3_hit3", "phantom_vesselness_hit3", "phantom_regret",
    "phantom_runs_without", "phantom_false_keyframe_rate", "phantom_named_side_rate",
}  # fmt: skip


@dataclass(frozen=True)
class Printed:
    """What the command left behind."""

    code: int
    rows: list[dict[str, Any]]
    err: str

    @property
    def last(self) -> dict[str, Any]:
        return self.rows[-1]

    @property
    def headline(self) -> dict[str, float]:
        return self.last["headline"]

    def case(self, name: str) -> list[dict[str, Any]]:
        return [row for row in self.rows if row.get("case") == name]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The options that name a bundle whose scores for left and right "better" rise and fall with brightness."""
    folder = tmp_path_factory.mktemp("brightness")
    kernel, head = np.zeros_like(KERNEL), np.zeros((CHANNELS, 6), np.float32)
    kernel[0, 0, 1, 1], kernel[1, 0, 1, 1] = 1.0, -1.0  # what is above and what is below the mean of the manifest
    head[0, 0], head[1, 0], head[0, 3], head[1, 3] = 4.0, -4.0, -4.0, 4.0
    model = conv_model(kernel=kernel, head=numpy_helper.from_array(head, "head")).SerializeToString()
    key = generate_key(folder / "key")
    path = write_bundle(folder / "bundle", golden_manifest(), {"model.onnx": model}, load_key(folder / "key"))
    return ["--bundle", str(path), "--trust", key, "--engine", "onnxruntime"]


@pytest.fixture
def measured(bundle: list[str], capsys: pytest.CaptureFixture[str]):
    def run(*arguments: str | Path, phantom_runs: int = 0) -> Printed:
        code = main([*map(str, arguments), *bundle, "--phantom-runs", str(phantom_runs), "--json"])
        captured = capsys.readouterr()
        return Printed(code, [json.loads(line) for line in captured.out.splitlines()], captured.err)

    return run


def picture(bright: float, shift: int = 0) -> NDArray[np.uint8]:
    """A picture with this share of bright pixels; shift makes pictures of the same share differ."""
    pixels = np.full(SIZE * SIZE, 40, np.uint8)
    pixels[: round(bright * SIZE * SIZE)] = 220
    return np.roll(pixels, shift * SIZE).reshape(SIZE, SIZE)


def save_stills(folder: Path, **shares: float) -> Path:
    """Stills by name; a double underscore stands for a folder, the last one for the suffix."""
    for name, share in shares.items():
        *parts, stem, suffix = name.split("__")
        path = folder.joinpath(*parts, f"{stem}.{suffix}")
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture(share)).save(path)
    return folder


def save_cine(path: Path, shares: list[float]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    run = PhantomSource(sample_scene(3, matrix=SIZE)).run
    run = replace(run, frame_count=len(shares), grayscale=Grayscale(8), timing=Timing(15.0, "FrameTime"))
    return write_xa(run, lambda index: picture(shares[index], index), path)


def save_truth(path: Path, truth: object) -> Path:
    path.write_text(json.dumps(truth))
    return path


FILLING = [NEITHER] * 14 + [DARK, 0.02, DARK] + [NEITHER] * 5  # a right artery in frames 14 to 16, best in 15


def test_sides_of_stills_are_counted_by_name_wherever_they_lie(tmp_path: Path, measured) -> None:
    folder = save_stills(
        tmp_path, lca_1__png=BRIGHT, a__LCA_2__jpg=BRIGHT, a__b__Lca3__bmp=BRIGHT, lca_4__png=UNSURE,
        rca_1__png=DARK, a__RCA_2__jpg=DARK, rca_3__tif=DARK, rca_4__png=DARK, other__png=BRIGHT,
    )  # fmt: skip
    (folder / "lca_1.txt").write_text("a label beside its picture")
    done = measured("--stills", folder, "--looks", "3")
    (row,) = done.case("stills")
    assert row["confusion"] == {
        "left": {"left": 3, "right": 0, "unknown": 1},
        "right": {"left": 0, "right": 4, "unknown": 0},
    }
    assert done.headline["real_frames"] == 8
    assert done.headline["real_laterality_f1"] == pytest.approx((6 / 7 + 1) / 2, abs=1e-4)
    assert done.headline["real_laterality_f1_forced"] == 1.0
    assert done.headline["real_unknown_rate"] == 0.125
    low, high = done.last["intervals_95"]["real_laterality_f1"]
    assert low < done.headline["real_laterality_f1"] <= high
    assert done.last["looks"] == 3
    assert not {key for key in done.headline if key.startswith(("cine_", "phantom_"))}


def test_stills_of_one_side_have_no_f1_of_two(tmp_path: Path, measured) -> None:
    done = measured("--stills", save_stills(tmp_path, lca_1__png=BRIGHT, lca_2__png=BRIGHT))
    assert done.code == 0
    assert "real_laterality_f1" not in done.headline
    assert done.headline["real_unknown_rate"] == 0.0
    assert "not measured: real_laterality_f1" in done.err


def test_a_still_that_cannot_be_read_is_named_and_not_counted_as_seen(tmp_path: Path, measured) -> None:
    folder = save_stills(tmp_path, lca_1__png=BRIGHT, rca_1__png=DARK)
    (folder / "lca_broken.png").write_bytes(b"no picture")
    done = measured("--stills", folder)
    assert done.headline["real_frames"] == 2
    assert done.case("stills")[0]["unread"] == 1
    assert "not measured: lca_broken.png" in done.err
    for name in ("lca_1.png", "rca_1.png"):
        (folder / name).unlink()
    done = measured("--stills", folder)
    assert (done.code, done.rows) == (SourceError.exit_code, [])
    assert "none of 1 stills can be read" in done.err


def test_a_key_frame_counts_where_the_truth_has_the_artery_opacified(tmp_path: Path, measured) -> None:
    cines = tmp_path / "cines"
    for name in ("a.dcm", "b.dcm", "c.dcm", "quiet.dcm", "sub/false.dcm"):
        save_cine(cines / name, [NEITHER] * 22 if name == "quiet.dcm" else FILLING)
    truth = {
        "a.dcm": {"side": "right", "opacified": [14, 16], "best": [16]},
        "b.dcm": {"side": "left", "opacified": [10, 19], "best": [[19, 19]]},
        "c.dcm": {"side": "right", "opacified": [0, 14]},
        "quiet.dcm": {"side": "right", "opacified": [0, 21]},
        "sub/false.dcm": {"side": "none"},
    }
    done = measured("--cine", cines, "--truth", save_truth(tmp_path / "truth.json", truth))
    rows = {row["file"]: row for row in done.case("cine")}
    assert set(rows) == set(truth)
    assert (rows["a.dcm"]["announced"], rows["a.dcm"]["key_frames"]) == ([15], [15])
    assert rows["a.dcm"]["votes"] == {"left": 0, "right": 3}
    assert rows["quiet.dcm"]["key_frames"] == []
    assert done.headline["cine_runs"] == 5
    assert done.headline["cine_laterality_correct"] == 0.5, "a and c; b is said to be left, quiet is unknown"
    assert done.headline["cine_keyframes_inside"] == 0.5, "a and b; c has its key frame outside, quiet has none"
    assert done.headline["cine_keyframe_hit"] == 0.5, "15 is within 3 of 16, not of 19"
    assert done.headline["cine_false_keyframe_rate"] == 1.0
    kept = {row["impl"]: row for row in done.case("real key frames") if row["group"] == "all"}
    assert (kept["ours"]["n"], kept["ours"]["hit1"], kept["ours"]["hit5"]) == (4, 0.5, 1.0), "only a and b have best"
    assert (kept["ours"]["inside"], kept["ours"]["without"]) == (0.5, 0.25)
    assert kept["least_mean"]["hit1"] == 0.5, "frame 15 is the darkest"
    assert rows["a.dcm"]["chosen"]["half"] == [11]
    assert "regret" not in kept["ours"], "how readable a real frame is is not known"


def test_a_folder_of_numbered_stills_is_a_cine_run_and_single_stills_are_not(tmp_path: Path, measured) -> None:
    cines = tmp_path / "cines"
    save_cine(cines / "a.dcm", FILLING)
    for number, share in enumerate(FILLING, start=1):
        path = cines / "patient" / f"frame_{number:02}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(picture(share, number - 1)).save(path)
    save_stills(cines, alone__png=BRIGHT)
    known = {"side": "right", "opacified": [14, 16], "best": [15]}
    truth = save_truth(tmp_path / "truth.json", {"a.dcm": known, "patient/frame_[1-22].png": known})
    done = measured("--cine", cines, "--truth", truth, "--rate-hz", "15")
    rows = {row.pop("file"): row for row in done.case("cine")}
    assert rows["patient/frame_[1-22].png"] == rows["a.dcm"]
    assert done.headline["cine_runs"] == 2


@pytest.mark.parametrize("text", ["0", "nan", "-15", "300", "fast"])
def test_a_rate_that_is_none_is_wrong_usage(text: str, measured) -> None:
    with pytest.raises(SystemExit) as ended:
        measured("--cine", ".", "--rate-hz", text)
    assert ended.value.code == 2


def test_best_frames_may_be_given_one_by_one_or_as_stretches(tmp_path: Path) -> None:
    entry = {"side": "left", "opacified": [2, 30], "best": [4, [10, 12], [11, 13]]}
    truth = read_truth(save_truth(tmp_path / "truth.json", {"a.dcm": entry}))["a.dcm"]
    assert truth.best == ((4, 4), (10, 12), (11, 13))
    assert truth.best_frames == (4, 10, 11, 12, 13)
    (public,) = read_truth(PUBLIC_TRUTH).values()
    assert public.best_frames == tuple(range(48, 96))


def test_stills_chosen_for_reading_count_as_recall_whatever_their_names(tmp_path: Path, measured) -> None:
    chosen = save_stills(
        tmp_path / "chosen", lca_1__png=BRIGHT, patient_7__png=BRIGHT, a__frame_8__bmp=DARK, b__pale__png=NEITHER
    )
    (chosen / "notes.json").write_text("{}")
    named = save_stills(tmp_path / "named", lca_2__png=NEITHER, rca_2__png=DARK)
    done = measured("--chosen-stills", chosen, "--stills", named)
    (row,) = done.case("stills")
    assert (row["n"], row["chosen"], row["better"]) == (6, 4, 3)
    assert done.headline["real_better_recall"] == 0.75
    assert done.headline["real_frames"] == 3, "lca_1, lca_2 and rca_2 tell their side"
    assert done.last["intervals_95"]["real_better_recall"][0] < 0.75
    once = measured("--chosen-stills", chosen, "--stills", chosen)
    assert (once.case("stills")[0]["n"], once.headline["real_frames"]) == (4, 1), "each file once"
    (tmp_path / "empty").mkdir()
    for folder, message in ((tmp_path / "nowhere", "no such folder"), (tmp_path / "empty", "no still")):
        refused = measured("--chosen-stills", folder)
        assert (refused.code, message in refused.err) == (SourceError.exit_code, True)


def test_without_a_domain_output_there_is_no_domain_figure_and_that_is_said(tmp_path: Path, measured) -> None:
    done = measured("--stills", save_stills(tmp_path, lca_1__png=BRIGHT, rca_1__png=DARK), "--outsiders", "3")
    assert "not measured: domain_rejected, real_out_of_domain_rate" in done.err
    assert not {"domain_rejected", "real_out_of_domain_rate"} & done.headline.keys()


def further_line(section: KeyframeSection, output: str, rows: int, compute: Compute) -> Line:
    """The line that reads brightness, with one further output."""
    network = MANIFEST.network(CLASSIFIER)
    network = replace(network, outputs=(*network.outputs, DeclaredTensor(output, (1, rows), "float32")))

    def all_of_it(inputs: Tensors, made: Tensors) -> None:
        brightness(inputs, made)
        made[output][0] = compute(float(inputs["image"].mean()))

    bundle = replace(BUNDLE, manifest=replace(MANIFEST, model=section, networks={CLASSIFIER: network}))
    return line(bundle=bundle, engine=FakeEngine(network.input_specs(), network.output_specs(), all_of_it))


def test_a_still_taken_for_no_angiogram_is_no_key_frame(tmp_path: Path) -> None:
    section = replace(section_of(MANIFEST), domain=DomainOutput("domain", (DomainReason("light", "light", "明"),), 0.5))
    refusing = further_line(section, "domain", 2, lambda mean: (0.0, 4.0) if mean > 0.85 else (4.0, 0.0))
    stills = find_stills(None, [save_stills(tmp_path, a__png=0.95, b__png=0.7, c__png=0.2)])
    figures = Figures()
    assert measure_stills(stills, refusing, figures) == [True, False, False]
    assert figures.headline == {"real_better_recall": pytest.approx(1 / 3)}


def test_a_chosen_still_passes_if_the_line_ranks_it_and_does_not_call_it_poor(tmp_path: Path) -> None:
    """Of these four the last shows no artery; from where on one is not poor, the bundle says."""
    stills = find_stills(None, [save_stills(tmp_path, a__png=0.95, b__png=0.45, c__png=0.35, d__png=0.1)])
    section = replace(section_of(MANIFEST), readability=ReadabilityOutput("readability", 0.4))
    assert section.key_frame_threshold == 0.5
    reading = further_line(section, "readability", 1, lambda mean: (math.log(mean / (1.0 - mean)),))
    for judging, passed in ((reading, 2), (line(), 1)):
        figures = Figures()
        measure_stills(stills, judging, figures)
        assert figures.rows[-1]["better"] == passed, "without a readability output it is the key frame threshold"
        assert figures.headline["real_better_recall"] == passed / 4


def test_the_whole_of_a_data_folder_has_every_key_and_a_plot(tmp_path: Path, measured) -> None:
    save_stills(tmp_path / "arcade_syntax" / "images", lca_1__png=BRIGHT, rca_1__png=DARK)
    (public,) = read_truth(PUBLIC_TRUTH)
    save_cine(tmp_path / "xa_cine" / public, [NEITHER] * 60 + [DARK, 0.02, DARK] + [NEITHER] * 33)
    done = measured(
        "--data", tmp_path, "--quick", "--workers", "1", "--plot", tmp_path / "plot.png", "--sheet", tmp_path / "s.png",
        phantom_runs=1,
    )  # fmt: skip
    assert done.code == 0
    aloud = [line for line in done.err.splitlines() if line.startswith("not measured")]
    expected = ("phantom_laterality_f1", "arcade_stenosis/images", "danilov_lca_sequence", "domain_rejected")
    assert all(any(name in line for name in expected) for line in aloud), "one of two runs has no side"
    assert done.headline.keys() >= KEYS_OF_REAL_DATA
    assert (done.headline["real_laterality_f1"], done.headline["cine_laterality_correct"]) == (1.0, 1.0)
    assert done.headline["cine_keyframes_inside"] == 1.0
    assert (done.headline["phantom_runs"], done.headline["phantom_other_runs"]) == (2, 1)
    assert done.headline.keys() >= KEYS_OF_PHANTOMS
    assert done.last.keys() >= {"bench", "headline", "machine", "commit", "model_sha256", "looks"}
    cases = list(dict.fromkeys(row["case"] for row in done.rows[:-1]))
    assert cases == ["stills", "cine", "real key frames", "phantom", "phantom key frames"]
    with Image.open(tmp_path / "s.png") as sheet:
        assert sheet.format == "PNG"
    with Image.open(tmp_path / "plot.png") as plot:
        assert plot.format == "PNG"
        assert np.asarray(plot.convert("L")).std() > 5.0, "something is drawn"


def test_what_the_data_folder_lacks_is_said_aloud_and_has_no_figure(tmp_path: Path, measured) -> None:
    save_stills(tmp_path / "arcade_syntax", lca_1__png=BRIGHT, rca_1__png=DARK)
    done = measured("--data", tmp_path)
    assert done.code == 0
    assert "not measured" in done.err
    assert "xa_cine: no such folder" in done.err
    assert not [key for key in done.headline if key.startswith("cine_")]
    (tmp_path / "xa_cine").mkdir()
    done = measured("--data", tmp_path)
    assert done.code == 0
    assert "no such cine run" in done.err
    assert not [key for key in done.headline if key.startswith("cine_")]


def test_nothing_measured_is_an_error_and_prints_no_figure(tmp_path: Path, measured) -> None:
    done = measured("--data", tmp_path)
    assert (done.code, done.rows) == (SourceError.exit_code, [])
    assert "nothing was measured" in done.err


def test_a_missing_folder_and_stills_without_a_side_are_refused(tmp_path: Path, measured) -> None:
    for option in ("--data", "--stills", "--cine"):
        done = measured(option, tmp_path / "nowhere")
        assert done.code == SourceError.exit_code
        assert "no such folder" in done.err
    done = measured("--stills", save_stills(tmp_path, patient_1__png=BRIGHT))
    assert done.code == SourceError.exit_code
    assert "begins with lca or rca" in done.err


def test_runs_and_truth_must_fit_each_other(tmp_path: Path, measured) -> None:
    cines = tmp_path / "cines"
    save_cine(cines / "a.dcm", [NEITHER] * 3)
    right = {"side": "right", "opacified": [0, 2]}
    for truth, message in (
        ({}, "1 of 1 runs have no truth, first 'a.dcm'"),
        ({"a.dcm": right, "b.dcm": right}, "1 runs that are not in"),
        ({"a.dcm": {**right, "opacified": [1, 3]}}, "names frame 3, expected 0 to 2"),
    ):
        done = measured("--cine", cines, "--truth", save_truth(tmp_path / "truth.json", truth))
        assert (done.code, done.rows) == (ConfigError.exit_code, [])
        assert message in done.err
    done = measured("--truth", tmp_path / "truth.json")
    assert "a truth without runs" in done.err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[1]", "found [1], expected an object"),
        ("{", "not valid JSON"),
        ('{"a.dcm": {"opacified": [0, 2]}}', "a.dcm.side: missing"),
        ('{"a.dcm": {"side": "both", "opacified": [0, 2]}}', "a.dcm.side: found 'both', expected "),
        ('{"a.dcm": {"side": "left"}}', "a.dcm.opacified: missing, expected [first, last]"),
        ('{"a.dcm": {"side": "left", "opacified": [0, 2], "best": 1}}', "a.dcm.best: found 1, expected "),
        ('{"a.dcm": {"side": "left", "opacified": [0, 2], "best": ["1"]}}', "a.dcm.best.0: found '1', expected "),
        ('{"a.dcm": {"side": "left", "opacified": [0, 2], "best": [true]}}', "a.dcm.best.0: found True, expected "),
        ('{"a.dcm": {"side": "left", "opacified": [0, 2], "best": [[0]]}}', "a.dcm.best.0.1: missing"),
        ('{"a.dcm": {"side": "left", "opacified": [0, 2], "best": [[1, 1.5]]}}', "a.dcm.best.0.1: found 1.5"),
        ('{"a.dcm": {"side": "left", "opacified": [0, 2], "best": [[2, 1]]}}', "best: found [2, 1], expected first <="),
        ('{"a.dcm": {"side": "left", "opacified": [1, 2], "best": [[0, 1]]}}', "best: found [0, 1], expected frames"),
        ('{"a.dcm": {"side": "left", "opacified": [-1, 2]}}', "a.dcm.opacified.0: found -1, expected "),
        ('{"a.dcm": {"side": "left", "opacified": [0, 1.5]}}', "a.dcm.opacified.1: found 1.5, expected "),
        ('{"a.dcm": {"side": "left", "opacified": [2, 1]}}', "a.dcm.opacified: found [2, 1], expected first <= last"),
        ('{"a.dcm": {"side": "left", "opacified": [0, 2], "best": [3]}}', "a.dcm.best: found [3], expected frames"),
        ('{"a.dcm": {"side": "none", "opacified": [0, 2]}}', 'expected none beside side "none"'),
        ('{"a.dcm": {"side": "none", "vessel": "lad"}}', "a.dcm.vessel: unknown key"),
    ],
)
def test_a_malformed_truth_says_where_what_and_what_to_do(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "truth.json").write_text(text)
    with pytest.raises(ConfigError) as refused:
        read_truth(tmp_path / "truth.json")
    assert message in str(refused.value)


def test_a_truth_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        read_truth(tmp_path / "none.json")


def test_the_card_says_what_the_last_line_says_and_nothing_that_was_not_measured(tmp_path: Path, measured) -> None:
    folder = save_stills(tmp_path, lca_1__png=BRIGHT, lca_2__png=UNSURE, rca_1__png=DARK)
    manifest = open_bundle(demonstration_bundle(), shipped_keys()).manifest
    real = measured("--stills", folder, "--looks", "2").last
    card = model_card(replace(manifest, evidence={**manifest.evidence, "real": real}))
    assert "looked at 2 time(s)" in card
    assert "| stills of known side | 3 |" in card
    assert '| "unknown" | 33.3% (' in card
    assert f'| side, F1 macro ("unknown" is a miss) | {real["headline"]["real_laterality_f1"]:.3f} (' in card
    assert "cine" not in card


def test_a_bundle_takes_printed_figures_of_its_own_model_and_no_others(
    tmp_path: Path, bundle: list[str], measured
) -> None:
    done = measured("--stills", save_stills(tmp_path, lca_1__png=BRIGHT, rca_1__png=DARK), "--looks", "1")
    manifest = open_bundle(Path(bundle[1]), [bundle[3]]).manifest
    printed = tmp_path / "real.jsonl"
    for rows in (done.rows, done.rows[-1:]):
        printed.write_text("".join(json.dumps(row) + "\n" for row in rows))
        assert figures_of(printed_figures(printed), manifest, manifest.files) == done.last
    with pytest.raises(ConfigError, match="evaluate this bundle"):
        figures_of(done.last, manifest, {"model.onnx": "0" * 64})
    with pytest.raises(ConfigError, match="evaluate this bundle"):
        figures_of(done.last | {"engine": "tensorrt"}, manifest, manifest.files)
    with pytest.raises(ConfigError, match="looks is None"):
        figures_of(done.last | {"looks": None}, manifest, manifest.files)
    for text in ("", "no JSON", json.dumps(done.rows[0]), "[]"):
        printed.write_text(text)
        with pytest.raises(ConfigError, match="its last line"):
            printed_figures(printed)


@pytest.mark.parametrize(
    "more",
    [
        pytest.param(["--phantom-runs", "0"], id="stills"),
        pytest.param(["--phantom-runs", "3"], id="stills and phantoms", marks=pytest.mark.slow),
    ],
)
def test_the_shipped_bundle_gives_well_formed_figures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str]
) -> None:
    folder = save_stills(tmp_path, lca_1__png=BRIGHT, rca_1__png=DARK)
    assert main(["--stills", str(folder), "--quick", "--outsiders", "0", "--json", *more]) == 0
    *rows, last = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    cases = list(dict.fromkeys(row["case"] for row in rows))
    assert cases == ["stills", "phantom", "phantom key frames"][: 1 if more[-1] == "0" else 3]
    shares = {key: value for key, value in last["headline"].items() if not key.endswith(("_frames", "_runs"))}
    assert shares
    assert all(0.0 <= value <= 1.0 for value in shares.values())
    for key, (low, high) in last["intervals_95"].items():
        assert 0.0 <= low <= last["headline"][key] + 1e-4
        assert last["headline"][key] <= high + 1e-4 <= 1.0 + 2e-4
