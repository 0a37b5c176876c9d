"""What is there to read: files and folders become inputs, one per run, and a list of what is no input and why.

Looks at names and the first bytes only. Not for: opening anything (sandbox.py) or judging content (the decoder does).
"""

from __future__ import annotations

import os
import re
import stat
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

InputKind = Literal["dicom", "video", "stills"]

_KIND_OF_SUFFIX: dict[str, InputKind] = {
    **dict.fromkeys((".dcm", ".dicom", ".ima"), "dicom"),
    **dict.fromkeys((".mp4", ".avi", ".mkv", ".mov"), "video"),
    **dict.fromkeys((".png", ".bmp", ".tif", ".tiff", ".jpg", ".jpeg", ".j2k", ".j2c", ".jls"), "stills"),
}
# A data set without preamble begins with the group length or the first element of group 2 or 8, little endian.
_BARE_DATA_SET = re.compile(rb"(?s)(\x02\x00[\x00\x01\x02\x10]\x00|\x08\x00[\x00\x01\x05\x08\x12-\x18]\x00)")
_LAST_NUMBER = re.compile(r"(?s)(.*?)(\d{1,9})(\D*)\Z")
_SEQUENCE_DENSITY = 0.5


@dataclass(frozen=True, slots=True)
class Input:
    """One run to open. paths: one file, or the stills of a sequence in order; None is a still missing from it.

    refused: why it cannot be read, known before it is opened; opening it raises SourceError.
    """

    kind: InputKind
    name: str
    paths: tuple[Path | None, ...]
    refused: str | None = None


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


def discover(paths: Iterable[Path | str]) -> Discovery:
    """Find the runs in files and folders (recursively, in natural order; the same file twice counts once).

    A file named by the caller is always an input: what its suffix and first bytes do not tell is taken for DICOM, so
    that it ends in a run or in a refusal that says why. In folders, other files are ignored and listed. Symbolic links
    that lead out of the folder are not followed. Stills: see _group_stills.
    What cannot be read is an input that is refused when it is opened, named or found: the others are read all the same.
    """
    inputs: list[Input] = []
    ignored: list[Ignored] = []
    seen: set[str] = set()
    for given in map(Path, paths):
        why_not = _why_not(given)
        if why_not is not None:
            inputs += [_refused(given, why_not)] if _first_time(given, seen) else []
        elif given.is_dir():
            refused: list[Input] = []
            found = [path for path in _walk(given, ignored, refused) if _first_time(path, seen)]
            inputs += _inputs_in_folder(given, found, ignored, refused)
        elif _first_time(given, seen):
            inputs.append(Input(_kind(given) or "dicom", shown_name(given), (given,)))
    return Discovery(tuple(inputs), tuple(ignored))


def shown_name(path: Path) -> str:
    """The file's name as it may be shown: no control characters, no undecodable bytes, at most 120 characters."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in path.name or str(path))[:120]


def _refused(path: Path, why_not: str) -> Input:
    return Input("dicom", shown_name(path), (path,), why_not)


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


def _walk(folder: Path, ignored: list[Ignored], refused: list[Input]) -> Iterator[Path]:
    """Regular files below a folder in natural order; links leaving it and special files go to `ignored`, what cannot be
    listed to `refused`."""
    root = Path(os.path.realpath(folder))

    def unlisted(exc: OSError) -> None:
        path = Path(exc.filename)
        refused.append(_refused(path, f"cannot be listed ({exc.strerror}): make it readable or leave it out"))

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


def _inputs_in_folder(folder: Path, found: list[Path], ignored: list[Ignored], refused: list[Input]) -> list[Input]:
    """The inputs among the files found below a folder, and those refused already, in reading order."""
    inputs = list(refused)
    kinds: dict[Path, InputKind] = {}
    for path in found:
        if path.name.upper() == "DICOMDIR":
            ignored.append(Ignored(path, "a DICOM directory; the files it lists are read themselves"))
            continue
        kind = _kind(path)
        if kind is None:
            ignored.append(Ignored(path, "neither DICOM, nor a video, nor a still by suffix or first bytes"))
        else:
            kinds[path] = kind
    inputs += [
        Input(kind, shown_name(path.relative_to(folder)), (path,)) for path, kind in kinds.items() if kind != "stills"
    ]
    inputs += _group_stills([path for path, kind in kinds.items() if kind == "stills"])
    return sorted(inputs, key=lambda input_: [_natural(part) for part in str(_first_path(input_)).split(os.sep)])


def _group_stills(stills: list[Path]) -> list[Input]:
    """Stills of one folder whose names differ only in their last number are a sequence, if the numbers are dense.

    Dense: at least half of the numbers from first to last are there (exported frames are consecutive; numbered stills
    of different patients, as in a training set, are not). A number that is missing becomes a lost frame of the run.
    Every other still is a run of one frame.
    """
    groups: dict[tuple[Path, str, str, str], dict[int, Path]] = defaultdict(dict)
    inputs: list[Input] = []
    for path in stills:
        match = _LAST_NUMBER.match(path.stem)
        numbered = groups[path.parent, match[1], match[3], path.suffix.lower()] if match else None
        if match is None or numbered is None or int(match[2]) in numbered:
            inputs.append(Input("stills", shown_name(path), (path,)))
        else:
            numbered[int(match[2])] = path
    for (folder, before, after, suffix), numbered in groups.items():
        first, last = min(numbered), max(numbered)
        if len(numbered) > 1 and len(numbered) >= _SEQUENCE_DENSITY * (last - first + 1):
            name = shown_name(folder / f"{before}[{first}-{last}]{after}{suffix}")
            inputs.append(Input("stills", name, tuple(numbered.get(n) for n in range(first, last + 1))))
        else:
            inputs += [Input("stills", shown_name(path), (path,)) for path in numbered.values()]
    return inputs


def _kind(path: Path) -> InputKind | None:
    """What a regular file is by its suffix, else by its first bytes. DICOM where it cannot be read: that is refused."""
    if kind := _KIND_OF_SUFFIX.get(path.suffix.lower()):
        return kind
    try:
        with path.open("rb") as file:
            head = file.read(132)
    except OSError:
        return "dicom"
    return "dicom" if head[128:] == b"DICM" or _BARE_DATA_SET.match(head) else None


def _first_path(input_: Input) -> Path:
    return next(path for path in input_.paths if path is not None)


def _natural(name: str) -> list[tuple[int, int, str]]:
    """Sort key under which frame9 comes before frame10."""
    parts = re.split(r"(\d{1,18})", name)
    return [(0, int(part), "") if index % 2 else (1, 0, part.casefold()) for index, part in enumerate(parts)]
