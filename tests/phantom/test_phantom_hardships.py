"""What makes a run hard to read: each kind can be forced, changes its own parts of the scene and nothing else."""

from __future__ import annotations

from collections import Counter
from dataclasses import fields, is_dataclass, replace
from functools import cache

import numpy as np
import pytest

from cathrt.runtime.phantom import PhantomSource, Scene, sample_scene
from cathrt.runtime.phantom.anatomy import CoronaryTree, Side
from cathrt.runtime.phantom.hardship import _RATE, HARDSHIPS, Hardship, draw_hardships, side_with
from cathrt.runtime.phantom.labels import label_frames
from cathrt.runtime.phantom.study import SceneRecipe
from cathrt.runtime.phantom.truth import truth_document

# Parts of a scene that each may change, besides the list of its hardships. A steep view moves the C-arm, the table
# (the anatomy stays in the middle) and the angles that are burnt into the picture; another tree moves what touches it.
VIEW = {"carm", "table_mm", "overlay"}
MAY_CHANGE: dict[Hardship, set[str]] = {
    "dark_heart": {"chest", "display"},
    "wedge": {"field"},
    "deep_caudal": VIEW,
    "deep_cranial": VIEW,
    "large_circumflex": {"tree", "catheter", "implants", *VIEW},
    "rich_right": {"tree", "implants"},
    "metal": {"outside"},
    "narrow_field": {"field"},
    "pale_contrast": {"bolus"},
    "slow_rate": {"frame_rate_hz", "frame_count", "bolus"},
    "video": {"display"},
}
MUST_CHANGE: dict[Hardship, set[str]] = {
    **{hardship: parts for hardship, parts in MAY_CHANGE.items() if len(parts) == 1},
    "dark_heart": {"chest", "display"},
    "deep_caudal": {"carm"},
    "deep_cranial": {"carm"},
    "large_circumflex": {"tree"},
    "rich_right": {"tree"},
    "slow_rate": {"frame_rate_hz"},
}


@cache
def plain_seed(side: Side) -> int:
    """A seed of this side that draws no hardship, at more than 7.5 frames/s."""
    for seed in range(500):
        scene = sample_scene(seed, matrix=64)
        if scene.side == side and not scene.hardships and scene.frame_rate_hz > 10.0:
            return seed
    raise AssertionError("none of 500 seeds is plain")


def with_and_without(hardship: Hardship, matrix: int = 64) -> tuple[Scene, Scene]:
    seed = plain_seed(side_with(hardship) or "left")
    return sample_scene(seed, matrix=matrix, hardship=hardship), sample_scene(seed, matrix=matrix)


def changed_parts(one: Scene, other: Scene) -> set[str]:
    return {f.name for f in fields(Scene) if not same(getattr(one, f.name), getattr(other, f.name))}


