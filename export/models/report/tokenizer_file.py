"""The tokenizer.json of a model: whether it is the one that the model was trained with, as far as that can be seen.

The runtime reads it with llguidance; what is checked here is what it would make of it. Not for: tokens at run time
(cathrt.runtime.models.report.tokens).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from cathrt.export.models.report.shape import GemmaShape
from cathrt.runtime.errors import ConfigError, ManifestError
from cathrt.runtime.models.report.section import ReportTokens
from cathrt.runtime.models.report.tokens import Tokenizer, decoded
from cathrt.runtime.outside.input_file import read_input_file
from cathrt.runtime.outside.plain_text import shown

FILE = "tokenizer.json"
_MAX_BYTES = 128 << 20  # Gemma's has 33 MB
_MARK = re.compile(r"<[A-Za-z_][A-Za-z0-9_]*>")
_LOSSLESS = ("LAD #7: 90% stenosis, no graft.", "右冠動脈 #1 に 75% 狭窄を認める。")


def read_tokenizer(path: Path) -> bytes:
    """Raises ConfigError where there is none."""
    try:
        return read_input_file(path, _MAX_BYTES)
    except OSError as exc:
        raise ConfigError(
            f"{path}: cannot be read ({exc.strerror}), expected the {FILE} of the model, which the base's folder holds "
            "as save_pretrained leaves it: copy it there, or give --tokenizer FILE"
        ) from exc


def tokens_of(document: bytes, shape: GemmaShape) -> ReportTokens:
    """The ids with a meaning of their own. Raises ConfigError where the tokenizer is not that of the model: an id that
    the config names is no special token of it, or it has tokens that the network has not."""
    added, size = _added_tokens(document)
    if size > shape.text.vocabulary:
        raise ConfigError(
            f"{FILE}: has ids up to {size - 1}, the network has {shape.text.vocabulary} tokens: give the tokenizer "
            "that this model was trained with"
        )
    named = {"bos_token_id": (shape.begin_token,), "eos_token_id": shape.end_tokens}
    if shape.vision is not None:
        named |= {
            "boi_token_index": (shape.begin_image_token,),
            "eoi_token_index": (shape.end_image_token,),
            "image_token_index": (shape.image_token,),
        }
    for key, ids in named.items():
        if unknown := [one for one in ids if one not in added]:
            raise ConfigError(
                f"{FILE}: config.json's {key} is {unknown[0]}, which is no added token of it: give the tokenizer that "
                "this model was trained with"
            )
    # Of a text-only model nothing is a picture's; an id that is a control token anyway stands in its place.
    pictures = (shape.begin_image_token, shape.end_image_token, shape.image_token)
    begin_image, end_image, image = pictures if shape.vision is not None else (shape.begin_token,) * 3
    control = {one for ids in named.values() for one in ids} | {
        one for one, entry in added.items() if entry["special"] or _MARK.fullmatch(entry["content"])
    }
    return ReportTokens(
        begin=shape.begin_token,
        end=tuple(shape.end_tokens),
        begin_image=begin_image,
        end_image=end_image,
        image=image,
        control=tuple(sorted(control)),
    )


def check_tokenizer(document: bytes, shape: GemmaShape, tokens: ReportTokens, texts: Iterable[str]) -> Tokenizer:
    """As the runtime will read it. texts: of the prompts. Raises ConfigError where it cannot, where it loses text, or
    where a mark in the prompts is no token of it."""
    try:
        tokenizer = Tokenizer(document.decode("utf-8"), shape.text.vocabulary, tokens)
    except (ManifestError, UnicodeDecodeError) as exc:
        raise ConfigError(f"{FILE}: {exc}: give the one that this model was trained with") from exc
    for text in (*_LOSSLESS, *(_MARK.sub("", text) for text in texts)):
        if (found := decoded(tokenizer, tokenizer.encode(text))) != text:
            raise ConfigError(
                f"{FILE}: makes {shown(found[:80])!r} of {shown(text[:80])!r}: it loses text, expected one that keeps "
                "it all"
            )
    for mark in sorted({mark for text in texts for mark in _MARK.findall(text)}):
        if len(ids := tokenizer.encode_markup(mark)) != 1 or ids[0] not in tokenizer.control:
            raise ConfigError(
                f"{FILE}: the prompts have the mark {mark}, which is no special token of it: give prompts of this "
                "model's own (--prompts FILE)"
            )
    return tokenizer


def _added_tokens(document: bytes) -> tuple[Mapping[int, Mapping[str, Any]], int]:
    """Added tokens by id, and one more than the largest id of all."""
    try:
        whole = json.loads(document.decode("utf-8"))
        added = {int(entry["id"]): entry for entry in whole["added_tokens"]}
        vocabulary = whole["model"]["vocab"]
        ids = [*added, *(vocabulary.values() if isinstance(vocabulary, dict) else range(len(vocabulary)))]
        if not all(isinstance(entry["content"], str) for entry in added.values()):
            raise TypeError("a token whose content is no text")
        marks = {one: {"content": entry["content"], "special": bool(entry["special"])} for one, entry in added.items()}
        return marks, max(map(int, ids), default=-1) + 1
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as exc:
        raise ConfigError(
            f"{FILE}: is no tokenizer of Hugging Face's tokenizers ({type(exc).__name__}: {shown(str(exc))[:120]}): "
            "give the one that this model was trained with"
        ) from exc
