"""Inputs that are missing, unreadable, folders, pipes or devices: each ends soon, with its own exit code."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, get_origin, get_type_hints

import pytest

from cathrt.export.bundle.sign import generate_key
from cathrt.export.commands.cli import app, export_app, key_app
from cathrt.runtime.bundle.shipped import demonstration_bundle
from cathrt.runtime.phantom.dicom import write_xa
from tests.e2e.commands import cathrt
from tests.lines import ArraySource, picture

BAD = (
    "missing",
    "unreadable",
    "folder",
    "unreadable folder",
    "pipe",
    "device",
    "socket",
    "loop",
    "long",
    "below a file",
)


@pytest.fixture(scope="module")
def bad(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Path]]:
    """One of each kind, and one run that is good."""
    folder = tmp_path_factory.mktemp("bad")
    places = {name: folder / name.replace(" ", "-") for name in BAD}
    places["device"] = Path("/dev/zero")
    places["long"] = folder / ("x" * 300)
    places["below a file"] = places["unreadable"] / "below"
    for name in ("folder", "unreadable folder"):
        places[name].mkdir()
        (places[name] / "file").write_text("no input")
    places["unreadable"].write_text("[line]")
    os.mkfifo(places["pipe"])
    places["loop"].symlink_to(places["loop"])
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(os.path.relpath(places["socket"]))
    for name in ("unreadable", "unreadable folder"):
        places[name].chmod(0)
    source = ArraySource([0.1] * 3)
    places["RUN"] = write_xa(source.run, lambda i: picture(0.1 + 0.05 * i, i), folder / "run.dcm")
    (folder / "public").write_text(generate_key(folder / "key"))
    places["KEY"], places["PUBLIC"] = folder / "key", folder / "public"
    yield places
    listener.close()
    for name in ("unreadable", "unreadable folder"):
        places[name].chmod(0o700)


SMALL = "--arch convnext_atto --precision fp32 --target onnxruntime --out OUT"
# Where the bad input goes, and the code for it; a folder is sometimes what is asked for.
COMMANDS: dict[str, tuple[str, int]] = {
    "config": ("replay RUN --config BAD", 3),
    "bundle": ("replay RUN --bundle BAD", 5),
    "journal": ("replay RUN --journal BAD", 7),
    "verify": ("verify BAD", 7),
    "doctor config": ("doctor --config BAD", 3),
    "phantom config": ("phantom --live --seed 1 --config BAD", 3),
    "export weights": (f"export keyframe {SMALL} --weights BAD --like BUNDLE", 4),
    "export like": (f"export keyframe {SMALL} --random-init --like BAD", 5),
    "export semantics": (f"export keyframe {SMALL} --random-init --semantics BAD", 3),
    "export judge": (f"export keyframe {SMALL} --random-init --qualify-on BAD --qualify-phantoms 0", 4),
    "export key": (f"export keyframe {SMALL} --random-init --sign BAD", 3),
    "qualify": ("qualify BAD", 5),
    "join": ("join BAD --sign KEY --out OUT", 5),
    "join other": ("join BUNDLE BAD --sign KEY --out OUT", 5),
    "join key": ("join BUNDLE --sign BAD --out OUT", 3),
    "join figures": ("join BUNDLE --sign KEY --real BAD --out OUT", 3),
    "compare": ("compare BUNDLE BAD RUN --out OUT", 5),
    "compare runs": ("compare BUNDLE BUNDLE BAD --out OUT", 4),
    "compare config": ("compare BUNDLE BUNDLE RUN --config BAD --out OUT", 3),
    "key": ("key trust BAD --config CONFIG", 3),
    "key config": ("key trust PUBLIC --config BAD", 3),
    "key list": ("key list --config BAD", 3),
}
ASKED_FOR = {
    ("journal", "missing"): 0,
    ("key config", "missing"): 0,
    ("verify", "folder"): 5,
    ("verify", "unreadable folder"): 5,
}
SOME = ("missing", "unreadable", "pipe", "device")
EVERY = ("config", "journal", "verify", "key config")  # given every kind
# These load torch or open bundles first. Each is given two kinds every day, and the next one the two others.
LONG = [name for name in COMMANDS if name.partition(" ")[0] in ("export", "qualify", "join", "compare")]
CASES = [
    pytest.param(name, kind, marks=[pytest.mark.slow] if name in LONG and place % 2 != LONG.index(name) % 2 else [])
    for name in COMMANDS
    for place, kind in enumerate(BAD if name in EVERY else SOME)
]


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_a_bad_input_ends_the_command_soon_with_its_own_code_and_says_which(
    name: str, kind: str, bad: dict[str, Path], tmp_path: Path
) -> None:
    command, code = COMMANDS[name]
    words = {
        "BAD": bad[kind],
        "RUN": bad["RUN"],
        "KEY": bad["KEY"],
        "PUBLIC": bad["PUBLIC"],
        "CONFIG": tmp_path / "config.toml",
        "BUNDLE": demonstration_bundle(),
        "OUT": tmp_path / "out",
    }
    began = time.monotonic()
    done = cathrt(*(words.get(word, word) for word in command.split()), obeying=True)
    assert time.monotonic() - began < 30.0, "it must not wait for the other end of a pipe, nor read a device to its end"
    assert done.returncode == ASKED_FOR.get((name, kind), code), done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    if done.returncode:
        assert bad[kind].name[:60] in done.stderr
    bad["missing"].unlink(missing_ok=True)


def test_bad_inputs_are_refused_and_the_others_are_judged(bad: dict[str, Path]) -> None:
    named = [bad[kind] for kind in BAD]
    among = cathrt("replay", "--json", *named, bad["RUN"], obeying=True)
    alone = cathrt("replay", "--json", *named, obeying=True)
    assert (among.returncode, alone.returncode) == (9, 4), among.stderr + alone.stderr
    for done in (among, alone):
        refusals = [record for record in done.records if record["type"] == "refusal"]
        assert [record["source"] for record in refusals] == [path.name[:120] for path in named if path != bad["folder"]]
        assert {record["error"] for record in refusals} == {"SourceError"}
        assert "ignored 1 file: neither DICOM, nor a video, nor a still by suffix or first bytes (file)" in done.stderr
    assert [record["type"] for record in among.records].count("run") == 1


def test_what_cannot_be_read_in_a_folder_is_refused_in_the_same_words_as_when_it_is_named(
    bad: dict[str, Path], tmp_path: Path
) -> None:
    folder = tmp_path / "runs"
    (folder / "closed").mkdir(parents=True)
    (folder / "run.dcm").write_bytes(bad["RUN"].read_bytes())
    for name in ("a.dcm", "b", "c.png"):
        (folder / name).write_bytes(bad["RUN"].read_bytes())
        (folder / name).chmod(0)
    (folder / "dangling").symlink_to(folder / "nothing")
    (folder / "circle").symlink_to(folder / "circle")
    (folder / "closed").chmod(0)
    found = cathrt("replay", "--json", folder, obeying=True)
    named = cathrt("replay", "--json", *(folder / name for name in ("a.dcm", "b", "c.png", "closed")), obeying=True)
    (folder / "closed").chmod(0o700)
    assert (found.returncode, named.returncode) == (9, 4), found.stderr + named.stderr
    refusals = [
        {record["source"]: record["message"] for record in done.records if record["type"] == "refusal"}
        for done in (found, named)
    ]
    assert refusals[0] == refusals[1]
    assert sorted(refusals[0]) == ["a.dcm", "b", "c.png", "closed"]
    for name, message in refusals[0].items():
        assert message.startswith(f"{name}: ")
        assert "(Permission denied): " in message
    assert "ignored 2 files: not a regular file (circle, dangling)" in found.stderr


def test_no_path_is_refused_as_wrong_usage_for_what_it_leads_to() -> None:
    commands = [*app.registered_commands, *export_app.registered_commands, *key_app.registered_commands]
    assert len(commands) > 20
    wrong = []
    for command in commands:
        assert command.callback is not None
        for name, hint in get_type_hints(command.callback, include_extras=True).items():
            if get_origin(hint) is Annotated and "Path" in str(hint.__origin__) and hint.__metadata__[0].readable:
                wrong.append(f"{command.name} {name}")
    assert not wrong, "give typer readable=False: what cannot be read has the code of what it stands for"
