"""The parts of the recipe: what stops a release, the changelog's section, interpreters, wheels, checksums."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest

from release.changelog import released, section_of
from release.checks import faults_of
from release.interpreters import interpreters
from release.recipe import sums_of, wheel_for

CHANGES = "# Changelog\n\n## Unreleased\n\n- new\n\n## 0.1.0 - 2026-01-02\n\n- first\n"


def git(root: Path, *words: str) -> None:
    who = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    subprocess.run(["git", "-C", str(root), *who, *words], check=True, capture_output=True)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """One that may be released."""
    (tmp_path / "pyproject.toml").write_text('[project]\nversion = "0.2.0"\n')
    (tmp_path / "CHANGELOG.md").write_text(released(CHANGES, "0.2.0", date(2026, 12, 1)))
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "-m", "x")
    git(tmp_path, "tag", "v0.2.0")
    return tmp_path


def test_a_clean_tagged_tree_with_its_section_may_be_released(checkout: Path) -> None:
    assert list(faults_of(checkout, tagged=True)) == []


def test_a_tree_that_is_not_clean_is_refused(checkout: Path) -> None:
    (checkout / "new").touch()
    assert list(faults_of(checkout, tagged=True)) == ["the tree is not clean: 1 files, ?? new first: commit them"]


def test_a_missing_tag_is_refused_unless_it_is_yet_to_be_made(checkout: Path) -> None:
    git(checkout, "tag", "-d", "v0.2.0")
    assert list(faults_of(checkout, tagged=True)) == ["HEAD has the tags none, expected v0.2.0: git tag -a v0.2.0"]
    assert list(faults_of(checkout, tagged=False)) == []


def test_a_version_without_a_section_is_refused(checkout: Path) -> None:
    (checkout / "CHANGELOG.md").write_text(CHANGES)
    git(checkout, "commit", "--quiet", "-am", "x")
    (fault,) = faults_of(checkout, tagged=False)
    assert fault.startswith('no section "## 0.2.0 - DATE" in the changelog')


def test_the_unreleased_section_becomes_the_releases() -> None:
    changed = released(CHANGES, "0.2.0", date(2026, 12, 1))
    assert section_of(changed, "0.2.0") == (date(2026, 12, 1), "- new")
    assert section_of(changed, "0.1.0") == (date(2026, 1, 2), "- first")


@pytest.mark.parametrize(
    ("text", "version", "said"),
    [
        ("# Changelog\n", "0.2.0", "expected it once"),
        (CHANGES, "0.1.0", "in the changelog already"),
        (CHANGES.replace("- new\n", ""), "0.2.0", "section 0.2.0 is empty"),
    ],
)
def test_nothing_to_release_is_refused(text: str, version: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        released(text, version, date(2026, 12, 1))


def test_interpreters_that_run_are_found_and_others_are_not(tmp_path: Path) -> None:
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\nexit 127\n")
    broken.chmod(0o755)
    assert interpreters((here,), (str(broken), sys.executable)) == {here: sys.executable}
    assert interpreters(("3.99",), (sys.executable, str(tmp_path / "none"))) == {}


def test_a_wheel_serves_its_own_python_or_with_the_stable_abi_later_ones() -> None:
    wheels = [Path("cathrt-0.2.0-cp311-cp311-linux_x86_64.whl"), Path("cathrt-0.2.0-cp312-abi3-linux_x86_64.whl")]
    assert wheel_for("3.11", wheels) == wheels[0]
    assert wheel_for("3.12", wheels) == wheels[1]
    assert wheel_for("3.13", wheels) == wheels[1]
    assert wheel_for("3.10", wheels) is None
    assert wheel_for("3.12", wheels[:1]) is None


def test_checksums_are_as_sha256sum_checks_them(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x")
    (tmp_path / "SHA256SUMS").write_text("".join(sums_of([tmp_path / "a"])))
    subprocess.run(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=tmp_path, check=True, capture_output=True)
    assert hashlib.sha256(b"x").hexdigest() in (tmp_path / "SHA256SUMS").read_text()
