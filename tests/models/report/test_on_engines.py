"""Generation with the exported graphs on both CPU engines: the tokens are those of transformers' greedy generate()."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from threading import Event

import numpy as np
import pytest
from numpy.typing import NDArray

from cathrt.export.models.report.graphs.settings import GraphSettings
from cathrt.runtime.bundle.opening import Bundle
from cathrt.runtime.config import EngineConfig
from cathrt.runtime.errors import EngineError, ManifestError
from cathrt.runtime.models.report import decoder
from cathrt.runtime.models.report import model as report_model
from cathrt.runtime.models.report.model import ReportModel, answered, open_report_model
from cathrt.runtime.models.report.prompt_parts import Answer, Asked, Markup, Prompt
from tests.export.models.report import tiny_gemma
from tests.models.report.tiny_bundle import ENGINES, TINY, tiny_report_bundle
from tests.models.report.tiny_model import grey

COUNT = 256
SEED = 6  # of weights that do not end their answer within COUNT tokens
ONE_THREAD = EngineConfig(threads=1)
SYSTEM = "<start_of_turn>user\nState what is shown, and nothing else. "
ASKED = Asked(most_tokens=40, most_s=1e6)
BOTH = pytest.mark.parametrize("engine", ENGINES)


@pytest.fixture(scope="module")
def network() -> tiny_gemma.TinyModel:
    return tiny_gemma.tiny_vlm(TINY, SEED)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory, network: tiny_gemma.TinyModel) -> Bundle:
    return tiny_report_bundle(tmp_path_factory.mktemp("report"), network)


@pytest.fixture(scope="module")
def opened(bundle: Bundle) -> Callable[[str], ReportModel]:
    """Each engine once."""
    models = {engine: open_report_model(bundle, ONE_THREAD, engine) for engine in ENGINES}
    return models.__getitem__


def theirs(model: ReportModel, network: tiny_gemma.TinyModel, answer: Sequence[int]) -> list[int]:
    """The token that transformers takes at each place of an answer to asked_with_pictures(), given those before it.

    It sees the whole sequence at once, pixel by pixel and token by token the same. Where every token is the answer's
    own, the answer is that of its greedy generate().
    """
    tokens = model.section.tokens
    picture = [tokens.begin_image, *[tokens.image] * TINY.image_tokens, tokens.end_image]
    left, right, asked = (model.tokenizer.encode(text) for text in ("left ", " right ", " stenosis: "))
    prompt = [tokens.begin, *model.tokenizer.encode_markup(SYSTEM), *left, *picture, *right, *picture, *asked]
    pixels = np.stack([np.repeat(grey(seed, TINY.side, TINY.side)[None] * 2 - 1, 3, axis=0) for seed in (1, 2)])
    logits = tiny_gemma.reference_logits(network, np.asarray([[*prompt, *answer[:-1]]], np.int64), pixels)
    found: list[int] = logits[len(prompt) - 1 :].argmax(axis=1).tolist()
    return found


def asked_with_pictures(model: ReportModel) -> Prompt:
    first, second = (model.embed_picture(grey(seed, TINY.side, TINY.side), key=seed) for seed in (1, 2))
    return Prompt((Markup(SYSTEM), "left ", first, " right ", second, " stenosis: "))


def ask(model: ReportModel, prompt: Prompt, asked: Asked = ASKED) -> Answer:
    return answered(model.answer(prompt, asked, Event()))


@BOTH
def test_greedy_tokens_are_those_of_transformers(
    opened: Callable[[str], ReportModel], network: tiny_gemma.TinyModel, engine: str
) -> None:
    """Prompt of two pictures and more than the window, prefill in runs, a cache that grows twice, then 256 tokens."""
    model = opened(engine)
    answer = ask(model, asked_with_pictures(model), replace(ASKED, most_tokens=COUNT))
    assert list(answer.tokens) == theirs(model, network, answer.tokens)
    assert len(answer.tokens) == COUNT
    assert len(set(answer.tokens)) > 60  # else parity would say little


@BOTH
def test_causal_masks_over_pictures_are_not_transformers(
    opened: Callable[[str], ReportModel],
    network: tiny_gemma.TinyModel,
    engine: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    right = decoder.masks
    monkeypatch.setattr(decoder, "masks", lambda *sizes: right(*sizes[:5]))
    model = opened(engine)
    model._decoder._held.clear()  # what was computed with the right masks is not to be reused
    model._decoder._held_stops.clear()
    causal = ask(model, asked_with_pictures(model)).tokens
    assert list(causal) != theirs(model, network, causal)
    model._decoder._held.clear()
    model._decoder._held_stops.clear()


@BOTH
def test_what_was_answered_before_changes_no_token(opened: Callable[[str], ReportModel], engine: str) -> None:
    model = opened(engine)
    prompt = Prompt((Markup(SYSTEM), "left stenosis "))
    first = ask(model, prompt)
    ask(model, asked_with_pictures(model))
    again = ask(model, prompt)
    assert again.reused_tokens == 1 + len(model.tokenizer.encode_markup(SYSTEM))
    assert again.tokens == first.tokens


@BOTH
def test_a_cache_whose_unused_rows_hold_anything_answers_the_same(
    opened: Callable[[str], ReportModel], engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = opened(engine)
    prompt = Prompt((Markup(SYSTEM), "right stenosis "))
    clean = ask(model, prompt)
    cache = model._decoder._cache
    append = cache.append

    def poisoned(outputs: dict[str, NDArray[np.float32]], count: int) -> None:
        append(outputs, count)
        for number, array in enumerate(cache.feeds.values()):
            array[:, cache.length :] = np.nan if number % 2 else 3e38

    monkeypatch.setattr(cache, "append", poisoned)
    assert ask(model, prompt).tokens == clean.tokens


@BOTH
def test_json_of_a_schema_comes_out_of_noise(opened: Callable[[str], ReportModel], engine: str) -> None:
    schema = {
        "type": "object",
        "properties": {"percent": {"type": "integer", "minimum": 0, "maximum": 100}, "side": {"enum": ["左", "右"]}},
        "required": ["percent", "side"],
        "additionalProperties": False,
    }
    answer = ask(opened(engine), Prompt((Markup(SYSTEM), "facts")), Asked(80, 1e6, schema=schema))
    assert answer.whole
    found = json.loads(answer.text)
    assert 0 <= found["percent"] <= 100
    assert found["side"] in ("左", "右")


def test_int4_weights_answer_the_same_on_both_engines(tmp_path: Path) -> None:
    """One bundle; sums are in float32 on both."""
    network = tiny_gemma.tiny_text(TINY, SEED)
    settings = GraphSettings("int4", context=512, prefill=(16,), block=32, capacities=(128, 512))
    bundle = tiny_report_bundle(tmp_path, network, settings)
    answers = []
    for engine in ENGINES:
        with open_report_model(bundle, ONE_THREAD, engine) as model:
            answers.append(ask(model, Prompt((Markup(SYSTEM), "left"))).tokens)
    assert answers[0] == answers[1]
    assert len(set(answers[0])) > 8


def test_a_bundle_whose_decoder_has_no_run_as_long_as_a_picture_is_refused(
    tmp_path: Path, network: tiny_gemma.TinyModel
) -> None:
    settings = GraphSettings("float32", context=512, prefill=(8,))
    with pytest.raises(ManifestError, match="T is 8 at most, expected 9, the tokens of a picture"):
        tiny_report_bundle(tmp_path, network, settings)


def test_an_engine_without_artifacts_is_refused_by_name(bundle: Bundle) -> None:
    with pytest.raises(EngineError, match="engine 'tensorrt' runs no network in several sizes"):
        open_report_model(bundle, ONE_THREAD, "tensorrt")


def test_a_tokenizer_that_is_none_closes_what_was_opened(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[str] = []

    def open_counted(engine: str, bundle: Bundle, role: str, config: EngineConfig) -> object:
        found = open_sized_engine(engine, bundle, role, config)
        close = found.close
        found.close = lambda: (closed.append(role), close())
        return found

    open_sized_engine = report_model.open_sized_engine
    monkeypatch.setattr(report_model, "open_sized_engine", open_counted)
    monkeypatch.setattr(Bundle, "read", lambda *_: b"[]")
    with pytest.raises(ManifestError, match="tokenizer"):
        open_report_model(bundle, ONE_THREAD, "onnxruntime")
    assert sorted(closed) == ["decoder", "embedding", "vision"]
