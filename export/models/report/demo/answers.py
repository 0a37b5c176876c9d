"""What a trained network answers, straight with transformers: greedy, in batches of prompts of equal length.

Not for: answers at run time (runtime/models/report/model.py).
"""

# mypy: allow-untyped-decorators
# (mypy skips torch, so what comes from it is Any here)
from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import torch
from tokenizers import Tokenizer
from torch import Tensor
from transformers import Gemma3ForConditionalGeneration

from cathrt.export.models.report.demo.tasks import Task, prompt_ids
from cathrt.export.models.report.demo.tokenizer import pad_token
from cathrt.export.models.report.demo.vision_stage import normalised
from cathrt.runtime.models.report.section import ReportSection

_TOGETHER = 16


@torch.no_grad()
def answers(
    network: Gemma3ForConditionalGeneration,
    tokenizer: Tokenizer,
    section: ReportSection,
    tasks: Sequence[Task],
    images: Tensor,
) -> list[str]:
    """One answer a task. images: (N, S, S) uint8, which the tasks' pictures number."""
    prompts = [[section.tokens.begin, *prompt_ids(task.parts, tokenizer, section)] for task in tasks]
    alike: dict[tuple[int, int], list[int]] = defaultdict(list)
    for number, prompt in enumerate(prompts):
        alike[len(prompt), len(tasks[number].pictures)].append(number)
    found: dict[int, str] = {}
    network.eval()
    for numbers in alike.values():
        for begin in range(0, len(numbers), _TOGETHER):
            some = numbers[begin : begin + _TOGETHER]
            ids = torch.tensor([prompts[number] for number in some])
            pictures = [picture for number in some for picture in tasks[number].pictures]
            pixels = {"pixel_values": normalised(images[pictures].float() / 255.0)} if pictures else {}
            written = network.generate(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                token_type_ids=(ids == section.tokens.image).long(),
                do_sample=False,
                max_new_tokens=section.most_tokens,
                eos_token_id=list(section.tokens.end),
                pad_token_id=pad_token(tokenizer),
                **pixels,
            )
            for number, row in zip(some, written[:, ids.shape[1] :].tolist(), strict=True):
                found[number] = tokenizer.decode(row, skip_special_tokens=True)
    return [found[number] for number in range(len(tasks))]
