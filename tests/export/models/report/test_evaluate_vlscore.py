"""VLScore: the triangle's area by hand, its ends, and an encoder of two tiny ONNX networks."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from cathrt.export.models.report.evaluate.encoder import Encoder, open_encoder
from cathrt.export.models.report.evaluate.evaluation import evaluated
from cathrt.export.models.report.evaluate.texts import Pair, ReportTexts
from cathrt.export.models.report.evaluate.vlscore import LARGEST_AREA, triangle_area, vlscore
from cathrt.runtime.errors import ConfigError, EngineError

X, Y, Z = np.eye(3)
WORDS = ("[PAD]", "[UNK]", "clear", "narrow", "left", "right")
SIDE = 4


def test_the_area_is_half_of_base_times_height_in_any_dimension() -> None:
    assert triangle_area(np.zeros(5), np.array([3.0, 0, 0, 0, 0]), np.array([1.0, 0, 0, 2.0, 0])) == pytest.approx(3.0)
    assert triangle_area(X, Y, Z) == pytest.approx(math.sqrt(3.0) / 2.0)  # equilateral, sides of sqrt(2)
    assert triangle_area(X, X, Z) == 0.0


def test_equal_texts_score_one_and_the_largest_triangle_scores_zero() -> None:
    assert vlscore([X], Y, Y) == 1.0
    turned = [np.array([math.cos(angle), math.sin(angle), 0.0]) for angle in (0.0, 2.0943951, 4.1887902)]
    assert triangle_area(*turned) == pytest.approx(LARGEST_AREA)
    assert vlscore(turned[:1], *turned[1:]) == pytest.approx(0.0, abs=1e-7)


def test_no_triangle_on_the_sphere_is_larger_than_the_largest() -> None:
    points = np.random.default_rng(0).normal(size=(500, 3, 8))
    points /= np.linalg.norm(points, axis=-1, keepdims=True)
    assert max(triangle_area(*three) for three in points) < LARGEST_AREA


def test_a_draft_nearer_to_the_reference_scores_more_and_length_does_not_count() -> None:
    near, far = np.array([0.1, 1.0, 0.0]), np.array([0.0, 0.3, 1.0])
    assert vlscore([X], Y, near) > vlscore([X], Y, far)
    assert vlscore([3.0 * X], 0.1 * Y, 7.0 * near) == pytest.approx(vlscore([X], Y, near))


def test_the_mean_is_taken_over_pictures_and_an_encoder_can_say_where_zero_lies() -> None:
    assert vlscore([X, Z], X, Y) == pytest.approx((vlscore([X], X, Y) + vlscore([Z], X, Y)) / 2)
    assert vlscore([X], Y, Z, zero_area=0.1) == 0.0


@pytest.mark.parametrize("wrong", [np.zeros(3), np.array([1.0, np.nan, 0.0]), np.array([np.inf, 0.0, 0.0])])
def test_what_is_no_direction_has_no_score(wrong: np.ndarray) -> None:
    with pytest.raises(ConfigError, match="expected a direction"):
        vlscore([X], Y, wrong)


def test_embeddings_of_two_spaces_and_studies_without_pictures_are_refused() -> None:
    with pytest.raises(ConfigError, match="expected one space"):
        vlscore([X], Y, np.ones(4))
    with pytest.raises(ConfigError, match="name its pictures"):
        vlscore([], X, Y)


# An encoder as a folder


def write_encoder(folder: Path, **changed: object) -> Path:
    """Pictures: mean of their rows; texts: a vector for each word, averaged by the mask."""
    folder.mkdir()
    table = np.random.default_rng(1).normal(size=(len(WORDS), SIDE)).astype(np.float32)
    _save(
        folder / "image.onnx",
        [helper.make_node("ReduceMean", ["pixels", "axes"], ["embedding"], keepdims=0)],
        {"axes": np.array([1, 2], np.int64)},
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, [1, 3, SIDE, SIDE])],
        [1, SIDE],
    )
    _save(
        folder / "text.onnx",
        [
            helper.make_node("Gather", ["table", "ids"], ["rows"]),
            helper.make_node("Cast", ["mask"], ["seen"], to=TensorProto.FLOAT),
            helper.make_node("Unsqueeze", ["seen", "last"], ["column"]),
            helper.make_node("Mul", ["rows", "column"], ["kept"]),
            helper.make_node("ReduceSum", ["kept", "first"], ["embedding"], keepdims=0),
        ],
        {"table": table, "last": np.array([2], np.int64), "first": np.array([1], np.int64)},
        [helper.make_tensor_value_info(name, TensorProto.INT64, [1, "T"]) for name in ("ids", "mask")],
        [1, SIDE],
    )
    tokenizer = {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None,
        "pre_tokenizer": {"type": "Whitespace"}, "post_processor": None, "decoder": None,
        "model": {"type": "WordLevel", "vocab": {word: at for at, word in enumerate(WORDS)}, "unk_token": "[UNK]"},
    }  # fmt: skip
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    picture = {"file": "image.onnx", "input": "pixels", "output": "embedding", "side": SIDE, "mean": [0.5, 0.5, 0.5],
               "std": [0.5, 0.5, 0.5]}  # fmt: skip
    text = {"file": "text.onnx", "ids": "ids", "mask": "mask", "output": "embedding", "tokenizer": "tokenizer.json",
            "length": 6}  # fmt: skip
    (folder / "encoder.json").write_text(json.dumps({"picture": picture, "text": text, **changed}))
    return folder


def _save(path: Path, nodes: list, constants: dict, inputs: list, shape: list) -> None:
    graph = helper.make_graph(
        nodes, path.stem, inputs, [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(values, name) for name, values in constants.items()],
    )  # fmt: skip
    path.write_bytes(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9).SerializeToString()
    )


def a_picture(path: Path, grey: int = 200) -> Path:
    pixels = np.full((9, 7), grey, np.uint8)
    pixels[:, 3:] //= 2
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    return open_encoder(write_encoder(tmp_path_factory.mktemp("encoders") / "one"))


def test_padding_says_nothing_and_words_do(encoder: Encoder) -> None:
    assert encoder.text("narrow left").shape == (SIDE,)
    assert np.allclose(encoder.text("narrow left"), encoder.text("left narrow"))
    assert not np.allclose(encoder.text("narrow left"), encoder.text("narrow right"))
    assert np.allclose(encoder.text(" ".join(["narrow"] * 9)), 6 * encoder.text("narrow"))  # cut to its length


def test_a_picture_is_fed_as_the_folder_says(encoder: Encoder, tmp_path: Path) -> None:
    path = tmp_path / "white.png"
    Image.fromarray(np.full((5, 5), 255, np.uint8)).save(path)
    assert np.allclose(encoder.picture(path), 1.0)  # (1 - 0.5) / 0.5


def test_the_evaluation_scores_every_language_that_both_texts_have(encoder: Encoder, tmp_path: Path) -> None:
    pictures = (a_picture(tmp_path / "a.png"),)

    def pair(study: str, draft: str, pictures: tuple[Path, ...]) -> Pair:
        reference = ReportTexts(study, {"en": "narrow left", "ja": "narrow left"}, None, pictures)
        return Pair(ReportTexts(study, {"en": draft}, None, ()), reference)

    pairs = [pair("same", "narrow left", pictures), pair("other", "clear right", pictures), pair("none", "clear", ())]
    found = evaluated(pairs, encoder)
    assert found.vlscores.keys() == {"en"}
    mean, (low, high) = found.vlscores["en"]
    assert 0.0 < low < mean < high == 1.0
    assert found.left_out == (("none", "no picture is named: it has no VLScore"),)
    json.dumps(found.record(), allow_nan=False)


@pytest.mark.parametrize(
    ("changed", "error", "said"),
    [
        ({"zero_area": 0.0}, ConfigError, "zero_area"),
        ({"size": 3}, ConfigError, "size: unknown key"),
        ({"picture": {"file": "no.onnx", "input": "pixels", "output": "embedding", "side": 4, "mean": [0.0, 0.0, 0.0],
                      "std": [1.0, 1.0, 1.0]}}, ConfigError, "no such file"),
        ({"picture": {"file": "tokenizer.json", "input": "pixels", "output": "embedding", "side": 4,
                      "mean": [0.0, 0.0, 0.0], "std": [1.0, 1.0, 1.0]}}, EngineError, "cannot open it"),
        ({"text": {"file": "text.onnx", "ids": "ids", "output": "embedding", "tokenizer": "image.onnx"}}, ConfigError,
         "not a tokenizer.json"),
    ],
    ids=["no area", "unknown key", "no file", "no network", "no tokenizer"],
)  # fmt: skip
def test_a_folder_that_is_no_encoder_is_refused(
    tmp_path: Path, changed: dict[str, object], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        open_encoder(write_encoder(tmp_path / "encoder", **changed))


def test_networks_that_are_not_fed_what_they_want_are_an_engine_error(tmp_path: Path) -> None:
    text = {"file": "text.onnx", "ids": "ids", "output": "embedding", "tokenizer": "tokenizer.json"}
    opened = open_encoder(write_encoder(tmp_path / "encoder", text=text))
    with pytest.raises(EngineError, match="inference failed"):
        opened.text("narrow")  # its mask is missing


def test_a_folder_without_its_description_and_a_picture_that_is_none_are_refused(
    tmp_path: Path, encoder: Encoder
) -> None:
    with pytest.raises(ConfigError, match=r"encoder\.json: cannot be read"):
        open_encoder(tmp_path)
    (tmp_path / "x.png").write_bytes(b"no picture")
    with pytest.raises(ConfigError, match="cannot be read as a picture"):
        encoder.picture(tmp_path / "x.png")


def test_onnx_checks_the_made_up_networks(tmp_path: Path) -> None:
    folder = write_encoder(tmp_path / "encoder")
    for name in ("image.onnx", "text.onnx"):
        onnx.checker.check_model(onnx.load(folder / name))
