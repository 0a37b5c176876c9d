"""The qualification page: what it shows, that it fetches nothing, and that nothing from outside is taken for markup."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from cathrt.export.models.keyframe.comparison import RunLogits, compare
from cathrt.export.models.keyframe.criteria import CRITERIA
from cathrt.export.models.keyframe.demo.dataset import LABELS
from cathrt.export.models.keyframe.demo.evaluate import semantics
from cathrt.export.models.keyframe.differences import Comparison
from cathrt.export.models.keyframe.gate import GATES
from cathrt.export.qualify.alone import Alone, Latency
from cathrt.export.qualify.intervals import Share
from cathrt.export.qualify.measure import Qualification
from cathrt.export.qualify.page import qualification_page
from cathrt.export.qualify.sequential import Proof
from cathrt.export.qualify.worth import Worth, WorthFigure
from cathrt.runtime.alert import NOTICE
from cathrt.runtime.bundle.manifest import Precision
from cathrt.runtime.models.keyframe.policy import KeyframePolicyConfig
from cathrt.runtime.models.keyframe.section import CLASSIFIER

PICTURE = np.arange(64, dtype=np.uint8).reshape(8, 8)
WORTH = Worth(
    (
        WorthFigure("laterality", "generated runs", Share(48, 50), 0.6, "the commonest side"),
        WorthFigure("key frame", "generated runs", Share(40, 50), 0.25, "a frame at random"),
    )
)


class Reader(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def count(self, tag: str, **attributes: str) -> int:
        return sum(name == tag and attributes.items() <= found.items() for name, found in self.tags)


def qualification(*, flips: int = 1, name: str = "run") -> Qualification:
    """A hundred runs of twelve frames; in the first of them `flips` frames are of another class for the engine."""
    runs = []
    for number in range(100):
        reference = np.eye(6)[np.arange(12) % 6] * 5.0
        engine = reference.copy()
        if number == 0:
            engine[:flips] = engine[:flips, ::-1]
        sides = tuple(label.laterality for label in LABELS) * 2
        runs.append(RunLogits(name, np.arange(12), np.arange(12) * 100.0, sides, reference, engine))
    return Qualification(
        model="golden",
        role=CLASSIFIER,
        engine="openvino",
        precision="int8",
        artifact_sha256="a" * 64,
        rest="float32",
        reference="float32 ONNX",
        set_sha256="b" * 64,
        left_out={"same pixels as the frame before": 3},
        comparison=compare(runs, semantics(0.6, 0.5, 0.5), KeyframePolicyConfig()),
        proofs=(Proof("agreement", 0.99, 100, 150.0, 1.0), Proof("key_frames", 0.99, 100, 150.0, 1.0)),
        runs_at_most=240,
        worth=WORTH,
        date="2026-11-30T12:00:00+00:00",
        about={"arch": "convnext_atto", "random_init": True, "seed": 7},
        tools={"openvino": "2026.4.1"},
        layer_errors=(("stages.1", 0.5), ("stages.2", 0.25)),
        pictures={(0, frame): PICTURE for frame in range(flips)},
        alone=Alone(Latency((1.0, 2.0, 2.0, 9.0)), 60.0, 181.9),
    )


def comparison_of(found: Qualification) -> Comparison:
    assert isinstance(found.comparison, Comparison)
    return found.comparison


def read(found: Qualification, precision: Precision = "int8") -> Reader:
    return Reader(qualification_page(found, CRITERIA, GATES[precision]))


def test_a_passed_page_tells_figures_identity_and_the_notice() -> None:
    page = read(qualification())
    for expected in (
        NOTICE,
        "Fidelity: passed",
        "golden on openvino, int8",
        "1199 of 1200",
        "aaaaaaaaaaaaaaaa",
        "bbbbbbbbbbbbbbbb",
        "left out: same pixels as the frame before",
        "182 MiB",
        "60 MiB before",
    ):
        assert expected in page.text
    assert "failed" not in page.text


def test_a_failed_page_names_what_failed_and_where_to_look() -> None:
    page = read(qualification(flips=12), "bfloat16")
    assert "Fidelity: failed, not signed" in page.text
    assert "class agreement: found 1188 of 1200" in page.text
    assert "layer stages.1, error 0.5" in page.text
    assert "run frame 0: LCA-better → RCA-others" in page.text
    assert "Fidelity: passed" not in page.text


def test_each_flip_shows_its_frame_and_both_scores_of_every_class() -> None:
    page = read(qualification(flips=2))
    pictures = [found["src"] or "" for tag, found in page.tags if tag == "img"]
    assert len(pictures) == 2
    png = base64.b64decode(pictures[0].removeprefix("data:image/png;base64,"))
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(png))), PICTURE)
    assert page.count("rect", x="90") == 2 * 6 * 2
    longest = max(float(found["width"] or 0) for tag, found in page.tags if tag == "rect" and found.get("x") == "90")
    assert longest == pytest.approx(160 * np.exp(5) / (np.exp(5) + 5), abs=0.06)
    assert "LCA-bad → RCA-bad, margin 0.961, then 0.961" in page.text


def test_flips_beyond_the_pictures_are_listed_without_one() -> None:
    found = qualification(flips=3)
    page = read(replace(found, pictures={(0, 1): PICTURE}))
    assert page.count("img") == 1
    assert "3 flips, the 1 surest shown" in page.text
    assert "run frame 2: LCA-others → RCA-better" in page.text


def test_layer_bars_are_as_long_as_their_errors() -> None:
    page = read(qualification())
    bars = [float(found["width"] or 0) for tag, found in page.tags if tag == "rect" and found.get("x") == "250"]
    assert bars == [310.0, 155.0]
    assert "Not measured" in read(replace(qualification(), layer_errors=())).text


def test_the_histogram_counts_every_call_and_the_table_tells_the_quantiles() -> None:
    page = read(qualification())
    engine = [
        found for tag, found in page.tags if tag == "rect" and found.get("fill-opacity") and found["fill"] == "#ffb86b"
    ]
    heights = [float(found["height"] or 0) for found in engine]
    assert [height / max(heights) for height in heights] == [0.5, 1.0, 0.5]
    assert re.search(r"engine alone41\.002\.002\.009\.009\.009\.00", page.text)
    assert "no p99 to quote" in page.text


def test_a_call_slower_than_the_p99_is_counted_in_the_last_bar() -> None:
    found = replace(qualification(), alone=Alone(Latency((1.0,) * 199 + (50.0,)), 60.0, 70.0))
    text = read(found).text
    assert "1.00 ms and more" in text
    assert "200 calls" in text


def test_the_page_fetches_nothing_and_runs_nothing() -> None:
    page = qualification_page(qualification(), CRITERIA, GATES["int8"])
    assert "<script" not in page
    assert not re.search(r"""(?:src|href)\s*=\s*["'](?!data:)""", page)
    assert "http" not in page
    assert "url(" not in page
    assert "@import" not in page


