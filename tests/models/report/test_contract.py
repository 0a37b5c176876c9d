"""What generation needs of a bundle's networks, and how each fault is called."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from cathrt.runtime.bundle.manifest import SCHEMA_VERSION, DeclaredTensor, Manifest, Network
from cathrt.runtime.engines.sized import layer_tensors
from cathrt.runtime.models.report.contract import capacities, network_faults, run_sizes
from cathrt.runtime.models.report.section import DECODER, EMBEDDING, PREFILL, VISION, ReportSection
from tests.models.report.numpy_gemma import TinyText, decoder_tensors
from tests.models.report.tiny_model import TINY, tiny_section

Networks = dict[str, Network]


def networks(tiny: TinyText = TINY) -> Networks:
    section = tiny_section(tiny)
    assert section.picture is not None
    inputs, outputs, buckets = decoder_tensors(tiny)
    return {
        VISION: Network(
            {},
            (DeclaredTensor("pixels", (1, 3, section.picture.side, section.picture.side), "float32"),),
            (DeclaredTensor("image_embeddings", (1, section.picture.tokens, tiny.hidden), "float32"),),
        ),
        EMBEDDING: Network(
            {},
            (DeclaredTensor("token_ids", (1, "T"), "int64"),),
            (DeclaredTensor("embeddings", (1, "T", tiny.hidden), "float32"),),
            tuple({"T": rows} for rows in tiny.run_rows),
        ),
        DECODER: Network({}, inputs, outputs, buckets),
    }


def faults(networks: Networks, section: ReportSection | None = None) -> list[str]:
    section = section or tiny_section()
    manifest: Manifest[ReportSection] = Manifest(SCHEMA_VERSION, "x", {}, networks, section, True, {}, {})
    return network_faults(manifest, section)


def with_input(network: Network, name: str, **changes: Any) -> Network:
    inputs = tuple(replace(tensor, **changes) if tensor.name == name else tensor for tensor in network.inputs)
    return replace(network, inputs=inputs)


def test_networks_as_they_should_be_have_no_fault() -> None:
    assert faults(networks()) == []
    assert run_sizes(networks()[DECODER]) == TINY.run_rows
    assert capacities(networks()[DECODER]) == TINY.capacities
    text_only = {role: network for role, network in networks().items() if role != VISION}
    assert faults(text_only, tiny_section(picture=None, pictures=0)) == []


def test_a_prefill_network_must_be_as_the_decoder_is() -> None:
    made = networks()
    longer = decoder_tensors(replace(TINY, run_rows=(64,)))
    assert faults(made | {PREFILL: Network({}, *longer)}) == []
    other = decoder_tensors(replace(TINY, capacities=(32, 64)))
    assert "networks.prefill.buckets: expected every T of" in faults(made | {PREFILL: Network({}, *other)})[0]
    wider = decoder_tensors(replace(TINY, head_dim=8))
    assert "networks.prefill.inputs.keys_00" in faults(made | {PREFILL: Network({}, *wider)})[0]


def test_layers_have_two_digits_and_three_where_there_are_more_than_a_hundred() -> None:
    assert layer_tensors(2) == ("keys_00", "values_00", "keys_01", "values_01")
    assert layer_tensors(100)[-1] == "values_99"
    assert layer_tensors(101)[0] == "keys_000"


FAULTS: dict[str, tuple[Callable[[Networks], Networks], str]] = {
    "one layer less": (
        lambda made: made | {DECODER: Network({}, *decoder_tensors(replace(TINY, sliding=TINY.sliding[1:])))},
        r"decoder.inputs: without \['keys_03', 'values_03'\]",
    ),
    "other heads": (
        lambda made: made | {DECODER: with_input(made[DECODER], "keys_01", shape=(4, "C", TINY.head_dim))},
        r"decoder.inputs.keys_01: found \(4, 'C', 16\) float32, expected \(2, C, 16\) float32",
    ),
    "masks of numbers": (
        lambda made: made | {DECODER: with_input(made[DECODER], "global_mask", dtype="float32")},
        r"decoder.inputs.global_mask: found \('T', 'S'\) float32, expected \(T, any\) bool",
    ),
    "a bucket left out": (
        lambda made: made | {DECODER: replace(made[DECODER], buckets=made[DECODER].buckets[1:])},
        r"decoder.buckets: expected every T of \(1, 8, 32\) with every C",
    ),
    "no single step": (
        lambda made: made | {DECODER: Network({}, *decoder_tensors(replace(TINY, run_rows=(8, 32))))},
        r"decoder.buckets: expected T = 1 there and in embedding",
    ),
    "no single embedding": (
        lambda made: made | {EMBEDDING: replace(made[EMBEDDING], buckets=({"T": 8},))},
        r"expected T = 1 there and in embedding",
    ),
    "a context that does not fit": (
        lambda made: made | {DECODER: Network({}, *decoder_tensors(replace(TINY, capacities=(64, 128))))},
        r"decoder.buckets: C is 128 at most, expected model.context 256",
    ),
    "a picture that does not fit": (
        lambda made: made | {DECODER: Network({}, *decoder_tensors(replace(TINY, run_rows=(1, 4))))},
        r"decoder.buckets: T is 4 at most, expected 5, the tokens of a picture",
    ),
    "pixels of another side": (
        lambda made: made | {VISION: with_input(made[VISION], "pixels", shape=(1, 3, 8, 8))},
        r"vision.inputs.pixels: found \(1, 3, 8, 8\) float32, expected \(1, 3, 16, 16\)",
    ),
    "ids of another type": (
        lambda made: made | {EMBEDDING: with_input(made[EMBEDDING], "token_ids", dtype="int32")},
        r"embedding.inputs.token_ids: found \(1, 'T'\) int32, expected \(1, T\) int64",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_called_by_its_name(fault: str) -> None:
    change, message = FAULTS[fault]
    assert re.search(message, "; ".join(faults(change(networks()))))
