"""Gemma3 at its true sizes with random weights, in Hugging Face's form: config.json, shards, a tokenizer of numbers.

For speed alone: nothing here was trained, and nothing of it is ever committed. Every engine that is compared reads
these files. `python -m benchmarks.report_weights SIZE FOLDER` writes them. Not for: what the engines make of them
(report_ours.py, report_genai.py, report_llama.py).
"""

from __future__ import annotations

import json
import math
import shutil
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.report_shapes import BEGIN, END, END_OF_TURN, FIRST_WORD, SHAPES, Shape, Size, config_of

_SHARD_BYTES = 1 << 30
_SEED = 0


def write_random_model(size: Size, folder: Path) -> None:
    """config.json, tokenizer.json and bfloat16 shards of at most 1 GiB, one in memory at a time."""
    folder.mkdir(parents=True, exist_ok=True)
    shape = SHAPES[size]
    (folder / "config.json").write_text(json.dumps(config_of(shape), indent=1), encoding="utf-8")
    write_tokenizer(shape, folder)
    _write_shards(shape, folder)


def write_tokenizer(shape: Shape, folder: Path) -> None:
    """Every id from FIRST_WORD on is a word of its own letters, so that an engine that takes text can be given ids."""
    special = {**_MARKS, shape.begin_image: "<start_of_image>", shape.end_image: "<end_of_image>"}
    special[shape.image] = "<image_soft_token>"
    free = (token for token in range(FIRST_WORD) if token not in special)
    vocabulary = {content: token for token, content in special.items()}  # or added tokens would get ids of their own
    vocabulary |= {character: next(free) for character in _byte_characters()}
    vocabulary |= {f"\u0120{word_of(token)}": token for token in shape.words}
    tokenizer = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {"id": token, "content": content, "single_word": False, "lstrip": False, "rstrip": False,
             "normalized": False, "special": True}
            for token, content in sorted(special.items())
        ],
        "normalizer": None,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
        "post_processor": None,
        "decoder": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
        # ignore_merges: a word that is in the vocabulary is one token, without merges to make it of.
        "model": {"type": "BPE", "vocab": vocabulary, "merges": [], "ignore_merges": True},
    }  # fmt: skip
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer, ensure_ascii=False), encoding="utf-8")
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": "<pad>", "eos_token": "<eos>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")


_MARKS = {0: "<pad>", END: "<eos>", BEGIN: "<bos>", 3: "<unk>", 105: "<start_of_turn>", END_OF_TURN: "<end_of_turn>"}


def word_of(token: int) -> str:
    """Letters alone, so that no tokenizer cuts it."""
    letters = ""
    while token:
        token, digit = divmod(token, 26)
        letters = chr(ord("a") + digit) + letters
    return letters


def text_of(tokens: Iterable[int]) -> str:
    """The text whose tokens these are; all of them words."""
    return "".join(f" {word_of(token)}" for token in tokens)


def _byte_characters() -> list[str]:
    """How byte-level tokenizers write each byte: printable ones as they are, the others from U+0100 on."""
    plain = {*range(33, 127), *range(161, 173), *range(174, 256)}
    others = iter(range(256, 512))
    return [chr(byte if byte in plain else next(others)) for byte in range(256)]


def _write_shards(shape: Shape, folder: Path) -> None:
    import torch
    from safetensors.torch import save_file

    sizes = list(_parts(shape))
    draw = torch.Generator().manual_seed(_SEED)
    files: dict[str, str] = {}
    for number, part in enumerate(sizes, start=1):
        name = f"model-{number:05}-of-{len(sizes):05}.safetensors"
        save_file({key: _drawn(key, size, draw) for key, size in part.items()}, folder / name, {"format": "pt"})
        files |= dict.fromkeys(part, name)
    total = sum(2 * math.prod(size) for part in sizes for size in part.values())
    index = {"metadata": {"total_size": total}, "weight_map": files}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")


def _parts(shape: Shape) -> Iterator[dict[str, tuple[int, ...]]]:
    """The tensors of each shard, by the names of transformers in memory."""
    part: dict[str, tuple[int, ...]] = {}
    held = 0
    for name, size in tensor_sizes(shape).items():
        own = 2 * math.prod(size)
        if part and held + own > _SHARD_BYTES:
            yield part
            part, held = {}, 0
        part[name] = size
        held += own
    yield part


