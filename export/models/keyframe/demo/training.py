"""The training loop: AdamW and a moving average of the weights; the same result whether or not it was interrupted.

Learnt are the six classes, how readable a frame is, which of two frames of one run is the more readable, where arteries
lie, and what is no angiogram. The network has one linear layer at its end; its rows are the classes, then one row for
readability, then the domain's: "angiogram" and each reason why a picture is none (dataset.py has the numbers).

Everything random in step n comes from a generator seeded with (seed, n), so a checkpoint is weights, moments and a
step number, kept in one safetensors file that appears whole or not at all. Not for: where frames come from.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Generator, Tensor

from cathrt.export.checkpoint.training_file import read_training, write_training
from cathrt.export.models.keyframe.convnext import ARCHS, ConvNext
from cathrt.export.models.keyframe.demo.augment import augment
from cathrt.export.models.keyframe.demo.losses import Truth, cell_loss, last_layer_loss
from cathrt.export.models.keyframe.demo.network import network_input
from cathrt.export.models.keyframe.demo.plan import LastLayer, Plan
from cathrt.runtime.errors import ConfigError


@dataclass(frozen=True, slots=True, eq=False)
class TrainingFrames:
    """images: (N, 3, H, H) uint8, planes as in dataset.py. targets: (N, classes) float32. pools: indices of frames;
    each pool is drawn as often.

    vessels: (N, h, h) uint8, path through opacified artery, tenths of a millimetre. side: (N,) int64, 0 left, 1 right;
    without meaning where vessels is zero all over. readability: (N,) float32. runs: (N, 2) int64, the first frame of
    each frame's run and how many frames it has; frames of a run lie together. outsiders: (M, H, H) uint8, pictures that
    are no angiograms. reasons: (M,) int64, the number of the reason, 1 and above.
    """

    images: Tensor
    targets: Tensor
    vessels: Tensor
    side: Tensor
    readability: Tensor
    runs: Tensor
    outsiders: Tensor
    reasons: Tensor
    pools: tuple[Tensor, ...]


@dataclass(frozen=True, slots=True)
class Progress:
    """One step as it is reported. loss: of its batch alone."""

    step: int
    steps: int
    side: int
    loss: float
    step_s: float


class Training:
    """A model on its way. step counts the steps taken; `averaged` is the state to evaluate and export."""

    def __init__(self, plan: Plan, rows: LastLayer, start: Mapping[str, Tensor] | None = None) -> None:
        """start: weights to begin with, in timm's names; its last layer may have fewer rows than `rows`.

        Raises ConfigError for weights of another size, and for a batch without room for a pair of frames.
        """
        if plan.batch - plan.outsiders < 2:
            raise ConfigError(
                f"batch {plan.batch}: {plan.outsiders} of it are outsiders, which leaves no pair of frames: "
                f"give at least {plan.outsiders + 2}"
            )
        self.plan, self.rows = plan, rows
        self.step = 0
        torch.manual_seed(plan.seed)
        self.model = ConvNext(ARCHS[plan.arch], classes=rows.total, layer_scale=plan.layer_scale)
        _wake(self.model)
        if start is not None:
            _begin_with(self.model, start)
        # Left behind once training is over: does a cell of 16 x 16 pixels show an artery, and of which side?
        self.cells = torch.nn.Conv2d(ARCHS[plan.arch].widths[2], 3, 1)
        self.averaged = {key: value.detach().clone() for key, value in self.model.state_dict().items()}
        named = dict(self._named_parameters())
        decayed = [p for p in named.values() if p.ndim > 1]  # no decay of norms, biases and layer scales
        undecayed = [p for p in named.values() if p.ndim <= 1]
        self.optimizer = torch.optim.AdamW(
            [{"params": decayed, "weight_decay": plan.weight_decay}, {"params": undecayed, "weight_decay": 0.0}],
            lr=plan.learning_rate,
        )

    def run(
        self,
        frames: TrainingFrames,
        *,
        deadline_s: float = math.inf,
        clock: Callable[[], float] = time.monotonic,
        report: Callable[[Progress], None] | None = None,
    ) -> bool:
        """Take steps until the plan is done (True) or the clock passes deadline_s (False)."""
        self.model.train()
        while self.step < self.plan.steps:
            started = clock()
            if started >= deadline_s:
                return False
            loss = self._take_step(frames)
            side = self.plan.side_at(self.step - 1)
            if report:
                report(Progress(self.step, self.plan.steps, side, loss, clock() - started))
        return True

    def _take_step(self, frames: TrainingFrames) -> float:
        plan, generator = self.plan, _generator_of(self.plan.seed, self.step)
        chosen = _draw_pairs(frames, (plan.batch - plan.outsiders) // 2, generator)
        other = torch.randint(len(frames.outsiders), (plan.outsiders,), generator=generator)
        side = plan.side_at(self.step)
        vessels = frames.vessels[chosen][:, None].float()
        images, vessels = augment(frames.images[chosen], vessels, side, generator, alike=2)
        images = forgetful(unsteady(images, generator), plan.without_history, generator)
        moving = moved(frames.outsiders[other], generator)
        outsiders, _ = augment(moving, vessels[:1].expand(len(other), -1, -1, -1), side, generator)
        images = network_input(torch.cat([images, outsiders])).contiguous(memory_format=torch.channels_last)
        for group in self.optimizer.param_groups:
            group["lr"] = plan.learning_rate_at(self.step)
        with torch.autocast("cpu", torch.bfloat16, enabled=plan.arithmetic == "bfloat16"):
            features = self.model.stages[:3](self.model.stem(images))
            found, cells = self.model.head(self.model.stages[3](features)), self.cells(features[: len(chosen)])
        domain = torch.cat([torch.zeros(len(chosen), dtype=torch.int64), frames.reasons[other]])
        truth = Truth(frames.targets[chosen], frames.readability[chosen], domain)
        loss = last_layer_loss(found.float(), truth, plan, self.rows)
        loss = loss + plan.cell_weight * cell_loss(cells.float(), vessels, frames.side[chosen])
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_([p for _, p in self._named_parameters()], plan.gradient_norm)
        self.optimizer.step()
        self.step += 1
        # The average starts short, or the random first weights would stay in it for hundreds of steps.
        past = min(plan.average, self.step / (self.step + 10.0))
        with torch.no_grad():
            for key, value in self.model.state_dict().items():
                self.averaged[key].lerp_(value, 1.0 - past)
        return float(loss.detach())

    def _named_parameters(self) -> list[tuple[str, torch.nn.Parameter]]:
        """Of the network and of the head that training alone has."""
        return [*self.model.named_parameters(), *self.cells.named_parameters(prefix="cells")]

    def save(self, path: Path) -> None:
        """Write the checkpoint: atomic, no pickle."""
        tensors = {f"averaged.{key}": value for key, value in self.averaged.items()}
        for name, parameter in self._named_parameters():
            tensors[f"model.{name}"] = parameter.detach()
            if moments := self.optimizer.state.get(parameter):
                tensors[f"first_moment.{name}"] = moments["exp_avg"]
                tensors[f"second_moment.{name}"] = moments["exp_avg_sq"]
        write_training(path, tensors, _json_of(self.plan), self.step)

    def load(self, path: Path) -> None:
        """Go on from a checkpoint. Raises ConfigError if it was made under another plan."""
        tensors, self.step = read_training(path, _json_of(self.plan))
        self.averaged = {key: tensors[f"averaged.{key}"] for key in self.averaged}
        for name, parameter in self._named_parameters():
            with torch.no_grad():
                parameter.copy_(tensors[f"model.{name}"])
            if self.step:
                self.optimizer.state[parameter] = {
                    "step": torch.tensor(float(self.step)),
                    "exp_avg": tensors[f"first_moment.{name}"],
                    "exp_avg_sq": tensors[f"second_moment.{name}"],
                }


def _begin_with(model: ConvNext, start: Mapping[str, Tensor]) -> None:
    """Copy weights; rows that the start's last layer lacks keep their own. Raises ConfigError where others differ."""
    own = model.state_dict()
    with torch.no_grad():
        for name, value in own.items():
            given = start.get(name)
            if given is None or given.shape[1:] != value.shape[1:] or len(given) > len(value):
                found = None if given is None else tuple(given.shape)
                raise ConfigError(
                    f"start: {name}: found {found}, expected {tuple(value.shape)}: give weights of this size"
                )
            value[: len(given)].copy_(given)


