"""The second stage and the third: pictures and facts into words, first by all weights, then by an adapter alone.

Steps with pictures and steps without take turns as the plan's share says. Not for: maps (vision_stage.py).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from tokenizers import Tokenizer
from torch import Generator, Tensor, nn
from torch.nn import functional as F
from transformers import Gemma3ForConditionalGeneration

from cathrt.export.models.report.demo.pictures import Picture, as_taken
from cathrt.export.models.report.demo.section import demonstration_section
from cathrt.export.models.report.demo.shown import shown
from cathrt.export.models.report.demo.targets import SEGMENT_NUMBERS, painted
from cathrt.export.models.report.demo.tasks import (
    Task,
    Tokens,
    joined,
    made_up_task,
    picture_task,
    tokens_of,
    unknown_side_task,
)
from cathrt.export.models.report.demo.tokenizer import pad_token
from cathrt.export.models.report.demo.vision_stage import Heads, Scenes, maps_loss, soft_tokens, still_inside
from cathrt.runtime.models.report.facts import Facts
from cathrt.runtime.models.report.section import ReportSection

_CHOICE = 4
_LENGTHS = 32  # batches are filled up to a multiple of this: for each new shape the CPU library makes new code
_LEFT_UNMARKED = -100  # what cross_entropy leaves out
_TELLING = {"right": (3, 15), "left": (14,)}  # channels of the segments that tell the dominance: 4 and 16; 15
_LANGUAGE_LINEARS = "q_proj|k_proj|v_proj|o_proj|gate_proj|up_proj|down_proj"
_VISION_LINEARS = "q_proj|k_proj|v_proj|out_proj|fc1|fc2"
PROJECTION = "multi_modal_projector.mm_input_projection_weight"


@dataclass(frozen=True, slots=True, eq=False)
class Library:
    """All that the tasks are made from. facts: of each picture, in the order of scenes."""

    scenes: Scenes
    facts: tuple[Facts, ...]
    tokenizer: Tokenizer
    section: ReportSection


def library_of(pictures: Sequence[Picture], tokenizer: Tokenizer) -> Library:
    """Pictures as tensors, beside their facts."""
    maps, degrees = painted(pictures)
    return Library(
        Scenes(
            images=torch.from_numpy(as_taken([picture.image for picture in pictures])),
            maps=torch.from_numpy(maps),
            degrees=torch.from_numpy(degrees),
            right=torch.tensor([float(picture.side == "right") for picture in pictures]),
        ),
        tuple(picture.facts for picture in pictures),
        tokenizer,
        demonstration_section(tokenizer),
    )


@dataclass(frozen=True, slots=True)
class Mixture:
    """Shares. pictures: of the steps. studies: of their tasks, those of a picture of each side. unknown: of the single
    pictures, those whose side nobody has told. narrowed: of all pictures, those with a narrowing; above their natural
    share of a half the model leans to naming one."""

    pictures: float
    studies: float
    unknown: float
    narrowed: float = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class PictureBatch:
    """tasks, and the B pictures that they name, in order. pixels (B, 3, S, S), maps (B, 2 K, h, h): as shown. chosen:
    (B,) which pictures of the library they are."""

    tasks: list[Task]
    pixels: Tensor
    maps: Tensor
    chosen: Tensor


def joint_loss(
    network: Gemma3ForConditionalGeneration,
    heads: Heads,
    library: Library,
    batch: int,
    mixture: Mixture,
    dtype: torch.dtype,
) -> Callable[[Generator], Tensor]:
    """As language_loss; of pictures, the loss of the maps that the heads find is added: eyes learn more from maps."""
    kept: list[Tensor] = []
    network.model.vision_tower.register_forward_hook(lambda *told: kept.append(told[-1].last_hidden_state))

    def loss_of(generator: Generator) -> Tensor:
        draw = Random(int(torch.randint(2**62, (), generator=generator)))
        if draw.random() >= mixture.pictures:
            return text_loss(network, library, batch, draw, dtype)
        drawn, scenes = picture_batch(library, batch, mixture, draw, generator), library.scenes
        tokens = [tokens_of(task, library.tokenizer, library.section) for task in drawn.tasks]
        kept.clear()
        loss = answer_loss(network, tokens, drawn.pixels, library, dtype)
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
            found = heads(kept[0], soft_tokens(network, kept[0]))
        degrees = still_inside(scenes.degrees[drawn.chosen], drawn.maps)
        return loss + 0.5 * maps_loss(found, drawn.maps, degrees, scenes.right[drawn.chosen])

    return loss_of


def language_loss(
    network: nn.Module, library: Library, batch: int, mixture: Mixture, dtype: torch.dtype
) -> Callable[[Generator], Tensor]:
    """The loss of a batch that the generator draws. network: the model, or the adapter around it."""

    def loss_of(generator: Generator) -> Tensor:
        draw = Random(int(torch.randint(2**62, (), generator=generator)))
        if draw.random() >= mixture.pictures:
            return text_loss(network, library, batch, draw, dtype)
        drawn = picture_batch(library, batch, mixture, draw, generator)
        tokens = [tokens_of(task, library.tokenizer, library.section) for task in drawn.tasks]
        return answer_loss(network, tokens, drawn.pixels, library, dtype)

    return loss_of


def text_loss(network: nn.Module, library: Library, batch: int, draw: Random, dtype: torch.dtype) -> Tensor:
    """Of tasks without pictures."""
    tasks = [made_up_task(library.section, draw, library.facts) for _ in range(_CHOICE * batch)]
    tokens = [tokens_of(task, library.tokenizer, library.section) for task in tasks]
    return answer_loss(network, _alike(tokens, batch, draw), None, library, dtype)


def _alike(tokens: Sequence[Tokens], count: int, draw: Random) -> list[Tokens]:
    """Some of about one length, so that little of the batch is filling. Each is as likely as the others."""
    ordered = sorted(tokens, key=lambda one: len(one.ids))
    begin = count * draw.randrange(len(tokens) // count)
    return ordered[begin : begin + count]


def picture_batch(library: Library, batch: int, mixture: Mixture, draw: Random, generator: Generator) -> PictureBatch:
    """Tasks of `batch` pictures in all."""
    groups: list[list[int]] = []
    while (room := batch - sum(map(len, groups))) > 0:
        if room >= 2 and draw.random() < mixture.studies:
            groups.append([_drawn(library, side, mixture, draw) for side in ("left", "right")])
        else:
            groups.append([_drawn(library, draw.choice(("left", "right")), mixture, draw)])
    chosen = torch.tensor([number for group in groups for number in group])
    scenes = library.scenes
    pixels, maps = shown(scenes.images[chosen], scenes.maps[chosen], generator)
    facts = iter(
        facts_still_shown(library.facts[number], scenes.maps[number], moved)
        for number, moved in zip(chosen.tolist(), maps, strict=True)
    )
    tasks = []
    for group in groups:
        here = [next(facts) for _ in group]
        if len(group) == 1 and draw.random() < mixture.unknown:
            tasks.append(unknown_side_task(library.section, here[0], group[0]))
        else:
            stated = here[0] if len(group) == 1 else joined(*here)
            tasks.append(picture_task(library.section, stated, group, draw))
    return PictureBatch(tasks, pixels, maps, chosen)


def _drawn(library: Library, side: str, mixture: Mixture, draw: Random) -> int:
    """A picture of this side, with a narrowing or without; any of the side where there are none of that kind."""
    narrowed = draw.random() < mixture.narrowed
    of_side = [number for number, facts in enumerate(library.facts) if facts.sides == (side,)]
    return draw.choice([one for one in of_side if bool(library.facts[one].lesions) == narrowed] or of_side)


def facts_still_shown(facts: Facts, before: Tensor, after: Tensor) -> Facts:
    """The facts of a picture that was moved: what has left it is not stated. Maps (M, h, h)."""
    kept = still_inside(torch.ones(1, SEGMENT_NUMBERS, dtype=torch.int64), after[None])[0]
    lesions = tuple(
        lesion for lesion in facts.lesions if lesion.segment is None or kept[int(lesion.segment.rstrip("abc")) - 1]
    )
    dominance = facts.dominance
    if dominance in _TELLING:
        telling = list(_TELLING[dominance])
        if float(after[telling].sum()) < 0.5 * float(before[telling].sum()):
            dominance = None
    return replace(facts, lesions=lesions, dominance=dominance)


def answer_loss(
    network: nn.Module, tokens: Sequence[Tokens], pixels: Tensor | None, library: Library, dtype: torch.dtype
) -> Tensor:
    """Mean cross entropy over the tokens of the answers."""
    longest = -(-max(len(one.ids) for one in tokens) // _LENGTHS) * _LENGTHS
    ids = torch.full((len(tokens), longest), pad_token(library.tokenizer))
    wanted = torch.full((len(tokens), longest), _LEFT_UNMARKED)
    there = torch.zeros(len(tokens), longest, dtype=torch.int64)
    for row, one in enumerate(tokens):
        ids[row, : len(one.ids)] = torch.tensor(one.ids)
        there[row, : len(one.ids)] = 1
        wanted[row, one.answer_from - 1 : len(one.ids) - 1] = torch.tensor(one.ids[one.answer_from :])
    inputs = {"input_ids": ids, "attention_mask": there, "use_cache": False}
    inputs["token_type_ids"] = (ids == library.section.tokens.image).long()
    if pixels is not None:
        inputs["pixel_values"] = pixels
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
        logits = network(**inputs).logits
    asked = wanted != _LEFT_UNMARKED
    return F.cross_entropy(logits[asked].float(), wanted[asked])


def with_adapter(network: Gemma3ForConditionalGeneration, rank: int, seed: int) -> PeftModel:
    """A new LoRA adapter on all linear layers of language and vision, and on the projector's bare parameter."""
    torch.manual_seed(seed)
    config = LoraConfig(
        r=rank,
        lora_alpha=2 * rank,
        target_modules=rf".*language_model.*\.({_LANGUAGE_LINEARS})|.*vision_tower.*\.({_VISION_LINEARS})",
        target_parameters=[PROJECTION],
    )
    with _without_peft_warning():
        return get_peft_model(network, config)


def merged(network: Gemma3ForConditionalGeneration, adapter: Path) -> Gemma3ForConditionalGeneration:
    """The network with the adapter of a folder, merged by PEFT itself."""
    with _without_peft_warning():
        found: Gemma3ForConditionalGeneration = PeftModel.from_pretrained(network, adapter).merge_and_unload()
    return found


@contextmanager
def _without_peft_warning() -> Iterator[None]:
    """PEFT asks transformers for something by a name that is to go."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*is_gradient_checkpointing", FutureWarning)
        yield
