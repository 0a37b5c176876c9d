"""Checks a documented command without running it: it exists, and its --help names every flag in use.

One function for each program that the pages call. Not for: commands that are quick enough to run (test_code_blocks.py).
"""

from __future__ import annotations

import ast
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from tests.docs.blocks import ROOT
from tests.e2e.commands import cathrt

_FLAG = re.compile(r"--[a-z][a-z0-9-]*|-[a-z]$")


def commands_in(text: str) -> Iterator[list[str]]:
    """The words of each command of a shell block: no comments, no redirections; parts of a pipe are commands too."""
    for line in text.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        words: list[str] = []
        redirected = False
        for word in lexer:
            if set(word) <= set("|&;"):
                yield words
                words = []
            elif set(word) <= set("<>&"):
                redirected = True
            elif redirected:
                redirected = False
            else:
                words.append(word)
        if words:
            yield words


def faults_of_command(words: Sequence[str]) -> list[str]:
    """What is wrong with a command, in words; nothing where it is right."""
    program, arguments = Path(words[0]).name, words[1:]  # a virtual environment's own by its path
    if program not in _PROGRAMS:
        return [f"{program}: expected one of {', '.join(sorted(_PROGRAMS))}"]
    return _PROGRAMS[program](arguments)


def _cathrt(arguments: Sequence[str]) -> list[str]:
    commands = []
    for word in arguments:
        if word.startswith("-") or not _help_of_cathrt((*commands, word)):
            break
        commands.append(word)
    if not commands and arguments[:1] not in (["--help"], ["--version"]):
        return [f"cathrt {' '.join(arguments[:1])}: no such command"]
    return _unknown_flags(f"cathrt {' '.join(commands)}", arguments, _help_of_cathrt(tuple(commands)))


@cache
def _help_of_cathrt(commands: tuple[str, ...]) -> str:
    done = cathrt(*commands, "--help")
    # A word that is an argument and no command: click prints the help of the command before it.
    named = "".join(f"{command} " for command in commands)
    return done.stdout if done.returncode == 0 and f"cathrt {named}[" in done.stdout else ""


def _python(arguments: Sequence[str]) -> list[str]:
    if arguments[0] == "-c":
        ast.parse(arguments[1])
        return []
    if arguments[0] != "-m" or find_spec(arguments[1]) is None:
        return [f"python {' '.join(arguments[:2])}: expected -m MODULE or -c CODE"]
    flags = [word for word in arguments[2:] if _FLAG.match(word)]
    if not flags:
        return []
    return _unknown_flags(f"python -m {arguments[1]}", flags, _help_of_module(arguments[1]))


@cache
def _help_of_module(module: str) -> str:
    command = [sys.executable, "-m", module, "--help"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


def _unknown_flags(command: str, arguments: Sequence[str], help_text: str) -> list[str]:
    flags = [word.partition("=")[0] for word in arguments if _FLAG.match(word)]
    known = set(re.findall(r"(?<![\w-])--?[a-z][a-z0-9-]*", help_text))
    return [f"{command}: {flag} is not in its --help" for flag in flags if flag not in known]


def _make(arguments: Sequence[str]) -> list[str]:
    targets = re.findall(r"^([a-z-]+):", Path(ROOT, "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    return [f"make {word}: no such target" for word in arguments if word not in targets]


def _pip(arguments: Sequence[str]) -> list[str]:
    project = tomllib.loads(Path(ROOT, "pyproject.toml").read_text(encoding="utf-8"))["project"]
    asked = [extra for word in arguments for names in re.findall(r"\[(.*)\]", word) for extra in names.split(",")]
    unknown = [extra for extra in asked if extra not in project["optional-dependencies"]]
    return [f"pip install: no extra {extra}" for extra in unknown] + ([] if arguments[0] == "install" else ["pip: ?"])


def _pytest(arguments: Sequence[str]) -> list[str]:
    paths = [word.partition("::")[0] for word in arguments if "/" in word]
    return [f"pytest: no {path}" for path in paths if not Path(ROOT, path).exists()]


def _any(arguments: Sequence[str]) -> list[str]:
    return []


_PROGRAMS: dict[str, Callable[[Sequence[str]], list[str]]] = {
    "cathrt": _cathrt,
    "python": _python,
    "make": _make,
    "pip": _pip,
    "pytest": _pytest,
    "git": _any,
    "cd": _any,
    "touch": _any,
    "apt-get": _any,
    **dict.fromkeys(("install", "sha256sum", "systemctl", "systemd-sysusers", "systemd-tmpfiles"), _any),
}
