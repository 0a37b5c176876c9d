"""The training loop: AdamW and a moving average of the weights; the same result whether or not it was interrupted.

Everything random in step n comes from a generator seeded with (seed, n), so a checkpoint is weights, moments and a
step number, kept in one safetensors file that appears whole or not at all. Not for: where frames come from.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Generator, Tensor
from torch.nn import functional as F

from cathrt.export.models.keyframe.convnext import ARCHS, ConvNext
from cathrt.export.models.keyframe.demo.augment import augment
from cathrt.runtime.errors import ConfigError

# A cell shows an artery if the beam crosses this much contrast medium in it: 0.4 mm at 350 mg iodine per ml.
VESSEL_TENTHS_MM = 4
IGNORED = -100

Arithmetic = Literal["float32", "bfloat16"]


@dataclass(frozen=True, slots=True)
class Plan:
    """All that decides the result besides the frames and the machine's arithmetic.

    resolutions: (side in pixels, share of the steps), in order. Most steps are taken at 160, half the work of 224,
    where the network will run; much below that the arteries are thinner than a pixel and nothing is learnt.
    warmup_share: of the steps. layer_scale: first value of gamma, see ConvNext. average: weight of the past in the
    moving average of the weights. cell_weight: of the cells' loss beside that of the labels. arithmetic: of products
    and convolutions; bfloat16 halves the time of a step where the CPU multiplies it (AVX-512 BF16, AMX) and multiplies
    the time elsewhere. Weights, moments and losses are single precision in either.
    """

    arch: str = "convnext_atto"
    arithmetic: Arithmetic = "float32"
    steps: int = 6000
    batch: int = 32
    seed: int = 0
    resolutions: tuple[tuple[int, float], ...] = ((160, 0.72), (224, 0.28))
    learning_rate: float = 1.5e-3
    warmup_share: float = 0.06
    weight_decay: float = 0.05
    label_smoothing: float = 0.05
    layer_scale: float = 0.5
    average: float = 0.995
    cell_weight: float = 1.0
    gradient_norm: float = 1.0
    mean: float = 0.5
    std: float = 0.25

    def side_at(self, step: int) -> int:
        reached = 0.0
        for side, share in self.resolutions:
            reached += share
            if step < reached * self.steps:
                return side
        return self.resolutions[-1][0]

    def learning_rate_at(self, step: int) -> float:
        """Linear rise, then a straight line to zero: over few steps it leaves more for the last, largest resolution
        than a cosine does."""
        rising = max(1, round(self.warmup_share * self.steps))
        if step < rising:
            return self.learning_rate * (step + 1) / rising
        return self.learning_rate * (self.steps - step) / max(1, self.steps - rising)


@dataclass(frozen=True, slots=True, eq=False)
class TrainingFrames:
    """images: (N, H, H) uint8. targets: (N, classes) float32. pools: indices of frames; each pool is drawn as often.

    vessels: (N, h, h) uint8, path through opacified artery, tenths of a millimetre. side: (N,) int64, 0 left, 1 right;
    without meaning where vessels is zero all over.
    """

    images: Tensor
    targets: Tensor
    vessels: Tensor
    side: Tensor
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

    def __init__(self, plan: Plan, classes: int) -> None:
        self.plan = plan
        self.step = 0
        torch.manual_seed(plan.seed)
        self.model = ConvNext(ARCHS[plan.arch], classes=classes, layer_scale=plan.layer_scale)
        _wake(self.model)
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
        chosen = _draw_balanced(frames.pools, plan.batch, generator)
        vessels = frames.vessels[chosen][:, None].float()
        images, vessels = augment(frames.images[chosen][:, None], vessels, plan.side_at(self.step), generator)
        images = ((images - plan.mean) / plan.std).expand(-1, 3, -1, -1).contiguous(memory_format=torch.channels_last)
        targets = frames.targets[chosen] * (1.0 - plan.label_smoothing) + plan.label_smoothing / frames.targets.shape[1]
        for group in self.optimizer.param_groups:
            group["lr"] = plan.learning_rate_at(self.step)
        with torch.autocast("cpu", torch.bfloat16, enabled=plan.arithmetic == "bfloat16"):
            features = self.model.stages[:3](self.model.stem(images))
            logits, cells = self.model.head(self.model.stages[3](features)), self.cells(features)
        loss = F.cross_entropy(logits.float(), targets)
        loss = loss + plan.cell_weight * _cell_loss(cells.float(), vessels, frames.side[chosen])
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
        contiguous = {key: value.contiguous() for key, value in tensors.items()}
        partial = path.with_suffix(".partial")
        save_file(contiguous, partial, metadata={"plan": _json_of(self.plan), "step": str(self.step)})
        partial.replace(path)

    def load(self, path: Path) -> None:
        """Go on from a checkpoint. Raises ConfigError if it was made under another plan."""
        with safe_open(path, framework="pt") as stored:
            metadata = stored.metadata() or {}
            if metadata.get("plan") != _json_of(self.plan):
                raise ConfigError(
                    f"{path}: made under the plan {metadata.get('plan')}, asked to go on under {_json_of(self.plan)}: "
                    "give the same options, or another folder"
                )
            tensors = {key: stored.get_tensor(key) for key in stored.keys()}  # noqa: SIM118 (it is no dict)
        self.step = int(metadata["step"])
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


def _cell_loss(scores: Tensor, vessels: Tensor, side: Tensor) -> Tensor:
    """Cross entropy of each cell: 0 no artery, 1 left, 2 right; cells that hold a little of one are left out."""
    path = F.adaptive_max_pool2d(vessels, scores.shape[-2:])[:, 0]
    truth = torch.where(path >= VESSEL_TENTHS_MM, side[:, None, None] + 1, 0)
    truth[(path > 0.3 * VESSEL_TENTHS_MM) & (path < VESSEL_TENTHS_MM)] = IGNORED
    return F.cross_entropy(scores, truth, ignore_index=IGNORED)


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


def _draw_balanced(pools: tuple[Tensor, ...], count: int, generator: Generator) -> Tensor:
    """`count` indices: a pool drawn evenly for each, then one of its frames, with replacement."""
    which = torch.randint(len(pools), (count,), generator=generator)
    where = torch.rand(count, generator=generator)
    return torch.stack([pools[pool][int(share * len(pools[pool]))] for pool, share in zip(which, where, strict=True)])
