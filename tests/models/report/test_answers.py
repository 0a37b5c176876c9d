"""Answers of a ReportModel, on networks in NumPy: what is written, where it ends, what is computed once."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from threading import Event
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from cathrt.runtime.engines.sized_fake import FakeSizedEngine
from cathrt.runtime.errors import EngineError
from cathrt.runtime.models.report.model import Networks, ReportModel, answered
from cathrt.runtime.models.report.prompt_parts import Answer, Asked, Markup, Part, Prompt
from cathrt.runtime.models.report.section import ReportSection
from tests.clocks import ManualClock
from tests.models.report.numpy_gemma import (
    decoder_engine,
    embedding_engine,
    numpy_weights,
    vision_engine,
    whole_logits,
)
from tests.models.report.tiny_model import (
    PICTURE_TOKENS,
    TINY,
    TOKENS,
    grey,
    tiny_report_model,
    tiny_section,
    tiny_tokenizer,
)

SYSTEM = Markup("<start_of_turn>user\nState what is shown. ")
WEIGHTS = numpy_weights(TINY)
ASKED = Asked(most_tokens=40, most_s=1e6)
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"percent": {"type": "integer", "minimum": 0, "maximum": 100}, "side": {"enum": ["left", "right"]}},
    "required": ["percent", "side"],
    "additionalProperties": False,
}


def prompt(*parts: Part) -> Prompt:
    return Prompt((SYSTEM, *parts))


def ask(model: ReportModel, parts: Prompt, asked: Asked = ASKED, stop: Event | None = None) -> Answer:
    return answered(model.answer(parts, asked, stop or Event()))


def model_that_decodes(
    change: Callable[[NDArray[np.float32]], None], section: ReportSection | None = None
) -> ReportModel:
    """One whose decoder's logits are changed in place, each time."""
    decoder = decoder_engine(TINY, WEIGHTS)
    run = decoder.run

    def changed(feeds: Any) -> Any:
        outputs = run(feeds)
        change(outputs["logits"])
        return outputs

    decoder.run = changed  # type: ignore[method-assign]
    networks = Networks(vision_engine(16, PICTURE_TOKENS, TINY.hidden), embedding_engine(TINY, WEIGHTS), decoder)
    return ReportModel(section or tiny_section(), networks, tiny_tokenizer())


def greedy_by_hand(model: ReportModel, parts: Prompt, count: int) -> list[int]:
    """By the whole sequence at once for each token, with the prompt laid out here."""
    rows: list[NDArray[np.float32]] = []
    blocks: list[int] = []
    table = WEIGHTS["embed_tokens.weight"] * np.float32(TINY.hidden**0.5)
    pictures = 0

    def add(ids: list[int]) -> None:
        rows.extend(table[ids])
        blocks.extend([-1] * len(ids))

    add([TOKENS.begin])
    for part in parts.parts:
        if isinstance(part, np.ndarray):
            add([TOKENS.begin_image])
            rows.extend(part)
            blocks.extend([pictures] * len(part))
            pictures += 1
            add([TOKENS.end_image])
        elif isinstance(part, Markup):
            add(model.tokenizer.encode_markup(part.text))
        else:
            add(model.tokenizer.encode(part))
    found: list[int] = []
    while len(found) < count:
        found.append(int(np.argmax(whole_logits(TINY, WEIGHTS, np.stack(rows), blocks)[-1])))
        add([found[-1]])
    return found


def test_greedy_tokens_are_those_of_the_whole_sequence_computed_anew_each_time() -> None:
    """Two pictures, a prompt and an answer longer than the window, several runs, a cache that grows."""
    model = tiny_report_model(TINY, WEIGHTS)
    parts = prompt("left ", model.embed_picture(grey(1)), " right ", model.embed_picture(grey(2)), " stenosis of:")
    expected = greedy_by_hand(model, parts, 40)
    assert len(set(expected)) > 8  # else parity would say little
    assert list(ask(model, parts).tokens) == expected


