"""`cathrt key`: a new key signs what nobody opens until it is trusted; the configuration keeps all else it says."""

from __future__ import annotations

import hashlib
import os
import stat
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from cathrt.export.bundle.sign import load_key, public_key, write_bundle
from cathrt.runtime.bundle.keys import PublicKey, public_key_from_text
from cathrt.runtime.bundle.manifest import Artifact
from cathrt.runtime.bundle.shipped import shipped_keys
from cathrt.runtime.commands import trust as trust_module
from cathrt.runtime.commands.doctor import examine
from cathrt.runtime.commands.doctor_check import Check
from cathrt.runtime.commands.trust import with_key
from cathrt.runtime.errors import ConfigError, SinkError
from cathrt.runtime.models import load_config
from tests.e2e.commands import cathrt
from tests.golden import conv_model, golden_manifest

KEY = PublicKey("ab" * 32, "Tokyo lab")
ENTRY = f'"{KEY.text}"'


def test_a_new_key_signs_a_bundle_that_is_refused_until_the_key_is_trusted(tmp_path: Path) -> None:
    keys, config = tmp_path / "keys", tmp_path / "cathrt.toml"
    made = cathrt("key", "new", "--out", keys, "--name", "Tokyo lab")
    assert made.returncode == 0, made.stderr
    key = load_key(keys / "signing-key.pem")
    manifest = replace(golden_manifest(openvino=Artifact("model.onnx", "float32")), provenance={})
    bundle = write_bundle(tmp_path / "bundle", manifest, {"model.onnx": conv_model().SerializeToString()}, key)

    unknown = cathrt("verify", bundle)
    assert unknown.returncode == 5
    assert "none of the 3 trusted keys: if you know the signer, ask for the .pub file" in unknown.stderr

    trusted = cathrt("key", "trust", keys / "signing-key.pub", "--config", config)
    assert trusted.returncode == 0, trusted.stderr
    opened = cathrt("verify", "--json", "--config", config, bundle)
    assert opened.returncode == 0, opened.stderr
    assert opened.records[0]["signed_by"] == public_key(key)
    assert cathrt("verify", bundle).returncode == 5, "another configuration does not trust it"

    fingerprint = PublicKey(public_key(key)).fingerprint
    assert fingerprint in made.stdout
    assert fingerprint in trusted.stdout


def test_the_private_file_is_for_its_owner_alone_and_the_public_one_for_everybody(tmp_path: Path) -> None:
    assert cathrt("key", "new", "--out", tmp_path).returncode == 0
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("signing-key.pem", "signing-key.pub")]
    assert modes == [0o600, 0o644]
    told = public_key_from_text((tmp_path / "signing-key.pub").read_text(encoding="utf-8").strip(), "file")
    assert told == PublicKey(public_key(load_key(tmp_path / "signing-key.pem")))


@pytest.mark.parametrize("there", ["signing-key.pem", "signing-key.pub"])
def test_a_new_key_overwrites_neither_file(tmp_path: Path, there: str) -> None:
    (tmp_path / there).write_text("precious")
    done = cathrt("key", "new", "--out", tmp_path)
    assert done.returncode == 3
    assert there in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == [there]
    assert (tmp_path / there).read_text() == "precious"


@pytest.mark.parametrize("name", ["x" * 65, "a\nb", "\u202eb", ""])
def test_a_name_that_does_not_fit_leaves_no_key_behind(tmp_path: Path, name: str) -> None:
    assert cathrt("key", "new", "--out", tmp_path / "keys", "--name", name).returncode == 3
    assert not (tmp_path / "keys").exists()


def test_the_fingerprint_is_the_beginning_of_the_sha256_of_the_key() -> None:
    digits = hashlib.sha256(b"\xab" * 32).hexdigest()
    assert KEY.fingerprint.replace(" ", "") == digits[:32]
    assert [len(group) for group in KEY.fingerprint.split(" ")] == [4] * 8


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("PEM", "holds a private key, expected a public one"),
        ("ab" * 31, "expected an ed25519 public key: 64 lower-case hex digits"),
        ("AB" * 32, "expected an ed25519 public key"),
        (f"{'ab' * 32} one\n{'cd' * 32} two", "expected an ed25519 public key"),
        ("", "expected an ed25519 public key"),
        ("FOLDER", "cannot be read (Is a directory)"),
        ("MISSING", "cannot be read (No such file or directory)"),
    ],
)
def test_a_file_that_holds_no_public_key_is_refused_and_the_configuration_stays(
    tmp_path: Path, content: str, said: str
) -> None:
    file, config = tmp_path / "file", tmp_path / "cathrt.toml"
    if content == "PEM":
        assert cathrt("key", "new", "--out", tmp_path / "keys").returncode == 0
        file = tmp_path / "keys" / "signing-key.pem"
    elif content == "FOLDER":
        file.mkdir()
    elif content != "MISSING":
        file.write_text(content)
    done = cathrt("key", "trust", file, "--config", config)
    assert done.returncode == 3
    assert f"{file}: " in done.stderr
    assert said in done.stderr
    assert not config.exists()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# only a comment",
        '[engine]\nname = "onnxruntime"  # why',
        "[trust]\n",
        "[trust]  # whom we know\n[line]\nbudget_ms = 80.0\n",
        "[ trust ]\nkeys = []\n",
        '[trust]\nkeys = ["CD"]\n',
        '[trust]\n\nkeys = [  # hospital\n  "CD",  # since May\n  "EF"\n]\n\n[line]\nbudget_ms = 80.0\n',
        '[trust]\nkeys = [\n  "CD"\n]',
        'trust.keys = ["CD"]\n[line]\nbudget_ms = 80.0\n',
        "[trust]\r\nkeys = [\r\n]\r\n",
        '[other]\nkeys = ["not this one"]\n[trust]\nkeys = ["CD"]\n',
        '[trust]\n[other]\nkeys = ["not this one"]\n',
    ],
)
def test_a_key_is_added_and_every_other_line_stays_as_it_was(text: str) -> None:
    text = text.replace("CD", "cd" * 32).replace("EF", "ef" * 32)
    before = tomllib.loads(text)
    after = with_key(text, KEY, "c.toml")
    found = tomllib.loads(after)
    assert found["trust"]["keys"] == [KEY.text, *before.get("trust", {}).get("keys", [])]
    assert {**found, "trust": None} == {**before, "trust": None}
    more = len(after) - len(text)
    put_in = [place for place in range(len(text) + 1) if after[:place] + after[place + more :] == text]
    assert put_in, "something is put in at one place, and nothing is changed or taken out"


