"""Every weight of a Gemma3: its name with us, its shape, and what transformers' versions call it.

One explicit table for all layouts, since transformers renames modules between versions and loads what it does not
recognise as nothing, with a warning only. Not for: reading (stored.py), or adapters' own tensors (adapter_parts.py).
"""

from __future__ import annotations

from cathrt.export.models.report.shape import EMBEDDING, HEAD, GemmaShape, TextShape, VisionShape

PROJECTOR = "multi_modal_projector.mm_input_projection_weight"
POOLING_HEAD = "vision_tower.head."  # SigLIP's own; Gemma3 takes what stands before it
Shape = tuple[int, ...]

# (in a file, with us). The first that fits counts, so longer ones stand above what they begin with.
_PREFIXES = (
    ("language_model.model.", "language_model."),  # before 4.52
    ("language_model.lm_head.", "lm_head."),
    ("vision_tower.vision_model.", "vision_tower."),
    ("multi_modal_projector.", "multi_modal_projector."),
    ("model.language_model.", "language_model."),  # 4.52 and later
    ("model.vision_tower.vision_model.", "vision_tower."),
    ("model.vision_tower.", "vision_tower."),  # 5.x, about 5.8 and later
    ("model.multi_modal_projector.", "multi_modal_projector."),
    ("lm_head.", "lm_head."),
    ("language_model.", "language_model."),  # the model without its output layer, saved alone
    ("vision_tower.", "vision_tower."),  # what transformers 5 writes, beside language_model.model
    ("model.layers.", "language_model.layers."),  # the text-only model, all versions
    ("model.embed_tokens.", "language_model.embed_tokens."),
    ("model.norm.", "language_model.norm."),
)


def our_name(name: str) -> str | None:
    """The name with us of a weight, or a module, in any layout; None where no layout begins like that."""
    dotted = name + "."  # so that a module such as lm_head is found too
    for theirs, ours in _PREFIXES:
        if dotted.startswith(theirs):
            return (ours + dotted.removeprefix(theirs)).removesuffix(".")
    return None


def weight_shapes(shape: GemmaShape) -> dict[str, Shape]:
    """By our name: all weights of the model, in the order in which they are used; the head where it is not tied."""
    shapes: dict[str, Shape] = {}
    if shape.vision is not None:
        shapes |= _vision(shape.vision)
        shapes["multi_modal_projector.mm_soft_emb_norm.weight"] = (shape.vision.hidden,)
        shapes[PROJECTOR] = (shape.vision.hidden, shape.text.hidden)
    shapes |= _text(shape.text)
    if not shape.tied:
        shapes[HEAD] = shapes[EMBEDDING]
    return shapes


def _text(text: TextShape) -> dict[str, Shape]:
    hidden, wide = text.hidden, text.heads * text.head_dim
    keys = text.kv_heads * text.head_dim
    layer = {
        "input_layernorm.weight": (hidden,),
        "self_attn.q_proj.weight": (wide, hidden),
        "self_attn.k_proj.weight": (keys, hidden),
        "self_attn.v_proj.weight": (keys, hidden),
        "self_attn.o_proj.weight": (hidden, wide),
        "self_attn.q_norm.weight": (text.head_dim,),
        "self_attn.k_norm.weight": (text.head_dim,),
        "post_attention_layernorm.weight": (hidden,),
        "pre_feedforward_layernorm.weight": (hidden,),
        "mlp.gate_proj.weight": (text.intermediate, hidden),
        "mlp.up_proj.weight": (text.intermediate, hidden),
        "mlp.down_proj.weight": (hidden, text.intermediate),
        "post_feedforward_layernorm.weight": (hidden,),
    }
    shapes: dict[str, Shape] = {EMBEDDING: (text.vocabulary, hidden)}
    for number in range(text.layers):
        shapes |= {f"language_model.layers.{number}.{name}": size for name, size in layer.items()}
    return shapes | {"language_model.norm.weight": (hidden,)}


def _vision(vision: VisionShape) -> dict[str, Shape]:
    hidden = vision.hidden
    square, line = (hidden, hidden), (hidden,)
    layer: dict[str, Shape] = {"layer_norm1.weight": line, "layer_norm1.bias": line}
    for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
        layer |= {f"self_attn.{name}.weight": square, f"self_attn.{name}.bias": line}
    layer |= {"layer_norm2.weight": line, "layer_norm2.bias": line}
    layer |= {"mlp.fc1.weight": (vision.intermediate, hidden), "mlp.fc1.bias": (vision.intermediate,)}
    layer |= {"mlp.fc2.weight": (hidden, vision.intermediate), "mlp.fc2.bias": line}
    shapes: dict[str, Shape] = {
        "vision_tower.embeddings.patch_embedding.weight": (hidden, 3, vision.patch, vision.patch),
        "vision_tower.embeddings.patch_embedding.bias": line,
        "vision_tower.embeddings.position_embedding.weight": ((vision.side // vision.patch) ** 2, hidden),
    }
    for number in range(vision.layers):
        shapes |= {f"vision_tower.encoder.layers.{number}.{name}": size for name, size in layer.items()}
    return shapes | {"vision_tower.post_layernorm.weight": line, "vision_tower.post_layernorm.bias": line}
