"""Our side of the report benchmark: a bundle of random weights by the exporter's own graphs, run by the runtime.

Nobody qualified it, it says that its weights are random, and so no command shows what it writes. Its key is forgotten
once it is signed. For: benchmarks/report.py. Not for: bundles that anybody uses (`cathrt export report`).
"""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.compute_limit import THREADS
from benchmarks.report_peers import serve_prompts
from benchmarks.report_weights import text_of
from benchmarks.turns import take_stdout

_BUNDLE, _KEY, _STAGES = "bundle", "key.txt", "stages"


def make_bundle(weights: Path, form: str, context: int, out: Path) -> None:
    """OUT/bundle, and its public key beside it: what the exporter makes of the weights, but for its qualification."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from cathrt.export.bundle.sign import public_key, write_bundle
    from cathrt.export.models.report.bundle import manifest_of
    from cathrt.export.models.report.source import source_of
    from cathrt.export.models.report.targets import parts_of
    from cathrt.export.recipe.stage_cache import StageCache

    out.mkdir()
    asked = asked_for(weights, form, context)
    source, cache = source_of(asked), StageCache(out / _STAGES)
    parts = {target: parts_of(cache, source, asked, target, ()) for target in targets_of(form)}
    manifest, payload = manifest_of(source, parts, {"random_init": True}, demonstration=True)
    key = Ed25519PrivateKey.generate()
    write_bundle(out / _BUNDLE, manifest, payload, key)
    (out / _KEY).write_text(public_key(key), encoding="ascii")
    shutil.rmtree(out / _STAGES)


def asked_for(weights: Path, form: str, context: int) -> Any:
    """As `cathrt export report` would be asked. form: bf16, int8 or int4; the last two compute in bfloat16 in OpenVINO,
    or with "-f32" in float32."""
    from cathrt.export.models.report.asked import Asked, block_from
    from cathrt.runtime.engines.cpu import rest_here

    precision: Any = {"bf16": "bfloat16"}.get(form, form.removesuffix("-f32"))
    rest = rest_here("bfloat16") if form in ("int8", "int4") else "float32"
    block = block_from(None, precision)
    return Asked(weights, precision, context, block=block, rest=rest, pictures=1, answer=16, random_init=True)


def targets_of(form: str) -> Any:
    """Our own decoder has 8 and 4 bits alone, and ONNX Runtime no bfloat16 on the CPU; -f32 says something to OpenVINO
    alone."""
    return ("openvino",) if form == "bf16" or form.endswith("-f32") else ("cathrt", "openvino", "onnxruntime")


def decoder_bytes(made: Path, engine: str) -> int:
    """Of the decoder's weights in that engine: each of them is read for every token."""
    manifest = json.loads((made / _BUNDLE / "manifest.json").read_text(encoding="utf-8"))
    file = manifest["networks"]["decoder"]["artifacts"][engine]["file"]
    weights = file.replace(".onnx", ".data")  # of a graph whose weights are all small there is none
    return sum((made / _BUNDLE / name).stat().st_size for name in {file, weights} if name in manifest["files"])


def serve_ours(name: str, folder: Path, prompts: Mapping[str, Any]) -> None:
    """name: ours_<engine>_<form>."""
    answers = take_stdout()
    from cathrt.runtime.config import EngineConfig
    from cathrt.runtime.models import open_bundle
    from cathrt.runtime.models.report.model import answered, open_report_model
    from cathrt.runtime.models.report.prompt_parts import Asked, Prompt

    _, engine, form = name.split("_")
    made = folder / f"ours-{form}-{prompts['context']}"
    began = time.monotonic_ns()
    bundle = open_bundle(made / _BUNDLE, [(made / _KEY).read_text(encoding="ascii")])
    model = open_report_model(bundle, EngineConfig(engine, threads=THREADS), engine)
    facts = {"load_ms": (time.monotonic_ns() - began) / 1e6}
    stop = threading.Event()

    def draft(ids: list[int], tokens: int) -> dict[str, Any]:
        prompt = Prompt((text_of(ids[1:]),))  # the token that begins it is added
        began = time.monotonic_ns()
        answer = answered(model.answer(prompt, Asked(tokens, 1e9), stop))
        took_ms = (time.monotonic_ns() - began) / 1e6
        if answer.prompt_tokens != len(ids) or answer.reused_tokens > 1:
            found = f"{answer.prompt_tokens} tokens in, {answer.reused_tokens} of them from before"
            raise SystemExit(f"{found}, expected {len(ids)} and at most 1: another prompt would be timed")
        if len(answer.tokens) != tokens:
            raise SystemExit(f"an answer of {len(answer.tokens)} tokens, expected {tokens}: {answer.ended}")
        return {
            "began_ns": began,
            "draft_ms": took_ms,
            "prefill_ms": answer.prefill_ns / 1e6,
            "decode_ms": (took_ms - answer.prefill_ns / 1e6) / max(1, tokens - 1),
            "tokens": list(answer.tokens),
        }

    def first_tokens(checks: list[list[int]]) -> Any:
        return {"tokens": [draft(ids, 1)["tokens"][0] for ids in checks]}

    picture = None
    if model.section.picture is not None:
        side, pixels = model.section.picture.side, np.random.default_rng(0)

        def picture() -> dict[str, Any]:
            grey = pixels.random((side, side), np.float32)
            began = time.monotonic_ns()
            model.embed_picture(grey)
            return {"began_ns": began, "vision_ms": (time.monotonic_ns() - began) / 1e6}

    serve_prompts(facts, first_tokens, draft, picture, prompts, answers)