def tensor_sizes(shape: Shape) -> dict[str, tuple[int, ...]]:
    """What a checkpoint holds: every parameter but a tied head, by the names of transformers 4.52 to 4.57, which later
    ones and optimum-intel read. Asked of transformers, which allocates nothing."""
    import torch
    import transformers

    config = config_of(shape)
    made = getattr(transformers, "Gemma3Config" if shape.vision is not None else "Gemma3TextConfig")(
        **{key: value for key, value in config.items() if key not in ("architectures", "model_type")}
    )
    with torch.device("meta"):
        model = getattr(transformers, config["architectures"][0])(made)
    sizes = {
        name.replace("vision_tower.", "vision_tower.vision_model."): tuple(value.shape)
        for name, value in model.state_dict().items()
    }
    del sizes["lm_head.weight"]
    return sizes


def write_text_model(model: Path, out: Path) -> None:
    """The decoder of a vision-language model as a model of its own, for engines that take text models by themselves."""
    out.mkdir()
    document = json.loads((model / "config.json").read_text(encoding="utf-8"))
    config = {"architectures": ["Gemma3ForCausalLM"], "dtype": "bfloat16", **document["text_config"]}
    (out / "config.json").write_text(json.dumps(config, indent=1), encoding="utf-8")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(model / name, out / name)
    shards = sorted(model.glob("*.safetensors"))
    files: dict[str, str] = {}
    for shard in shards:
        files |= dict.fromkeys(_copy_decoder(shard, out / shard.name), shard.name)
    index = {"metadata": {}, "weight_map": files}
    (out / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")


def _copy_decoder(shard: Path, out: Path) -> list[str]:
    """The shard's tensors that are the decoder's, under a text model's names; returns these."""
    with shard.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        header = json.loads(stream.read(length))
        kept: dict[str, Any] = {"__metadata__": {"format": "pt"}}
        parts, at = [], 0
        for name, entry in header.items():
            if ".language_model." in name:
                begin, end = entry["data_offsets"]
                parts.append((begin, end))
                kept[name.replace(".language_model.", ".")] = entry | {"data_offsets": [at, at + end - begin]}
                at += end - begin
        text = json.dumps(kept).encode()
        with out.open("wb") as copy:
            copy.write(len(text).to_bytes(8, "little") + text)
            for begin, end in parts:
                stream.seek(8 + length + begin)
                copy.write(stream.read(end - begin))
    return [name for name in kept if name != "__metadata__"]


def stored_sizes(folder: Path) -> dict[str, tuple[int, ...]]:
    """The same of a model that is written, from the beginnings of its shards."""
    found: dict[str, tuple[int, ...]] = {}
    for shard in sorted(folder.glob("*.safetensors")):
        with shard.open("rb") as stream:
            header = json.loads(stream.read(int.from_bytes(stream.read(8), "little")))
        found |= {name: tuple(entry["shape"]) for name, entry in header.items() if name != "__metadata__"}
    return found


def _drawn(name: str, size: tuple[int, ...], draw: Any) -> Any:
    """Of a spread that keeps activations near one. The rows of the tokens that end an answer are 0, and so are never
    the likeliest: every engine then writes as long as it is asked to."""
    import torch

    values = torch.randn(size, generator=draw, dtype=torch.float32)
    if "layer_norm" in name or "layernorm" in name or name.endswith(("norm.weight", "norm_weight")):
        of_siglip = "vision_tower" in name and name.endswith("weight")
        values = 0.1 * values + (1.0 if of_siglip else 0.0)
    elif name.endswith("bias"):
        values *= 0.02
    elif "embed_tokens" in name:
        values *= 0.1 / math.sqrt(size[1])  # a larger part of the first token would be said again and again
        values[[END, END_OF_TURN]] = 0.0
    elif name.endswith("mm_input_projection_weight"):
        values *= 0.1 / math.sqrt(size[0])
    else:
        values /= math.sqrt(math.prod(size[1:]))
    return values.to(torch.bfloat16)


if __name__ == "__main__":
    write_random_model(sys.argv[1], Path(sys.argv[2]))  # type: ignore[arg-type]
