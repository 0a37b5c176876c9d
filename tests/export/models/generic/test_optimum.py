"""The real optimum-onnx, on small random networks of transformers: its protocol, its graphs, its image processors.

CATHRT_OPTIMUM_PYTHON names the Python of its environment (docs/export.md has the line that makes it).
"""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from cathrt.export.bundle.sign import public_key
from cathrt.export.models.generic.gate import GATES
from cathrt.export.models.generic.port import PORT
from cathrt.export.models.generic.source import Asked, source_of
from cathrt.export.recipe.qualification import Qualifying
from cathrt.export.recipe.recipe import ExportRequest, export_model
from cathrt.export.recipe.stages import CalibrationFrom
from cathrt.export.recipe.targets import Recipe
from cathrt.runtime.config import LimitsConfig
from cathrt.runtime.errors import ConfigError, EngineError, ManifestError
from cathrt.runtime.line.replay import opened_line
from cathrt.runtime.models import open_bundle
from cathrt.runtime.models.generic.section import CLASSIFIER, GenericSection
from tests.export.small_export import CONFIG, KEY, noise_runs

VARIABLE = "CATHRT_OPTIMUM_PYTHON"
LABELS = ("tench", "crane", "shark")
# By folder: configuration, its class of network, its image processor, and whether frames must be square.
MODELS = {
    "vit": (
        "ViTConfig(hidden_size=48,num_hidden_layers=2,num_attention_heads=4,intermediate_size=96,image_size=64,**l)",
        "ViTForImageClassification",
        "ViTImageProcessor(size={'height':64,'width':64})",
        False,
    ),
    "resnet": (
        "ResNetConfig(embedding_size=8,hidden_sizes=[8,16,24,32],depths=[1,1,1,1],layer_type='basic',**l)",
        "ResNetForImageClassification",
        "ConvNextImageProcessor(size={'shortest_edge':64},crop_pct=0.875)",
        True,
    ),
    "convnext": (
        "ConvNextConfig(hidden_sizes=[8,16,24,32],depths=[1,1,1,1],image_size=64,**l)",
        "ConvNextForImageClassification",
        "ConvNextImageProcessor(size={'shortest_edge':64},image_mean=[0.485,0.456,0.406],image_std=[0.229,0.224,0.225])",
        True,
    ),
}
PROGRAM = """
import sys, torch, transformers
torch.set_num_threads(1)
torch.manual_seed(0)
for folder, config, network, processor in {models!r}:
    l = dict(id2label=dict(enumerate({labels!r})), label2id={{name: number for number, name in enumerate({labels!r})}})
    eval(f"transformers.{{network}}(transformers.{{config}})").eval().save_pretrained(folder)
    eval(f"transformers.{{processor}}").save_pretrained(folder)
"""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def optimum() -> Path:
    python = os.environ.get(VARIABLE)
    if python is None:
        pytest.skip(f"no environment with optimum-onnx: set {VARIABLE} to its Python")
    return Path(python)


@pytest.fixture(scope="module")
def models(optimum: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for each of MODELS, with random weights."""
    folder = tmp_path_factory.mktemp("models")
    models = [(str(folder / name), *made[:3]) for name, made in MODELS.items()]
    program = PROGRAM.format(models=models, labels=LABELS)
    subprocess.run([optimum, "-I", "-c", program], check=True, capture_output=True)
    return folder


@pytest.mark.parametrize("name", MODELS)
def test_a_network_of_transformers_becomes_a_signed_bundle_for_both_engines(
    optimum: Path, models: Path, name: str, tmp_path: Path
) -> None:
    model = source_of(models / name, optimum, Asked(random_init=True))
    assert model.manifest.model == GenericSection("logits", LABELS, square_frames=MODELS[name][3])
    assert model.about["arch"] == MODELS[name][1]
    check = model.about["model_check"]
    assert check["graph_error"] < 1e-5
    assert check["grey_levels_largest"] < 1.5
    recipe = Recipe(
        model=model,
        port=PORT,
        precision="float32",
        targets=("openvino", "onnxruntime"),
        gates={CLASSIFIER: replace(GATES["float32"], agreement=0.0, run_labels=0.0)},  # there are six frames
        calibration=CalibrationFrom(frames=4),
        limits=LimitsConfig(),
    )
    done = export_model(ExportRequest(recipe, tmp_path / "out", Qualifying(noise_runs(2, 3), CONFIG, 0), KEY))
    for one in done:
        assert one.signed, one.failures
        assert one.path is not None
        bundle = open_bundle(one.path, [public_key(KEY)])
        with pytest.raises(ManifestError, match="holds random weights"), opened_line([bundle], CONFIG, "max"):
            pass


def test_bicubic_is_refused_by_name_and_otherwise_measured(optimum: Path, models: Path) -> None:
    settings = models / "resnet" / "preprocessor_config.json"
    before = settings.read_text(encoding="utf-8")
    settings.write_text(json.dumps(json.loads(before) | {"resample": 3}), encoding="utf-8")
    try:
        with pytest.raises(ConfigError, match="resample = bicubic"):
            source_of(models / "resnet", optimum, Asked())
        found = source_of(models / "resnet", optimum, Asked(approximate_resample=True)).about["model_check"]
    finally:
        settings.write_text(before, encoding="utf-8")
    assert found["replaced"] is not None
    assert found["grey_levels_mean"] > 0.2


def test_a_network_whose_head_is_not_in_the_files_is_refused(optimum: Path, models: Path, tmp_path: Path) -> None:
    config = json.loads((models / "vit" / "config.json").read_text(encoding="utf-8"))
    config["id2label"] = {str(number): f"label {number}" for number in range(7)}
    config["label2id"] = {f"label {number}": number for number in range(7)}
    for path in (models / "vit").iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises((ConfigError, EngineError), match=r"classifier|size mismatch"):
        source_of(tmp_path, optimum, Asked())
