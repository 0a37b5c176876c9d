"""A folder as save_pretrained leaves it, of a tiny random model with a tokenizer of its own; about 0.5 s.

Not for: the model itself (tiny_gemma.py), or adapters (tiny_adapter.py).
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

from cathrt.runtime.models.report.facts import Facts, Lesion
from cathrt.runtime.models.report.prompt import DEFAULT_PROMPTS
from cathrt.runtime.models.report.schema import json_from_facts
from cathrt.runtime.models.report.section import LANGUAGES
from cathrt.runtime.models.report.template import prose_from_facts
from tests.export.models.report import tiny_gemma
from tests.export.models.report.tiny_gemma import Tiny

# By their ids, as tiny_gemma has them.
MARKS = ("<pad>", "<eos>", "<bos>", "<start_of_turn>", "<unk>", "<start_of_image>", "<end_of_image>", "<end_of_turn>")
IMAGE = "<image_soft_token>"
LEARNT = 512  # marks, bytes and pairs; the picture's token comes behind them
TINY = Tiny(vocabulary=LEARNT + 4)


def tiny_folder(folder: Path, tiny: Tiny = TINY, *, text_only: bool = False) -> Path:
    """config.json, model.safetensors, tokenizer.json and preprocessor_config.json. tiny: with TINY's vocabulary."""
    model = tiny_gemma.tiny_text(tiny) if text_only else tiny_gemma.tiny_vlm(tiny)
    tiny_gemma.save_checkpoint(model, folder, dtype=torch.float32)
    (folder / "tokenizer.json").write_text(tokenizer_json(), encoding="utf-8")
    settings = {
        "do_normalize": True,
        "do_rescale": True,
        "do_resize": True,
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.25, 0.25, 0.25],
        "size": {"height": tiny.side, "width": tiny.side},
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(settings), encoding="utf-8")
    return folder


@cache
def tokenizer_json() -> str:
    """Bytes, and pairs learnt from cathrt's own prompts."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=LEARNT,
        special_tokens=[AddedToken(mark, special=True, normalized=False) for mark in MARKS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        min_frequency=1,
        show_progress=False,
    )
    facts = Facts(("left", "right"), (Lesion("lad", "6", 90), Lesion("rca", "1", 100, True, True)), "right", 2)
    texts = [DEFAULT_PROMPTS.system, DEFAULT_PROMPTS.facts, *DEFAULT_PROMPTS.prose.values(), json_from_facts(facts)]
    tokenizer.train_from_iterator([*texts, *(prose_from_facts(language, facts) for language in LANGUAGES)], trainer)
    tokenizer.add_special_tokens([AddedToken(IMAGE, special=True, normalized=False)])
    assert (tokenizer.get_vocab_size(), tokenizer.token_to_id(IMAGE)) == (LEARNT + 1, TINY.image_token)
    return str(tokenizer.to_str())
