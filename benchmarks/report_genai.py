"""OpenVINO GenAI on an optimum-intel export, as their users have it: the export, and the process that is timed.

    PYTHON -m benchmarks.report_genai export MODEL OUT int4|int8
    PYTHON -m benchmarks.report_genai serve OUT PROMPTS.json
PYTHON is that of an environment with optimum-intel, nncf and openvino-genai: nothing of cathrt is imported here,
because their requirements are not ours. For: benchmarks/report_peers.py.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.turns import peak_rss_mb, serve, take_stdout

THREADS = 2
_LANGUAGE, _PICTURE = "language", "picture"


def export(model: Path, out: Path, bits: str) -> None:
    """The text model, and for a vision-language model its vision tower, weights compressed by NNCF."""
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # it reports to Google Analytics
    from optimum.intel import OVModelForCausalLM, OVWeightQuantizationConfig

    settings = {"bits": int(bits.removeprefix("int"))}  # all else as it is by default
    text = model / "text" if (model / "text").is_dir() else model
    made = OVModelForCausalLM.from_pretrained(
        text, export=True, compile=False, quantization_config=OVWeightQuantizationConfig(**settings)
    )
    made.save_pretrained(out / _LANGUAGE)
    if text != model:
        _export_picture(model, out / _PICTURE, settings)


def _export_picture(model: Path, out: Path, settings: dict[str, Any]) -> None:
    from optimum.intel import OVModelForVisualCausalLM, OVWeightQuantizationConfig

    made = OVModelForVisualCausalLM.from_pretrained(
        model, export=True, compile=False, quantization_config=OVWeightQuantizationConfig(**settings)
    )
    made.save_pretrained(out)


def _opened(folder: Path) -> tuple[Any, dict[str, Any]]:
    import openvino_genai as genai

    settings = {"INFERENCE_NUM_THREADS": THREADS, "PERFORMANCE_HINT": "LATENCY"}
    return genai.LLMPipeline(str(folder / _LANGUAGE), "CPU", **settings), {"openvino_genai": genai.__version__}


def _draft(pipeline: Any, ids: list[int], tokens: int) -> dict[str, Any]:
    import numpy as np
    import openvino as ov  # noqa: TID251  (that environment has no cathrt)
    import openvino_genai as genai

    config = genai.GenerationConfig()
    config.max_new_tokens = config.min_new_tokens = tokens
    config.ignore_eos, config.do_sample = True, False
    given = np.array([ids], np.int64)
    inputs = genai.TokenizedInputs(ov.Tensor(given), ov.Tensor(np.ones_like(given)))
    began = time.monotonic_ns()
    found = pipeline.generate(inputs, config)
    took_ms = (time.monotonic_ns() - began) / 1e6
    first_ms = found.perf_metrics.get_ttft().mean
    return {
        "began_ns": began,
        "draft_ms": took_ms,
        "prefill_ms": first_ms,
        "decode_ms": (took_ms - first_ms) / max(1, tokens - 1),
        "tokens": [int(token) for token in found.tokens[0]],
    }


def _picture_call(folder: Path) -> Callable[[], dict[str, Any]] | None:
    """None for a text-only model."""
    path = folder / _PICTURE / "openvino_vision_embeddings_model.xml"
    if not path.is_file():
        return None
    import numpy as np
    import openvino as ov  # noqa: TID251

    core = ov.Core()
    compiled = core.compile_model(path, "CPU", {"INFERENCE_NUM_THREADS": THREADS, "PERFORMANCE_HINT": "LATENCY"})
    settings = json.loads((folder / _PICTURE / "config.json").read_text(encoding="utf-8"))
    side = settings["vision_config"]["image_size"]
    pixels = np.random.default_rng(0).uniform(-1.0, 1.0, (1, 3, side, side)).astype(np.float32)

    def call() -> dict[str, Any]:
        began = time.monotonic_ns()
        compiled([pixels])
        return {"began_ns": began, "vision_ms": (time.monotonic_ns() - began) / 1e6}

    return call


def _serve(folder: Path, prompts: Path) -> None:
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    answers = take_stdout()
    asked = json.loads(prompts.read_text(encoding="utf-8"))
    began = time.monotonic_ns()
    pipeline, versions = _opened(folder)
    picture = _picture_call(folder)
    facts = {"load_ms": (time.monotonic_ns() - began) / 1e6, "versions": versions, "vision": picture is not None}

    def result(what: str) -> Any:
        name, _, number = what.partition(":")
        if name == "check":
            return {"tokens": [_draft(pipeline, ids, 1)["tokens"][0] for ids in asked["checks"]]}
        if name == "vision":
            assert picture is not None
            return picture()
        if name == "warm":
            return _draft(pipeline, asked["warm"], 2)
        return _draft(pipeline, asked["prompts"][int(number)], asked["tokens"]) | {"peak_rss_mb": peak_rss_mb()}

    serve(answers, facts, {}, result)


if __name__ == "__main__":
    if sys.argv[1] == "export":
        export(Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4])
    else:
        _serve(Path(sys.argv[2]), Path(sys.argv[3]))
