"""What a file of ours may say to a person: its strings, with "…" in the place of each value.

Not for: which files are read, and where their words must be explained (test_operations_page.py).
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path


def sentences_in(path: Path, functions: set[str] | None = None) -> set[str]:
    """Strings with at least two words that stand in functions, docstrings left out. functions: those alone."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and (functions is None or node.name in functions):
            found |= set(_of_function(node))
    sentences = {text for text in found if re.search(r"[A-Za-z]{2,}([^A-Za-z]+[A-Za-z]|.?…)", text)}
    return {text for text in sentences if text[:1].strip(",: ")}


def _of_function(function: ast.FunctionDef) -> Iterator[str]:
    docstring = function.body[0].value if ast.get_docstring(function) else None  # type: ignore[attr-defined]
    inner = {id(part) for node in ast.walk(function) if isinstance(node, ast.JoinedStr) for part in ast.walk(node)}
    for node in ast.walk(function):
        if isinstance(node, ast.JoinedStr):
            yield _template(node)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inner | {id(docstring)}:
            yield node.value


def _template(node: ast.JoinedStr) -> str:
    return "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)
