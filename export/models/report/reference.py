"""The float32 network that engines are held against: transformers' own Gemma3, eager, whatever the model's size.

Its weights are read when a module is called and dropped behind it, so that no more than one module's are in memory; all
texts go through each module together. Masks, rotary tables and pictures are transformers' own. Not for: engines
(answers.py), or comparing (comparison.py).
T positions, V tokens of the vocabulary.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from transformers import Gemma3Config, Gemma3ForCausalLM, Gemma3ForConditionalGeneration, Gemma3TextConfig
from transformers.modeling_outputs import BaseModelOutputWithPooling

from cathrt.export.models.report.shape import HEAD, Weights
from cathrt.runtime.errors import EngineError

_TOKENS_TOGETHER = 8192  # of all texts that go through the network at once, padding included


@dataclass(frozen=True, slots=True, eq=False)
class Forced:
    """A text that the network reads. ids: the prompt, and the answer but for its last token, which nothing follows;
    (T,) int64, the image token where a picture stands and nowhere else.

    pictures: their embeddings in order, (tokens, hidden), by pictures(). answer: tokens of the answer.
    """

    ids: NDArray[np.int64]
    pictures: tuple[NDArray[np.float32], ...]
    answer: int


class FloatNetwork:
    """folder: of the base checkpoint, for its config.json. weights: merged. Raises EngineError where transformers has
    other weights than `weights`, or gives what it should not."""

    def __init__(self, folder: Path, weights: Weights) -> None:
        self._weights = weights
        self._model = _without_weights(json.loads((folder / "config.json").read_text(encoding="utf-8")))
        self._prefix = "" if weights.shape.vision is not None else "language_model."
        own = {self._our_name(name) for name, _ in self._model.named_parameters()} - {HEAD}
        if odd := sorted(own ^ (set(weights.names) - {HEAD})):
            raise EngineError(f"transformers {version('transformers')}: {odd[:5]} are its weights or ours, not both")
        for name, module in self._model.named_modules():
            if any(True for _ in module.parameters(recurse=False)):
                self._stream(name, module)

    @property
    def name(self) -> str:
        return f"transformers {version('transformers')}, eager float32"

    def pictures(self, pixels: Sequence[NDArray[np.float32]]) -> list[NDArray[np.float32]]:
        """The soft tokens of each, (tokens, hidden). pixels: (1, 3, side, side) float32."""
        with torch.no_grad():
            found = [self._model.model.get_image_features(torch.from_numpy(one), return_dict=True) for one in pixels]
        return [one.pooler_output[0].numpy() for one in found]

    def logits(self, texts: Sequence[Forced]) -> Iterator[NDArray[np.float32]]:
        """Of each text, what is predicted for its answer: (answer, V), row by row before the token that is there."""
        for together in _batches(texts):
            states = self._states(together)
            head = torch.from_numpy(self._weights.tensor(self._weights.shape.head))
            for text, found in zip(together, states, strict=True):
                first = len(text.ids) - text.answer
                rows = found[first : first + text.answer]
                with torch.no_grad():
                    yield nn.functional.linear(rows, head).numpy()

    def _states(self, texts: Sequence[Forced]) -> torch.Tensor:
        """Of each text, the last hidden states, (T, hidden), behind the final norm; texts are padded to one length."""
        length = max(len(text.ids) for text in texts)
        ids, seen = torch.zeros(len(texts), length, dtype=torch.int64), torch.zeros(len(texts), length)
        for row, text in enumerate(texts):
            ids[row, : len(text.ids)], seen[row, : len(text.ids)] = torch.from_numpy(text.ids), 1
        feeds: dict[str, Any] = {"input_ids": ids, "attention_mask": seen.to(torch.int64), "use_cache": False}
        pictures = [picture for text in texts for picture in text.pictures]
        if self._weights.shape.vision is not None:
            image = ids == self._weights.shape.image_token
            feeds["token_type_ids"] = image.to(torch.int64) * seen.to(torch.int64)
        with torch.no_grad():
            if pictures:
                embedded = torch.stack([torch.from_numpy(one) for one in pictures])
                feeds["mm_encoder_outputs"] = {"image": BaseModelOutputWithPooling(pooler_output=embedded)}
            states: torch.Tensor = self._model.model(**feeds).last_hidden_state
        return states

    def _our_name(self, name: str) -> str:
        """What `weights` calls a parameter of transformers' model."""
        return name if name == HEAD else f"{self._prefix}{name.removeprefix('model.')}"

    def _stream(self, name: str, module: nn.Module) -> None:
        """Let a module have its weights while it is called, and no longer."""
        parameters = dict(module.named_parameters(recurse=False))

        def fill(module: nn.Module, *_: Any) -> None:
            for own, empty in parameters.items():
                values = torch.from_numpy(self._weights.tensor(self._our_name(f"{name}.{own}")))
                if values.shape != empty.shape:
                    raise EngineError(
                        f"{name}.{own}: found {tuple(values.shape)}, transformers has {tuple(empty.shape)}"
                    )
                setattr(module, own, nn.Parameter(values, requires_grad=False))

        def drop(module: nn.Module, *_: Any) -> None:
            for own, empty in parameters.items():
                setattr(module, own, empty)

        module.register_forward_pre_hook(fill)
        module.register_forward_hook(drop)


def _without_weights(document: dict[str, Any]) -> Any:
    """transformers' model of a config.json, with shapes in place of weights, and with its tables."""
    whole = document.get("model_type") == "gemma3"
    config = (Gemma3Config if whole else Gemma3TextConfig).from_dict(document)
    parts = [config, config.text_config, config.vision_config] if whole else [config]
    for part in parts:
        part.dtype = torch.float32
    if whole:
        config.vision_config.vision_use_head = False
    config._attn_implementation = "eager"
    kind = Gemma3ForConditionalGeneration if whole else Gemma3ForCausalLM
    with torch.device("meta"):
        model = kind(config)
    for module in model.modules():
        _fill_tables(module)
    left = [name for name, buffer in model.named_buffers() if buffer.is_meta]
    if left:
        raise EngineError(f"transformers {version('transformers')}: has tables that cathrt does not know: {left[:5]}")
    return model.eval()


def _fill_tables(module: Any) -> None:
    """What a module computes for itself when it is made."""
    names = [name for name, buffer in module.named_buffers(recurse=False) if buffer.is_meta]
    for name in names:
        if name.endswith("inv_freq"):
            setattr(module, name, nn.Buffer(getattr(type(module)(module.config), name), persistent=False))
        elif name == "embed_scale":
            module.embed_scale = nn.Buffer(torch.tensor(module.scalar_embed_scale), persistent=False)
        elif name == "position_ids":
            module.position_ids = nn.Buffer(torch.arange(module.position_ids.shape[-1])[None], persistent=False)


def _batches(texts: Sequence[Forced]) -> Iterator[Sequence[Forced]]:
    """Texts in their order, as many together as _TOKENS_TOGETHER allows; at least one."""
    start = 0
    while start < len(texts):
        stop = start + 1
        while stop < len(texts):
            longest = max(len(text.ids) for text in texts[start : stop + 1])
            if longest * (stop + 1 - start) > _TOKENS_TOGETHER:
                break
            stop += 1
        yield texts[start:stop]
        start = stop
