"""A training's own checkpoint through the recipe: the engine answers as the network that was trained, and says how."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from cathrt.export.bundle.sign import public_key
from cathrt.export.commands.arguments import references_for
from cathrt.export.models.keyframe.checkpoint import load_checkpoint
from cathrt.export.models.keyframe.convnext import ARCHS, ConvNext
from cathrt.export.models.keyframe.port import PORT
from cathrt.export.models.keyframe.source import source_of
from cathrt.export.recipe.recipe import export_model
from cathrt.runtime.bundle.opening import Bundle
from cathrt.runtime.config import EngineConfig
from cathrt.runtime.engines import open_engine
from cathrt.runtime.errors import ConfigError
from cathrt.runtime.models import open_bundle
from cathrt.runtime.models.keyframe.section import CLASSIFIER
from tests.export.checkpoint_files import ATTO, stored
from tests.export.small_export import KEY, request_for, small_semantics

SIDE = 32


class GreyAtto(nn.Module):
    """An Atto as its owner trained it: one channel, no layer scale, a loss with weights of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.net = ConvNext(ARCHS[ATTO], classes=6, layer_scale=1.0)
        self.net.stem[0] = nn.Conv2d(1, ARCHS[ATTO].widths[0], 4, stride=4)
        self.criterion = nn.CrossEntropyLoss(weight=torch.ones(6))

    def saved(self) -> dict[str, torch.Tensor]:
        return {name: value for name, value in self.state_dict().items() if not name.endswith(".gamma")}


@pytest.fixture(scope="module")
def owner() -> GreyAtto:
    torch.manual_seed(2)
    return GreyAtto().eval()


@pytest.fixture(scope="module")
def weights(owner: GreyAtto, tmp_path_factory: pytest.TempPathFactory) -> Path:
    average = {
        f"ema_model.{name}": 0.5 * value for name, value in owner.net.state_dict().items() if "gamma" not in name
    }
    document = {"state_dict": owner.saved() | average, "optimizer_states": [{"state": {0: {"step": torch.ones(())}}}]}
    return stored(tmp_path_factory.mktemp("run") / "last.ckpt", document)


@pytest.fixture(scope="module")
def bundle(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("out")
    model = source_of(load_checkpoint(weights, ATTO, "model"), small_semantics(folder), seed=None)
    (done,) = export_model(request_for(folder, "float32", "onnxruntime", model=model))
    assert done.path is not None, done.failures
    return open_bundle(done.path, [public_key(KEY)])


def test_the_engine_answers_as_the_owner_s_network(owner: GreyAtto, bundle: Bundle) -> None:
    grey = np.random.default_rng(4).normal(size=(1, 1, SIDE, SIDE)).astype(np.float32)
    engine = open_engine("onnxruntime", bundle, CLASSIFIER, EngineConfig(threads=1))
    found = engine.infer({"image": np.repeat(grey, 3, axis=1)})["logits"].copy()
    engine.close()
    with torch.no_grad():
        expected = owner.net(torch.from_numpy(grey)).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-4 * float(np.abs(expected).max()))


def test_the_signed_bundle_says_how_its_weights_were_read(bundle: Bundle) -> None:
    assert bundle.manifest.provenance["weights_read"] == {
        "set": "state_dict.net",
        "left_out": [
            "state_dict.criterion.weight (6)",
            "state_dict.ema_model (116 tensors)",
            "optimizer_states (1 tensors)",
        ],
        "layer_scale": "none in the file: written as ones",
        "stem": "one channel in the file: written as the first of three, the others zero",
    }


def test_it_is_qualified_again_by_the_set_that_it_was_made_of(
    bundle: Bundle, weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    reference = references_for(bundle, PORT, weights, None)[CLASSIFIER]
    assert reference.name == "PyTorch float32"
    assert "taken is state_dict.net" in capsys.readouterr().err
    with pytest.raises(ConfigError, match=r"state_dict\.ema_model, bundle small was made of state_dict\.net"):
        references_for(bundle, PORT, weights, "ema")
