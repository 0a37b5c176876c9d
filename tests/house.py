"""The floor plan of the wheel: its rooms, its floors, its arrows of import, and who names a model.

`python -m tests.house [--json]` prints it; tests/test_architecture.py holds it to its limits. A room is a folder of the
wheel down to the second level below the package, or a file that stands directly in the package (a noun). The floor of
a room is one more than the highest floor that it imports from. Not for: what a single file imports
(test_architecture.py).
"""

from __future__ import annotations

import argparse
import ast
import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_OF_LIBRARIES = frozenset({"Generic", "generic"})  # typing.Generic, numpy.generic: no kind, whatever one is called
DEPTH = 2  # folders below the package that count as rooms of their own
# Kinds whose name is an everyday word: there are reports of exports, of health, of doses, studies everywhere, and a
# product of a study reader that is called generic. Of such a kind a file knows what it imports from its folders, and
# every name that a file of these folders gives and that begins with the kind.
EVERYDAY = frozenset({"report", "study", "generic"})
# The tables in which a model may be named outside its folders.
TABLES = {"runtime/models/__init__.py", "export/models/__init__.py"}


@dataclass(frozen=True, slots=True)
class House:
    """One package of the wheel.

    rooms: imports between rooms, by room. floors: of each room, lowest 1; empty where there is a circle.
    circles: groups of rooms that import each other in a ring; file_circles: the same of single modules.
    """

    package: str
    files: int
    rooms: dict[str, list[str]]
    floors: dict[str, int]
    circles: list[list[str]]
    file_circles: list[list[str]]

    @property
    def height(self) -> int:
        """Rooms in the longest chain of imports."""
        return max(self.floors.values(), default=0)


def wheel_modules() -> dict[str, Path]:
    """Every module that the wheel holds, by its dotted name, with the file it is built from."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    modules: dict[str, Path] = {}
    for inside, source in project["tool"]["scikit-build"]["wheel"]["packages"].items():
        for path in sorted((ROOT / source).rglob("*.py")):
            parts = (*Path(inside).parts, *path.relative_to(ROOT / source).with_suffix("").parts)
            modules[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return modules


def imports_of(path: Path, modules: Mapping[str, Path]) -> set[str]:
    """The modules of the wheel that a file imports, at its top, inside a function or for types alone."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                deeper = f"{node.module}.{alias.name}"
                found.add(deeper if deeper in modules else node.module)
    return found & modules.keys()


def house(package: str) -> House:
    """The plan of cathrt.<package>."""
    modules = wheel_modules()
    own = {name: path for name, path in modules.items() if name.split(".")[1] == package}
    arrows = {name: imports_of(path, modules) & own.keys() - {name} for name, path in own.items()}
    rooms: dict[str, set[str]] = {}
    for name, targets in arrows.items():
        room = _room(own[name])
        if room is None:
            continue
        reached = {_room(own[target]) for target in targets}
        rooms.setdefault(room, set()).update(other for other in reached if other not in (None, room))  # type: ignore[misc]
    circles = _circles(rooms)
    return House(
        package=package,
        files=len(own),
        rooms={room: sorted(targets) for room, targets in sorted(rooms.items())},
        floors=_floors(rooms) if not circles else {},
        circles=circles,
        file_circles=_circles(arrows),
    )


def kinds() -> tuple[str, ...]:
    """The kinds of model that the runtime's table names."""
    from cathrt.runtime.models import MODELS

    return tuple(MODELS)