def _wake(model: ConvNext) -> None:
    """First weights for a run of minutes: every layer keeps the variance of what it is given, and most stem filters
    sum to zero, since an artery is a small difference of grey upon a large level that says nothing."""
    for module in model.modules():
        if isinstance(module, torch.nn.Conv2d | torch.nn.Linear):
            std = module.weight[0].numel() ** -0.5
            torch.nn.init.trunc_normal_(module.weight, std=std, a=-2.0 * std, b=2.0 * std)
    stem = model.stem[0].weight
    with torch.no_grad():
        differences = stem[len(stem) // 10 :]
        differences -= differences.mean(dim=(1, 2, 3), keepdim=True)


def _json_of(plan: Plan) -> str:
    return json.dumps(asdict(plan), sort_keys=True)


def _generator_of(seed: int, step: int) -> Generator:
    return torch.Generator().manual_seed((seed << 32) + step)


def forgetful(images: Tensor, share: float, generator: Generator) -> Tensor:
    """Of (B, 3, H, H) pairs of frames, this share as if each were the first of its run: background and recent mean are
    the frame itself."""
    first = (torch.rand(len(images) // 2, generator=generator) < share).repeat_interleave(2)
    return torch.where(first[:, None, None, None], images[:, :1], images)


def unsteady(images: Tensor, generator: Generator) -> Tensor:
    """Of (B, 3, H, H) pairs a third whose history lies up to 3 pixels elsewhere, and all with a history a few percent
    brighter or darker: patients move more than phantoms, and exposure control follows the contrast."""
    pairs, planes = len(images) // 2, images[:, 1:]
    gain = 1.0 + 0.02 * torch.randn(pairs, generator=generator)
    offset = 0.01 * torch.randn(pairs, generator=generator)
    planes = planes * _per_frame(gain) + _per_frame(offset)
    shifts = torch.randint(-3, 4, (pairs, 2), generator=generator)
    shifts = shifts * (torch.rand(pairs, 1, generator=generator) < 1.0 / 3.0)
    rolled = [torch.roll(planes[2 * n : 2 * n + 2], tuple(shift), (2, 3)) for n, shift in enumerate(shifts.tolist())]
    return torch.cat([images[:, :1], torch.cat(rolled)], dim=1)


def _per_frame(of_pairs: Tensor) -> Tensor:
    """(B / 2,) to (B, 1, 1, 1)."""
    return of_pairs.repeat_interleave(2)[:, None, None, None]


def moved(pictures: Tensor, generator: Generator) -> Tensor:
    """(M, H, H) uint8 to (M, 3, H, H): half of them as first frames, half as if the picture had been shifted before."""
    planes = []
    for picture in pictures:
        shift = torch.randint(-8, 9, (2,), generator=generator) * (torch.rand((), generator=generator) < 0.5)
        before = torch.roll(picture, tuple(shift.tolist()), (0, 1))
        planes.append(torch.stack([picture, torch.maximum(picture, before), before]))
    return torch.stack(planes)


def _draw_pairs(frames: TrainingFrames, count: int, generator: Generator) -> Tensor:
    """(2 count,) indices, neighbours of one run: a pool drawn evenly, one of its frames, and any frame of that run."""
    pools = frames.pools
    which = torch.randint(len(pools), (count,), generator=generator)
    where = torch.rand(count, generator=generator)
    first = torch.stack([pools[pool][int(share * len(pools[pool]))] for pool, share in zip(which, where, strict=True)])
    begin, length = frames.runs[first].T
    second = begin + (torch.rand(count, generator=generator) * length).long()
    return torch.stack([first, second], dim=1).flatten()
