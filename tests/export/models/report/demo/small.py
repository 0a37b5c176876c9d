"""A network of the demonstration's kind, small enough to train within a test, and pictures made up in memory."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import torch
from tokenizers import Tokenizer
from transformers import Gemma3ForConditionalGeneration

from cathrt.export.models.report.demo.language_stage import Library, library_of
from cathrt.export.models.report.demo.network import Size, config_of, new_network
from cathrt.export.models.report.demo.pictures import STORED_SIDE, Picture
from cathrt.export.models.report.demo.section import demonstration_section
from cathrt.export.models.report.demo.tasks import tokenizer_texts
from cathrt.export.models.report.demo.tokenizer import pad_token, report_tokens, train_tokenizer
from cathrt.runtime.models.report.facts import Side

SMALL = Size(
    hidden=32,
    intermediate=48,
    layers=2,
    heads=2,
    kv_heads=1,
    head_dim=16,
    window=64,
    vision_hidden=32,
    vision_intermediate=48,
    vision_layers=1,
    vision_heads=2,
)


@cache
def small_tokenizer() -> Tokenizer:
    return train_tokenizer(tokenizer_texts(demonstration_section(train_tokenizer([])), seed=0, count=100))


def small_network(seed: int = 0) -> Gemma3ForConditionalGeneration:
    tokenizer = small_tokenizer()
    tokens, pad = report_tokens(tokenizer), pad_token(tokenizer)
    return new_network(config_of(SMALL, tokenizer.get_vocab_size(), tokens, pad), seed)


def small_library(count: int = 6) -> Library:
    return library_of([made_up_picture(number) for number in range(count)], small_tokenizer())


def made_up_picture(number: int) -> Picture:
    """Left ones are bright, right ones dark. Each third one has a narrowing in segment 6 or 2, at its middle."""
    side: Side = "left" if number % 2 == 0 else "right"
    image = np.full((STORED_SIDE, STORED_SIDE), 180 if side == "left" else 60, np.uint8)
    image[120:140] = 120
    artery, place, segment = (1, 9, 6.0) if side == "left" else (3, 1, 2.0)
    along = np.linspace(0.2, 0.8, 30, dtype=np.float32)
    points = np.stack([along, along, np.full(30, segment), np.ones(30)], axis=1).astype(np.float32)
    lesion = [[artery, place, 75.0, 0.0, 0.5, 0.5, 1.0, 1.0]] if number % 3 == 0 else []
    return Picture(number, 0, side, None, image, points, np.array(lesion, np.float32).reshape(-1, 8))


def few_tokens(library: Library) -> Library:
    """The same with a section that lets an answer have 12 tokens only."""
    return replace(library, section=replace(library.section, most_tokens=12))


def one_thread() -> int:
    """Small tensors gain nothing from a second thread. Returns how many there were."""
    threads: int = torch.get_num_threads()
    torch.set_num_threads(1)
    return threads
