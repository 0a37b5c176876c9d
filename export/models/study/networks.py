"""The two networks on disk, as stages: written once for each form, found again by the next command.

Engines on the CPU take float32 graphs, with Q/DQ pairs for int8; TensorRT takes graphs that are typed throughout. Not
for: what is in a graph (graphs/), or which targets there are (targets.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import onnx

from cathrt.export.graph.beside import write_beside
from cathrt.export.graph.precision import Element, typed
from cathrt.export.models.study.asked import Asked
from cathrt.export.models.study.cases import CALIBRATED_CLIPS, CALIBRATED_SEED, phantom_clips, phantom_identity
from cathrt.export.models.study.graphs.encoder import encoder_graph
from cathrt.export.models.study.graphs.head import Questions, head_graph
from cathrt.export.models.study.quantised import for_any_clips, int8_encoder, int8_settings
from cathrt.export.models.study.source import Source
from cathrt.export.recipe.stage_cache import StageCache
from cathrt.runtime.bundle.manifest import DeclaredTensor, Precision
from cathrt.runtime.models.study.contract import CLIPS_SIZE, RUNS_SIZE, encoder_tensors, head_tensors
from cathrt.runtime.models.study.section import ENCODER, HEAD

CLIP_BUCKETS = (1, 4)  # clips that the encoder takes at once: one when a run has ended, several of a recorded study


@dataclass(frozen=True, slots=True)
class Declared:
    """A network's tensors and sizes, which are the same in every form."""

    inputs: tuple[DeclaredTensor, ...]
    outputs: tuple[DeclaredTensor, ...]
    buckets: tuple[dict[str, int], ...]


@dataclass(frozen=True, slots=True)
class Written:
    """files: of one network, the ONNX file first. precision: what is computed in it."""

    files: tuple[Path, ...]
    precision: Precision

    @property
    def graph(self) -> Path:
        return self.files[0]


Form = Mapping[str, Written]  # by role


def declared(source: Source) -> dict[str, Declared]:
    """By role."""
    shape = source.weights.encoder
    given, found = encoder_tensors(source.section, shape.tokens, shape.features)
    inputs, outputs = head_tensors(source.section, shape.tokens, shape.features)
    return {
        ENCODER: Declared((given,), (found,), tuple({CLIPS_SIZE: clips} for clips in CLIP_BUCKETS)),
        HEAD: Declared(inputs, outputs, ({RUNS_SIZE: source.section.runs},)),
    }


def cpu_form(cache: StageCache, source: Source, asked: Asked) -> Form:
    """For OpenVINO and ONNX Runtime. bfloat16 is the float32 graph, computed in bfloat16 by the manifest."""
    encoder = _int8(cache, source, asked) if asked.precision == "int8" else _plain(cache, source)
    return {ENCODER: replace(encoder, precision=asked.precision), HEAD: _head(cache, source)}


def typed_form(cache: StageCache, source: Source, asked: Asked, *, turing: bool) -> Form:
    """For TensorRT, each graph whole in one file. turing: as SM 7.5 takes the head.

    int8: what is not in int8 is float16, the head is float16 but for its last layer.
    """
    if asked.precision == "float32":
        plain: Form = {ENCODER: _plain(cache, source), HEAD: _head(cache, source, "MatMul" if turing else "Gemm")}
        return {role: _whole(cache, one) for role, one in plain.items()}
    element: Element = "bfloat16" if asked.precision == "bfloat16" else "float16"
    encoder = _int8(cache, source, asked) if asked.precision == "int8" else _plain(cache, source)
    head = _head(cache, source, "MatMul" if turing else "Gemm")
    return {
        ENCODER: replace(_typed(cache, encoder, element), precision=asked.precision),
        HEAD: replace(_typed(cache, head, element), precision=element),
    }


def _plain(cache: StageCache, source: Source) -> Written:
    weights = source.weights
    return _stage(
        cache,
        f"{ENCODER}-float32",
        {"weights": weights.sha256},
        lambda: encoder_graph(weights.encoder, weights.tensors),
    )


def _head(cache: StageCache, source: Source, questions: Questions = "Gemm") -> Written:
    weights = source.weights
    inputs = {"weights": weights.sha256, "questions": questions, "outputs": weights.head.outputs}
    return _stage(
        cache,
        f"{HEAD}-float32",
        inputs,
        lambda: head_graph(weights.head, weights.tensors, weights.encoder.tokens, questions),
    )


def _int8(cache: StageCache, source: Source, asked: Asked) -> Written:
    weights, clip = source.weights, source.section.clip

    def make() -> onnx.ModelProto:
        plain = encoder_graph(weights.encoder, weights.tensors, 1)
        clips = phantom_clips(clip, CALIBRATED_CLIPS, CALIBRATED_SEED)
        return for_any_clips(int8_encoder(plain, clips, int8_settings(plain, asked.layers, asked.weight_bits)))

    inputs = {
        "weights": weights.sha256,
        "clip": asdict(clip),
        "clips": [CALIBRATED_CLIPS, CALIBRATED_SEED],
        "layers": asked.layers,
        "weight_bits": asked.weight_bits,
    }
    return replace(_stage(cache, f"{ENCODER}-int8", inputs, make), precision="int8")


def calibrated_on(source: Source) -> dict[str, object]:
    """For the provenance: the clips that int8 takes its scales from."""
    return phantom_identity(phantom_clips(source.section.clip, CALIBRATED_CLIPS, CALIBRATED_SEED))


def _typed(cache: StageCache, written: Written, element: Element) -> Written:
    inputs = {"graph": written.graph.parent.name, "element": element}
    stage = f"{written.graph.stem}-{written.precision}-{element}"
    return _stage(cache, stage, inputs, lambda: typed(_loaded(written), element), beside=False)


def _whole(cache: StageCache, written: Written) -> Written:
    inputs = {"graph": written.graph.parent.name}
    return _stage(cache, f"{written.graph.stem}-whole", inputs, lambda: _loaded(written), beside=False)


def _loaded(written: Written) -> onnx.ModelProto:
    """With its weights in it."""
    return onnx.load(str(written.graph))


def _stage(
    cache: StageCache,
    stage: str,
    inputs: Mapping[str, object],
    made: Callable[[], onnx.ModelProto],
    *,
    beside: bool = True,
) -> Written:
    """beside: whether large weights get a file of their own."""
    role = stage.split("-", 1)[0]

    def make(folder: Path) -> None:
        path = folder / f"{role}.onnx"
        if beside:
            write_beside(made(), path)
        else:
            path.write_bytes(made().SerializeToString(deterministic=True))

    folder = cache.result(stage, inputs, make)
    graph = folder / f"{role}.onnx"
    files = (graph, *sorted(path for path in folder.iterdir() if path.suffix == ".data"))
    return Written(files, "float32")
