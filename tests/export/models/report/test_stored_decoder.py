"""The decoder of our own engine: its file, and that it computes what the ONNX decoder of the same weights does.

The variants with 8-bit activations run where the CPU has them; the tests say which were left out.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from cathrt.export.models.report.graphs.networks import write_networks
from cathrt.export.models.report.graphs.settings import GraphSettings
from cathrt.export.models.report.graphs.weight_forms import quantise
from cathrt.export.models.report.stored_decoder import Bits, packed_scales, packed_weights, write_stored_decoder
from cathrt.kernels._decoder import Decoder, Linear, widest_variant
from cathrt.runtime.engines.stored_file import StoredDecoder, read_stored
from cathrt.runtime.errors import EngineError
from tests.export.models.report.dequantised import Dequantised, dequantised
from tests.export.models.report.graph_runs import Decoding, Networks, Run
from tests.export.models.report.model_weights import ModelWeights
from tests.export.models.report.tiny_gemma import Tiny, TinyModel, pixels, prompt_tokens, tiny_vlm

CONTEXT, BLOCK = 128, 32
VARIANTS = ("plain", "vnni", "amx")
ROUNDING = {"plain": 2e-5, "vnni": 0.06, "amx": 0.06}  # of logits, beside the largest one


def need(variant: str) -> None:
    if VARIANTS.index(widest_variant()) < VARIANTS.index(variant):
        pytest.skip(f"this CPU has no {variant}: the widest variant here is {widest_variant()}")


@pytest.fixture(scope="module")
def model() -> TinyModel:
    return tiny_vlm(Tiny(vision_hidden=96))


def stored(weights: ModelWeights, bits: Bits, folder: Path) -> StoredDecoder:
    path = folder / f"decoder-{bits}.stored"
    write_stored_decoder(weights, bits, BLOCK, CONTEXT, path)
    return read_stored(np.fromfile(path, np.uint8), path.name)


def native(file: StoredDecoder, variant: str, threads: int = 2) -> Decoder:
    linears = [Linear(one.weights, one.scales, one.outputs, one.inputs, one.group, one.bits) for one in file.linears]
    sizes, norms, angles = list(file.sizes), list(file.norms), list(file.angles)
    return Decoder(sizes, file.norm_eps, file.query_scale, list(file.sliding), linears, norms, angles, variant, threads)


def as_run(file: StoredDecoder, variant: str, threads: int = 2) -> Run:
    """The decoder with the feeds and outputs of the ONNX decoder."""
    decoder = native(file, variant, threads)
    _, _, _, kv_heads, head_dim, vocabulary = file.sizes

    def run(feeds: Any) -> dict[str, NDArray[Any]]:
        rows = feeds["embeddings"].shape[1]
        layers = [name for name in feeds if name.startswith("keys_")]
        values = [name.replace("keys", "values") for name in layers]
        outputs = {f"new_{name}": np.full((kv_heads, rows, head_dim), np.nan, np.float32) for name in layers + values}
        logits = np.full(vocabulary, np.nan, np.float32)
        decoder.run(
            feeds["embeddings"][0], feeds["positions"], feeds["global_mask"], feeds["sliding_mask"],
            int(feeds["last"][0]), [feeds[name] for name in layers], [feeds[name] for name in values], logits,
            [outputs[f"new_{name}"] for name in layers], [outputs[f"new_{name}"] for name in values],
        )  # fmt: skip
        return outputs | {"logits": logits[None, : file.vocabulary]}

    return run


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("bits", [4, 8])
def test_it_computes_what_the_onnx_decoder_does(bits: Bits, variant: str, model: TinyModel, tmp_path: Path) -> None:
    need(variant)
    weights = ModelWeights(model)
    write_networks(Dequantised(weights, bits, BLOCK), GraphSettings("float32", CONTEXT, (64,)), tmp_path / "graphs")
    networks = Networks.opened(weights, tmp_path / "graphs", "onnxruntime")
    ours = Decoding(as_run(stored(weights, bits, tmp_path), variant), weights.shape, CONTEXT, fill=np.nan)
    theirs = networks.decoding(CONTEXT)
    rows, images = networks.rows(prompt_tokens(model, 2)[0], pixels(model, 2))
    found, expected = ours.append(rows, images, padded=64), theirs.append(rows, images, padded=64)
    errors = [np.abs(found - expected).max() / np.abs(expected).max()]
    for token in (3, 17, 5, 40):
        row = networks.rows(np.asarray([token], np.int64))[0]
        found, expected = ours.append(row), theirs.append(row)
        errors.append(np.abs(found - expected).max() / np.abs(expected).max())
    assert max(errors) < ROUNDING[variant], errors
    for name in ours.names:  # the cache it leaves is the same too
        difference = np.abs(ours.cache[name][:, : ours.length] - theirs.cache[name][:, : ours.length]).max()
        assert difference < (1e-4 if variant == "plain" else 0.5), name


@pytest.mark.parametrize("variant", VARIANTS)
def test_threads_and_pieces_of_prompt_change_nothing(variant: str, model: TinyModel, tmp_path: Path) -> None:
    need(variant)
    weights = ModelWeights(model)
    file = stored(weights, 8, tmp_path)
    table = weights.tensor("language_model.embed_tokens.weight")
    rows = np.random.default_rng(5).choice(table, 40)
    logits = []
    for threads, pieces in ((1, (40,)), (3, (40,)), (2, (11, 1, 28))):
        decoding = Decoding(as_run(file, variant, threads), weights.shape, CONTEXT)
        start = 0
        for piece in pieces:
            last = decoding.append(rows[start : start + piece])
            start += piece
        logits.append(last.copy())
    assert np.array_equal(logits[0], logits[1])
    assert np.abs(logits[2] - logits[0]).max() < (1e-4 if variant == "plain" else 0.06) * np.abs(logits[0]).max()


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize(
    ("outputs", "inputs", "group"), [(48, 192, 32), (16, 24, 8), (32, 64, 64), (272, 1024, 128), (64, 640, 32)]
)
def test_a_linear_layer_is_a_product(outputs: int, inputs: int, group: int, bits: Bits, variant: str) -> None:
    need(variant)
    draw = np.random.default_rng(outputs)
    weight = draw.standard_normal((outputs, inputs)).astype(np.float32)
    weight[:, :group] *= 8  # groups of different scales
    weight[3] = 0
    values, scales = quantise(weight, "int4" if bits == 4 else "int8", group, "float16")
    layer = Linear(
        packed_weights(values, bits).ravel(),
        packed_scales(scales).view(np.uint16).ravel(),
        outputs,
        inputs,
        group,
        bits,
    )
    for rows in (1, 2, 8, 37, 64):
        activations = draw.standard_normal((rows, inputs)).astype(np.float32)
        activations[0] = 0
        found = np.full((rows, outputs), np.nan, np.float32)
        layer(activations, found, variant, 2)
        expected = activations @ dequantised(weight, bits, group).T
        error = np.sqrt(np.mean((found - expected) ** 2) / max(np.mean(expected**2), 1e-9))
        assert error < (1e-5 if variant == "plain" else 0.02), (rows, error)
        assert not found[0].any()


def test_rows_that_no_width_divides_are_refused(model: TinyModel, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="do not divide"):
        write_stored_decoder(ModelWeights(model), 4, 48, CONTEXT, tmp_path / "decoder.stored")


@pytest.mark.parametrize("cut", [0, 7, 12, 40, -1])
def test_a_file_that_is_cut_is_refused(cut: int, model: TinyModel, tmp_path: Path) -> None:
    path = tmp_path / "decoder.stored"
    write_stored_decoder(ModelWeights(model), 8, BLOCK, CONTEXT, path)
    data = np.fromfile(path, np.uint8)
    with pytest.raises(EngineError, match="export the bundle again"):
        read_stored(data[:cut].copy() if cut >= 0 else data[: -len(data) // 8].copy(), path.name)
