"""Signed report bundles of tiny random models: transformers' weights, our graphs, a tokenizer of bytes.

Not for: NumPy networks (tiny_model.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cathrt.export.bundle.sign import public_key, write_bundle
from cathrt.export.models.report.graphs.networks import write_networks
from cathrt.export.models.report.graphs.settings import GraphSettings
from cathrt.runtime.bundle.manifest import SCHEMA_VERSION, Artifact, Manifest, Network
from cathrt.runtime.bundle.opening import Bundle
from cathrt.runtime.models import open_bundle
from cathrt.runtime.models.report.section import ReportPicture, ReportPrompts, ReportSection, ReportTokens
from tests.export.models.report.model_weights import ModelWeights
from tests.export.models.report.tiny_gemma import Tiny, TinyModel
from tests.models.report.tiny_model import MARKS, tokenizer_json

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
TINY = Tiny(vocabulary=512)  # the tokenizer has some 400
SETTINGS = GraphSettings("float32", context=512, prefill=(16, 64), capacities=(64, 128, 512))
ENGINES = ("openvino", "onnxruntime")


def tiny_report_bundle(
    folder: Path,
    model: TinyModel,
    settings: GraphSettings = SETTINGS,
    engines: Sequence[str] = ENGINES,
    **artifact: Any,
) -> Bundle:
    """A bundle of the model, opened. artifact: of Artifact, beside file and precision."""
    weights = ModelWeights(model)
    written = write_networks(weights, settings, folder / "networks")
    forms = {"vision": settings.vision_form, "decoder": settings.precision}
    forms["embedding"] = "int8" if settings.precision == "int4" else settings.precision
    payload = {file.name: file.read_bytes() for network in written.values() for file in network.files}
    networks = {}
    for role, network in written.items():
        made = Artifact(network.files[0].name, forms[role], weights_only=forms[role] in ("int8", "int4"), **artifact)
        networks[role] = Network(dict.fromkeys(engines, made), network.inputs, network.outputs, network.buckets)
    manifest: Manifest[ReportSection] = Manifest(
        schema_version=SCHEMA_VERSION,
        name="tiny",
        files={},
        networks=networks,
        model=section_of_model(weights, settings),
        demonstration=True,
        provenance={"made_by": "tests/models/report/tiny_bundle.py"},
        evidence={},
    )
    payload["tokenizer.json"] = tokenizer_json().encode()
    return open_bundle(write_bundle(folder / "bundle", manifest, payload, KEY), [public_key(KEY)])


def section_of_model(weights: ModelWeights, settings: GraphSettings) -> ReportSection:
    shape = weights.shape
    picture = None
    if shape.vision is not None:
        picture = ReportPicture(shape.vision.side, (0.5, 99.5), (0.5,) * 3, (0.5,) * 3, shape.image_tokens)
    section = ReportSection(
        tokenizer="tokenizer.json",
        tokens=ReportTokens(
            begin=shape.begin_token,
            end=shape.end_tokens,
            begin_image=shape.begin_image_token,
            end_image=shape.end_image_token,
            image=shape.image_token if picture else MARKS.index("<image_soft_token>"),
            control=tuple(sorted({*range(len(MARKS)), *([shape.image_token] if picture else [])})),
        ),
        picture=picture,
        prompts=ReportPrompts("System", "{findings} {pictures}", {"en": "en {facts}", "ja": "ja {facts}"}),
        layers=shape.text.layers,
        kv_heads=shape.text.kv_heads,
        head_dim=shape.text.head_dim,
        window=shape.text.window,
        context=settings.context,
        pictures=2 if picture else 0,
        most_tokens=300,
    )
    return section if picture else replace(section, prompts=replace(section.prompts, facts="{findings}"))
