"""Adapters that PEFT itself makes and saves on a tiny Gemma3, with weights as a training leaves them, for the tests.

trained(model, folder, **settings): the PeftModel, in evaluation mode, and its adapter in `folder`. settings: of
peft.LoraConfig, over rank 4 and alpha 8. Every new weight is moved, so that each of them moves the logits.
change_adapter(folder, rename, drop, add, settings): rewrites the saved adapter. rename gets the name of a tensor.
in_old_layout(name, layout): what an adapter saved by an older transformers calls a tensor (tiny_gemma.in_layout).
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from torch import Tensor

from tests.export.models.report.tiny_gemma import Layout, TinyModel, in_layout

LANGUAGE = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
VISION = ("out_proj", "fc1", "fc2")
PROJECTOR = "multi_modal_projector.mm_input_projection_weight"
_PREFIX = "base_model.model."


def trained(model: TinyModel, folder: Path, seed: int = 5, **settings: Any) -> PeftModel:
    draw = torch.Generator().manual_seed(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PEFT's, of tied weights and of saved embeddings
        adapted = get_peft_model(model, LoraConfig(**{"r": 4, "lora_alpha": 8, **settings}))
        with torch.no_grad():
            for name, value in adapted.named_parameters():
                noise = torch.randn(value.shape, generator=draw)
                if "lora_magnitude_vector" in name:
                    value.mul_(1 + 0.1 * noise)
                elif "lora_" in name:
                    value.copy_(0.1 * noise)
                elif "modules_to_save" in name:
                    value.add_(0.01 * noise)
        adapted.eval()
        adapted.save_pretrained(folder)
    return adapted


def change_adapter(
    folder: Path,
    *,
    rename: Callable[[str], str] = lambda name: name,
    drop: Collection[str] = (),
    add: Mapping[str, Tensor] | None = None,
    settings: Mapping[str, Any] | None = None,
) -> Path:
    file = folder / "adapter_model.safetensors"
    tensors = {rename(name): value for name, value in load_file(file).items() if name not in drop}
    save_file({**tensors, **(add or {})}, file)
    config = folder / "adapter_config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), **(settings or {})}))
    return folder


def adapter_tensors(folder: Path) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = load_file(folder / "adapter_model.safetensors")
    return tensors


def in_old_layout(name: str, layout: Layout) -> str:
    return _PREFIX + in_layout(name.removeprefix(_PREFIX), layout)
