"""What is there to read: files and folders become inputs, one per run, and a list of what is no input and why.

Looks at names and the first bytes only. Not for: opening anything (sandbox.py) or judging content (the decoder does).
"""

from __future__ import annotations

import os
import re
import stat
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Literal

from cathrt.runtime.errors import SourceError
from cathrt.runtime.sources.input_names import distinct_names, shown_name
from cathrt.runtime.sources.still_sequences import StillsAre, sequences_of

InputKind = Literal["dicom", "video", "stills"]


class UnlikeStillsError(SourceError):
    """The stills of a guessed sequence are no run; each may still be read alone."""


_KIND_OF_SUFFIX: dict[str, InputKind] = {
    **dict.fromkeys((".dcm", ".dicom", ".ima"), "dicom"),
    **dict.fromkeys((".mp4", ".avi", ".mkv", ".mov"), "video"),
    **dict.fromkeys((".png", ".bmp", ".tif", ".tiff", ".jpg", ".jpeg", ".j2k", ".j2c", ".jls"), "stills"),
}
# A data set without preamble begins with the group length or the first element of group 2 or 8, little endian.
_BARE_DATA_SET = re.compile(rb"(?s)(\x02\x00[\x00\x01\x02\x10]\x00|\x08\x00[\x00\x01\x05\x08\x12-\x18]\x00)")
_NAMED = 3  # files of those passed over for one reason


@dataclass(frozen=True, slots=True)
class Input:
    """One run to open. paths: one file, or the stills of a sequence in order; None is a still missing from it.

    name: its path below the folder given, with more folders where others have the same, as it may be shown.
    refused: why it cannot be read, known before it is opened; opening it raises SourceError.
    guessed: a sequence by its names alone; opening it raises SeveralRunsError where its stills are not alike.
    rate_hz: the caller's, for an input that states none.
    """

    kind: InputKind
    name: str
    paths: tuple[Path | None, ...]
    refused: str | None = None
    guessed: bool = False
    rate_hz: float | None = None


@dataclass(frozen=True, slots=True)
class Ignored:
    """A file that was found but is no input, and why."""

    path: Path
    reason: str


@dataclass(frozen=True, slots=True)
class Discovery:
    """Everything found, nothing silently: inputs in reading order, and the files left alone."""

    inputs: tuple[Input, ...]
    ignored: tuple[Ignored, ...]


def discover(paths: Iterable[Path | str], *, stills_are: StillsAre = "auto", rate_hz: float | None = None) -> Discovery:
    """Find the runs in files and folders (recursively, in natural order; the same file twice counts once).

    A file named by the caller is always an input: what its suffix and first bytes do not tell is taken for DICOM, so
    that it ends in a run or in a refusal that says why. In folders, other files are ignored and listed. Symbolic links
    that lead out of the folder are not followed.
    What cannot be read is an input that is refused when it is opened, named or found: the others are read all the same.
    stills_are: how the stills of a folder become runs (sequences_of). rate_hz: for inputs that state none.
    """
    found: list[_Found] = []
    ignored: list[Ignored] = []
    seen: set[str] = set()
    for given in map(Path, paths):
        why_not = _why_not(given)
        if why_not is not None:
            found += [_Found(given, 1, "dicom", (given,), why_not)] if _first_time(given, seen) else []
        elif given.is_dir():
            refused: list[_Found] = []
            files = [path for path in _walk(given, ignored, refused) if _first_time(path, seen)]
            found += _found_in_folder(given, files, ignored, refused, stills_are)
        elif _first_time(given, seen):
            found.append(_Found(given, 1, kind_of(given) or "dicom", (given,)))
    names = distinct_names([(one.path, one.parts) for one in found])
    inputs = (
        Input(one.kind, name, one.paths, one.refused, one.guessed, rate_hz)
        for one, name in zip(found, names, strict=True)
    )
    return Discovery(tuple(inputs), tuple(ignored))


def require_inputs(found: Discovery, paths: Iterable[Path | str]) -> None:
    """Raise SourceError where there is nothing to open. paths: what was given, to be named."""
    if not found.inputs:
        raise SourceError(f"{', '.join(map(str, paths))}: no X-ray run found: give DICOM, video or still-image files")


def single_stills(sequence: Input) -> tuple[Input, ...]:
    """The stills of a sequence, each as an input of its own."""
    folder = PurePosixPath(sequence.name).parent
    return tuple(
        replace(sequence, name=str(folder / shown_name(path)), paths=(path,), guessed=False)
        for path in sequence.paths
        if path is not None
    )


