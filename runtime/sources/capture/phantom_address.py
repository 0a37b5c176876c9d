"""The address of a streamed phantom: "seed=7 pause_s=2 hold=yes".

Not for: streaming it (phantom_tap.py).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from cathrt.runtime.config import SourceConfig
from cathrt.runtime.errors import ConfigError
from cathrt.runtime.frame import MAX_RATE_HZ, is_rate
from cathrt.runtime.phantom.study import SceneRecipe
from cathrt.runtime.sources.capture.address import settings_of

_DEFAULTS = {
    "seed": "1",
    "pause_s": "2",
    "hold": "yes",
    "runs": "0",
    "rate_hz": "15",
    "display_hz": "0",
    "matrix": "512",
    "frames": "0",
}
_LONGEST_PAUSE = 1.5  # of the mean (phantom/study.py)


@dataclass(frozen=True, slots=True)
class PhantomStream:
    """What is streamed.

    recipe: its seed is the study's. runs: 0 for ever. pause_s: mean time between runs. hold: the last image is shown in
    pauses; else no picture comes. display_hz: each image is repeated as on a screen of that rate; 0: once.
    """

    recipe: SceneRecipe
    runs: int
    pause_s: float
    hold: bool
    display_hz: float


def phantom_stream(source: SourceConfig) -> PhantomStream:
    """Read source.address. Raises ConfigError."""
    where = f"sources.{source.name}.address"
    found = settings_of(source.address, " ", _DEFAULTS, where)
    if found["hold"] not in ("yes", "no"):
        raise ConfigError(f"{where}: found hold={found['hold']}, expected yes or no")
    frames = _whole(found, "frames", 0, where)
    recipe = SceneRecipe(
        _whole(found, "seed", 0, where),
        matrix=_whole(found, "matrix", 64, where),
        frame_rate_hz=_number(found, "rate_hz", where),
        most_frames=frames or None,
    )
    stream = PhantomStream(
        recipe,
        _whole(found, "runs", 0, where),
        _number(found, "pause_s", where),
        found["hold"] == "yes",
        _number(found, "display_hz", where),
    )
    _require_sense(stream, source, where)
    return stream


def _require_sense(stream: PhantomStream, source: SourceConfig, where: str) -> None:
    rate_hz = stream.recipe.frame_rate_hz
    assert rate_hz is not None
    if not is_rate(rate_hz):
        raise ConfigError(f"{where}: found rate_hz={rate_hz:g}, expected an X-ray pulse rate, as 15")
    if stream.display_hz and not rate_hz <= stream.display_hz <= MAX_RATE_HZ:
        raise ConfigError(f"{where}: found display_hz={stream.display_hz:g}, expected 0, or rate_hz to {MAX_RATE_HZ:g}")
    if not stream.hold and _LONGEST_PAUSE * stream.pause_s >= source.no_signal_s:
        raise ConfigError(
            f"{where}: pauses of up to {_LONGEST_PAUSE} x pause_s without a picture are longer than no_signal_s = "
            f"{source.no_signal_s:g}: raise no_signal_s, or use hold=yes"
        )


def _whole(found: dict[str, str], name: str, least: int, where: str) -> int:
    text = found[name]
    if not (text.isascii() and text.isdigit() and least <= int(text) <= 1 << 62):
        raise ConfigError(f"{where}: found {name}={text}, expected a whole number from {least}")
    return int(text)


def _number(found: dict[str, str], name: str, where: str) -> float:
    try:
        number = float(found[name])
    except ValueError:
        number = math.nan
    if not 0.0 <= number < 1e6:
        raise ConfigError(f"{where}: found {name}={found[name]}, expected a number from 0")
    return number
