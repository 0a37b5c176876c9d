"""Modules, files, tests and programs that pages, docstrings and comments name are there, under that name."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.conftest import ROOT

CODE = ("runtime", "export", "kernels", "benchmarks", "release", "tests")
SOURCES = {".py", ".cpp", ".hpp", ".cu", ".cuh", ".c", ".h"}


def pages() -> list[Path]:
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def sources() -> list[Path]:
    return [path for folder in CODE for path in sorted((ROOT / folder).rglob("*")) if path.suffix in SOURCES]


@cache
def texts() -> dict[str, str]:
    """What people read, by file: whole pages, and of Python its docstrings and comments."""
    found = {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in pages()}
    for path in sources():
        text = path.read_text(encoding="utf-8")
        found[str(path.relative_to(ROOT))] = "\n".join(prose_of(text)) if path.suffix == ".py" else text
    return found


def prose_of(text: str) -> Iterator[str]:
    yield from re.findall(r"(?:^|\s)#\s(.*)", text)
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            yield ast.get_docstring(node) or ""


def named(pattern: str) -> Iterator[tuple[str, str]]:
    for where, text in texts().items():
        for found in re.findall(pattern, text):
            yield where, found


def resolves(name: str) -> bool:
    """Whether a dotted name is a module, or something in one."""
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:end]))
        except ImportError:
            continue
        for part in parts[end:]:
            if not hasattr(found, part):
                return False
            found = getattr(found, part)
        return True
    return False


def test_dotted_names_of_ours_lead_somewhere() -> None:
    files = r"(?!(?:service|sysusers|tmpfiles|sysctl|conf|token|pem)\b)"  # cathrt.service is a file of systemd
    pattern = rf"\b(cathrt(?:\.{files}[A-Za-z_]\w*)+)"
    wrong = [f"{where}: {name}" for where, name in named(pattern) if not resolves(name)]
    assert not wrong, "\n".join(wrong)


def test_programs_that_are_started_by_module_exist() -> None:
    placeholders = {"module", "benchmarks.NAME"}
    wrong = [
        f"{where}: {name}"
        for where, name in named(r"python3? -m ([a-z_][\w.]*\w)")
        if name not in placeholders and importlib.util.find_spec(name) is None
    ]
    assert not wrong, "\n".join(wrong)


def test_paths_in_the_repository_exist() -> None:
    pattern = rf"(?<![\w/.])(?<!> )((?:{'|'.join(CODE)}|docs)/[\w./-]*\w)"
    wrong = [
        f"{where}: {name}"
        for where, name in named(pattern)
        if not re.search("[A-Z]{4}", name)  # a placeholder, such as BENCH
        and not (ROOT / name).exists()
        and not list(ROOT.glob(f"{name}*"))
    ]
    assert not wrong, "\n".join(wrong)


def test_files_that_are_named_without_their_folder_exist() -> None:
    known = {path.name for path in sources()} | {path.name for path in pages()}
    pattern = r"(?<![\w/.<-])((?:[a-z_0-9]+/)*[a-z_0-9]+\.(?:py|cpp|hpp|cu|cuh))\b"
    wrong = [f"{where}: {name}" for where, name in named(pattern) if Path(name).name not in known]
    assert not wrong, "\n".join(wrong)


def test_tests_that_are_named_exist() -> None:
    known = {name for path in sources() for name in re.findall(r"def (test_\w+)", path.read_text(encoding="utf-8"))}
    wrong = [
        f"{where}: {name}"
        for where, name in named(r"`(test_\w+)…?`")
        if not any(found.startswith(name) for found in known) and not list((ROOT / "tests").rglob(f"{name}.py"))
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("page", pages(), ids=lambda path: path.name)
def test_a_module_noted_beside_a_line_of_code_has_what_the_line_calls(page: Path) -> None:
    wrong = []
    for code, module in re.findall(r"^(.+?)\s+# (cathrt(?:\.\w+)+)$", page.read_text(encoding="utf-8"), re.MULTILINE):
        called = re.findall(r"(?<![.\w])([a-zA-Z_]\w+)\(", code)
        if not any(hasattr(importlib.import_module(module), name) for name in called):
            wrong.append(f"{module} has none of {called}")
    assert not wrong