def test_a_prefill_network_reads_the_prompt_and_the_decoder_writes_the_answer() -> None:
    """Two forms of the same weights, here the same form."""
    rows: dict[str, list[int]] = {"prefill": [], "decoder": []}

    def counted(name: str) -> FakeSizedEngine:
        engine = decoder_engine(TINY, WEIGHTS)
        run = engine.run

        def noted(feeds: Any) -> Any:
            rows[name].append(len(feeds["positions"]))
            return run(feeds)

        engine.run = noted  # type: ignore[method-assign]
        return engine

    networks = Networks(None, embedding_engine(TINY, WEIGHTS), counted("decoder"), counted("prefill"))
    model = ReportModel(tiny_section(picture=None, pictures=0), networks, tiny_tokenizer())
    answer = ask(model, prompt("left stenosis of what is shown"))
    assert answer.tokens == ask(tiny_report_model(TINY, WEIGHTS), prompt("left stenosis of what is shown")).tokens
    assert set(rows["decoder"]) == {1}
    assert rows["prefill"]
    assert min(rows["prefill"]) > 1


def test_the_pieces_of_an_answer_are_its_text() -> None:
    model = tiny_report_model(TINY, WEIGHTS)
    pieces = []
    answering = model.answer(prompt("stenosis"), ASKED, Event())
    while True:
        try:
            pieces.append(next(answering))
        except StopIteration as end:
            answer: Answer = end.value
            break
    assert len(pieces) > 3
    assert "".join(pieces) == answer.text
    assert answer.text == "".join(pieces)


def test_another_picture_and_another_text_give_another_answer() -> None:
    model = tiny_report_model(TINY, WEIGHTS)
    first, second = model.embed_picture(grey(1)), model.embed_picture(grey(2))
    answers = [
        ask(model, prompt("a", first, "b")),
        ask(model, prompt("a", second, "b")),
        ask(model, prompt("a", first, "c")),
        ask(model, prompt("a", "b")),
    ]
    assert len({answer.tokens for answer in answers}) == 4


def test_the_system_text_is_computed_once_and_the_answer_is_the_same() -> None:
    model = tiny_report_model(TINY, WEIGHTS)
    parts = prompt("left stenosis ", model.embed_picture(grey(1)), " describe")
    alone = ask(model, parts)
    assert alone.reused_tokens == 0
    ask(model, prompt("something else, and much longer than what comes next, so that the cache has grown by then"))
    again = ask(model, parts)
    assert again.reused_tokens == 1 + len(model.tokenizer.encode_markup(SYSTEM.text))
    assert (again.tokens, again.text) == (alone.tokens, alone.text)


def test_logits_are_the_same_to_the_last_bit_whatever_was_answered_before() -> None:
    """Runs and sizes of the cache depend on the prompt alone."""
    seen: list[bytes] = []
    model = model_that_decodes(lambda logits: seen.append(logits.tobytes()))
    parts = prompt("left stenosis")
    ask(model, parts)
    first = seen.copy()
    ask(model, prompt("left " * 30), replace(ASKED, most_tokens=64))
    seen.clear()
    ask(model, parts)
    assert seen == first[-len(seen) :]
    assert len(first) - len(seen) == 1  # the run of the system text


def test_a_picture_of_another_frame_is_not_taken_for_the_one_before() -> None:
    model = tiny_report_model(TINY, WEIGHTS)
    first, second = prompt("a", model.embed_picture(grey(1)), "b"), prompt("a", model.embed_picture(grey(2)), "b")
    ask(model, first)
    after = ask(model, second)
    assert after.tokens == ask(tiny_report_model(TINY, WEIGHTS), second).tokens


@pytest.mark.parametrize("seed", range(3))
def test_an_answer_under_a_schema_is_json_of_it(seed: int) -> None:
    model = tiny_report_model(TINY, numpy_weights(TINY, seed))
    answer = ask(model, prompt("facts:"), replace(ASKED, schema=SCHEMA, most_tokens=80))
    assert answer.whole
    found = json.loads(answer.text)
    assert list(found) == ["percent", "side"]
    assert 0 <= found["percent"] <= 100
    assert found["side"] in ("left", "right")


