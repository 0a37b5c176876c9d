"""A checkpoint and its adapter as export takes them: merged weights, what was merged, and what they mean.

Not for: reading files of weights (weights/), or the networks (graphs/).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cathrt.export.bundle.given_files import given_bytes, given_object
from cathrt.export.models.report.asked import Asked
from cathrt.export.models.report.picture_settings import picture_of
from cathrt.export.models.report.prompts_file import prompts_from, texts_of
from cathrt.export.models.report.tokenizer_file import FILE, check_tokenizer, read_tokenizer, tokens_of
from cathrt.export.models.report.weights import IdentifiedWeights, Merged, open_base, open_merged
from cathrt.runtime.errors import ConfigError
from cathrt.runtime.models.report.section import ReportSection
from cathrt.runtime.models.report.tokens import Tokenizer
from cathrt.runtime.outside.plain_text import shown

_LONGEST_NAME = 100


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """weights: merged. sha256: of all that they are read from. merged: None without an adapter.

    document: of the tokenizer. notes: lines for the user. card, training: as they were given.
    """

    name: str
    weights: IdentifiedWeights
    sha256: str
    merged: Merged | None
    section: ReportSection
    document: bytes
    tokenizer: Tokenizer
    notes: tuple[str, ...]
    card: bytes | None
    training: Mapping[str, Any] | None

    @property
    def about(self) -> Mapping[str, Any]:
        """For the provenance: what the weights are."""
        shape = self.weights.shape
        read = {"text": shape.text.hidden, "layers": shape.text.layers, "vision": shape.vision is not None}
        told = {"arch": "gemma3", "weights_read": read, "tied": shape.tied}
        return told if self.training is None else {**told, "training": dict(self.training)}


def source_of(asked: Asked) -> Source:
    """Raises ConfigError where the folders do not hold one whole model, its tokenizer and an adapter of it."""
    base = open_base(asked.base)
    shape = base.shape
    prompts = prompts_from(asked.prompts, pictures=shape.vision is not None)
    document = read_tokenizer(asked.tokenizer or asked.base / FILE)
    tokens = tokens_of(document, shape)
    tokenizer = check_tokenizer(document, shape, tokens, texts_of(prompts))
    picture, notes = picture_of(asked.base, shape)
    weights: IdentifiedWeights = base
    merged = open_merged(base, asked.lora) if asked.lora is not None else None
    if merged is not None:
        weights = merged.weights
    section = ReportSection(
        tokenizer=FILE,
        tokens=tokens,
        picture=picture,
        prompts=prompts,
        layers=shape.text.layers,
        kv_heads=shape.text.kv_heads,
        head_dim=shape.text.head_dim,
        window=shape.text.window,
        context=asked.context,
        pictures=asked.pictures if picture is not None else 0,
        most_tokens=asked.answer,
    )
    _require_room(section)
    name = asked.name if asked.name is not None else shown(asked.base.resolve().name)[:_LONGEST_NAME]
    notes = (*base.notes, *notes)
    card = None if asked.card is None else given_bytes("--card", asked.card)
    training = None if asked.training is None else given_object("--training", asked.training)
    return Source(name, weights, weights.identity(), merged, section, document, tokenizer, notes, card, training)


def _require_room(section: ReportSection) -> None:
    """Raises ConfigError where pictures and the longest answer fill the context."""
    taken = section.pictures * (section.picture.tokens + 2 if section.picture is not None else 0)
    if taken + section.most_tokens >= section.context:
        raise ConfigError(
            f"--context {section.context}: {section.pictures} pictures take {taken} positions and an answer "
            f"{section.most_tokens}, which leaves no room for a prompt: give a longer one, or lower --pictures or "
            "--answer"
        )
