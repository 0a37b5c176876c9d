"""Typed graphs through TensorRT-RTX's parser and builder, for devices that need not be here.

Not for: running a plan, which takes a device. What a typed graph computes is in test_parity_forms.py.
"""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest

from cathrt.export.models.report.graphs.networks import write_networks
from cathrt.export.models.report.graphs.settings import Element, Form, GraphSettings, WrittenNetwork
from cathrt.export.targets.tensorrt import Plan, build_plan
from cathrt.runtime.bundle.fingerprint import ShapeProfile
from tests.export.models.report.model_weights import ModelWeights
from tests.export.models.report.tiny_gemma import Tiny, tiny_vlm
from tests.export.tensorrt_requests import ADA, AMPERE, BLACKWELL, request, rtx

__all__ = ["rtx"]

TINY = Tiny(layers=2, pattern=2, hidden=128, intermediate=256, head_dim=64, vision_hidden=96, vision_layers=1)


def plans(folder: Path, settings: GraphSettings) -> dict[str, Plan]:
    written = write_networks(ModelWeights(tiny_vlm(TINY)), settings, folder)
    return {role: plan(network) for role, network in written.items()}


def plan(network: WrittenNetwork) -> Plan:
    """One engine with a profile for decoding and one for each piece of prompt."""
    profiles = []
    for bucket in network.buckets:
        for tensor in network.inputs:
            if any(isinstance(size, str) for size in tensor.shape):
                shape = tensor.in_bucket(bucket).shape
                profiles.append(ShapeProfile(tensor.name, shape, shape, shape))
    model = onnx.load(network.files[0]).SerializeToString()
    return build_plan(model, request(AMPERE, ADA, BLACKWELL, profiles=tuple(profiles)))


@pytest.mark.usefixtures("rtx")
def test_int4_weights_with_bfloat16_products_are_built(tmp_path: Path) -> None:
    built = plans(tmp_path, GraphSettings("int4", 64, (32,), 32, products="bfloat16"))
    assert all(one.data for one in built.values())
    # Weights and their scales are one to two thirds of bfloat16's; were they unpacked, the plan would be larger.
    kinds = {layer.type for layer in built["decoder"].report.layers}
    assert "DEQUANTIZE" in kinds, kinds


@pytest.mark.slow
@pytest.mark.usefixtures("rtx")
@pytest.mark.parametrize(
    ("form", "block", "products"),
    [
        ("float32", None, "float32"),
        ("float16", None, "float16"),
        ("bfloat16", None, "bfloat16"),
        ("int8", None, "bfloat16"),
        ("int8", 64, "bfloat16"),
        ("int8", None, "float16"),
        ("int4", 64, "float16"),
        ("int4", 128, "bfloat16"),
    ],
)
def test_every_form_is_built(form: Form, block: int | None, products: Element, tmp_path: Path) -> None:
    built = plans(tmp_path, GraphSettings(form, 64, (32,), block, products=products, capacities=(32, 64)))
    assert all(one.data for one in built.values())
