"""Reaching the files of a bundle without trusting the folder: names, links, file types.

POSIX only: directory descriptors and O_NOFOLLOW. Not for: hashes (verified_file.py) and what the files say (check.py,
onnx_file.py).
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from cathrt.runtime.errors import ManifestError

MANIFEST = "manifest.json"
SIGNATURE = "manifest.sig"

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+-]*(/[A-Za-z0-9_][A-Za-z0-9._+-]*)*", re.ASCII)
_NAME_LENGTH = 200


def check_name(name: str) -> None:
    """Accept a plain relative POSIX name ("model.onnx", "tokenizer/vocab.json"), refuse every other spelling.

    An allow list, so absolute, parent, hidden and empty parts, backslashes, drive letters, blanks, control characters
    and look-alike letters need no rule of their own. Raises ManifestError.
    """
    if len(name) > _NAME_LENGTH or not _NAME.fullmatch(name):
        raise ManifestError(
            f"file name {name[:_NAME_LENGTH]!r}: expected a relative name of letters, digits and ._+- with no part "
            "empty or starting with a dot: rename the file and sign the bundle again"
        )


@contextmanager
def opened_folder(path: Path) -> Iterator[int]:
    """Descriptor of the bundle's own folder. A link in its place is refused with ManifestError."""
    try:
        folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError as exc:
        if path.is_symlink():
            raise ManifestError(f"{path}: is a symbolic link: name the folder that it points to") from exc
        raise ManifestError(f"{path}: {_reason(exc)}, expected a bundle: name the folder that export wrote") from exc
    try:
        yield folder
    finally:
        os.close(folder)


def open_file(folder: int, name: str) -> int:
    """Descriptor of a regular file under the folder, reached without following a link in any part of its name.

    The caller closes it. Raises ManifestError for whatever is no such file.
    """
    with _opened_parent(folder, name) as parent:
        try:
            # O_NONBLOCK: opening a pipe must not wait for its writer. It changes nothing for a regular file.
            file = os.open(name.rpartition("/")[2], os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=parent)
        except OSError as exc:
            raise _refusal(name, exc) from exc
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise ManifestError(f"{name}: is no regular file: a bundle holds plain files only, write it again")
    return file


def read_file(folder: int, name: str, *, max_bytes: int) -> bytes:
    """The whole of a small file. Raises ManifestError where it is missing, a link, no plain file or too large."""
    with os.fdopen(open_file(folder, name), "rb") as stream:
        data = stream.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise ManifestError(f"{name}: larger than the {max_bytes} bytes allowed: this is no {name} that export wrote")
    return data


def check_nothing_unlisted(folder: int, listed: Collection[str]) -> None:
    """Walk the folder and refuse the first thing in it that is neither listed nor the way to something listed."""
    files = {MANIFEST, SIGNATURE, *listed}
    folders = {name[:end] for name in listed for end in range(len(name)) if name[end] == "/"}
    _walk(folder, "", files, folders)


def _walk(folder: int, prefix: str, files: set[str], folders: set[str]) -> None:
    with os.scandir(folder) as entries:
        for entry in entries:
            name = prefix + entry.name
            if name in folders:
                with _opened_parent(folder, entry.name + "/") as child:
                    _walk(child, name + "/", files, folders)
            elif name not in files:
                raise ManifestError(f"{name!r}: is not in the manifest: remove it, or sign it with the rest")


@contextmanager
def _opened_parent(folder: int, name: str) -> Iterator[int]:
    """Descriptor of the folder that holds the last part of the name, each part opened without following links."""
    here = os.dup(folder)
    try:
        for part in name.split("/")[:-1]:
            try:
                below = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=here)
            except OSError as exc:
                raise _refusal(name, exc) from exc
            os.close(here)
            here = below
        yield here
    finally:
        os.close(here)


def _refusal(name: str, exc: OSError) -> ManifestError:
    return ManifestError(f"{name}: {_reason(exc)}, expected a plain file of the bundle: fetch the bundle again")


def _reason(exc: OSError) -> str:
    if exc.errno == errno.ENOENT:
        return "is missing"
    if exc.errno == errno.ELOOP:
        return "is a symbolic link"
    if exc.errno == errno.ENOTDIR:
        return "is not a folder, or a part of it is a symbolic link"
    return f"cannot be read ({exc.strerror})"