def test_what_comes_from_outside_stays_text() -> None:
    hostile = '<img src=x onerror=alert(1)>"&'
    found = qualification(flips=12, name=hostile)
    compared = comparison_of(found)
    page = read(
        replace(
            found,
            model=hostile,
            engine=hostile,
            reference=hostile,
            left_out={hostile: 1},
            layer_errors=((hostile, 0.5),),
            comparison=replace(compared, labels=(hostile,) * 6, not_finite=(compared.flips[0].where,)),
        ),
        "bfloat16",
    )
    assert page.count("img") == 12
    assert not any("onerror" in attributes for _, attributes in page.tags)
    assert page.text.count("<img src=x onerror=alert(1)>") > 30


def test_a_comparison_without_sides_key_frames_or_finite_logits_says_so() -> None:
    found = qualification()
    bare = replace(comparison_of(found), laterality=None, key_frames=None, logit_error=None, flips=())
    text = read(replace(found, comparison=bare, alone=None)).text
    for expected in (
        "needs frames of both sides",
        "no run of three frames",
        "no finite logits",
        "No frame changed its class",
    ):
        assert expected in text
    assert "Neither latency nor memory was measured." in text


def test_the_two_verdicts_stand_side_by_side_with_the_accuracy_beside_chance() -> None:
    page = read(qualification())
    verdicts = page.text[page.text.index("Fidelity: passed") : page.text.index("Fidelity: figures")]
    assert "Worth: better than chance" in verdicts
    assert "laterality, generated runs48 of 50 (0.96; 95 %: 0.865" in verdicts
    assert "0.600, the commonest side" in verdicts
    assert "0.250, a frame at random" in verdicts
    assert page.count("div", **{"class": "verdicts"}) == 1
    assert page.count("section", **{"class": "good"}) == 2


@pytest.mark.parametrize(
    ("right", "title", "colour"),
    [
        (Share(30, 50), "Worth: no better than chance", "bad"),
        (Share(20, 20), "Worth: not enough evidence", "open"),
        (None, "Worth: not enough evidence", "open"),
    ],
)
def test_faithful_is_not_green_for_a_network_that_is_worth_nothing(
    right: Share | None, title: str, colour: str
) -> None:
    figure = WorthFigure("laterality", "generated runs", right, 0.6, "the commonest side")
    page = read(replace(qualification(), worth=Worth((figure, WORTH.figures[1]))))
    assert title in page.text
    assert "--sign-anyway" in page.text
    assert page.count("section", **{"class": colour}) == 1
    assert page.count("section", **{"class": "good"}) == 1, "fidelity alone"


def test_a_kind_without_a_measure_of_worth_says_that_it_is_not_stated() -> None:
    assert "Worth: not stated" in read(replace(qualification(), worth=None)).text


def test_too_small_a_set_is_not_enough_evidence_and_no_failure() -> None:
    few = replace(qualification(), proofs=(Proof("key_frames", 0.99, 41, 8.0, 1.0),))
    page = read(few)
    assert "Fidelity: not enough evidence, not signed" in page.text
    assert "proof of key_frames: found 41 runs leave a doubt of 0.12 that it is above 0.95" in page.text
    assert "failed" not in page.text


def test_the_page_tells_architecture_seed_date_and_versions() -> None:
    text = read(qualification()).text
    assert "convnext_atto · random weights of seed 7 · qualified on 2026-11-30T12:00:00+00:00" in text
    assert "openvino 2026.4.1" in text
    trained = read(replace(qualification(), about={})).text
    assert "architecture not stated · trained weights" in trained
