"""Every stored form of the weights against the float32 graph: what is lost, and that it is no more than rounding.

Tiny random models lose more than trained ones: their logits are small beside what rounding one matrix does.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cathrt.export.models.report.graphs.networks import write_decoder_network, write_networks
from cathrt.export.models.report.graphs.settings import Element, Form, GraphSettings
from tests.export.models.report.graph_runs import ENGINES, Decoding, Engine, Networks, Run, as_written
from tests.export.models.report.logit_agreement import LogitAgreement, agreement_of, greedy_agreement
from tests.export.models.report.model_weights import ModelWeights
from tests.export.models.report.tiny_gemma import Tiny, TinyModel, pixels, prompt_tokens, tiny_vlm

TOKENS = 24
# form, block: share of tokens that must be the same, and the largest error beside the largest logit.
GATES: dict[tuple[Form, int | None], tuple[float, float]] = {
    ("float16", None): (1.0, 0.005),
    ("bfloat16", None): (0.9, 0.03),
    ("int8", None): (0.6, 0.12),
    ("int8", 32): (0.6, 0.12),
    ("int4", 32): (0.25, 0.8),
}


@pytest.fixture(scope="module")
def model() -> TinyModel:
    return tiny_vlm(Tiny(vision_hidden=96))


@pytest.fixture(scope="module")
def reference(model: TinyModel, tmp_path_factory: pytest.TempPathFactory) -> Networks:
    folder = tmp_path_factory.mktemp("float32")
    weights = ModelWeights(model)
    write_networks(weights, GraphSettings("float32", 96, (64,)), folder)
    return Networks.opened(weights, folder, "onnxruntime")


def agreement(reference: Networks, model: TinyModel, decoder: Run, beside: Networks | None = None) -> LogitAgreement:
    """Of a decoder with the reference's, over a prompt with two pictures and TOKENS of its answer."""
    prompt = prompt_tokens(model, 2)[0], pixels(model, 2)
    one = reference.decoding(96)
    two = Decoding(decoder, reference.weights.shape, 96)
    firsts = one.append(*reference.rows(*prompt)).copy(), two.append(*(beside or reference).rows(*prompt)).copy()
    found, _ = greedy_agreement(
        firsts,
        reference.next_logits(one),
        lambda token: two.append((beside or reference).rows(np.asarray([token], np.int64))[0]),
        TOKENS,
    )
    return found


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("form", "block"), GATES)
def test_a_stored_form_keeps_its_gate(
    form: Form, block: int | None, engine: Engine, reference: Networks, model: TinyModel, tmp_path: Path
) -> None:
    write_networks(reference.weights, GraphSettings(form, 96, (64,), block), tmp_path)
    networks = Networks.opened(reference.weights, tmp_path, engine)
    found = agreement(reference, model, networks.decoder, networks)
    share, error = GATES[form, block]
    assert found.not_finite == 0
    assert found.share >= share, found
    assert found.largest_error <= error * found.largest_logit, found
    assert found.largest_error > 0  # it is another form


@pytest.mark.parametrize(
    ("form", "block", "products", "error"),
    [
        ("float16", None, "float16", 0.01),
        ("bfloat16", None, "bfloat16", 0.06),
        ("int8", None, "bfloat16", 0.06),
        ("int8", 32, "bfloat16", 0.06),
        ("int4", 32, "bfloat16", 0.2),  # scales are rounded too, and weights with them
    ],
)
def test_a_typed_graph_computes_what_the_float32_graph_of_the_same_weights_does(
    form: Form,
    block: int | None,
    products: Element,
    error: float,
    reference: Networks,
    model: TinyModel,
    tmp_path: Path,
) -> None:
    """4 layers round some 60 times, each by 2^-11 or 2^-8 of a value."""
    weights = reference.weights
    typed = write_decoder_network(weights, GraphSettings(form, 96, (64,), block, products=products), tmp_path)
    plain_folder = tmp_path / "plain"
    plain_folder.mkdir()
    plain = write_decoder_network(weights, GraphSettings(form, 96, (64,), block), plain_folder)
    prompt = reference.rows(prompt_tokens(model, 2)[0], pixels(model, 2))
    logits = [
        Decoding(as_written(network.files[0]), weights.shape, 64, np.nan).append(*prompt) for network in (typed, plain)
    ]
    found = agreement_of(logits[1][None], logits[0][None])
    assert found.not_finite == 0
    assert 0 < found.largest_error <= error * found.largest_logit, found


def test_openvino_takes_the_typed_bfloat16_graphs_and_a_cache_of_nan(
    reference: Networks, model: TinyModel, tmp_path: Path
) -> None:
    weights = reference.weights
    write_networks(weights, GraphSettings("bfloat16", 96, (64,), products="bfloat16"), tmp_path)
    networks = Networks.opened(weights, tmp_path, "openvino")
    prompt = prompt_tokens(model, 2)[0], pixels(model, 2)
    wanted = reference.decoding(64).append(*reference.rows(*prompt))
    found = agreement_of(wanted[None], networks.decoding(64, np.nan).append(*networks.rows(*prompt))[None])
    assert found.not_finite == 0
    assert 0 < found.largest_error <= 0.06 * found.largest_logit, found
