"""Puts a public key into trust.keys of a configuration file and leaves everything else in the file as it was written.

Not for: reading the configuration (runtime/config.py), or what a key is (bundle/keys.py).
"""

from __future__ import annotations

import json
import os
import re
import shutil
import tomllib
from pathlib import Path

from cathrt.runtime.bundle.keys import PublicKey
from cathrt.runtime.errors import ConfigError
from cathrt.runtime.outside.output_files import whole_file

_TABLE = re.compile(r"^[ \t]*\[[ \t]*trust[ \t]*\][ \t]*(?:#[^\n]*)?\r?$", re.MULTILINE)
_ARRAY = re.compile(r"^[ \t]*(?:trust[ \t]*\.[ \t]*)?keys[ \t]*=[ \t]*\[", re.MULTILINE)
_NEXT_TABLE = re.compile(r"^[ \t]*\[", re.MULTILINE)


def trust(path: Path, key: PublicKey) -> None:
    """Write the key into the file, which is made where it is missing. The file is replaced as a whole or not at all.

    Raises ConfigError where the file cannot be read or is written in a way that this edit does not know, SinkError
    where it cannot be written. The caller has seen that the key is not in it.
    """
    path = path.resolve()  # a link stays one
    there = os.path.exists(path)
    text = with_key(path.read_bytes().decode("utf-8") if there else "", key, str(path))
    with whole_file(path, "--config") as part:
        with part.open("wb") as file:
            file.write(text.encode("utf-8"))
            file.flush()
            os.fsync(file.fileno())
        if there:
            shutil.copymode(path, part)


def with_key(text: str, key: PublicKey, name: str) -> str:
    """The TOML text with one more entry in trust.keys, first in the array. name: of the file, for the error."""
    before = tomllib.loads(text)
    after = _edited(text, json.dumps(key.text, ensure_ascii=False))
    table = before.get("trust", {})
    wanted = {**before, "trust": {**table, "keys": [key.text, *table.get("keys", [])]}}
    try:
        found = tomllib.loads(after)
    except tomllib.TOMLDecodeError:
        found = None
    if found != wanted:  # an inline table, or a text that looks like a table
        raise ConfigError(f'{name}: trust.keys is not written as a plain array: add "{key.text}" to it by hand')
    return after


def _edited(text: str, entry: str) -> str:
    """The text with the entry where trust.keys most likely is; the caller checks what came out."""
    table = _TABLE.search(text)
    if table is None:
        if dotted := re.search(r"^[ \t]*trust[ \t]*\.[ \t]*keys[ \t]*=[ \t]*\[", text, re.MULTILINE):
            return _with_entry(text, dotted.end(), entry)
        ended = text if not text or text.endswith("\n") else f"{text}\n"
        return f"{ended}{chr(10) if ended else ''}[trust]\nkeys = [\n  {entry},\n]\n"
    following = _NEXT_TABLE.search(text, table.end())
    array = _ARRAY.search(text, table.end(), len(text) if following is None else following.start())
    if array is None:
        return f"{text[: table.end()]}\nkeys = [\n  {entry},\n]{text[table.end() :]}"
    return _with_entry(text, array.end(), entry)


def _with_entry(text: str, place: int, entry: str) -> str:
    """place: behind the opening bracket. In an array of one line the entry joins that line."""
    rest = text[place:].partition("\n")[0].strip()
    new = f"\n  {entry}," if not rest or rest.startswith("#") else f"{entry}, "
    return text[:place] + new + text[place:]
