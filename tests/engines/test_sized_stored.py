"""Our own decoder engine behind its port: it opens what the manifest says and refuses what does not fit.

What it computes is held against ONNX in tests/export/models/report/test_stored_decoder.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from cathrt.export.bundle.sign import public_key, write_bundle
from cathrt.export.models.report.stored_decoder import Bits, write_stored_decoder
from cathrt.runtime.bundle.manifest import Artifact
from cathrt.runtime.bundle.opening import Bundle
from cathrt.runtime.config import EngineConfig
from cathrt.runtime.engines import open_sized_engine, sized_stored
from cathrt.runtime.engines.sized import Tensors
from cathrt.runtime.errors import EngineError
from cathrt.runtime.models import open_bundle
from cathrt.runtime.models.report.model import answered, open_report_model
from cathrt.runtime.models.report.prompt_parts import Asked, Markup, Prompt
from cathrt.runtime.ports import SizedEngine
from tests.export.models.report.dequantised import dequantised
from tests.export.models.report.model_weights import ModelWeights
from tests.export.models.report.tiny_gemma import TinyModel, tiny_vlm
from tests.models.report.tiny_bundle import KEY, SETTINGS, TINY, tiny_report_bundle
from tests.models.report.tiny_model import grey

ONE_THREAD = EngineConfig(threads=1)
STORED = "decoder.stored"
BLOCK = 32


@pytest.fixture(scope="module")
def model() -> TinyModel:
    return tiny_vlm(TINY, 6)


@pytest.fixture(scope="module")
def bundle(model: TinyModel, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return with_stored_decoder(model, tmp_path_factory.mktemp("stored"), 8, lambda data: data)


def with_stored_decoder(model: TinyModel, folder: Path, bits: Bits, change: Callable[[bytes], bytes]) -> Bundle:
    """The tiny bundle with a decoder for "cathrt" beside the float32 graphs. change: of the stored file's bytes."""
    plain = tiny_report_bundle(folder / "plain", model)
    write_stored_decoder(ModelWeights(model), bits, BLOCK, SETTINGS.context, folder / STORED)
    manifest = plain.manifest
    networks = {
        role: replace(network, artifacts=network.artifacts | {"cathrt": network.artifacts["openvino"]})
        for role, network in manifest.networks.items()
    }
    decoder = networks["decoder"]
    stored = Artifact(STORED, "int8")
    networks["decoder"] = replace(decoder, artifacts=decoder.artifacts | {"cathrt": stored})
    payload: dict[str, Any] = {name: plain.read(name) for name in manifest.files}
    payload[STORED] = change((folder / STORED).read_bytes())
    made = replace(manifest, networks=networks, files={})
    return open_bundle(write_bundle(folder / "bundle", made, payload, KEY), [public_key(KEY)])


@pytest.fixture
def engine(bundle: Bundle) -> SizedEngine:
    return open_sized_engine("cathrt", bundle, "decoder", ONE_THREAD)


def feeds(bundle: Bundle, rows: int, capacity: int, old: int, seed: int = 0) -> dict[str, NDArray[Any]]:
    """Text behind `old` cached rows, everything seen."""
    draw = np.random.default_rng(seed)
    (embeddings, *_), section = bundle.manifest.network("decoder").inputs, bundle.manifest.model
    mask = np.zeros((rows, capacity + rows), bool)
    mask[:, :old] = True
    mask[:, capacity:] = np.tril(np.ones((rows, rows), bool))
    found: dict[str, NDArray[Any]] = {
        "embeddings": draw.standard_normal((1, rows, int(embeddings.shape[2])), np.float32),
        "positions": np.arange(old, old + rows),
        "global_mask": mask,
        "sliding_mask": mask,
        "last": np.asarray([rows - 1], np.int64),
    }
    for layer in range(section.layers):
        for kind in ("keys", "values"):
            rows_of = (section.kv_heads, capacity, section.head_dim)
            found[f"{kind}_{layer:02}"] = draw.standard_normal(rows_of, np.float32)
    return found


def copied(outputs: Tensors) -> dict[str, NDArray[Any]]:
    return {name: array.copy() for name, array in outputs.items()}


def test_tensors_and_buckets_are_the_manifests(engine: SizedEngine, bundle: Bundle) -> None:
    network = bundle.manifest.network("decoder")
    assert engine.name == "cathrt"
    assert (engine.inputs, engine.outputs, engine.buckets) == (network.inputs, network.outputs, network.buckets)


def test_the_other_networks_are_opened_in_openvino(bundle: Bundle) -> None:
    opened = open_sized_engine("cathrt", bundle, "embedding", ONE_THREAD)
    assert opened.name == "openvino"
    opened.close()


