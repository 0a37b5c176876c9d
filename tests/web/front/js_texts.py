"""What the page's own JavaScript says in strings: keys of words, paths, imports. Read by pattern: no test needs more.

Not for: what the vendored files say.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

from tests.conftest import ROOT

STATIC = ROOT / "runtime" / "web" / "static"
_STRING = re.compile(r'"((?:[^"\\\n]|\\.)*)"')
_TEMPLATE = re.compile(r"`([^`$]*)\$\{")
_SAID = re.compile(r"\bsay(?:In)?\(")
_NAMED = re.compile(r'\bsayName\("(\w+)"')


def scripts() -> list[Path]:
    """The page's own scripts."""
    return [path for path in sorted((STATIC / "js").rglob("*.js")) if "vendor" not in path.parts]


def words(language: str) -> dict[str, str]:
    """Every word of a language, by key."""
    text = (STATIC / "words" / f"{language}.json").read_text(encoding="utf-8")
    found: dict[str, str] = json.loads(text, object_pairs_hook=_once)
    return found


def code(path: Path) -> str:
    """A script without its comments; line numbers stay."""
    text = path.read_text(encoding="utf-8")
    without = re.sub(r"/\*.*?\*/", lambda found: "\n" * found.group().count("\n"), text, flags=re.DOTALL)
    return re.sub(r"(?m)(^|\s)//.*$", r"\1", without)


def strings() -> set[str]:
    """Every plain string of the page's scripts."""
    return {text for path in scripts() for text in _STRING.findall(code(path))}


def beginnings() -> set[str]:
    """What stands before the first value in templates, and groups of sayName: keys that begin so count as used."""
    found = {
        text for path in scripts() for text in _TEMPLATE.findall(code(path)) if re.fullmatch(r"[a-z]+\.(\w+_)?", text)
    }
    return found | {f"{group}." for path in scripts() for group in _NAMED.findall(code(path))}


def keys_said() -> set[str]:
    """Every key that is written out in a call of say, or as the words of a key of the keyboard."""
    found: set[str] = set()
    for path in scripts():
        text = code(path)
        for call in _SAID.finditer(text):
            found |= {
                key for key in _STRING.findall(_inside(text, call.end())) if re.fullmatch(r"[a-z]+(\.\w+)+|notice", key)
            }
        found |= set(re.findall(r'words: "([^"]+)"', text))
    return found


def _inside(text: str, start: int) -> str:
    """What stands between the bracket before `start` and its partner."""
    depth = 1
    for place in range(start, len(text)):
        depth += {"(": 1, ")": -1}.get(text[place], 0)
        if depth == 0:
            return text[start:place]
    return text[start:]


def _once(pairs: list[tuple[str, str]]) -> dict[str, str]:
    keys = [key for key, _ in pairs]
    twice = {key for key in keys if keys.count(key) > 1}
    assert not twice, f"keys that stand there twice: {sorted(twice)}"
    return dict(pairs)


def imports(path: Path) -> Iterator[str]:
    """What a script imports, as it is written."""
    yield from re.findall(r'(?m)^(?:import|export)\b[^;]*?from "([^"]+)"', code(path))
