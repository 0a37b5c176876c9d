"""Reading an input in a test: in this process (fast, for what a header means) or through the sandbox (the real way)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from cathrt.runtime.config import LimitsConfig
from cathrt.runtime.frame import Frame, LostFrame, Run
from cathrt.runtime.sources.child import READERS
from cathrt.runtime.sources.discover import Input, discover
from cathrt.runtime.sources.messages import Request
from cathrt.runtime.sources.sandbox import open_source

LIMITS = LimitsConfig(decoder_memory_mib=768)


def read_here(path: Path, limits: LimitsConfig = LIMITS) -> tuple[Run, list[Frame | LostFrame]]:
    """Run the reader of one file in this process, unconfined: only for files the test itself made."""
    (input_,) = discover([path]).inputs
    items: Iterator[Run | Frame | LostFrame] = READERS[input_.kind](
        Request(input_.kind, input_.name, tuple(map(str, input_.paths)), limits)
    )
    run = next(items)
    assert isinstance(run, Run)
    return run, [item for item in items if not isinstance(item, Run)]


def read_bytes_here(folder: Path, data: bytes, limits: LimitsConfig = LIMITS) -> tuple[Run, list[Frame | LostFrame]]:
    """read_here() of a DICOM file with this content."""
    path = folder / "run.dcm"
    path.write_bytes(data)
    return read_here(path, limits)


def read_sandboxed(input_: Input, limits: LimitsConfig = LIMITS) -> tuple[Run, list[Frame | LostFrame]]:
    """Open, read and close, as the line does."""
    source = open_source(input_, limits)
    try:
        return source.run, list(source.frames())
    finally:
        source.close()


def only_input(path: Path) -> Input:
    """The one input that discover() makes of a path."""
    (input_,) = discover([path]).inputs
    return input_
