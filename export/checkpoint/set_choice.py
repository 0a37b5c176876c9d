"""Which of several sets of weights in one file is meant: by its name, or as "ema" or "model".

Not for: finding the sets (models/<kind>/).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

EMA, MODEL = "ema", "model"  # for an average over the training, and for the network that was trained itself
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[0-9]+")
_AVERAGES = {"ema", "shadow", "modelema", "emamodel"}


def is_average(name: str) -> bool:
    """Whether a set's name says that it is an exponential moving average: state_dict_ema, ema.module, ModelEma."""
    return any(word.lower() in _AVERAGES for word in _WORD.findall(name))


def chosen(names: Sequence[str], wanted: str) -> list[str]:
    """The names that a wish fits; it is clear where there is one.

    wanted: a whole name, some parts of one between its dots, EMA for the only average, MODEL for the only other set.
    """
    wanted = wanted.strip(".")
    of_kind = [name for name in names if is_average(name) == (wanted == EMA)]
    among = of_kind if wanted in (EMA, MODEL) else list(names)
    if wanted in (EMA, MODEL) and len(among) == 1:
        return among
    return [name for name in among if name == wanted] or [name for name in among if f".{wanted}." in f".{name}."]


def shortest_wish(names: Sequence[str], name: str) -> str:
    """What to type for a set: "ema" or "model" where that is clear, else its name."""
    return next((wish for wish in (EMA, MODEL) if chosen(names, wish) == [name]), name)
