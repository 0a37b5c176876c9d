"""The demonstration's network: Gemma3's architecture at some four million parameters, and its folder on disk.

Not for: its training (training.py) or its tokens (tokenizer.py).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import Gemma3Config, Gemma3ForConditionalGeneration, Gemma3TextConfig, SiglipVisionConfig

from cathrt.export.models.report.demo.pictures import PICTURE
from cathrt.runtime.models.report.section import ReportTokens

CONTEXT = 1536
ATTENTION = "eager"  # at these sizes the fused one of PyTorch takes half as long again on a CPU


@dataclass(frozen=True, slots=True)
class Size:
    """How large the network is. window: how far the sliding layers look back; every second layer sees everything."""

    hidden: int = 192
    intermediate: int = 512
    layers: int = 4
    heads: int = 3
    kv_heads: int = 1
    head_dim: int = 64
    window: int = 128
    vision_hidden: int = 192
    vision_intermediate: int = 768
    vision_layers: int = 4
    vision_heads: int = 3
    patch: int = 16


def config_of(size: Size, vocabulary: int, tokens: ReportTokens, pad: int, side: int = PICTURE.side) -> Gemma3Config:
    """Its config.json. side: of the picture, in pixels."""
    text = Gemma3TextConfig(
        vocab_size=vocabulary,
        hidden_size=size.hidden,
        intermediate_size=size.intermediate,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        num_key_value_heads=size.kv_heads,
        head_dim=size.head_dim,
        query_pre_attn_scalar=size.head_dim,
        sliding_window=size.window,
        layer_types=["full_attention" if layer % 2 == 1 else "sliding_attention" for layer in range(size.layers)],
        max_position_embeddings=CONTEXT,
        pad_token_id=pad,
        bos_token_id=tokens.begin,
        eos_token_id=list(tokens.end),
        tie_word_embeddings=True,
    )
    vision = SiglipVisionConfig(
        hidden_size=size.vision_hidden,
        intermediate_size=size.vision_intermediate,
        num_hidden_layers=size.vision_layers,
        num_attention_heads=size.vision_heads,
        image_size=side,
        patch_size=size.patch,
        vision_use_head=False,
    )
    return Gemma3Config(
        text_config=text,
        vision_config=vision,
        mm_tokens_per_image=PICTURE.tokens,
        boi_token_index=tokens.begin_image,
        eoi_token_index=tokens.end_image,
        image_token_index=tokens.image,
        tie_word_embeddings=True,
    )


def new_network(config: Gemma3Config, seed: int) -> Gemma3ForConditionalGeneration:
    """Random weights. The projector, which transformers leaves at zero, is filled too."""
    torch.manual_seed(seed)
    network = Gemma3ForConditionalGeneration(config)
    network.set_attn_implementation(ATTENTION)
    for name, module in network.named_modules():
        if isinstance(module, torch.nn.Linear) and "lm_head" not in name:
            torch.nn.init.trunc_normal_(module.weight, std=module.in_features**-0.5)
    embedding = network.model.language_model.embed_tokens.weight
    torch.nn.init.normal_(embedding, std=embedding.shape[1] ** -0.5)
    projection = network.model.multi_modal_projector.mm_input_projection_weight
    torch.nn.init.normal_(projection, std=projection.shape[0] ** -0.5)
    return network


def look_at_differences(network: Gemma3ForConditionalGeneration, images: NDArray[np.uint8]) -> None:
    """First weights of the patch layer from pictures (N, S, S): principal components of their patches, all of one
    variance. An artery is a small difference upon large ones that say nothing, and random filters hardly see it."""
    layer = network.model.vision_tower.embeddings.patch_embedding
    size = layer.kernel_size[0]
    grey = (torch.from_numpy(images).float() / 255.0 - PICTURE.mean[0]) / PICTURE.std[0]
    patches = torch.nn.functional.unfold(grey[:, None], size, stride=size).transpose(1, 2).reshape(-1, size * size)
    patches = patches - patches.mean(0)
    values, vectors = torch.linalg.eigh(patches.T @ patches / len(patches))
    count = layer.out_channels
    # Half of the whitening: the finest components are mostly noise.
    scale = values.flip(0)[:count].clamp(min=1e-5).rsqrt() * (1.0 + torch.arange(count) / 16.0) ** -0.5
    filters = vectors.flip(1).T[:count] * scale[:, None]
    with torch.no_grad():
        layer.weight.copy_(filters.view(count, 1, size, size).expand(-1, 3, -1, -1) / 3.0)
        layer.bias.zero_()
