"""Who writes drafts with one Gemma3: the table of variants, what files each needs, and the process that one lives in.

`python -m benchmarks.report_peers VARIANT FOLDER PROMPTS PYTHON` is that process; for a variant of another environment
it becomes PYTHON with report_genai.py or report_llama.py. All answer alike: "check", "vision", "warm", "draft:N".
For: benchmarks/report.py.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from benchmarks.compute_limit import THREADS
from benchmarks.measure import ROOT
from benchmarks.turns import peak_rss_mb, serve, take_stdout

Other = Literal["genai", "llama"]
REFERENCE = "transformers_bf16"
WEIGHTS, TEXT, LOGITS = "weights", "text", "reference.npy"  # TEXT: in WEIGHTS, of a vision-language model


@dataclass(frozen=True, slots=True)
class Peer:
    """form: of the weights. environment: where it runs, if not in ours. file: in the work folder, once it is made."""

    form: str
    environment: Other | None
    file: str


PEERS: Mapping[str, Peer] = {
    REFERENCE: Peer("bf16", None, WEIGHTS),
    "openvino_genai_int4": Peer("int4", "genai", "genai-int4"),
    "openvino_genai_int8": Peer("int8", "genai", "genai-int8"),
    "llama_cpp_q4_0": Peer("q4_0", "llama", "q4_0.gguf"),
    "llama_cpp_q8_0": Peer("q8_0", "llama", "q8_0.gguf"),
}


def make_peer_file(peer: Peer, weights: Path, python: Path, out: Path) -> None:
    """What an environment of its own makes of the weights. Ends the program where it cannot."""
    command = [str(python), "-m", f"benchmarks.report_{peer.environment}", "export", str(weights), str(out), peer.form]
    done = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise SystemExit(f"{peer.environment}: {python} ended with exit code {done.returncode}: {reason}")


def serve_prompts(
    facts: Mapping[str, Any],
    first_tokens: Callable[[list[list[int]]], Any],
    draft: Callable[[list[int], int], dict[str, Any]],
    picture: Callable[[], dict[str, Any]] | None,
    prompts: Mapping[str, Any],
    answers: Any,
) -> None:
    """Answer until the parent is done. A draft is of a prompt that nothing was computed for before."""

    def result(what: str) -> Any:
        name, _, number = what.partition(":")
        if name == "check":
            return first_tokens(prompts["checks"])
        if name == "vision":
            assert picture is not None
            return picture()
        if name == "warm":
            return draft(prompts["warm"], 2)
        return draft(prompts["prompts"][int(number)], prompts["tokens"]) | {"peak_rss_mb": peak_rss_mb()}

    serve(answers, {**facts, "vision": picture is not None}, {}, result)


def _serve_transformers(folder: Path, prompts: Mapping[str, Any]) -> None:
    """Eager, bfloat16, its own attention and cache. Leaves its logits for the check in FOLDER/LOGITS."""
    answers = take_stdout()
    import numpy as np
    import torch
    import transformers

    torch.set_num_threads(THREADS)
    transformers.utils.logging.disable_progress_bar()
    began = time.monotonic_ns()
    name = json.loads((folder / WEIGHTS / "config.json").read_text(encoding="utf-8"))["architectures"][0]
    model = getattr(transformers, name).from_pretrained(folder / WEIGHTS, dtype=torch.bfloat16).eval()
    facts = {"load_ms": (time.monotonic_ns() - began) / 1e6}

    @torch.inference_mode()
    def step(ids: list[int], cache: Any) -> tuple[Any, Any]:
        found = model(input_ids=torch.tensor([ids]), cache=cache, use_cache=True, logits_to_keep=1)
        return found.logits[0, -1], found.cache

    def first_tokens(checks: list[list[int]]) -> Any:
        logits = [step(ids, None)[0].float().numpy() for ids in checks]
        np.save(folder / LOGITS, np.stack(logits))
        return {"tokens": [int(one.argmax()) for one in logits]}

    def draft(ids: list[int], tokens: int) -> dict[str, Any]:
        began = time.monotonic_ns()
        logits, cache = step(ids, None)
        chosen = [int(logits.argmax())]
        first = time.monotonic_ns()
        while len(chosen) < tokens:
            logits, cache = step(chosen[-1:], cache)
            chosen.append(int(logits.argmax()))
        return times_of(began, first, time.monotonic_ns(), chosen)

    picture = None
    if getattr(model.config, "vision_config", None) is not None:
        side = model.config.vision_config.image_size
        pixels = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(0)).to(torch.bfloat16) * 2 - 1

        @torch.inference_mode()
        def picture() -> dict[str, Any]:
            began = time.monotonic_ns()
            model.get_image_features(pixel_values=pixels)
            return {"began_ns": began, "vision_ms": (time.monotonic_ns() - began) / 1e6}

    serve_prompts(facts, first_tokens, draft, picture, prompts, answers)


def times_of(began: int, first: int, ended: int, chosen: list[int]) -> dict[str, Any]:
    """Of one draft. first: when its first token was there; all monotonic ns."""
    return {
        "began_ns": began,
        "draft_ms": (ended - began) / 1e6,
        "prefill_ms": (first - began) / 1e6,
        "decode_ms": (ended - first) / 1e6 / max(1, len(chosen) - 1),
        "tokens": chosen,
    }


def main(name: str, folder: Path, prompts: Path, python: str) -> None:
    peer = PEERS.get(name)
    if peer is not None and peer.environment is not None:
        module = f"benchmarks.report_{peer.environment}"
        os.execv(python, [python, "-m", module, "serve", str(folder / peer.file), str(prompts)])
    asked = json.loads(prompts.read_text(encoding="utf-8"))
    if peer is not None:
        _serve_transformers(folder, asked)
        return
    from benchmarks.report_ours import serve_ours

    serve_ours(name, folder, asked)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4])
