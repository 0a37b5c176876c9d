"""The training loop: it learns, an interruption leaves no trace, and another plan is refused."""

# mypy: allow-subclassing-any
from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Generator, Tensor, nn

from cathrt.export.checkpoint.training_loop import Plan, Training
from cathrt.runtime.errors import ConfigError

PLAN = Plan("toy", seed=1, steps=30, batch=8, learning_rate=0.03, warmup=3, average=0.5)


class Toy(nn.Module):
    """Two layers that shall learn a fixed map."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.norm, self.second = nn.Linear(4, 8), nn.LayerNorm(8), nn.Linear(8, 1)

    def loss_of(self, generator: Generator) -> Tensor:
        given = torch.randn(PLAN.batch, 4, generator=generator)
        found = self.second(self.norm(torch.relu(self.first(given))))
        return (found[:, 0] - given[:, 0] * given[:, 1]).square().mean()


def test_it_learns() -> None:
    toy, losses = Toy(), []
    Training(replace(PLAN, steps=200), dict(toy.named_parameters())).run(
        toy.loss_of, report=lambda progress: losses.append(progress.loss)
    )
    assert sum(losses[-20:]) < 0.5 * sum(losses[:20])


def test_an_interrupted_training_ends_as_one_that_was_not(tmp_path: Path) -> None:
    whole, parts = Toy(), Toy()
    Training(PLAN, dict(whole.named_parameters())).run(whole.loss_of)
    first = Training(PLAN, dict(parts.named_parameters()))
    ticks = iter(range(1000))
    assert not first.run(parts.loss_of, deadline_s=11, clock=lambda: float(next(ticks)))
    assert 0 < first.step < PLAN.steps
    first.save(tmp_path / "toy.safetensors")
    fresh = Toy()
    second = Training(PLAN, dict(fresh.named_parameters()))
    second.load(tmp_path / "toy.safetensors")
    assert second.run(fresh.loss_of)
    for name, value in whole.state_dict().items():
        assert torch.equal(fresh.state_dict()[name], value), name


def test_matrices_take_muons_steps_and_the_rest_adamws() -> None:
    toy = Toy()
    adamw, muon = Training(PLAN, dict(toy.named_parameters())).optimizers
    assert [value.shape for group in muon.param_groups for value in group["params"]] == [(8, 4), (1, 8)]
    assert sum(len(group["params"]) for group in adamw.param_groups) == 4
    assert len(Training(replace(PLAN, muon=False), dict(toy.named_parameters())).optimizers) == 1


def test_the_average_is_what_a_stage_leaves() -> None:
    toy = Toy()
    training = Training(PLAN, dict(toy.named_parameters()))
    training.run(toy.loss_of)
    last = toy.first.weight.detach().clone()
    training.take_average()
    assert not torch.equal(toy.first.weight, last)
    assert torch.equal(toy.first.weight, training.averaged["first.weight"])


def test_another_plan_is_refused_but_more_steps_are_not(tmp_path: Path) -> None:
    toy, path = Toy(), tmp_path / "toy.safetensors"
    Training(PLAN, dict(toy.named_parameters())).save(path)
    Training(replace(PLAN, steps=99), dict(toy.named_parameters())).load(path)
    with pytest.raises(ConfigError, match="another folder"):
        Training(replace(PLAN, batch=9), dict(toy.named_parameters())).load(path)


def test_the_learning_rate_rises_stays_and_falls_to_nothing() -> None:
    plan = replace(PLAN, steps=100, warmup=10, falling=0.4)
    rates = [plan.learning_rate_at(step) / plan.learning_rate for step in (0, 9, 50, 80, 99)]
    assert rates == pytest.approx([0.1, 1.0, 1.0, 0.5, 0.025])
