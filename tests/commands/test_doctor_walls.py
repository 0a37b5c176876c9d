"""What doctor says of the walls round a decoder: which stand, and what a missing one would let a hostile file do."""

from __future__ import annotations

import json
from typing import Literal

import pytest

from cathrt.runtime.commands.doctor_walls import walls_check
from tests.sources.kernel_walls import kernel_has


def saying(seccomp: str, landlock: int) -> tuple[str, str]:
    return "-c", f"print('{json.dumps({'seccomp': seccomp == 'yes', 'landlock': landlock})}')"


def test_both_walls_stand_on_a_kernel_that_has_them() -> None:
    kernel_has("seccomp")
    kernel_has("landlock")
    check = walls_check()
    assert check.state == "ok"
    assert check.detail.startswith("resource limits, seccomp, Landlock ")
    assert check.figures["seccomp"] == 1


@pytest.mark.parametrize(
    ("seccomp", "landlock", "state", "detail"),
    [
        ("yes", 7, "ok", "resource limits, seccomp, Landlock 7"),
        ("no", 7, "warn", "resource limits, Landlock 7; no seccomp: a file that takes a decoder over could use UDP"),
        (
            "yes",
            0,
            "warn",
            "resource limits, seccomp; no landlock: a file that takes a decoder over could do nothing more",
        ),
        ("no", 0, "warn", "resource limits; no seccomp and no landlock: a file that takes a decoder over could read"),
    ],
)
def test_a_missing_wall_is_named_with_what_it_would_have_refused(
    seccomp: str, landlock: int, state: Literal["ok", "warn"], detail: str
) -> None:
    check = walls_check(program=saying(seccomp, landlock))
    assert check.state == state
    assert check.detail.startswith(detail)


def test_a_machine_on_which_nothing_can_be_confined_reads_no_file() -> None:
    check = walls_check(program=("-c", "raise SystemExit('seccomp: Permission denied')"))
    assert check.state == "missing"
    assert "Permission denied" in check.detail
