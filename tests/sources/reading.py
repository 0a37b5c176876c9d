"""Reading an input in a test: in this process (fast, for what a header means) or through the sandbox (the real way)."""

from __future__ import annotations

import io
from pathlib import Path

from cathrt.runtime.config import LimitsConfig
from cathrt.runtime.frame import Frame, LostFrame, Run
from cathrt.runtime.sources.content import open_contents
from cathrt.runtime.sources.decoder.child import READERS
from cathrt.runtime.sources.decoder.sandbox import open_source
from cathrt.runtime.sources.discover import Input, discover
from cathrt.runtime.sources.messages import Request

LIMITS = LimitsConfig(decoder_memory_mib=768)


def read_here(path: Path, limits: LimitsConfig = LIMITS) -> tuple[Run, list[Frame | LostFrame]]:
    """Run the reader of one file in this process, unconfined: only for files the test itself made."""
    return read_input_here(only_input(path), limits)


def read_input_here(input_: Input, limits: LimitsConfig = LIMITS) -> tuple[Run, list[Frame | LostFrame]]:
    """read_here() of an input."""
    paths = tuple(path and str(path) for path in input_.paths)
    request = Request(input_.kind, input_.name, paths, limits, guessed=input_.guessed)
    contents = open_contents(request.paths, limits.max_file_mib)
    try:
        items = READERS[input_.kind]()(request, contents)
        run = next(items)
        assert isinstance(run, Run)
        return run, [item for item in items if not isinstance(item, Run)]
    finally:
        for content in contents:
            if isinstance(content, io.FileIO):
                content.close()


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