def same(one: object, other: object) -> bool:
    """Equal to the last bit, dataclasses and tuples part by part."""
    if type(one) is not type(other):
        return False
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        return np.array_equal(one, other)
    if is_dataclass(one):
        return all(same(getattr(one, f.name), getattr(other, f.name)) for f in fields(one))
    if isinstance(one, tuple) and isinstance(other, tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


@pytest.mark.parametrize("hardship", HARDSHIPS)
def test_a_forced_hardship_changes_its_own_parts_and_nothing_else(hardship: Hardship) -> None:
    hard, plain = with_and_without(hardship)
    assert (hard.hardships, plain.hardships) == ((hardship,), ())
    changed = changed_parts(hard, plain) - {"hardships"}
    assert MUST_CHANGE[hardship] <= changed <= MAY_CHANGE[hardship]


@pytest.mark.parametrize("hardship", HARDSHIPS)
def test_a_forced_hardship_is_drawn_the_same_again_and_can_be_seen(hardship: Hardship) -> None:
    hard, plain = with_and_without(hardship, matrix=96)
    again, _ = with_and_without(hardship, matrix=96)
    assert changed_parts(hard, again) == set()
    index = 30  # of a run of at least 45; at 7.5 frames/s another moment, else the same
    seen = PhantomSource(hard).render(index)
    assert np.array_equal(seen, PhantomSource(again).render(index))
    without = PhantomSource(plain).render(index)
    assert seen.dtype != without.dtype or not np.array_equal(seen, without)


def test_a_dark_heart_is_large_and_left_dark() -> None:
    hard, plain = with_and_without("dark_heart")
    assert hard.chest is not None
    assert hard.chest.heart >= 1.12
    assert hard.chest.lung_density <= 0.32
    assert hard.display.harmonisation <= 0.6 * plain.display.harmonisation
    assert replace(hard.display, harmonisation=plain.display.harmonisation) == plain.display


def test_wedges_lie_over_the_arteries() -> None:
    for seed in range(12):
        wedges = sample_scene(seed, matrix=64, hardship="wedge").field.wedges
        assert 1 <= len(wedges) <= 2
        assert all(wedge.depth >= 0.6 and wedge.edge <= 0.5 for wedge in wedges)


@pytest.mark.parametrize("side", ["left", "right"])
def test_steep_views_are_steep_and_keep_the_artery_near_the_middle(side: Side) -> None:
    for seed in range(5):
        caudal, cranial = (
            sample_scene(seed, side=side, matrix=64, hardship=hardship) for hardship in ("deep_caudal", "deep_cranial")
        )
        assert caudal.carm.secondary_angle_deg <= -24.0
        assert cranial.carm.secondary_angle_deg >= 30.0
        for scene in (caudal, cranial):
            assert scene.tree is not None
            named = scene.tree.tubes.points[scene.tree.named]
            middle = 0.5 * (named.min(axis=0) + named.max(axis=0)) + scene.table_mm
            column, row = scene.carm.project(middle)[0]
            assert 16.0 < column < 48.0
            assert 16.0 < row < 48.0


def test_a_large_circumflex_is_at_least_as_wide_as_the_anterior_descending_artery() -> None:
    def proximal_mm(tree: CoronaryTree, name: str) -> float:
        vessel = next(vessel for vessel in tree.vessels if vessel.name == name)
        return 2.0 * float(np.median(vessel.radii[:20]))

    shares = []
    for seed in range(8):
        tree = sample_scene(seed, matrix=64, hardship="large_circumflex").tree
        assert tree is not None
        assert tree.side == "left"
        shares.append(proximal_mm(tree, "LCx") / proximal_mm(tree, "LAD"))
    assert min(shares) > 0.97
    assert np.median(shares) > 1.05


def test_a_large_circumflex_is_left_dominant_in_its_tree_and_in_the_truth() -> None:
    for seed in range(8):
        source = PhantomSource(sample_scene(seed, matrix=64, hardship="large_circumflex"))
        assert source.scene.tree is not None
        assert source.scene.tree.dominance == "left"
        assert truth_document(source, "a.dcm", "explicit-le")["dominance"] == "left"


def test_dominance_is_a_label_that_changes_no_pixel() -> None:
    scene = sample_scene(3, matrix=64, hardship="large_circumflex")
    assert scene.tree is not None
    relabelled = replace(scene, tree=replace(scene.tree, dominance="right"))
    labels = [label_frames(drawn) for drawn in (scene, relabelled)]
    best = int(np.argmax([label.readability for label in labels[0]]))
    seen, other = (PhantomSource(drawn).render(best) for drawn in (scene, relabelled))
    assert np.array_equal(seen, other)
    assert labels[0][best].readability != labels[1][best].readability, "segments weigh otherwise"


def test_a_rich_right_artery_has_more_branches_than_the_same_one_otherwise() -> None:
    more = []
    for seed in range(8):
        rich, usual = (sample_scene(seed, side="right", matrix=64, hardship=h).tree for h in ("rich_right", None))
        assert rich is not None
        assert usual is not None
        assert rich.side == "right"
        more.append(len(rich.vessels) / len(usual.vessels))
    assert np.median(more) > 1.2


def test_metal_adds_to_what_lies_in_the_beam_and_each_kind_of_it_is_drawn() -> None:
    hard, plain = with_and_without("metal")
    assert len(hard.outside) > len(plain.outside)
    names = {thing.name for seed in range(24) for thing in sample_scene(seed, matrix=64, hardship="metal").outside}
    assert {"ecg_leads", "sternal_wires", "clips", "echo_probe", "valve"} <= names


def test_a_narrow_field_leaves_a_wide_border() -> None:
    for seed in range(8):
        field = sample_scene(seed, matrix=64, hardship="narrow_field").field
        assert 0.4 <= field.right - field.left <= 0.88
        assert 0.4 <= field.bottom - field.top <= 0.88


def test_pale_contrast_is_the_same_injection_with_little_iodine() -> None:
    hard, plain = with_and_without("pale_contrast")
    assert hard.bolus is not None
    assert plain.bolus is not None
    assert 0.13 <= hard.bolus.peak <= 0.35
    assert replace(hard.bolus, peak=plain.bolus.peak) == plain.bolus
    pale, full = (max(label.readability for label in label_frames(scene)) for scene in (hard, plain))
    assert pale < full


def test_a_slow_run_has_seven_and_a_half_frames_a_second() -> None:
    hard, _ = with_and_without("slow_rate")
    assert hard.frame_rate_hz == 7.5
    assert hard.frame_count >= 45


def test_a_screen_recording_has_eight_bits_and_fewer_details() -> None:
    hard, plain = with_and_without("video", matrix=256)
    assert (hard.display.bits_stored, hard.display.relationship) == (8, "DISP")
    assert hard.display.jpeg_quality is not None
    assert hard.display.jpeg_quality < 60
    assert hard.display.resampled is not None
    assert hard.display.resampled < 0.85
    sharp = replace(plain, display=replace(hard.display, resampled=None, jpeg_quality=None))
    assert fine_detail(hard) < 0.7 * fine_detail(sharp)


def fine_detail(scene: Scene) -> float:
    """Standard deviation of the second difference along the rows: noise and edges of one or two pixels."""
    pixels = PhantomSource(replace(scene, overlay=None)).render(20).astype(float)
    return float(np.diff(pixels[32:-32, 32:-32], n=2, axis=1).std())


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("coronary", [True, False])
def test_hardships_come_at_their_rates_and_only_where_they_can(side: Side, coronary: bool) -> None:
    rng, draws = np.random.default_rng(8), 6000
    counts = Counter(h for _ in range(draws) for h in draw_hardships(rng, side, None, coronary=coronary, closed=False))
    impossible = {"rich_right"} if side == "left" else {"large_circumflex"}
    if not coronary:
        impossible |= {"large_circumflex", "rich_right", "pale_contrast"}
    for hardship in HARDSHIPS:
        rate = 0.0 if hardship in impossible else _RATE[hardship]
        if hardship == "deep_cranial":  # gives way to a deep caudal view
            rate *= 1.0 - _RATE["deep_caudal"]
        sd = np.sqrt(rate * (1.0 - rate) / draws)
        assert counts[hardship] / draws == pytest.approx(rate, abs=4.0 * sd), hardship


def test_a_view_is_never_deep_caudal_and_deep_cranial_at_once() -> None:
    rng = np.random.default_rng(2)
    views: tuple[Hardship | None, ...] = ("deep_caudal", "deep_cranial", None)
    for forced in views:
        for _ in range(500):
            found = draw_hardships(rng, "left", forced, coronary=True, closed=False)
            assert len(found & {"deep_caudal", "deep_cranial"}) <= 1
            assert forced is None or forced in found


def test_scenes_draw_hardships_without_being_asked_in_the_order_of_the_list() -> None:
    scenes = [sample_scene(seed, kind=None, matrix=64) for seed in range(40)]
    assert 0.4 < np.mean([bool(scene.hardships) for scene in scenes]) < 0.9
    for scene in scenes:
        assert scene.hardships == tuple(name for name in HARDSHIPS if name in scene.hardships)


def test_a_hardship_of_one_side_draws_that_side() -> None:
    for seed in range(4):
        assert sample_scene(seed, matrix=64, hardship="large_circumflex").side == "left"
        assert sample_scene(seed, matrix=64, hardship="rich_right").side == "right"


@pytest.mark.parametrize(
    ("hardship", "wrong", "said"),
    [
        ("rich_right", {"side": "left"}, "a scene of the left artery, filled, cannot have it: expected one of"),
        ("large_circumflex", {"side": "right"}, "a scene of the right artery, filled, cannot have it"),
        ("pale_contrast", {"kind": "lv_gram"}, "not filled, cannot have it"),
        ("rich_right", {"kind": "no_contrast"}, "not filled, cannot have it"),
        ("narrow_field", {"kind": "closed_collimator"}, "with a closed collimator, cannot have it"),
        ("fog", {}, "expected None or one of dark_heart"),
    ],
)
def test_a_hardship_that_the_scene_cannot_have_is_refused(hardship: str, wrong: dict[str, str], said: str) -> None:
    with pytest.raises(ValueError, match=f"hardship '{hardship}': .*{said}"):
        sample_scene(5, matrix=64, hardship=hardship, **wrong)  # type: ignore[arg-type]


def test_where_nobody_is_in_the_beam_neither_heart_nor_metal_is_claimed() -> None:
    scenes = [sample_scene(seed, kind="empty", matrix=64) for seed in range(12)]
    bare = [scene for scene in scenes if scene.chest is None]
    assert bare
    assert not any({"dark_heart", "metal"} & set(scene.hardships) for scene in bare)
    with pytest.raises(ValueError, match="nobody is in the beam of seed"):
        sample_scene(bare[0].seed, kind="empty", matrix=64, hardship="metal")


def test_a_recipe_at_another_rate_is_not_called_slow() -> None:
    seed = next(seed for seed in range(300) if "slow_rate" in sample_scene(seed, matrix=64).hardships)
    slow, fast = (SceneRecipe(seed, matrix=64, frame_rate_hz=rate).scene() for rate in (7.5, 15.0))
    assert "slow_rate" in slow.hardships
    assert "slow_rate" not in fast.hardships
    with pytest.raises(ValueError, match="give no other rate with it"):
        SceneRecipe(seed, matrix=64, frame_rate_hz=15.0, hardship="slow_rate").scene()


def test_a_run_with_a_hardship_is_another_run() -> None:
    hard, plain = with_and_without("dark_heart")
    assert PhantomSource(hard).run.run_id != PhantomSource(plain).run.run_id