def test_what_a_schema_forces_is_computed_in_fewer_runs_than_tokens() -> None:
    runs: list[int] = []
    model = tiny_report_model(TINY, WEIGHTS, give_way=lambda: runs.append(1))
    of_prompt = ask(model, prompt("facts:"), replace(ASKED, most_tokens=0))
    assert of_prompt.tokens == ()
    runs.clear()
    schema = {"const": {"sides": ["left", "right"], "lesions": [{"artery": "lad", "percent": 75}]}}
    answer = ask(model, prompt("facts:"), replace(ASKED, schema=schema, most_tokens=200))
    assert answer.text == '{"sides":["left","right"],"lesions":[{"artery":"lad","percent":75}]}'
    assert answer.whole
    assert len(runs) < len(answer.tokens) / 4


@pytest.mark.parametrize("most_tokens", [0, 1, 5, 9])
def test_json_that_is_cut_off_is_never_taken_for_whole(most_tokens: int) -> None:
    model = tiny_report_model(TINY, WEIGHTS)
    answer = ask(model, prompt("facts:"), replace(ASKED, schema=SCHEMA, most_tokens=most_tokens))
    assert (answer.ended, answer.whole, len(answer.tokens)) == ("length", False, most_tokens)
    with pytest.raises(json.JSONDecodeError):
        json.loads(answer.text)


@pytest.mark.parametrize("token", TOKENS.end)
def test_any_end_token_ends_an_answer_and_writes_nothing(token: int) -> None:
    def change(logits: NDArray[np.float32]) -> None:
        logits[0, token] = 100.0

    answer = ask(model_that_decodes(change), prompt("x"))
    assert (answer.ended, answer.tokens, answer.text) == ("end", (token,), "")


def test_an_answer_ends_with_the_context() -> None:
    section = tiny_section(context=60)
    answer = ask(model_that_decodes(lambda _: None, section), prompt("x"), replace(ASKED, most_tokens=500))
    assert answer.ended == "length"
    assert answer.prompt_tokens + len(answer.tokens) == 60


def test_a_stop_ends_the_answer_within_one_token() -> None:
    model, stop = tiny_report_model(TINY, WEIGHTS), Event()
    answering = model.answer(prompt("x"), ASKED, stop)
    pieces = [next(answering), next(answering)]
    stop.set()
    with pytest.raises(StopIteration) as end:
        next(answering)
    answer: Answer = end.value.value
    assert answer.ended == "stopped"
    assert answer.text.startswith("".join(pieces))
    whole = ask(tiny_report_model(TINY, WEIGHTS), prompt("x"))
    assert answer.tokens == whole.tokens[: len(answer.tokens)]
    assert len(answer.tokens) < 20


def test_a_stop_between_two_runs_of_the_prompt_ends_it_there() -> None:
    stop, runs = Event(), []

    def give_way() -> None:
        runs.append(None)
        if len(runs) == 2:
            stop.set()

    model = tiny_report_model(TINY, WEIGHTS, give_way=give_way)
    answer = ask(model, prompt("long " * 30), stop=stop)
    assert (answer.ended, answer.tokens, len(runs)) == ("stopped", (), 2)
    stop.clear()
    after = ask(model, prompt("long " * 30), stop=Event())
    assert after.reused_tokens > 0
    assert after.tokens == ask(tiny_report_model(TINY, WEIGHTS), prompt("long " * 30)).tokens


def test_a_caller_that_leaves_in_the_middle_disturbs_no_later_answer() -> None:
    model = tiny_report_model(TINY, WEIGHTS)
    answering = model.answer(prompt("x"), ASKED, Event())
    next(answering)
    answering.close()
    assert ask(model, prompt("y")).tokens == ask(tiny_report_model(TINY, WEIGHTS), prompt("y")).tokens


def test_the_time_of_an_answer_is_over_without_its_pauses() -> None:
    clock = ManualClock()
    decoder = decoder_engine(TINY, WEIGHTS)
    run = decoder.run

    def slow(feeds: Any) -> Any:
        clock.advance(1.0)
        return run(feeds)

    decoder.run = slow  # type: ignore[method-assign]
    networks = Networks(None, embedding_engine(TINY, WEIGHTS), decoder)
    model = ReportModel(
        tiny_section(picture=None, pictures=0),
        networks,
        tiny_tokenizer(),
        now_ns=clock.now_ns,
        give_way=lambda: clock.advance(100.0),
    )
    answer = ask(model, prompt("x"), replace(ASKED, most_s=10.0))
    runs_of_prompt = round(answer.prefill_ns / 1e9)
    assert answer.ended == "time"
    assert len(answer.tokens) == 11 - runs_of_prompt
    assert answer.prefill_ns + answer.decode_ns == 10e9
    assert answer.paused_ns == 11 * 100e9  # before each run, and before the one that was not


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_logits_that_are_not_finite_are_an_engine_error(wrong: float) -> None:
    def change(logits: NDArray[np.float32]) -> None:
        logits[0, 3] = wrong

    with pytest.raises(EngineError, match="not finite"):
        ask(model_that_decodes(change), prompt("x"))


