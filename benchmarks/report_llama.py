"""llama-cpp on the same weights: the GGUF file, and the process that is timed.

    PYTHON -m benchmarks.report_llama export MODEL OUT.gguf q4_0|q8_0
    PYTHON -m benchmarks.report_llama serve OUT.gguf PROMPTS.json
PYTHON is that of an environment with llama-cpp-python and gguf (both MIT): nothing of cathrt is imported here. The
file has no tokenizer, since ids are given; pictures are not timed here. For: benchmarks/report_peers.py.
"""

from __future__ import annotations

import ctypes
import json
import math
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.turns import peak_rss_mb, serve, take_stdout

THREADS = 2
_LAYER = re.compile(r"layers\.(\d+)\.(.+)\.weight$")
_NAMES = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "post_attention_norm",
    "pre_feedforward_layernorm": "ffn_norm",
    "post_feedforward_layernorm": "post_ffw_norm",
}


def export(model: Path, out: Path, form: str) -> None:
    """The text model. llama-cpp stores a norm's weight with the 1 that Gemma adds."""
    from gguf import GGMLQuantizationType, GGUFWriter, LlamaFileType, RopeScalingType, quants

    kinds = {
        "q4_0": (GGMLQuantizationType.Q4_0, LlamaFileType.MOSTLY_Q4_0),
        "q8_0": (GGMLQuantizationType.Q8_0, LlamaFileType.MOSTLY_Q8_0),
    }
    matrices, file_type = kinds[form]
    document = json.loads((model / "config.json").read_text(encoding="utf-8"))
    text = document.get("text_config", document)
    writer = GGUFWriter(str(out), "gemma3", use_temp_file=True)
    writer.add_file_type(file_type)
    writer.add_tokenizer_model("none")
    writer.add_vocab_size(text["vocab_size"])
    writer.add_context_length(text["max_position_embeddings"])
    writer.add_embedding_length(text["hidden_size"])
    writer.add_block_count(text["num_hidden_layers"])
    writer.add_feed_forward_length(text["intermediate_size"])
    writer.add_head_count(text["num_attention_heads"])
    writer.add_head_count_kv(text["num_key_value_heads"])
    writer.add_key_length(text["head_dim"])
    writer.add_value_length(text["head_dim"])
    writer.add_layer_norm_rms_eps(text["rms_norm_eps"])
    writer.add_sliding_window(text["sliding_window"])
    whole = text.get("rope_parameters", {}).get("full_attention", {})
    writer.add_rope_freq_base(whole.get("rope_theta", 1_000_000.0))
    if whole.get("rope_type") == "linear":
        writer.add_rope_scaling_type(RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(whole["factor"])
    for name, values in _tensors(model):
        if values.ndim == 1:
            writer.add_tensor(name, values + 1.0)
        else:
            writer.add_tensor(name, quants.quantize(values, matrices), raw_dtype=matrices)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _tensors(model: Path) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """The decoder's tensors by llama-cpp's names, one in memory at a time."""
    for shard in sorted(model.glob("*.safetensors")):
        with shard.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            header = json.loads(stream.read(length))
        stored = np.memmap(shard, np.uint8, "r", offset=8 + length)
        for name, entry in header.items():
            if name == "__metadata__" or (of_llama := _llama_name(name)) is None:
                continue
            if entry["dtype"] != "BF16":
                raise SystemExit(f"{shard}: {name} is {entry['dtype']}, expected BF16")
            begin, end = entry["data_offsets"]
            bits = stored[begin:end].view(np.uint16).astype(np.uint32) << 16
            yield of_llama, bits.view(np.float32).reshape(entry["shape"])


def _llama_name(name: str) -> str | None:
    """None for what is not of the decoder."""
    if "vision" in name or "multi_modal" in name:
        return None
    if found := _LAYER.search(name):
        return f"blk.{found[1]}.{_NAMES[found[2]]}.weight"
    return "token_embd.weight" if "embed_tokens" in name else "output_norm.weight"


class _Context:
    """A loaded model with one context."""

    def __init__(self, path: Path, most: int) -> None:
        import llama_cpp as llama

        self._llama = llama
        llama.llama_backend_init()
        self._model = llama.llama_model_load_from_file(str(path).encode(), llama.llama_model_default_params())
        settings = llama.llama_context_default_params()
        settings.n_ctx = settings.n_batch = most
        settings.n_threads = settings.n_threads_batch = THREADS
        self._context = llama.llama_init_from_model(self._model, settings)
        if not self._context:
            raise SystemExit(f"{path}: llama-cpp cannot open it: its message stands above")
        self._vocabulary = llama.llama_vocab_n_tokens(llama.llama_model_get_vocab(self._model))

    def forget(self) -> None:
        self._llama.llama_memory_clear(self._llama.llama_get_memory(self._context), True)

    def feed(self, ids: list[int]) -> NDArray[np.float32]:
        """The logits after these ids; a view that the next call writes over."""
        given = (self._llama.llama_token * len(ids))(*ids)
        code = self._llama.llama_decode(self._context, self._llama.llama_batch_get_one(given, len(ids)))
        if code:
            raise SystemExit(f"llama_decode ended with {code}")
        pointer = self._llama.llama_get_logits_ith(self._context, -1)
        return np.ctypeslib.as_array(ctypes.cast(pointer, ctypes.POINTER(ctypes.c_float)), (self._vocabulary,))


def _draft(context: _Context, ids: list[int], tokens: int) -> dict[str, Any]:
    context.forget()
    began = time.monotonic_ns()
    chosen = [int(context.feed(ids).argmax())]
    first = time.monotonic_ns()
    while len(chosen) < tokens:
        chosen.append(int(context.feed(chosen[-1:]).argmax()))
    ended = time.monotonic_ns()
    return {
        "began_ns": began,
        "draft_ms": (ended - began) / 1e6,
        "prefill_ms": (first - began) / 1e6,
        "decode_ms": (ended - first) / 1e6 / max(1, tokens - 1),
        "tokens": chosen,
    }


def _serve(path: Path, prompts: Path) -> None:
    import importlib.metadata

    answers = take_stdout()
    asked = json.loads(prompts.read_text(encoding="utf-8"))
    most = 64 * math.ceil((len(asked["warm"]) + asked["tokens"] + 1) / 64)
    began = time.monotonic_ns()
    context = _Context(path, most)
    versions = {"llama_cpp_python": importlib.metadata.version("llama_cpp_python")}
    facts = {"load_ms": (time.monotonic_ns() - began) / 1e6, "versions": versions, "vision": False}

    def result(what: str) -> Any:
        name, _, number = what.partition(":")
        if name == "check":
            return {"tokens": [_draft(context, ids, 1)["tokens"][0] for ids in asked["checks"]]}
        if name == "warm":
            return _draft(context, asked["warm"], 2)
        return _draft(context, asked["prompts"][int(number)], asked["tokens"]) | {"peak_rss_mb": peak_rss_mb()}

    serve(answers, facts, {}, result)


if __name__ == "__main__":
    if sys.argv[1] == "export":
        export(Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4])
    else:
        _serve(Path(sys.argv[2]), Path(sys.argv[3]))
