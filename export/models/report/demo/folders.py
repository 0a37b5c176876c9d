"""The folder of one training: pictures, checkpoints, and the model as Hugging Face lays models down.

Not for: reading such a folder for export (weights/).
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from transformers import Gemma3ForConditionalGeneration

from cathrt.export.models.report.demo.network import ATTENTION, Size, config_of, new_network
from cathrt.export.models.report.demo.pictures import PICTURE
from cathrt.export.models.report.demo.section import TOKENIZER_FILE
from cathrt.export.models.report.demo.tokenizer import pad_token, report_tokens


@dataclass(frozen=True, slots=True)
class Work:
    """The folder of one training."""

    folder: Path

    @property
    def pictures(self) -> Path:
        return self.folder / "pictures"

    @property
    def tokenizer(self) -> Path:
        return self.folder / TOKENIZER_FILE

    @property
    def base(self) -> Path:
        return self.folder / "base"

    @property
    def adapter(self) -> Path:
        return self.folder / "adapter"

    def checkpoint(self, stage: str) -> Path:
        return self.folder / f"{stage}.safetensors"


def new_of(work: Work) -> Gemma3ForConditionalGeneration:
    """Random weights for the tokenizer of the folder."""
    tokenizer = Tokenizer.from_file(str(work.tokenizer))
    return new_network(
        config_of(Size(), tokenizer.get_vocab_size(), report_tokens(tokenizer), pad_token(tokenizer)), seed=0
    )


def save_folder(network: Gemma3ForConditionalGeneration, tokenizer: Tokenizer, folder: Path) -> None:
    """As Hugging Face lays a model down: config.json, model.safetensors, tokenizer.json, preprocessor_config.json."""
    with written_whole(folder) as partial:
        network.save_pretrained(partial)
        tokenizer.save(str(partial / TOKENIZER_FILE))
        (partial / "preprocessor_config.json").write_text(_processor())


@contextmanager
def written_whole(folder: Path) -> Iterator[Path]:
    """A folder to write in, which takes the place of `folder` once all is in it."""
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    yield partial
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)


def _processor() -> str:
    """Settings of the image processor, as transformers writes them."""
    processor: dict[str, Any] = {
        "image_processor_type": "Gemma3ImageProcessor",
        "do_resize": True,
        "size": {"height": PICTURE.side, "width": PICTURE.side},
        "do_rescale": True,
        "rescale_factor": 1.0 / 255.0,
        "do_normalize": True,
        "image_mean": list(PICTURE.mean),
        "image_std": list(PICTURE.std),
    }
    return json.dumps(processor, indent=2) + "\n"


def read_folder(folder: Path) -> Gemma3ForConditionalGeneration:
    """The model of a folder, in single precision."""
    return Gemma3ForConditionalGeneration.from_pretrained(folder, dtype=torch.float32, attn_implementation=ATTENTION)
