"""The demonstration's training: what is drawn is seen where it is, the network learns it, and its file is exported."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from cathrt.export.checkpoint.training_loop import Training
from cathrt.export.models.study.checkpoint import read_checkpoint
from cathrt.export.models.study.demo.first_filters import first_filters
from cathrt.export.models.study.demo.losses import Studies, features_of, head_loss, studies_of, whole_loss
from cathrt.export.models.study.demo.network import PERCENT, SHAPE, StudyNetwork, pixels_of, published_tensors
from cathrt.export.models.study.demo.plan import HEAD, TEST_START, THRESHOLD_START, TRAINING_START, WHOLE
from cathrt.export.models.study.demo.questions import SEGMENTS, demonstration_questions
from cathrt.export.models.study.demo.studies import CLIP, KINDS, DrawnStudy, load_studies
from cathrt.export.models.study.reference import reference_modules


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """As the training has it: small products lose more by waiting for each other than they gain."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> list[DrawnStudy]:
    folder = tmp_path_factory.mktemp("studies")
    first = list(load_studies(range(2), folder))
    again = list(load_studies(range(2), folder))
    assert all((one.clips == other.clips).all() for one, other in zip(first, again, strict=True))
    return first


@pytest.fixture(scope="module")
def studies(drawn: list[DrawnStudy]) -> Studies:
    return studies_of(drawn)


def test_a_study_is_clips_of_the_encoders_size_with_a_map_each(drawn: list[DrawnStudy]) -> None:
    for one in drawn:
        assert one.clips.shape[1:] == (SHAPE.frames, SHAPE.side, SHAPE.side) == (CLIP.frames, CLIP.height, CLIP.width)
        assert one.maps.shape == (len(one.clips), *SHAPE.blocks[-1].after, len(SEGMENTS), len(KINDS))
        assert 40.0 < one.clips.mean() < 200.0


def test_maps_show_segments_of_the_filled_side_and_what_ails_them(drawn: list[DrawnStudy]) -> None:
    left_of = np.array([segment > 5 for segment in SEGMENTS])
    for one in drawn:
        for left, maps in zip(one.left, one.maps, strict=True):
            seen = maps.max(axis=(0, 1, 2)) > 0
            filled = seen[:, KINDS.index("filled")]
            assert filled[left_of == left].any()
            assert not filled[left_of != left].any()
        tight, closed = one.answers[: len(SEGMENTS)], one.answers[2 * len(SEGMENTS) : 3 * len(SEGMENTS)]
        narrowed, stump = (one.maps[..., KINDS.index(kind)].max(axis=(0, 1, 2, 3)) for kind in ("narrowed", "stump"))
        assert not narrowed[(tight == 0.0) | (closed > 0.0)].any()
        assert not stump[closed == 0.0].any()


def test_the_first_filters_see_lines_and_no_level() -> None:
    bank = first_filters(32)
    assert bank.shape == (32, 3, 3, 7, 7)
    assert bank[:12].sum(dim=(1, 2, 3, 4)).abs().max() < 1e-5
    clip = torch.zeros(1, 3, 3, 7, 7)
    clip[:, :, 1, :, 3] = -1.0  # a dark line down the middle
    answers = torch.nn.functional.conv3d(clip, bank[:12]).flatten().abs()
    assert answers.argmax() % 6 == 3


def test_both_stages_learn(studies: Studies) -> None:
    network = StudyNetwork(seed=0)
    network.begin_at(studies.answers.numpy())
    plan = replace(WHOLE, steps=4, warmup=1, batch=1)
    losses: list[float] = []
    Training(plan, dict(network.named_parameters())).run(
        whole_loss(network, studies, plan.batch), report=lambda one: losses.append(one.loss)
    )
    assert losses[-1] < 0.9 * losses[0]
    features = features_of(network, studies.clips)
    assert features.shape == (len(studies.clips), SHAPE.tokens, SHAPE.features)
    before = [one.clone() for one in network.video_encoder.parameters()]
    plan = replace(HEAD, steps=12, warmup=1, batch=1, average=0.0)
    head = {f"mil_model.{name}": one for name, one in network.mil_model.named_parameters()}
    losses.clear()
    Training(plan, head).run(
        head_loss(network, features, studies, plan.batch), report=lambda one: losses.append(one.loss)
    )
    assert np.mean(losses[-4:]) < np.mean(losses[:4])
    assert all(map(torch.equal, before, network.video_encoder.parameters()))


def test_its_file_is_a_probing_checkpoint_with_percentages(tmp_path: Path, drawn: list[DrawnStudy]) -> None:
    network, questions = StudyNetwork(seed=0), demonstration_questions()
    path = tmp_path / "study.safetensors"
    save_file(dict(published_tensors(network)), path)
    weights = read_checkpoint(path, questions)
    assert (weights.encoder, weights.head.gated) == (SHAPE, 64)
    encoder, head = reference_modules(weights)
    there = torch.ones(1, 1, dtype=torch.bool)
    with torch.inference_mode():
        clip = pixels_of(torch.from_numpy(drawn[0].clips[:1]))
        own = network.mil_model(network.video_encoder(clip)[None], there)
        found = head(encoder(clip)[None], there)
    scale = torch.tensor([PERCENT if one.form == "amount" else 1.0 for one in questions] + [1.0])
    torch.testing.assert_close(found, own * scale, rtol=1e-4, atol=1e-4)


def test_no_patient_is_in_two_sets() -> None:
    assert TRAINING_START < THRESHOLD_START < TEST_START
