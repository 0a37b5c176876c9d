"""What the demonstration learns from: true answers of studies, and maps of each clip's segments and lesions.

Not for: the loop (export/checkpoint/training_loop.py), or drawing studies (studies.py).
B studies, N clips of one, T frames, L tokens, F features.
"""

# mypy: allow-untyped-decorators
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor
from torch.nn import functional

from cathrt.export.models.study.demo.network import StudyNetwork, pixels_of
from cathrt.export.models.study.demo.questions import SEGMENTS
from cathrt.export.models.study.demo.studies import KINDS, DrawnStudy

_FEWEST, _MOST_OF_ENCODER = 2, 4  # clips of a study that one step shows
_LESION_WEIGHT = 4.0  # of cells with a lesion: there are few
_CELLS_WEIGHT, _CLIPS_WEIGHT = 8.0, 3.0
_SHIFT = 6  # pixels
_AMOUNTS = len(SEGMENTS)  # columns, the first ones


@dataclass(frozen=True, slots=True, eq=False)
class Studies:
    """clips: (all, T, height, width) uint8 of all studies, one behind the other. maps: (all, t h w, told) percent.

    first: where each study's begin, and the end. answers: (studies, questions) as shares of one.
    """

    clips: Tensor
    maps: Tensor
    first: Tensor
    answers: Tensor

    def __len__(self) -> int:
        return len(self.answers)


def studies_of(drawn: Sequence[DrawnStudy]) -> Studies:
    answers = torch.stack([torch.from_numpy(one.answers.copy()) for one in drawn])
    answers[:, :_AMOUNTS] /= 100.0
    counts = torch.tensor([0, *(len(one.clips) for one in drawn)])
    return Studies(
        torch.cat([torch.from_numpy(one.clips) for one in drawn]),
        torch.cat([torch.from_numpy(one.maps).flatten(1, 3).flatten(2) for one in drawn]),
        counts.cumsum(0),
        answers,
    )


def whole_loss(network: StudyNetwork, studies: Studies, batch: int) -> Callable[[Generator], Tensor]:
    """Of encoder and head together, a few clips of each study of a batch that the generator draws."""

    def loss_of(generator: Generator) -> Tensor:
        numbers, places, there = _drawn(studies, batch, _MOST_OF_ENCODER, generator)
        shown = _altered(studies.clips[places[there]], generator)
        encoded = network.video_encoder(pixels_of(shown))
        features = encoded.new_zeros(*there.shape, *encoded.shape[1:])
        features[there] = encoded
        cells, clips = network.of_clips(features)
        maps = studies.maps[places[there]].float() / 100.0
        told = _map_loss(cells[there], maps) * _CELLS_WEIGHT + _map_loss(clips[there], maps.amax(1)) * _CLIPS_WEIGHT
        return told + answer_loss(network.mil_model(features, there), studies.answers[numbers])

    return loss_of


def head_loss(network: StudyNetwork, features: Tensor, studies: Studies, batch: int) -> Callable[[Generator], Tensor]:
    """Of the head alone. features: (all, L, F) of every clip, from the encoder as it is."""
    most = int((studies.first[1:] - studies.first[:-1]).max())

    def loss_of(generator: Generator) -> Tensor:
        numbers, places, there = _drawn(studies, batch, most, generator)
        rows = features[places].float()
        rows = rows * there[..., None, None]
        kept = torch.rand(rows.shape[:3], generator=generator)[..., None] > 0.1
        return answer_loss(network.mil_model(rows * kept, there), studies.answers[numbers])

    return loss_of


@torch.no_grad()
def features_of(network: StudyNetwork, clips: Tensor) -> Tensor:
    """(all, L, F) in half precision, of clips (all, T, height, width)."""
    return torch.cat([network.video_encoder(pixels_of(part)).half() for part in clips.split(16)])


def answer_loss(found: Tensor, answers: Tensor) -> Tensor:
    """found: (B, columns) of the head. answers: (B, questions) as shares."""
    called = slice(_AMOUNTS, answers.shape[1] - 1)
    # Nearly the absolute error, which is what amounts are judged by.
    amounts = functional.smooth_l1_loss(found[:, :_AMOUNTS], answers[:, :_AMOUNTS], beta=0.05)
    calls = functional.binary_cross_entropy_with_logits(found[:, called], answers[:, called])
    left = 1 - answers[:, -1].long()  # the first category is left
    return 4.0 * amounts + 3.0 * calls + 0.3 * functional.cross_entropy(found[:, -2:], left)


def _map_loss(found: Tensor, told: Tensor) -> Tensor:
    """(.., segments x KINDS) logits against shares; a narrowing's is its share of the diameter."""
    weight = torch.ones(len(SEGMENTS), len(KINDS))
    weight[:, 1:] = _LESION_WEIGHT
    weights = 1.0 + (weight.flatten() - 1.0) * (told > 0.0)
    return functional.binary_cross_entropy_with_logits(found, told, weights)


def _drawn(studies: Studies, batch: int, most: int, generator: Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Numbers of studies (B,), of their clips (B, most), and which of these are there."""
    numbers = torch.randint(len(studies), (batch,), generator=generator)
    places, there = torch.zeros(batch, most, dtype=torch.long), torch.zeros(batch, most, dtype=torch.bool)
    for row, number in enumerate(numbers.tolist()):
        first, end = int(studies.first[number]), int(studies.first[number + 1])
        fewest = min(_FEWEST, end - first)
        count = int(torch.randint(fewest, min(most, end - first) + 1, (), generator=generator))
        places[row, :count] = first + torch.randperm(end - first, generator=generator)[:count]
        there[row, :count] = True
    return numbers, places, there


def _altered(clips: Tensor, generator: Generator) -> Tensor:
    """Shifted, brighter or darker, with more or less contrast and noise: (n, T, height, width) float32."""
    count = len(clips)
    gain = 0.75 + 0.6 * torch.rand(count, 1, 1, 1, generator=generator)
    offset = 30.0 * (torch.rand(count, 1, 1, 1, generator=generator) - 0.5)
    noise = 5.0 * torch.rand(count, 1, 1, 1, generator=generator)
    shifts = torch.randint(-_SHIFT, _SHIFT + 1, (count, 2), generator=generator).tolist()
    moved = torch.stack([clip.roll(tuple(shift), (1, 2)) for clip, shift in zip(clips, shifts, strict=True)]).float()
    noisy = (moved - 128.0) * gain + 128.0 + offset + noise * torch.randn(moved.shape, generator=generator)
    return noisy.clamp(0.0, 255.0)
