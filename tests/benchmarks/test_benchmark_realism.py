"""The realism benchmark: its distances behave as distances, its reports say what they should, its errors are clear."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter

from benchmarks import image_statistics, realism
from benchmarks.image_statistics import DISTANCES, StillStatistics, measure_still
from cathrt.runtime.frame import Grayscale, Run, Timing, VoiWindow
from tests.conftest import ROOT

Still = NDArray[np.uint8]
Float = NDArray[np.float64]


def made_up(seed: int) -> Float:
    """Clouds, a few dark lines and noise, 256 x 256, in grey levels that 0 and 255 do not cut."""
    rng = np.random.default_rng(seed)
    clouds = gaussian_filter(rng.normal(size=(256, 256)), 20.0)
    picture = 125.0 + 25.0 * clouds / clouds.std()
    down, across = np.mgrid[:256, :256]
    for _ in range(4):
        angle, offset = rng.uniform(0.0, np.pi), rng.uniform(-60.0, 60.0)
        aside = (down - 128) * np.cos(angle) + (across - 128) * np.sin(angle) - offset
        picture -= rng.uniform(10.0, 30.0) * np.exp(-0.5 * (aside / 3.0) ** 2)
    return picture + rng.normal(scale=2.0, size=picture.shape)


def as_still(picture: Float) -> Still:
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8)


def measured(seeds: range, change: Callable[[Float], Float] = lambda picture: picture) -> list[StillStatistics]:
    return [measure_still(as_still(change(made_up(seed)))) for seed in seeds]


def noisier(picture: Float, scale: float) -> Float:
    return picture + np.random.default_rng(9).normal(scale=scale, size=picture.shape)


def gamma(picture: Float, exponent: float) -> Float:
    return 255.0 * np.clip(picture / 255.0, 0.0, 1.0) ** exponent


@pytest.fixture(scope="module")
def some() -> list[StillStatistics]:
    return measured(range(24))


@pytest.fixture(scope="module")
def more() -> list[StillStatistics]:
    """Other draws of what `some` is drawn from."""
    return measured(range(100, 124))


@pytest.mark.parametrize("name", DISTANCES)
def test_a_set_is_at_no_distance_from_itself(name: str, some: list[StillStatistics]) -> None:
    assert DISTANCES[name](some, some) == 0.0


@pytest.mark.slow
@pytest.mark.parametrize("name", DISTANCES)
def test_another_draw_of_the_same_is_about_as_far_as_two_halves(
    name: str, some: list[StillStatistics], more: list[StillStatistics]
) -> None:
    assert DISTANCES[name](some, more) < 3.0 * image_statistics.floor(some, DISTANCES[name])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("names", "weak", "strong"),
    [
        (
            ["noise_power_distance", "noise_sd_distance", "edge_spectrum_distance", "vessel_distance"],
            lambda picture: gaussian_filter(picture, 1.0),
            lambda picture: gaussian_filter(picture, 3.0),
        ),
        (
            ["noise_power_distance", "noise_sd_distance", "edge_spectrum_distance"],
            lambda picture: noisier(picture, 3.0),
            lambda picture: noisier(picture, 10.0),
        ),
        (["histogram_unwindowed_distance"], lambda picture: picture + 10.0, lambda picture: picture + 30.0),
        (["histogram_distance"], lambda picture: gamma(picture, 1.5), lambda picture: gamma(picture, 3.0)),
        (["background_distance"], lambda p: 125.0 + 0.8 * (p - 125.0), lambda p: 125.0 + 0.4 * (p - 125.0)),
    ],
    ids=["blur", "noise", "brightness", "gamma", "contrast"],
)
def test_a_distance_grows_with_the_change(
    names: list[str], weak: Callable[[Float], Float], strong: Callable[[Float], Float], some: list[StillStatistics]
) -> None:
    little, much = measured(range(24), weak), measured(range(24), strong)
    for name in names:
        near, far = DISTANCES[name](some, little), DISTANCES[name](some, much)
        assert 0.0 < near < far, name
        assert far > 3.0 * image_statistics.floor(some, DISTANCES[name]), name


def test_brightness_alone_is_no_distance_once_each_still_is_windowed(some: list[StillStatistics]) -> None:
    brighter = measured(range(24), lambda picture: picture + 10.0)
    assert DISTANCES["histogram_distance"](some, brighter) < 0.001
    assert DISTANCES["histogram_unwindowed_distance"](some, brighter) == pytest.approx(10 / 255, abs=0.001)


@pytest.mark.slow
def test_nobody_tells_two_draws_of_the_same_apart(some: list[StillStatistics], more: list[StillStatistics]) -> None:
    assert 0.35 < image_statistics.told_apart(some, more) < 0.65


def test_noise_gives_a_set_away(some: list[StillStatistics]) -> None:
    noisy = measured(range(100, 124), lambda picture: noisier(picture, 3.0))
    assert image_statistics.told_apart(some, noisy) > 0.97


def test_a_set_that_only_spreads_wider_is_told_apart() -> None:
    rng = np.random.default_rng(4)
    narrow, wide = (
        [StillStatistics({}, {"figure": float(value)}) for value in rng.normal(scale=scale, size=100)]
        for scale in (1.0, 5.0)
    )
    assert image_statistics.told_apart(narrow, wide) > 0.75


def test_sets_of_unequal_size_give_no_reward_for_betting_on_the_larger(some: list[StillStatistics]) -> None:
    rng = np.random.default_rng(5)
    few, many = (
        [StillStatistics({}, {"figure": float(value)}) for value in rng.normal(size=size)] for size in (30, 300)
    )
    assert 0.35 < image_statistics.told_apart(few, many) < 0.65


def test_white_noise_reads_as_what_it_is() -> None:
    grey = np.random.default_rng(1).normal(120.0, 5.0, size=(384, 384))
    spread, grain = image_statistics.noise(grey)
    assert spread == pytest.approx(5.0, rel=0.05)
    assert grain < 0.0
    assert image_statistics.log_power(grey) == pytest.approx(np.full(10, 2 * np.log10(5.0)), abs=0.45)
    assert image_statistics.log_power(grey)[5:] == pytest.approx(np.full(5, 2 * np.log10(5.0)), abs=0.05)


def test_smoothed_noise_has_a_grain() -> None:
    grey = 120.0 + gaussian_filter(np.random.default_rng(1).normal(0.0, 20.0, size=(384, 384)), 1.0)
    assert image_statistics.noise(grey)[1] > 0.3


def test_a_dark_line_is_a_ridge_and_a_bright_line_or_a_dark_blob_is_not() -> None:
    down, across = np.mgrid[:96, :96] - 48.0
    line, blob = np.exp(-0.5 * (down / 3.0) ** 2), np.exp(-0.5 * (down**2 + across**2) / 9.0)
    assert image_statistics.ridges(100.0 - 40.0 * line, 3.0)[48, 48] > 10.0
    assert image_statistics.ridges(100.0 + 40.0 * line, 3.0)[48, 48] < 0.5
    assert image_statistics.ridges(100.0 - 40.0 * blob, 3.0)[48, 48] < 0.5


def test_what_lies_at_the_edge_decides_nothing() -> None:
    still = as_still(made_up(3))
    framed = still.copy()
    framed[:32], framed[-32:], framed[:, :32], framed[:, -32:] = 0, 0, 0, 0
    assert measure_still(framed).figures == measure_still(still).figures


@pytest.mark.parametrize("value", [0, 90, 255])
def test_a_flat_still_gives_finite_figures(value: int) -> None:
    flat = measure_still(np.full((256, 256), value, dtype=np.uint8))
    assert np.isfinite(list(flat.figures.values())).all()
    assert flat.figures["grey SD"] == flat.figures["noise SD"] == 0.0


@pytest.mark.parametrize(
    "bad", [np.zeros((255, 512), np.uint8), np.zeros((512, 512)), np.zeros((512, 512, 3), np.uint8)]
)
def test_what_is_no_still_is_refused(bad: NDArray[np.generic]) -> None:
    with pytest.raises(ValueError, match="expected \\(rows, columns\\) uint8, 256 or more"):
        measure_still(bad)


def shown(stored: NDArray[np.uint16], voi: VoiWindow | None, exposed: NDArray[np.int32] | None = None) -> list[int]:
    grayscale = Grayscale(bits_stored=10, voi=voi, exposed=exposed)
    run = Run("id", "made up", 1, *stored.shape, grayscale, Timing(15.0, "default"))
    return [int(grey) for grey in realism.as_displayed(stored, run)[0]]


def test_a_frame_is_shown_through_its_window_or_else_in_its_whole_range() -> None:
    stored = np.array([[0, 300, 400, 500, 1023]], dtype=np.uint16)
    assert shown(stored, VoiWindow(400.0, 200.0, "LINEAR_EXACT")) == [0, 0, 128, 255, 255]
    assert shown(stored, None) == [0, 75, 100, 125, 255]


def test_what_a_declared_shutter_covers_is_shown_black() -> None:
    stored = np.full((1, 4), 1023, dtype=np.uint16)
    assert shown(stored, None, np.array([[1, 3]], dtype=np.int32)) == [0, 255, 255, 0]


def test_the_sheet_mixes_both_and_its_key_is_the_same_each_time(tmp_path: Path) -> None:
    real, phantom = ([np.full((512, 512), value, np.uint8)] * 15 for value in (200, 50))
    for name in ("first.png", "second.png"):
        realism.write_sheet(tmp_path / name, real, phantom)
    assert (tmp_path / "first.png").read_bytes() == (tmp_path / "second.png").read_bytes()
    with Image.open(tmp_path / "first.png") as image:
        sheet = np.asarray(image)
    tiles = sheet[:-16].reshape(4, 208, 6, 192)[:, 112, :, 96]
    assert np.sort(tiles.ravel()).tolist() == [50] * 12 + [200] * 12
    assert all(np.unique(row).size == 2 for row in tiles), "every row holds both"


def test_the_sheet_of_pure_noise_stays_below_its_size(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    stills = [rng.integers(0, 256, (512, 512), dtype=np.uint8) for _ in range(12)]
    realism.write_sheet(tmp_path / "sheet.png", stills, stills)
    assert (tmp_path / "sheet.png").stat().st_size < 1_500_000


def test_the_rows_and_the_table_name_every_figure_and_the_headline_every_distance(
    some: list[StillStatistics], more: list[StillStatistics]
) -> None:
    entries = list(realism.rows(some, more))
    names = set(DISTANCES)
    assert set(entries[-1]["headline"]) == names | {f"{name}_vs_floor" for name in names} | {
        "told_apart",
        "told_apart_floor",
    }
    assert {(row["case"], row["impl"]) for row in entries if "median" in row} == {
        (name, impl) for name in some[0].figures for impl in ("real", "phantom")
    }
    assert json.loads(json.dumps(entries, allow_nan=False)) == entries
    printed = realism.table(entries)
    assert all(name in printed for name in names | set(some[0].figures) | {"told_apart"})


def test_the_table_says_on_which_side_the_phantom_lies(some: list[StillStatistics]) -> None:
    printed = realism.table(list(realism.rows(some, measured(range(24), lambda picture: picture - 60.0))))
    (line,) = [line for line in printed.splitlines() if line.startswith("grey mean")]
    assert line.endswith(" <<")


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "benchmarks.realism", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=240
    )  # fmt: skip


def test_missing_data_is_told_with_what_to_do(tmp_path: Path) -> None:
    done = command("--data", str(tmp_path), "--quick")
    assert done.returncode == 4
    assert "0 real stills found: expected 10 or more as arcade_syntax/images/*.png" in done.stderr
    assert "give --data the folder that holds them" in done.stderr


def test_a_broken_or_small_still_is_told_by_name(tmp_path: Path) -> None:
    folder = tmp_path / "arcade_syntax" / "images"
    folder.mkdir(parents=True)
    (folder / "broken.png").write_bytes(b"no picture")
    assert "broken.png: not a readable PNG" in command("--data", str(tmp_path)).stderr
    Image.new("L", (200, 512)).save(folder / "broken.png")
    assert "200 x 512 pixels: expected 256 or more each way" in command("--data", str(tmp_path)).stderr


@pytest.mark.slow
def test_the_whole_command_on_real_stills(data_dir: Path, tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.png"
    done = command("--data", str(data_dir), "--quick", "--json", "--sheet", str(sheet))
    assert done.returncode == 0, done.stderr
    *rows, last = [json.loads(line) for line in done.stdout.splitlines()]
    assert {row["n"] for row in rows if row["impl"] == "phantom"} == {realism.QUICK_RUNS}
    assert 0.35 < last["headline"]["told_apart_floor"] < 0.65
    assert all(last["headline"][name] > 0.0 for name in DISTANCES)
    with Image.open(sheet) as image:
        assert image.size == (1152, 848)
