"""A ReportModel of NumPy networks, with a tokenizer of bytes and a few marks. Not for: sense; its weights are noise."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cathrt.runtime.models.report.model import Networks, ReportModel
from cathrt.runtime.models.report.section import ReportPicture, ReportPrompts, ReportSection, ReportTokens
from cathrt.runtime.models.report.tokens import Tokenizer
from tests.models.report.numpy_gemma import (
    TinyText,
    Weights,
    decoder_engine,
    embedding_engine,
    numpy_weights,
    vision_engine,
)

PICTURE_TOKENS = 5
TINY = TinyText()
MARKS = (
    "<pad>",
    "<eos>",
    "<bos>",
    "<unk>",
    "<start_of_turn>",
    "<start_of_image>",
    "<end_of_image>",
    "<end_of_turn>",
    "<image_soft_token>",
)
TOKENS = ReportTokens(begin=2, end=(1, 7), begin_image=5, end_image=6, image=8, control=tuple(range(len(MARKS))))
_MERGED = ("▁le", "ft", "▁st", "en", "osis", "狭窄", "左", "前下行枝", "▁of", "turn", "end", "start", "image")


def tokenizer_json(marks: tuple[str, ...] = MARKS) -> str:
    """As Gemma's: pairs over characters, what is unknown falls apart into bytes, a space is written ▁."""
    vocabulary: dict[str, int] = {}
    merges: list[list[str]] = []

    def add(text: str) -> None:
        vocabulary.setdefault(text, len(vocabulary))

    for mark in marks:
        add(mark)
    for byte in range(256):
        add(f"<0x{byte:02X}>")
    for code in range(0x20, 0x7F):
        add(chr(code))
    for text in _MERGED:
        for character in text:
            add(character)
        for length in range(2, len(text) + 1):
            if text[:length] not in vocabulary:
                add(text[:length])
                merges.append([text[: length - 1], text[length - 1]])
    special = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    added = [{"id": number, "content": mark, **special} for number, mark in enumerate(marks)]
    replaced = {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}
    back = {"type": "Replace", "pattern": {"String": "▁"}, "content": " "}
    return json.dumps(
        {
            "version": "1.0",
            "truncation": None,
            "padding": None,
            "added_tokens": added,
            "normalizer": replaced,
            "pre_tokenizer": None,
            "post_processor": None,
            "decoder": {"type": "Sequence", "decoders": [back, {"type": "ByteFallback"}, {"type": "Fuse"}]},
            "model": {
                "type": "BPE",
                "dropout": None,
                "unk_token": "<unk>",
                "continuing_subword_prefix": None,
                "end_of_word_suffix": None,
                "fuse_unk": True,
                "byte_fallback": True,
                "ignore_merges": False,
                "vocab": vocabulary,
                "merges": merges,
            },
        }
    )


def tiny_tokenizer() -> Tokenizer:
    return Tokenizer(tokenizer_json(), TINY.vocabulary, TOKENS)


def tiny_section(tiny: TinyText = TINY, **changes: Any) -> ReportSection:
    section = ReportSection(
        tokenizer="tokenizer.json",
        tokens=TOKENS,
        picture=ReportPicture(16, (0.5, 99.5), (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), PICTURE_TOKENS),
        prompts=ReportPrompts("system", "facts", {"en": "en", "ja": "ja"}),
        layers=len(tiny.sliding),
        kv_heads=tiny.kv_heads,
        head_dim=tiny.head_dim,
        window=tiny.window,
        context=tiny.capacities[-1],
        pictures=2,
        most_tokens=64,
    )
    return replace(section, **changes)


def tiny_report_model(tiny: TinyText = TINY, weights: Weights | None = None, **settings: Any) -> ReportModel:
    """settings: of ReportModel, such as now_ns."""
    weights = weights or numpy_weights(tiny)
    networks = Networks(
        vision_engine(16, PICTURE_TOKENS, tiny.hidden), embedding_engine(tiny, weights), decoder_engine(tiny, weights)
    )
    return ReportModel(tiny_section(tiny), networks, tiny_tokenizer(), **settings)


def grey(seed: int = 0, rows: int = 24, columns: int = 20) -> NDArray[np.float32]:
    return np.random.default_rng(seed).random((rows, columns), np.float32)
