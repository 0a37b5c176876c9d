"""Weights (export/models/report/shape.py) of a transformers model in memory, without files: tests of graphs start here.

Not for: reading checkpoints (export/models/report/weights/).
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import torch
from numpy.typing import NDArray

from cathrt.export.models.report.shape import GemmaShape, Rotary, TextShape, VisionShape
from tests.export.models.report.tiny_gemma import (
    BEGIN,
    BEGIN_IMAGE,
    END,
    END_IMAGE,
    END_OF_TURN,
    TinyModel,
    stored_state,
)


class ModelWeights:
    """Of a model as tiny_gemma.py makes them. The model may be changed before the first tensor is read."""

    def __init__(self, model: TinyModel) -> None:
        self.shape = shape_of(model)
        state = stored_state(model)
        if self.shape.vision is None:
            self._state = {name.replace("model.", "language_model.", 1): value for name, value in state.items()}
        else:
            self._state = {name.removeprefix("model."): value for name, value in state.items()}

    @property
    def names(self) -> Collection[str]:
        return self._state.keys()

    def tensor(self, name: str) -> NDArray[np.float32]:
        values: NDArray[np.float32] = self._state[name].to(torch.float32).numpy().copy()
        return values


def shape_of(model: TinyModel) -> GemmaShape:
    text, config = model.config.get_text_config(), model.config
    full, sliding = (text.rope_parameters[kind] for kind in ("full_attention", "sliding_attention"))
    shape = TextShape(
        hidden=text.hidden_size,
        intermediate=text.intermediate_size,
        heads=text.num_attention_heads,
        kv_heads=text.num_key_value_heads,
        head_dim=text.head_dim,
        vocabulary=text.vocab_size,
        sliding=tuple(kind == "sliding_attention" for kind in text.layer_types),
        window=text.sliding_window,
        query_scale=text.query_pre_attn_scalar**-0.5,
        norm_eps=text.rms_norm_eps,
        rotary=Rotary(full["rope_theta"], full.get("factor", 1.0)),
        sliding_rotary=Rotary(sliding["rope_theta"], sliding.get("factor", 1.0)),
    )
    vision = getattr(config, "vision_config", None)
    return GemmaShape(
        text=shape,
        vision=None
        if vision is None
        else VisionShape(
            hidden=vision.hidden_size,
            intermediate=vision.intermediate_size,
            layers=vision.num_hidden_layers,
            heads=vision.num_attention_heads,
            side=vision.image_size,
            patch=vision.patch_size,
            norm_eps=vision.layer_norm_eps,
        ),
        image_tokens=getattr(config, "mm_tokens_per_image", 0),
        tied=bool(config.tie_word_embeddings),
        image_token=getattr(config, "image_token_id", -1),
        begin_image_token=BEGIN_IMAGE,
        end_image_token=END_IMAGE,
        begin_token=BEGIN,
        end_tokens=(END, END_OF_TURN),
    )
