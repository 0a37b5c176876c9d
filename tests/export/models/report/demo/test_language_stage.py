"""The stages with words: only answers are learnt, an adapter reaches every part, and its folder holds it all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
import torch
from transformers import Gemma3ForConditionalGeneration

from cathrt.export.checkpoint.training_loop import Loss, Plan, Training
from cathrt.export.models.report.demo.answers import answers
from cathrt.export.models.report.demo.folders import save_folder
from cathrt.export.models.report.demo.language_stage import (
    PROJECTION,
    Mixture,
    answer_loss,
    facts_still_shown,
    joint_loss,
    language_loss,
    merged,
    picture_batch,
    with_adapter,
)
from cathrt.export.models.report.demo.tasks import Tokens, picture_task, prose_task, tokens_of, unknown_side_task
from cathrt.export.models.report.demo.vision_stage import new_heads
from cathrt.runtime.models.report.facts import Facts
from tests.export.models.report.demo.small import few_tokens, one_thread, small_library, small_network

LIBRARY = small_library(6)
MIXTURE = Mixture(pictures=0.5, studies=0.5, unknown=0.5)


@pytest.fixture(autouse=True, scope="module")
def alone() -> Iterator[None]:
    threads = one_thread()
    yield
    torch.set_num_threads(threads)


def task_tokens() -> Tokens:
    task = picture_task(LIBRARY.section, LIBRARY.facts[0], [0], Random(0))
    return tokens_of(task, LIBRARY.tokenizer, LIBRARY.section)


def test_a_batch_holds_as_many_pictures_as_asked_in_the_order_of_its_tasks() -> None:
    drawn = picture_batch(LIBRARY, 7, MIXTURE, Random(1), torch.Generator().manual_seed(0))
    assert drawn.chosen.tolist() == [number for task in drawn.tasks for number in task.pictures]
    assert len(drawn.pixels) == len(drawn.maps) == 7
    assert {len(task.pictures) for task in drawn.tasks} == {1, 2}
    for task in drawn.tasks:
        sides = [LIBRARY.facts[number].sides[0] for number in task.pictures]
        assert sides == sorted(sides)


def test_only_the_answer_counts() -> None:
    network, tokens = small_network(), task_tokens()
    pixels = torch.zeros(1, 3, 192, 192)
    loss = answer_loss(network, [tokens], pixels, LIBRARY, torch.float32)
    ids = torch.tensor([tokens.ids])
    logits = network(
        input_ids=ids, pixel_values=pixels, token_type_ids=(ids == LIBRARY.section.tokens.image).long()
    ).logits[0, tokens.answer_from - 1 : -1]
    expected = torch.nn.functional.cross_entropy(logits, ids[0, tokens.answer_from :])
    torch.testing.assert_close(loss, expected)


def test_shorter_tasks_of_a_batch_are_not_moved_by_the_longer_ones() -> None:
    network = small_network()
    short, long = (
        tokens_of(prose_task(LIBRARY.section, "en", facts, Random(0)), LIBRARY.tokenizer, LIBRARY.section)
        for facts in (Facts(("left",)), LIBRARY.facts[0])
    )
    alone = answer_loss(network, [short, short], None, LIBRARY, torch.float32)
    beside = answer_loss(network, [short, long], None, LIBRARY, torch.float32)
    other = answer_loss(network, [long, long], None, LIBRARY, torch.float32)
    counts = [len(one.ids) - one.answer_from for one in (short, long)]
    expected = (counts[0] * alone + counts[1] * other) / sum(counts)
    torch.testing.assert_close(beside, expected, rtol=1e-4, atol=1e-5)


def test_the_joint_loss_adds_the_maps_of_the_same_pictures() -> None:
    network = small_network()
    heads = new_heads(network, 0)
    mixture = replace(MIXTURE, pictures=1.0)
    of_words = language_loss(network, LIBRARY, 3, mixture, torch.float32)(torch.Generator().manual_seed(5))
    joint = joint_loss(network, heads, LIBRARY, 3, mixture, torch.float32)(torch.Generator().manual_seed(5))
    joint.backward()
    assert float(joint.detach()) > float(of_words.detach()) + 0.1
    assert heads.patch.weight.grad.abs().sum() > 0


def test_the_picture_reaches_the_answer() -> None:
    network, tokens = small_network(), task_tokens()
    black, white = (
        answer_loss(network, [tokens], torch.full((1, 3, 192, 192), level), LIBRARY, torch.float32)
        for level in (-2.0, 2.0)
    )
    assert float((black - white).detach().abs()) > 1e-5


def test_what_has_left_the_picture_is_not_stated() -> None:
    maps = LIBRARY.scenes.maps[0]
    facts = replace(LIBRARY.facts[0], dominance="left")
    assert facts_still_shown(facts, maps, maps.float()).lesions == facts.lesions
    gone = facts_still_shown(facts, torch.ones_like(maps), torch.zeros(maps.shape))
    assert gone == Facts(("left",))


def test_an_interrupted_stage_ends_as_one_that_was_not(tmp_path: Path) -> None:
    plan = Plan("base", seed=0, steps=6, batch=3, learning_rate=3e-3, warmup=2, average=0.5)
    whole, begun, resumed = small_network(), small_network(), small_network(seed=1)

    def training_of(network: Gemma3ForConditionalGeneration) -> tuple[Training, Loss]:
        loss_of = language_loss(network, LIBRARY, 3, MIXTURE, torch.float32)
        return Training(plan, dict(network.named_parameters())), loss_of

    training, loss_of = training_of(whole)
    assert training.run(loss_of)
    training, loss_of = training_of(begun)
    ticks = iter(range(100))
    assert not training.run(loss_of, deadline_s=5, clock=lambda: float(next(ticks)))
    training.save(tmp_path / "base.safetensors")
    training, loss_of = training_of(resumed)
    training.load(tmp_path / "base.safetensors")
    assert 0 < training.step < plan.steps
    assert training.run(loss_of)
    for name, value in whole.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], value), name


def test_an_adapter_reaches_language_vision_and_the_projector_and_its_folder_holds_it_all(tmp_path: Path) -> None:
    network = small_network()
    save_folder(network, LIBRARY.tokenizer, tmp_path / "base")
    adapted = with_adapter(network, rank=2, seed=0)
    named = {name: one for name, one in adapted.named_parameters() if one.requires_grad}
    for part in ("language_model", "vision_tower", "multi_modal_projector"):
        assert any(part in name for name in named)
    assert all("lora" in name for name in named)
    plan = Plan("adapter", seed=0, steps=3, batch=2, learning_rate=1e-2, warmup=1, muon=False, average=0.0)
    Training(plan, named).run(language_loss(adapted, LIBRARY, 2, replace(MIXTURE, pictures=1.0), torch.float32))
    adapted.save_pretrained(tmp_path / "adapter")

    base = Gemma3ForConditionalGeneration.from_pretrained(tmp_path / "base", dtype=torch.float32)
    before = base.get_parameter(f"model.{PROJECTION}").detach().clone()
    whole = merged(base, tmp_path / "adapter")
    assert not torch.equal(whole.get_parameter(f"model.{PROJECTION}"), before)
    tokens, pixels = task_tokens(), torch.zeros(1, 3, 192, 192)
    expected = answer_loss(adapted, [tokens], pixels, LIBRARY, torch.float32)
    torch.testing.assert_close(answer_loss(whole, [tokens], pixels, LIBRARY, torch.float32), expected)


def test_answers_are_the_same_one_by_one_and_together() -> None:
    library, network = few_tokens(LIBRARY), small_network()
    tasks = [unknown_side_task(library.section, facts, number) for number, facts in enumerate(library.facts[:2])]
    together = answers(network, library.tokenizer, library.section, tasks, library.scenes.images)
    single = [answers(network, library.tokenizer, library.section, [task], library.scenes.images)[0] for task in tasks]
    assert together == single
