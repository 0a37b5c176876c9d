"""Where a training goes on: tensors, the plan they were made under and the step, in one safetensors file, no pickle.

The file appears whole or not at all. Not for: what the tensors are (each training's own), or checkpoints of others
(file.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from cathrt.runtime.errors import ConfigError


def write_training(path: Path, tensors: Mapping[str, Tensor], plan: str, step: int) -> None:
    """plan: as text, by which it is known again."""
    partial = path.with_suffix(".partial")
    whole = {name: value.contiguous() for name, value in tensors.items()}
    save_file(whole, partial, metadata={"plan": plan, "step": str(step)})
    partial.replace(path)


def read_training(path: Path, plan: str) -> tuple[dict[str, Tensor], int]:
    """The tensors and the step. Raises ConfigError for a file that was made under another plan."""
    with safe_open(path, framework="pt") as stored:
        metadata = stored.metadata() or {}
        if metadata.get("plan") != plan:
            raise ConfigError(
                f"{path}: made under the plan {metadata.get('plan')}, asked to go on under {plan}: give the same "
                "options, or another folder"
            )
        tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118 (it is no dict)
    return tensors, int(metadata["step"])
