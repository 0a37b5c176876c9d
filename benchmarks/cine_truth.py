"""What is known of real cine runs: the truth file, strictly read, and which run of a folder each entry is about.

docs/status.md has the schema. cine_truth.json beside this file tells of the one public run the benchmark is used on;
others bring their own. Not for: judging the runs (real_runs.py).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Ge
from pydantic import BeforeValidator

from cathrt.runtime.errors import ConfigError
from cathrt.runtime.outside.validation import faults_of
from cathrt.runtime.sources.discover import Input, discover

if TYPE_CHECKING:
    from pydantic import TypeAdapter

PUBLIC_TRUTH = Path(__file__).with_name("cine_truth.json")
FrameIndex = Annotated[int, Ge(0)]
FrameRange = tuple[FrameIndex, FrameIndex]


def _as_range(written: object) -> object:
    """A lone frame is a range of one; what is neither is left for the check that follows."""
    if isinstance(written, int) and not isinstance(written, bool):
        return written, written
    return tuple(written) if isinstance(written, list) else written


@dataclass(frozen=True, slots=True)
class CineTruth:
    """Of one run. Frames are 0-based.

    side: the artery injected, "none" where the run shows no opacified coronary at all: any key frame is false there.
    opacified: first and last frame in which a key frame would be right. best: first and last frame of each stretch that
    a reader would keep frames of; in the file a lone frame may stand for a stretch of one.
    """

    __pydantic_config__ = {"extra": "forbid", "strict": True}  # noqa: RUF012 (pydantic reads it from the class)
    side: Literal["left", "right", "none"]
    opacified: FrameRange | None = None
    best: tuple[Annotated[FrameRange, BeforeValidator(_as_range)], ...] = ()

    @property
    def best_frames(self) -> tuple[int, ...]:
        """Every frame of `best`, each once, in order."""
        return tuple(sorted({frame for first, last in self.best for frame in range(first, last + 1)}))


@dataclass(frozen=True, slots=True)
class Cine:
    """A run to judge. name: its path below the folder, as the truth file calls it (_name)."""

    name: str
    input: Input
    truth: CineTruth


def read_truth(path: Path) -> dict[str, CineTruth]:
    """Every entry of a truth file. Raises ConfigError naming each key that does not fit, found and expected."""
    from pydantic import ValidationError

    try:
        document = path.read_bytes()
    except OSError as exc:
        raise ConfigError(f"{path}: cannot be read ({exc.strerror}): give a truth file, see docs/status.md") from exc
    try:
        truths = _adapter().validate_json(document)
    except ValidationError as exc:
        raise ConfigError(f"{path}: {'; '.join(faults_of(exc))}: see docs/status.md for the form") from exc
    wrong = [f"{name}.{fault}" for name, truth in truths.items() if (fault := _fault(truth))]
    if wrong:
        raise ConfigError(f"{path}: " + "; ".join(wrong))
    return truths


def public_truth() -> dict[str, CineTruth]:
    """Of the one run that anyone can get. Its interval was read by eye: where the artery fills, to the run's end."""
    return read_truth(PUBLIC_TRUTH)


def find_cines(
    folder: Path, truths: Mapping[str, CineTruth], rate_hz: float | None = None
) -> tuple[list[Cine], list[str]]:
    """The runs below a folder, DICOM, video or numbered stills, each with its truth, and the names in `truths` that are
    not there. rate_hz: of runs that state none.

    Raises SourceError where the folder cannot be listed, ConfigError for a run without truth. Single stills are left
    alone.
    """
    inputs = {
        _name(folder, input_): input_
        for input_ in discover([folder], stills_are="run", rate_hz=rate_hz).inputs
        if input_.kind != "stills" or len(input_.paths) > 1
    }
    unknown = sorted(inputs.keys() - truths.keys())
    if unknown:
        raise ConfigError(
            f"{folder}: {len(unknown)} of {len(inputs)} runs have no truth, first {unknown[0]!r}: write it into the "
            "file given to --truth (docs/status.md), or move the run elsewhere"
        )
    return [Cine(name, input_, truths[name]) for name, input_ in inputs.items()], sorted(truths.keys() - inputs.keys())


def _name(folder: Path, input_: Input) -> str:
    """Path below the folder; of stills with their numbers as `cathrt replay` shows them: series2/frame_[1-60].png."""
    first = next(path for path in input_.paths if path is not None)
    last = first.name if len(input_.paths) == 1 else PurePosixPath(input_.name).name
    return (first.parent.relative_to(folder) / last).as_posix()


def check_length(cine: Cine, frame_count: int) -> None:
    """Raises ConfigError where the truth names frames that the run does not have."""
    ranges = (*cine.truth.best, *([cine.truth.opacified] if cine.truth.opacified else []))
    last = max((frame for range_ in ranges for frame in range_), default=-1)
    if last >= frame_count:
        raise ConfigError(
            f"truth of {cine.name} names frame {last}, expected 0 to {frame_count - 1}, the frames it has: frames "
            "count from 0; mend the truth file"
        )


def _fault(truth: CineTruth) -> str | None:
    if truth.side == "none":
        if truth.opacified is not None or truth.best:
            return 'opacified or best: found frames, expected none beside side "none": leave them out'
        return None
    if truth.opacified is None:
        return f'opacified: missing, expected [first, last] beside side "{truth.side}": add it'
    first, last = truth.opacified
    for key, (start, stop) in (("opacified", truth.opacified), *(("best", best) for best in truth.best)):
        if start > stop:
            return f"{key}: found {json.dumps([start, stop])}, expected first <= last: swap them"
        if start < first or stop > last:
            found = json.dumps([start, stop] if start < stop else [start])
            return f"{key}: found {found}, expected frames within opacified {json.dumps(truth.opacified)}: mend either"
    return None


@cache
def _adapter() -> TypeAdapter[dict[str, CineTruth]]:
    from pydantic import TypeAdapter

    return TypeAdapter(dict[str, CineTruth])
