"""Names and texts that try to move, colour or forge what a terminal shows, through every command, in plain and JSON."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cathrt.export.bundle.sign import generate_key, public_key, write_bundle
from cathrt.runtime.bundle.opening import Bundle
from cathrt.runtime.bundle.shipped import demonstration_bundle, shipped_keys
from cathrt.runtime.models import open_bundle
from cathrt.runtime.models.keyframe.section import CLASSIFIER
from cathrt.runtime.phantom.dicom import write_xa
from tests.e2e.commands import Done, cathrt
from tests.lines import ArraySource, picture

HOSTILE = "x\x1b]0;title\x07\x1b[2J\r\x7f\x9b31m\x85\u2028\u202e\u2066\u200f\nFORGED"  # a file name's, and a manifest's
UNDECODABLE = "\udcff"  # a file name's alone
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Everything that can be given to a command, each with a hostile name or content."""
    folder = tmp_path_factory.mktemp("hostile") / f"in {HOSTILE}{UNDECODABLE}"
    folder.mkdir()
    shipped = open_bundle(demonstration_bundle(), shipped_keys())
    runs = folder / "runs"
    runs.mkdir()
    source = ArraySource([0.1] * 6)
    write_xa(source.run, lambda i: picture(0.1 + 0.05 * i, i), runs / f"{HOSTILE}{UNDECODABLE}.dcm")
    (runs / f"broken {HOSTILE}.dcm").write_bytes(b"\0" * 128 + b"DICM" + HOSTILE.encode())
    (runs / f"ignored {HOSTILE}.txt").write_text("no input")
    (folder / "trust.toml").write_text(f'[trust]\nkeys = ["{public_key(KEY)}"]\n')
    (folder / "unknown.toml").write_text(f"[line]\n{json.dumps(HOSTILE)} = 1\n")
    (folder / "value.toml").write_text(f"[engine]\nname = {json.dumps(HOSTILE)}\n")
    (folder / "syntax.toml").write_bytes(f"[{HOSTILE}".encode())
    (folder / "journal").write_bytes(b"no journal " * 1000)
    (folder / f"{HOSTILE}.pub").write_text(generate_key(folder / "key"))
    return {
        "FOLDER": str(folder),
        "RUNS": str(runs),
        "BUNDLE": str(_named(shipped, folder / "bundle")),
        "ENGINE": str(_with_engine(shipped, folder / "engine")),
        **{name.upper(): str(folder / f"{name}.toml") for name in ("trust", "unknown", "value", "syntax")},
        "JOURNAL": str(folder / "journal"),
        "BOOK": str(folder / f"book {HOSTILE}"),
        "KEY": str(folder / "key"),
        "PUBLIC": str(folder / f"{HOSTILE}.pub"),
        "HOSTILE": HOSTILE,
        "OUT": str(folder / "out"),
        "MISSING": str(folder / f"missing {HOSTILE}{UNDECODABLE}"),
    }


def _named(shipped: Bundle, path: Path) -> Path:
    manifest = replace(shipped.manifest, files={}, name=HOSTILE)
    return write_bundle(path, manifest, {name: shipped.read(name) for name in shipped.manifest.files}, KEY)


def _with_engine(shipped: Bundle, path: Path) -> Path:
    """The only artifact is for an engine of that name."""
    artifact = shipped.manifest.network(CLASSIFIER).artifacts["onnxruntime"]
    manifest = replace(shipped.manifest.with_artifacts(CLASSIFIER, {HOSTILE: artifact}), files={})
    return write_bundle(path, manifest, {"model.onnx": shipped.read("model.onnx")}, KEY)