@pytest.mark.parametrize("text", ["trust = {}", 'trust = { keys = ["cd"] }', 'note = """\n[trust]\n"""\n'])
def test_a_file_that_this_edit_does_not_know_is_left_to_the_hand(text: str) -> None:
    with pytest.raises(ConfigError, match=f'c.toml: trust.keys is not written as a plain array: add "{KEY.text}"'):
        with_key(text, KEY, "c.toml")


def test_trusting_twice_changes_nothing_and_says_where_the_key_is_from(tmp_path: Path) -> None:
    file, config = tmp_path / "lab.pub", tmp_path / "cathrt.toml"
    file.write_text(KEY.text)
    assert cathrt("key", "trust", file, "--config", config).returncode == 0
    once = config.read_bytes()
    file.write_text(f"{KEY.public} another name")
    again = cathrt("key", "trust", file, "--config", config)
    file.write_text(shipped_keys()[0])
    shipped = cathrt("key", "trust", file, "--config", config)
    assert (again.returncode, shipped.returncode) == (0, 0)
    assert "trusted already (trust.keys)" in again.stdout
    assert "trusted already (shipped)" in shipped.stdout
    assert config.read_bytes() == once


def test_a_name_given_with_trust_stands_over_that_of_the_file(tmp_path: Path) -> None:
    file, config = tmp_path / "lab.pub", tmp_path / "cathrt.toml"
    file.write_text(KEY.text)
    assert cathrt("key", "trust", file, "--config", config, "--name", "Kyoto").returncode == 0
    assert tomllib.loads(config.read_text())["trust"]["keys"] == [f"{KEY.public} Kyoto"]


def test_the_file_keeps_its_mode_its_links_and_after_a_failure_its_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, link = tmp_path / "real.toml", tmp_path / "cathrt.toml"
    real.write_text("[line]\nbudget_ms = 80.0\n")
    real.chmod(0o640)
    link.symlink_to(real)
    trust_module.trust(link, KEY)
    assert link.is_symlink()
    assert stat.S_IMODE(real.stat().st_mode) == 0o640
    once = real.read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(SinkError, match="cannot be written"):
        trust_module.trust(link, PublicKey("cd" * 32))
    assert real.read_bytes() == once
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cathrt.toml", "real.toml"]


def test_the_list_and_doctor_show_every_trusted_key_once(tmp_path: Path) -> None:
    config = tmp_path / "cathrt.toml"
    config.write_text(f'[trust]\nkeys = [{ENTRY}, "{KEY.public}", "{"cd" * 32}"]\n')
    listed = cathrt("key", "list", "--json", "--config", config)
    assert listed.returncode == 0, listed.stderr
    assert [(key["name"], key["public_key"], key["origin"]) for key in listed.records] == [
        *(("demonstration", text, "shipped") for text in shipped_keys()),
        ("Tokyo lab", KEY.public, "trust.keys"),
        ("", "cd" * 32, "trust.keys"),
    ]
    plain = cathrt("key", "list", "--config", config).stdout
    for key in listed.records:
        assert key["fingerprint"] in plain
    check = doctor_check(config, tmp_path)
    assert check.state == "ok"
    assert f"Tokyo lab {KEY.fingerprint}" in check.detail
    assert check.figures == {"keys": [*(f"{text} demonstration" for text in shipped_keys()), KEY.text, "cd" * 32]}


def test_an_entry_that_is_no_key_is_missing_to_doctor_and_an_error_to_the_list(tmp_path: Path) -> None:
    config = tmp_path / "cathrt.toml"
    config.write_text('[trust]\nkeys = ["abc"]\n')
    assert cathrt("key", "list", "--config", config).returncode == 3
    check = doctor_check(config, tmp_path)
    assert check.state == "missing"
    assert "trust.keys: found 'abc'" in check.detail


def doctor_check(config: Path, folder: Path) -> Check:
    return next(check for check in examine(load_config(config), folder) if check.name == "trusted keys")
