"""What `cathrt export report` is asked, as the recipe takes it.

Not for: what every kind of model is asked (model_kind.OwnRequest).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cathrt.runtime.bundle.manifest import Precision, Rest
from cathrt.runtime.errors import ConfigError

BLOCKS = (32, 64, 128)
INT4_BLOCK = 32  # the finest: of the three, its weights are nearest to what they were
_SIZES = (32, 128, 512)  # of a prompt's pieces, beside what a picture takes


@dataclass(frozen=True, slots=True)
class Asked:
    """The command's own options. tokenizer, prompts: None for the base's, for cathrt's. lora, worth, card, training:
    None for none.

    block: None for one scale a channel. prefill: () for what fits a picture. name: None for that of the base's folder.
    """

    base: Path
    precision: Precision
    context: int
    lora: Path | None = None
    block: int | None = None
    rest: Rest = "float32"
    prompts: Path | None = None
    tokenizer: Path | None = None
    pictures: int = 2
    answer: int = 480
    prefill: tuple[int, ...] = ()
    name: str | None = None
    worth: Path | None = None
    card: Path | None = None
    training: Path | None = None
    demonstration: bool = False
    random_init: bool = False


def block_from(text: str | None, precision: Precision) -> int | None:
    """Weights that share a scale; None for a whole output channel. Raises ConfigError."""
    if text is None:
        return INT4_BLOCK if precision == "int4" else None
    if precision not in ("int8", "int4"):
        raise ConfigError(f"--block {text}: weights in {precision} have no scales: leave it out")
    if text not in map(str, BLOCKS):
        raise ConfigError(f"--block {text}: expected one of {', '.join(map(str, BLOCKS))}")
    return int(text)


def sizes_from(text: str | None) -> tuple[int, ...]:
    """Sizes out of "64,256", rising. Raises ConfigError."""
    if text is None:
        return ()
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdigit() and int(part) > 1 for part in parts) or len(set(parts)) != len(parts):
        raise ConfigError(f"--prefill {text}: expected sizes of 2 and more, each once, such as 64,256")
    return tuple(sorted(map(int, parts)))


def prefill_sizes(given: tuple[int, ...], context: int, picture_tokens: int) -> tuple[int, ...]:
    """In which a prompt is computed: those given, or some of which one holds a picture with its two marks.

    Raises ConfigError where none does: a picture is never split.
    """
    whole = picture_tokens + 2 if picture_tokens else 2
    sizes = given or tuple(sorted({size for size in (*_SIZES, -(-whole // 64) * 64) if size <= context}))
    if not sizes or max(sizes) < whole or max(sizes) > context:
        raise ConfigError(
            f"--prefill: found {list(sizes)} with --context {context}, expected one of {whole} and more, which a "
            "picture takes, and none above the context"
        )
    return sizes