COMMANDS: dict[str, tuple[str, int]] = {
    "verify a bundle of that name": ("verify BUNDLE --config TRUST", 0),
    "verify a bundle of that engine": ("verify ENGINE --config TRUST", 0),
    "verify a bundle nobody trusts": ("verify BUNDLE", 5),
    "verify no journal": ("verify JOURNAL", 7),
    "verify nothing": ("verify MISSING", 7),
    "replay": ("replay RUNS --bundle BUNDLE --config TRUST --journal BOOK", 9),
    "replay again": ("replay RUNS --bundle BUNDLE --config TRUST --journal BOOK", 9),
    "verify its journal": ("verify BOOK", 0),
    "replay with no artifact": ("replay RUNS --bundle ENGINE --config TRUST", 6),
    "replay nothing": ("replay MISSING", 4),
    "replay with an unknown key": ("replay RUNS --config UNKNOWN", 3),
    "replay with an unknown engine": ("replay RUNS --config VALUE", 3),
    "replay with an unknown engine named": ("replay RUNS --engine HOSTILE", 3),
    "replay with no TOML": ("replay RUNS --config SYNTAX", 3),
    "replay with no config": ("replay RUNS --config MISSING", 3),
    "replay into no journal": ("replay RUNS --journal JOURNAL", 7),
    "phantom": ("phantom --seed 1 --matrix 64 --frames 2 --out OUT", 0),
    "phantom once more": ("phantom --seed 1 --matrix 64 --frames 2 --out OUT", 3),
    "phantom of a kind": ("phantom --seed 1 --kind HOSTILE --out OUT", 2),
    "doctor": ("doctor --bundle BUNDLE --config TRUST --folder FOLDER", 0),
    "doctor of nothing": ("doctor --bundle MISSING --config TRUST --folder MISSING", 1),
    "demo into a file": ("demo --out JOURNAL", 8),
    "no command": ("HOSTILE", 2),
    "no option": ("replay --HOSTILE", 2),
    "no choice": ("replay --rate HOSTILE RUNS", 2),
    "qualify": ("qualify BUNDLE --config TRUST --qualify-on MISSING --qualify-phantoms 0 --out OUT", 4),
    "join": ("join BUNDLE --sign KEY --config TRUST --out OUT.joined", 0),
    "compare": ("compare BUNDLE BUNDLE RUNS --config TRUST --out OUT.compared", 9),
    "key of nothing": ("key trust MISSING --config OUT.toml", 3),
    "key of that name": ("key trust PUBLIC --config OUT.toml", 0),
    "keys": ("key list --config OUT.toml", 0),
    "new key of that name": ("key new --name HOSTILE --out OUT.keys", 3),
    "join with no key": ("join BUNDLE --sign MISSING --config TRUST --out OUT.joined", 3),
    "export without weights": ("export keyframe SMALL --like BUNDLE --config TRUST --weights MISSING --out OUT", 4),
    "export of a gate": ("export keyframe SMALL --random-init --gate HOSTILE --out OUT", 3),
    "export for devices": ("export keyframe SMALL --random-init --sm HOSTILE --out OUT", 3),
    "export of no meaning": ("export keyframe SMALL --weights KEY --semantics UNKNOWN --out OUT", 3),
}
SMALL = ["--arch", "convnext_atto", "--precision", "fp32", "--target", "onnxruntime"]


def run(command: str, places: dict[str, str], *more: str) -> Done:
    words: list[str] = []
    for word in command.split():
        head, dot, tail = word.partition(".")
        words += SMALL if word == "SMALL" else [places.get(head, head) + dot + tail]
    return cathrt(*(word if word != "--HOSTILE" else f"--{HOSTILE}" for word in words), *more)


def refuse_what_moves_a_terminal(text: str) -> None:
    found = {c for c in text if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp")}
    assert found <= {"\n"}, f"found {found} in {text!r}"
    assert not [line for line in text.split("\n") if line.startswith("FORGED")], text


@pytest.mark.parametrize("name", COMMANDS)
def test_no_control_character_of_a_name_or_a_text_reaches_the_terminal(places: dict[str, str], name: str) -> None:
    command, code = COMMANDS[name]
    done = run(command, places)
    assert done.returncode == code, done.stderr
    assert done.stdout + done.stderr
    refuse_what_moves_a_terminal(done.stdout)
    refuse_what_moves_a_terminal(done.stderr)
    assert "Traceback" not in done.stderr


def texts(value: Any) -> Iterator[str]:
    """Every text in a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from texts(item)


@pytest.mark.parametrize(
    "command",
    [
        "verify --json BUNDLE --config TRUST",
        "replay --json RUNS --bundle BUNDLE --config TRUST",
        "doctor --json --bundle BUNDLE --config TRUST --folder FOLDER",
        "phantom --json --seed 2 --matrix 64 --frames 2 --out OUT",
    ],
)
def test_json_lines_escape_them_and_say_the_same(places: dict[str, str], command: str) -> None:
    done = run(command, places)
    refuse_what_moves_a_terminal(done.stdout)
    assert "\\u202e" in done.stdout
    assert any(HOSTILE in text for record in done.records for text in texts(record))
