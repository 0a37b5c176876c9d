"""The demonstration's tokens: any text comes back as it was, digits are single, and the runtime reads the file."""

from __future__ import annotations

import pytest
from tokenizers import Tokenizer

from cathrt.export.models.report.demo.section import demonstration_section
from cathrt.export.models.report.demo.tasks import tokenizer_texts
from cathrt.export.models.report.demo.tokenizer import MARKS, report_tokens, train_tokenizer
from cathrt.runtime.models.report import tokens as runtime_tokens

TEXTS = (
    "A 75% stenosis.",
    "右冠動脈 #2に慢性完全閉塞を認める。",
    "né à Zürich 🫀\n\t",
    '{"sides":["left"]}',
    "<bos> is text",
)


@pytest.fixture(scope="module")
def trained() -> Tokenizer:
    return train_tokenizer(tokenizer_texts(demonstration_section(train_tokenizer([])), seed=0, count=150))


@pytest.mark.parametrize("text", TEXTS)
def test_every_text_comes_back_as_it_was(trained: Tokenizer, text: str) -> None:
    assert trained.decode(trained.encode(text).ids, skip_special_tokens=False) == text


def test_digits_are_single(trained: Tokenizer) -> None:
    assert [trained.decode([token]) for token in trained.encode("100").ids] == ["1", "0", "0"]


def test_reports_take_far_fewer_tokens_than_bytes(trained: Tokenizer) -> None:
    text = "左前下行枝 #6に75%狭窄を認める。"
    assert len(trained.encode(text).ids) < len(text.encode()) / 3


def test_the_runtime_takes_the_same_text_apart_in_the_same_way(trained: Tokenizer) -> None:
    reader = runtime_tokens.Tokenizer(trained.to_str(), trained.get_vocab_size(), report_tokens(trained))
    for text in TEXTS[:4]:
        assert reader.encode(text) == trained.encode(text).ids
    prompt = demonstration_section(trained).prompts.system
    assert reader.encode_markup(prompt) == trained.encode(prompt).ids


def test_the_marks_are_single_tokens_and_all_of_them_are_control(trained: Tokenizer) -> None:
    ids = [trained.encode(mark).ids for mark in MARKS]
    assert sorted(token for (token,) in ids) == sorted(report_tokens(trained).control)