def test_the_same_feed_gives_the_same_bits_whatever_ran_between(engine: SizedEngine, bundle: Bundle) -> None:
    first = copied(engine.run(feeds(bundle, 16, 64, 5)))
    engine.run(feeds(bundle, 64, 128, 90, seed=1))
    engine.run(feeds(bundle, 1, 512, 400, seed=2))
    again = engine.run(feeds(bundle, 16, 64, 5))
    assert all(again[name].tobytes() == array.tobytes() for name, array in first.items())
    assert all(np.isfinite(array).all() and array.any() for array in first.values())


def test_fed_arrays_are_read_where_they_are_and_left_alone(engine: SizedEngine, bundle: Bundle) -> None:
    given = feeds(bundle, 1, 64, 30)
    before = copied(engine.run(given))
    for array in given.values():
        array.flags.writeable = False
    assert engine.run(given)["logits"].tobytes() == before["logits"].tobytes()
    given["keys_00"].flags.writeable = True
    given["keys_00"][:, 30:] = np.nan  # nobody sees them
    assert engine.run(given)["logits"].tobytes() == before["logits"].tobytes()
    given["keys_00"][:, 3] += 1
    assert engine.run(given)["logits"].tobytes() != before["logits"].tobytes()


def test_positions_behind_the_context_are_taken_for_its_last(engine: SizedEngine, bundle: Bundle) -> None:
    """Padded rows may have them; nobody reads what comes of these."""
    given = feeds(bundle, 16, 64, 5)
    given["positions"] = given["positions"] + 10**9
    assert np.isfinite(engine.run(given)["logits"]).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda given: given.pop("last"), "expected exactly"),
        (lambda given: given.update(positions=given["positions"][:-1]), "positions fed"),
        (lambda given: given.update(last=given["last"] + 16), "last is 31"),
        (lambda given: given.update(keys_00=given["keys_00"].astype(np.float64)), "float64"),
    ],
)
def test_a_feed_that_does_not_fit_is_refused(
    engine: SizedEngine, bundle: Bundle, change: Callable[[dict[str, Any]], object], message: str
) -> None:
    given = feeds(bundle, 16, 64, 5)
    change(given)
    with pytest.raises(EngineError, match=message):
        engine.run(given)
    assert np.isfinite(engine.run(feeds(bundle, 16, 64, 5))["logits"]).all()


def test_a_closed_engine_refuses_to_run(engine: SizedEngine, bundle: Bundle) -> None:
    engine.close()
    engine.close()
    with pytest.raises(EngineError, match="closed"):
        engine.run(feeds(bundle, 1, 64, 5))


def test_it_writes_the_answer_that_onnxruntime_writes_with_the_same_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sized_stored, "widest_variant", lambda: "plain")  # the others round activations
    model = tiny_vlm(TINY, 6)
    with torch.no_grad():
        for name, values in model.named_parameters():
            if "language_model" in name and (name.endswith("_proj.weight") or "embed_tokens" in name):
                values.copy_(torch.from_numpy(dequantised(values.numpy(), 8, BLOCK)))
    bundle = with_stored_decoder(model, tmp_path, 8, lambda data: data)
    answers = []
    for name in ("cathrt", "onnxruntime"):
        with open_report_model(bundle, ONE_THREAD, name) as opened:
            picture = opened.embed_picture(grey(1, TINY.side, TINY.side), key=1)
            prompt = Prompt((Markup("State what is shown. "), "left ", picture, " stenosis: "))
            answers.append(answered(opened.answer(prompt, Asked(most_tokens=60, most_s=1e6), Event())))
    ours, theirs = answers
    assert len(theirs.tokens) >= 10
    assert ours.tokens == theirs.tokens


def test_another_precision_than_the_manifests_is_refused(model: TinyModel, tmp_path: Path) -> None:
    bundle = with_stored_decoder(model, tmp_path, 4, lambda data: data)
    with pytest.raises(EngineError, match="is not int8 throughout"):
        open_sized_engine("cathrt", bundle, "decoder", ONE_THREAD)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"cathrtd1", b"cathrtd2"),
        (b'"hidden":64', b'"hidden":96'),
        (b'"kv_heads":2', b'"kv_heads":3'),
        (b'"sliding":[true', b'"sliding":[null'),
        (b'"norm_eps":', b'"norm_eps":-'),
        (b'"bits":8', b'"bits":5'),
        (b'"outputs":64', b'"outputs":65'),
    ],
)
def test_a_file_that_does_not_fit_together_is_refused(model: TinyModel, tmp_path: Path, old: bytes, new: bytes) -> None:
    def change(data: bytes) -> bytes:
        assert old in data
        return data.replace(old, new, 1)

    bundle = with_stored_decoder(model, tmp_path, 8, change)
    with pytest.raises(EngineError, match="export the bundle again"):
        open_sized_engine("cathrt", bundle, "decoder", ONE_THREAD)
