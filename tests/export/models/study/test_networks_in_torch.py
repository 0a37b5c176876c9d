"""The float32 networks: the published tensors, the published outputs, and what must not change unseen.

Not for: graphs (test_graphs.py).
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from cathrt.export.models.study.checkpoint import expected_shapes
from cathrt.export.models.study.drawn import drawn_tensor, drawn_weights
from cathrt.export.models.study.encoder import ClipEncoder
from cathrt.export.models.study.head import HeadShape
from cathrt.export.models.study.products import PRODUCTS
from cathrt.export.models.study.reference import reference_modules
from cathrt.export.models.study.shape import MVIT_V2_MINI, MVIT_V2_S
from tests.export.models.study.small_study import GENERIC, clips_of, small_weights

MANIFESTS = Path(__file__).parent.parent.parent / "manifests"
OWN = Path(__file__).parent / "small_outputs.json"
Float32 = NDArray[np.float32]


@pytest.fixture
def published(request: pytest.FixtureRequest) -> Path:
    """Folder of outputs of the published reference under weights made by a formula. Skips without it."""
    root = request.config.rootpath.parent / "shared" / "data"
    folder = Path(os.environ.get("CATHRT_DATA", root)) / "golden"
    if not (folder / "mvit_v2_s.npz").is_file():
        pytest.skip(f"no outputs of the published reference: looked in {folder}; set CATHRT_DATA to the data's folder")
    return folder


def manifest(name: str) -> dict[str, tuple[int, ...]]:
    return {key: tuple(shape) for key, shape in json.loads((MANIFESTS / name).read_text()).items()}


def test_the_generic_network_has_the_published_tensors() -> None:
    found = expected_shapes(MVIT_V2_S, HeadShape(GENERIC, 256))
    assert found == manifest("deepcoro_generic.json")
    assert len(found) == 612


def test_the_head_of_outcomes_has_the_published_tensors() -> None:
    outputs = tuple((one.name, one.columns) for one in PRODUCTS["mace"].questions)
    found = expected_shapes(MVIT_V2_S, HeadShape(outputs, None))
    heads = {name.removeprefix("mil_model."): one for name, one in found.items() if name.startswith("mil_model.")}
    assert heads == manifest("deepcoro_mace_head.json")


def test_questions_stand_in_the_published_order() -> None:
    names = [key.split(".")[2] for key in manifest("deepcoro_generic.json") if key.startswith("mil_model.heads.")]
    assert [name for name, _ in GENERIC] == list(dict.fromkeys(names))


def test_grids_and_tokens_are_the_published_ones() -> None:
    blocks = MVIT_V2_S.blocks
    assert [block.after for block in (blocks[0], blocks[1], blocks[3], blocks[14])] == [
        (8, 56, 56), (8, 28, 28), (8, 14, 14), (8, 7, 7)
    ]  # fmt: skip
    keys = [1 + int(np.prod(block.keys)) for block in blocks]
    assert [number for number, count in enumerate(keys) if count != 393] == [1, 3, 14]
    assert {keys[1], keys[3], keys[14]} == {1569}
    assert MVIT_V2_S.tokens == 393


def test_small_outputs_are_those_of_the_day_the_network_gave_the_published_ones() -> None:
    """What the small network gave when the large one was held against the reference (test below)."""
    encoder, head = reference_modules(small_weights())
    with torch.inference_mode():
        features = encoder(torch.from_numpy(clips_of(MVIT_V2_MINI, 3)))
        there = torch.tensor([[True, True, False]])
        found = {
            "features": features[:, ::16, ::32].flatten().tolist(),
            "logits": head(features[None], there)[0].tolist(),
            "all": head(features[None], torch.ones_like(there))[0, ::9].tolist(),
        }
    expected = json.loads(OWN.read_text())
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=0, atol=2e-5, err_msg=name)


def test_clips_do_not_see_each_other() -> None:
    encoder, _ = reference_modules(small_weights())
    clips = torch.from_numpy(clips_of(MVIT_V2_MINI, 2))
    with torch.inference_mode():
        together, alone = encoder(clips), encoder(clips[1:])
    torch.testing.assert_close(together[1:], alone, rtol=0, atol=2e-5)


@pytest.mark.slow
def test_the_backbone_gives_what_the_published_one_gives(published: Path) -> None:
    backbone = ClipEncoder(MVIT_V2_S).model
    names = {name: tuple(tensor.shape) for name, tensor in backbone.state_dict().items()}
    backbone.load_state_dict({name: torch.from_numpy(drawn_tensor(name, shape)) for name, shape in names.items()})
    clip = np.random.RandomState(11).standard_normal((1, 3, 16, 224, 224)).astype(np.float32)
    with torch.inference_mode():
        found = backbone.eval()(torch.from_numpy(clip))[0].numpy()
    golden = np.load(published / "mvit_v2_s.npz")
    # 1e-5 of the largest: a norm with another epsilon is 8.6e-5 off.
    near = 1e-5 * float(golden["abs_max"])
    np.testing.assert_allclose(found[::8, :64], golden["tokens"], rtol=0, atol=near)
    np.testing.assert_allclose(found.mean(1), golden["token_mean"], rtol=0, atol=near)
    np.testing.assert_allclose(found.std(1), golden["token_std"], rtol=0, atol=near)


@pytest.mark.slow
def test_encoder_and_head_give_what_the_published_ones_give(published: Path) -> None:
    golden = np.load(published / "deepcoro_generic90.npz")
    names = json.loads((published / "deepcoro_generic90_heads.json").read_text())["heads"]
    encoder, head = reference_modules(drawn_weights(MVIT_V2_S, HeadShape(tuple((name, 1) for name in names), 256)))
    clips = np.random.RandomState(12).standard_normal((1, 10, 16, 224, 224, 3)).astype(np.float32)
    clips[:, 4:] = 0.0
    channels_first = np.ascontiguousarray(clips[0, :5].transpose(0, 4, 1, 2, 3))
    with torch.inference_mode():
        features = torch.cat([encoder(torch.from_numpy(clip[None])) for clip in channels_first])
        near = 1e-5 * float(golden["encoder_abs_max"])
        np.testing.assert_allclose(features[:4, ::16, :32], golden["encoder"], rtol=0, atol=near)
        np.testing.assert_allclose(features[4, ::16, :32], golden["encoder_zero_clip"], rtol=0, atol=near)
        study = torch.cat([features, features[4:].expand(5, -1, -1)])[None]
        there = torch.from_numpy(golden["mask"])[None].bool()
        # 3e-6: norms of the head with another epsilon are 1.4e-5 off.
        for places, name in ((there, "logits_masked"), (torch.ones_like(there), "logits_alltrue")):
            np.testing.assert_allclose(head(study, places)[0], golden[name], rtol=0, atol=3e-6, err_msg=name)
        np.testing.assert_allclose(head.pooled(study, there)[0], golden["pooled_masked"], rtol=0, atol=3e-6)