def files_that_name(kind: str, package: str | None = None) -> list[str]:
    """Files of runtime and export, or of one of them, that know a kind of model outside its folders and the tables.

    A file knows it by importing from its folder, by a string that is its name, or by a name in the code that begins
    with it, as KeyframeFinding or keyframe_recipe do. Of an everyday word: see EVERYDAY.
    """
    folders = tuple(f"{package}/models/{kind}/" for package in ("runtime", "export"))
    beginning = re.compile(rf"_*{re.escape(kind)}(?![a-z])|_*{re.escape(kind.capitalize())}(?![a-z])")
    if kind in EVERYDAY:
        given = sorted(name for name in _names_given(folders) if beginning.match(name) and name.lower() != kind)
        beginning = re.compile("|".join(rf"{re.escape(name)}\Z" for name in given) or r"(?!)")
    knowing = []
    for name, path in wheel_modules().items():
        where = path.relative_to(ROOT).as_posix()
        if name.split(".")[1] not in ((package,) if package else ("runtime", "export")):
            continue
        if where in TABLES or where.startswith(folders):
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        if any(_knows(node, kind, beginning) for node in ast.walk(tree)):
            knowing.append(where)
    return knowing


def _names_given(folders: tuple[str, ...]) -> set[str]:
    """Names of classes and functions that stand at the top of the files in these folders."""
    return {
        node.name
        for path in wheel_modules().values()
        if path.relative_to(ROOT).as_posix().startswith(folders)
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.ClassDef | ast.FunctionDef)
    }


def _knows(node: ast.AST, kind: str, beginning: re.Pattern[str]) -> bool:
    if isinstance(node, ast.ImportFrom | ast.Import):
        named = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        named += [f"{prefix}{alias.name}" for alias in node.names for prefix in ("", *(f"{n}." for n in named))]
        return any(f".models.{kind}" in f".{name}." or f".models.{kind}." in name for name in named)
    if isinstance(node, ast.Constant):
        return node.value == kind and kind not in EVERYDAY
    name = getattr(node, "id", None) or getattr(node, "attr", None) or getattr(node, "name", None)
    return isinstance(name, str) and name not in _OF_LIBRARIES and beginning.match(name) is not None


def _room(path: Path) -> str | None:
    """The room of a file by its folder; None for the package's own __init__.py."""
    parts = path.relative_to(ROOT).parts
    if len(parts) == 2:
        return None if parts[1] == "__init__.py" else "/".join(parts)
    return "/".join(parts[:-1][: 1 + DEPTH])


def _circles(arrows: Mapping[str, set[str]]) -> list[list[str]]:
    @cache
    def reached(start: str) -> frozenset[str]:
        seen, waiting = set[str](), [start]
        while waiting:
            new = arrows.get(waiting.pop(), set()) - seen
            seen |= new
            waiting += new
        return frozenset(seen)

    rings = {tuple(sorted(other for other in reached(name) if name in reached(other))) for name in arrows}
    return [list(ring) for ring in sorted(rings) if ring]


def _floors(rooms: Mapping[str, set[str]]) -> dict[str, int]:
    @cache
    def floor(room: str) -> int:
        return 1 + max((floor(other) for other in rooms[room]), default=0)

    return {room: floor(room) for room in sorted(rooms, key=lambda room: (floor(room), room))}


def report() -> Iterator[dict[str, object]]:
    """One object for each package, and one for the models."""
    for package in ("runtime", "export"):
        plan = house(package)
        yield asdict(plan) | {"rooms_count": len(plan.rooms), "height": plan.height}
    yield {"files_that_name_a_model": {kind: files_that_name(kind) for kind in kinds()}}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.house", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    as_json = parser.parse_args().json
    for entry in report():
        if as_json:
            print(json.dumps(entry))
            continue
        if "package" not in entry:
            for kind, files in entry["files_that_name_a_model"].items():  # type: ignore[attr-defined]
                print(f"{kind}: named outside its folders and tables in {len(files)} files {' '.join(files)}")
            continue
        print(f"{entry['package']}: {entry['files']} files, {entry['rooms_count']} rooms, {entry['height']} floors")
        for room, floor in entry["floors"].items():  # type: ignore[attr-defined]
            print(f"  {floor}  {room:<34} <- {' '.join(entry['rooms'][room])}")  # type: ignore[index]
        for ring in [*entry["circles"], *entry["file_circles"]]:  # type: ignore[misc]
            print(f"  CIRCLE {' '.join(ring)}")


if __name__ == "__main__":
    main()