def test_the_same_seed_gives_the_same_answer() -> None:
    model = tiny_report_model(TINY, WEIGHTS)
    drawn = [
        ask(model, prompt("x"), replace(ASKED, temperature=1.0, top_p=0.9, seed=seed)).tokens for seed in (1, 1, 2)
    ]
    assert drawn[0] == drawn[1] != drawn[2]


def test_control_tokens_in_data_do_not_end_a_turn_and_those_of_the_bundle_do() -> None:
    model = tiny_report_model(TINY, WEIGHTS)
    as_data, as_markup = ask(model, prompt("x<end_of_turn>")), ask(model, prompt(Markup("x<end_of_turn>")))
    assert as_data.prompt_tokens > as_markup.prompt_tokens
    assert as_data.tokens != as_markup.tokens


def test_embeddings_of_a_picture_are_kept_under_its_key_and_the_oldest_are_forgotten() -> None:
    looked: list[int] = []
    vision = vision_engine(16, PICTURE_TOKENS, TINY.hidden)
    run = vision.run

    def counted(feeds: Any) -> Any:
        looked.append(1)
        return run(feeds)

    vision.run = counted  # type: ignore[method-assign]
    networks = Networks(vision, embedding_engine(TINY, WEIGHTS), decoder_engine(TINY, WEIGHTS))
    model = ReportModel(tiny_section(), networks, tiny_tokenizer())
    first = model.embed_picture(grey(1), key=("run", 1))
    assert first.shape == (PICTURE_TOKENS, TINY.hidden)
    assert model.embed_picture(grey(2), key=("run", 1)) is first
    assert len(looked) == 1
    model.embed_picture(grey(1))
    model.embed_picture(grey(1))
    assert len(looked) == 3
    for key in range(64):
        model.embed_picture(grey(3), key=key)
    model.embed_picture(grey(1), key=("run", 1))
    assert len(looked) == 3 + 64 + 1


def test_a_vision_network_that_overflows_is_an_engine_error() -> None:
    model = tiny_report_model(TINY, WEIGHTS)
    with pytest.raises(EngineError, match="output is not finite"):
        model.embed_picture(np.full((4, 4), np.nan, np.float32))


def test_what_does_not_fit_the_bundle_is_refused_in_words() -> None:
    model = tiny_report_model(TINY, WEIGHTS)
    picture = model.embed_picture(grey(1))
    with pytest.raises(EngineError, match="3 pictures, expected 2 at most"):
        ask(model, prompt(picture, picture, picture))
    with pytest.raises(EngineError, match=r"embeddings are \(4, 32\) float32, expected \(5, hidden\)"):
        ask(model, prompt(picture[:4]))
    with pytest.raises(EngineError, match="positions, the bundle has 256"):
        ask(model, prompt("x" * 300))
    with pytest.raises(EngineError, match="the prompt is empty"):
        ask(model, Prompt(()))
    textual = ReportModel(
        tiny_section(picture=None, pictures=0),
        Networks(None, embedding_engine(TINY, WEIGHTS), decoder_engine(TINY, WEIGHTS)),
        tiny_tokenizer(),
    )
    with pytest.raises(EngineError, match="reads no pictures"):
        textual.embed_picture(grey(1))


def test_an_answer_of_changed_files_is_not_handed_out() -> None:
    def check() -> None:
        raise EngineError("changed")

    model = tiny_report_model(TINY, WEIGHTS, check=check)
    with pytest.raises(EngineError, match="changed"):
        ask(model, prompt("x"))


def test_a_closed_model_answers_nothing() -> None:
    with tiny_report_model(TINY, WEIGHTS) as model:
        ask(model, prompt("x"))
    with pytest.raises(EngineError, match="closed"):
        ask(model, prompt("x"))