def passed_over(ignored: Sequence[Ignored]) -> list[str]:
    """One line for each reason: how many files, and the names of the first."""
    of_reason: dict[str, list[str]] = defaultdict(list)
    for one in ignored:
        of_reason[one.reason].append(shown_name(one.path))
    return [
        f"ignored {len(names)} {'file' if len(names) == 1 else 'files'}: {reason} "
        f"({', '.join(names[:_NAMED])}{', ...' if len(names) > _NAMED else ''})"
        for reason, names in of_reason.items()
    ]


@dataclass(frozen=True, slots=True)
class _Found:
    """An input before it has its name. path: its place. parts: of the end of it that are its name at least."""

    path: Path
    parts: int
    kind: InputKind
    paths: tuple[Path | None, ...]
    refused: str | None = None
    guessed: bool = False


def _why_not(given: Path) -> str | None:
    """Why what the caller has named is no input; None for a folder, and for a file, of which its decoder will say."""
    try:
        mode = given.stat().st_mode
    except FileNotFoundError:
        return "no such file or folder: check the path"
    except OSError as exc:
        return f"cannot be opened ({exc.strerror}): check the path"
    if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
        return None
    return "not a regular file: give DICOM, a video or stills"


def _first_time(path: Path, seen: set[str]) -> bool:
    before = len(seen)
    seen.add(os.path.realpath(path))  # which also takes links that lead round in a circle
    return len(seen) > before


def _walk(folder: Path, ignored: list[Ignored], refused: list[_Found]) -> Iterator[Path]:
    """Regular files below a folder in natural order; links leaving it and special files go to `ignored`, what cannot be
    listed to `refused`."""
    root = Path(os.path.realpath(folder))

    def unlisted(exc: OSError) -> None:
        path = Path(exc.filename)
        why_not = f"cannot be listed ({exc.strerror}): make it readable or leave it out"
        refused.append(_Found(path, _parts_below(folder, path), "dicom", (path,), why_not))

    for parent, folders, names in os.walk(folder, onerror=unlisted, followlinks=False):
        folders.sort(key=_natural)
        for name in list(folders):
            if os.path.islink(path := Path(parent, name)):
                ignored.append(Ignored(path, "a link to a folder"))
        for name in sorted(names, key=_natural):
            path = Path(parent, name)
            if not Path(os.path.realpath(path)).is_relative_to(root):
                ignored.append(Ignored(path, "a link that leads out of the folder"))
                continue
            try:
                regular = stat.S_ISREG(path.stat().st_mode)
            except OSError:
                regular = not path.is_symlink()  # a link that leads nowhere; of any other file its decoder says why
            if regular:
                yield path
            else:
                ignored.append(Ignored(path, "not a regular file"))


def _found_in_folder(
    folder: Path, files: list[Path], ignored: list[Ignored], refused: list[_Found], stills_are: StillsAre
) -> list[_Found]:
    """The inputs among the files below a folder, and those refused already, in reading order."""
    found = list(refused)
    stills: list[Path] = []
    for path in files:
        if path.name.upper() == "DICOMDIR":
            ignored.append(Ignored(path, "a DICOM directory; the files it lists are read themselves"))
            continue
        kind = kind_of(path)
        if kind is None:
            ignored.append(Ignored(path, "neither DICOM, nor a video, nor a still by suffix or first bytes"))
        elif kind == "stills":
            stills.append(path)
        else:
            found.append(_Found(path, _parts_below(folder, path), kind, (path,)))
    for sequence in sequences_of(stills, stills_are):
        parts = _parts_below(folder, sequence.path)
        if len(sequence.stills) > 1:
            parts = max(parts, 2)  # a run of stills is known by its folder
        found.append(_Found(sequence.path, parts, "stills", sequence.stills, guessed=sequence.guessed))
    return sorted(found, key=lambda one: [_natural(part) for part in str(_first_path(one)).split(os.sep)])


def _parts_below(folder: Path, path: Path) -> int:
    return max(len(path.parts) - len(folder.parts), 1)


def kind_of(path: Path) -> InputKind | None:
    """What a regular file is by its suffix, else by its first bytes. DICOM where it cannot be read: that is refused."""
    if kind := _KIND_OF_SUFFIX.get(path.suffix.lower()):
        return kind
    try:
        with path.open("rb") as file:
            head = file.read(132)
    except OSError:
        return "dicom"
    return "dicom" if head[128:] == b"DICM" or _BARE_DATA_SET.match(head) else None


def _first_path(found: _Found) -> Path:
    return next(path for path in found.paths if path is not None)


def _natural(name: str) -> list[tuple[int, int, str]]:
    """Sort key under which frame9 comes before frame10."""
    parts = re.split(r"(\d{1,18})", name)
    return [(0, int(part), "") if index % 2 else (1, 0, part.casefold()) for index, part in enumerate(parts)]
