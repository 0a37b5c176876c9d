"""The lock: what all targets agree on, hashed, without a host; and it fits pyproject.toml."""

from __future__ import annotations

from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from release.lock import LOCK, Locked, Target, core_requirements, lock_text, locked_in, merged, packages_in

A, B = "a" * 64, "b" * 64


def report(url: str = "https://files.example.org/x.whl", **hashes: str) -> dict[str, Any]:
    origin = {"url": url, "archive_info": {"hashes": hashes}}
    return {"install": [{"metadata": {"name": "X_Y", "version": "1.0"}, "download_info": origin}]}


def test_a_package_of_a_report_has_its_canonical_name_and_hash() -> None:
    assert packages_in(report(sha256=A)) == [Locked("x-y", "1.0", frozenset({A}))]


@pytest.mark.parametrize("found", [report("file:///opt/x.whl", sha256=A), report(), report(md5=A)])
def test_a_file_of_this_machine_or_without_a_hash_is_refused(found: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"x-y 1.0: found .* expected a file of a package index with its hash"):
        packages_in(found)


def test_targets_that_agree_are_joined_with_all_hashes() -> None:
    one, other = Locked("x", "1.0", frozenset({A})), Locked("x", "1.0", frozenset({B}))
    assert merged([[one], [other, Locked("w", "2", frozenset({A}))]]) == [
        Locked("w", "2", frozenset({A})), Locked("x", "1.0", frozenset({A, B})),
    ]  # fmt: skip


def test_targets_that_want_different_versions_are_refused() -> None:
    with pytest.raises(ValueError, match=r"x: found 1.0 and 1.1, expected one version everywhere"):
        merged([[Locked("x", "1.0", frozenset({A}))], [Locked("x", "1.1", frozenset({A}))]])


def test_a_lock_reads_back_as_it_was_written() -> None:
    packages = [Locked("w", "2.0.post1", frozenset({A, B})), Locked("x", "1.0", frozenset({B}))]
    assert locked_in(lock_text(packages)) == packages


def test_platforms_go_down_from_the_newest_and_have_the_old_names() -> None:
    platforms = list(Target("3.11", "x86_64", 28).platforms())
    assert platforms[0] == "manylinux_2_28_x86_64"
    assert {"manylinux2014_x86_64", "manylinux1_x86_64", "linux_x86_64"} <= set(platforms)
    assert "manylinux_2_29_x86_64" not in platforms


def test_the_committed_lock_fits_every_core_dependency() -> None:
    locked = {one.name: one for one in locked_in(LOCK.read_text(encoding="ascii"))}
    for line in core_requirements():
        wanted = Requirement(line)
        assert wanted.specifier.contains(locked[canonicalize_name(wanted.name)].version), line
    assert all(one.hashes for one in locked.values())


def test_the_committed_lock_names_no_host() -> None:
    assert "://" not in LOCK.read_text(encoding="ascii")


def test_every_core_dependency_has_an_upper_bound() -> None:
    unbounded = [
        line
        for line in core_requirements()
        if not any(one.operator in ("<", "==") for one in Requirement(line).specifier)
    ]
    assert unbounded == []
