"""The training loop of the demonstrations' stages: optimisers, averaged weights, checkpoints whole or not at all.

Matrices inside the network take orthogonalised steps (Muon, Jordan 2024), which needs half the steps of AdamW here; all
else takes AdamW's.

Everything random in step n comes from a generator seeded with (seed, n), so a stage that was interrupted ends as one
that was not. Not for: what is learnt (the demo folder of a model), or weights in a checkpoint (file.py).
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor
from torch.nn import Parameter

from cathrt.export.checkpoint.training_file import read_training, write_training

_MOMENTS = ("exp_avg", "exp_avg_sq", "momentum_buffer")


@dataclass(frozen=True, slots=True)
class Plan:
    """All that decides a stage besides its data and what it starts with.

    The learning rate rises for `warmup` steps, stays, and falls in a straight line over the last `falling` share of the
    steps. steps may be changed on the way, before the fall begins: a stage gets the time that there is. average: weight
    of the past in the moving average of the weights. muon: whether matrices take Muon's steps.
    """

    stage: str
    seed: int
    steps: int
    batch: int
    learning_rate: float
    warmup: int = 100
    falling: float = 0.4
    muon: bool = True
    weight_decay: float = 0.02
    gradient_norm: float = 1.0
    average: float = 0.995

    def learning_rate_at(self, step: int) -> float:
        rising = min(1.0, (step + 1) / max(1, self.warmup))
        left = (self.steps - step) / max(1.0, self.falling * self.steps)
        return self.learning_rate * min(rising, max(0.0, left), 1.0)


@dataclass(frozen=True, slots=True)
class Progress:
    """One step as it is reported. loss: of its batch alone."""

    stage: str
    step: int
    steps: int
    loss: float
    step_s: float


Loss = Callable[[Generator], Tensor]  # of one drawn batch


class Training:
    """Parameters on their way. `averaged` is what to keep in the end."""

    def __init__(self, plan: Plan, parameters: Mapping[str, Parameter]) -> None:
        self.plan, self.step = plan, 0
        self.parameters = dict(parameters)
        self.averaged = {name: value.detach().clone() for name, value in self.parameters.items()}
        self.optimizers = self._optimizers()

    def _optimizers(self) -> list[torch.optim.Optimizer]:
        plan = self.plan
        matrices = {name for name, value in self.parameters.items() if plan.muon and _is_inner_matrix(name, value)}
        inner = [value for name, value in self.parameters.items() if name in matrices]
        others = [value for name, value in self.parameters.items() if name not in matrices]
        groups = [
            {"params": [value for value in others if value.ndim > 1], "weight_decay": plan.weight_decay},
            {"params": [value for value in others if value.ndim <= 1], "weight_decay": 0.0},
        ]
        found: list[torch.optim.Optimizer] = [torch.optim.AdamW(groups, betas=(0.9, 0.98), fused=True)]
        if inner:
            found.append(torch.optim.Muon(inner, weight_decay=plan.weight_decay, adjust_lr_fn="match_rms_adamw"))
        return found

    def run(
        self,
        loss_of: Loss,
        *,
        deadline_s: float = math.inf,
        clock: Callable[[], float] = time.monotonic,
        report: Callable[[Progress], None] | None = None,
    ) -> bool:
        """Take steps until the plan is done (True) or the clock passes deadline_s (False)."""
        while self.step < self.plan.steps:
            started = clock()
            if started >= deadline_s:
                return False
            loss = self._take_step(loss_of)
            if report:
                report(Progress(self.plan.stage, self.step, self.plan.steps, loss, clock() - started))
        return True

    def _take_step(self, loss_of: Loss) -> float:
        plan = self.plan
        for group in (group for one in self.optimizers for group in one.param_groups):
            group["lr"] = plan.learning_rate_at(self.step)
        loss = loss_of(torch.Generator().manual_seed((plan.seed << 32) + self.step))
        for parameter in self.parameters.values():
            parameter.grad = None
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.parameters.values(), plan.gradient_norm)
        for optimizer in self.optimizers:
            optimizer.step()
        self.step += 1
        # The average starts short, or the first weights would stay in it for hundreds of steps.
        past = min(plan.average, self.step / (self.step + 10.0))
        with torch.no_grad():
            own = [value.detach() for value in self.parameters.values()]
            torch._foreach_lerp_(list(self.averaged.values()), own, 1.0 - past)
        return float(loss.detach())

    def take_average(self) -> None:
        """Set the parameters to their moving average: the end of a stage."""
        with torch.no_grad():
            for name, value in self.parameters.items():
                value.copy_(self.averaged[name])

    def save(self, path: Path) -> None:
        """Write the checkpoint: atomic, no pickle."""
        tensors = {f"averaged.{name}": value for name, value in self.averaged.items()}
        for name, parameter in self.parameters.items():
            tensors[f"model.{name}"] = parameter.detach()
            for optimizer in self.optimizers:
                state = optimizer.state.get(parameter, {})
                tensors |= {f"{key}.{name}": state[key] for key in _MOMENTS if key in state}
        path.parent.mkdir(parents=True, exist_ok=True)
        write_training(path, tensors, _json_of(self.plan), self.step)

    def load(self, path: Path) -> None:
        """Go on from a checkpoint. Raises ConfigError if it was made under another plan, its steps aside."""
        tensors, self.step = read_training(path, _json_of(self.plan))
        self.averaged = {name: tensors[f"averaged.{name}"] for name in self.averaged}
        for name, parameter in self.parameters.items():
            with torch.no_grad():
                parameter.copy_(tensors[f"model.{name}"])
            for optimizer in self.optimizers:
                held = {key: tensors[f"{key}.{name}"] for key in _MOMENTS if f"{key}.{name}" in tensors}
                if held and any(parameter is one for group in optimizer.param_groups for one in group["params"]):
                    optimizer.state[parameter] = {"step": torch.tensor(float(self.step)), **held}


def _is_inner_matrix(name: str, value: Tensor) -> bool:
    """Not the embedding of words, patches or positions, nor what a head has."""
    is_head = name.startswith("heads.") or ".heads." in name
    return value.ndim == 2 and name.endswith("weight") and "embed" not in name and not is_head


def _json_of(plan: Plan) -> str:
    told: dict[str, Any] = {name: value for name, value in asdict(plan).items() if name != "steps"}
    return json.dumps(told, sort_keys=True)
