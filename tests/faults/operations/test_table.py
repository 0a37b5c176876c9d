"""docs/faults.md names exactly the faults that there are, and each of them has its tests."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.faults.operations.faults import CLASSES, FAULTS, INVARIANTS
from tests.faults.table import (
    PAGE,
    Recorded,
    measured_recovery,
    named_tests,
    page,
    read_page,
    recovery_key,
    without_result,
)

_FOLDER = ROOT / "tests" / "faults" / "operations"


def names_in(path: Path) -> set[str]:
    """FILE::TEST of each test in a file."""
    where = path.relative_to(ROOT / "tests").as_posix()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    return {f"{where}::{name}" for name in names if name.startswith("test_")}


def test_the_page_names_exactly_the_faults_that_there_are() -> None:
    found = PAGE.read_text(encoding="utf-8")
    recovery, measured = read_page(found)
    assert found == page(recovery, measured), "run `python -m tests.faults.table`"
    assert recovery.keys() <= {recovery_key(fault) for fault in FAULTS}


def test_every_test_of_the_table_exists() -> None:
    there: set[str] = set()
    for name in {test.partition("::")[0] for test in named_tests()}:
        there |= names_in(ROOT / "tests" / name)
    assert named_tests() <= there


def test_every_test_of_operations_stands_in_the_table() -> None:
    ours = {test for path in _FOLDER.glob("test_*.py") if path != Path(__file__) for test in names_in(path)}
    assert ours <= named_tests()


def test_every_class_and_every_invariant_is_met() -> None:
    assert {fault.number for fault in FAULTS} == CLASSES.keys() == set(range(1, 16))
    named = {name for fault in FAULTS if fault.tests for name in re.findall(r"I\d", fault.holds)}
    assert named == INVARIANTS.keys()


def test_every_fault_has_its_tests_or_says_why_not_and_none_stands_twice() -> None:
    assert [fault.what for fault in FAULTS if bool(fault.tests) == bool(fault.why_not)] == []
    keys = [recovery_key(fault) for fault in FAULTS]
    assert len(set(keys)) == len(keys)


def test_every_metric_of_the_table_exists() -> None:
    code = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "runtime").rglob("*.py"))
    named = {name for fault in FAULTS for name in re.findall(r"`(cathrt_\w+)`", fault.seen)}
    assert len(named) > 10
    assert [name for name in named if f'"{name}"' not in code] == []


def test_every_recovery_that_is_recorded_comes_on_the_page(tmp_path: Path) -> None:
    recorded = dict.fromkeys(named_tests(), 1.26)
    recovery = measured_recovery(recorded)
    assert recovery == {recovery_key(fault): "1.3 s" for fault in FAULTS if fault.tests}
    assert read_page(page(recovery, "a machine, 2 cores, at commit abc")) == (
        recovery,
        "a machine, 2 cores, at commit abc",
    )


@pytest.mark.parametrize("how", ["failed", "skipped"])
def test_a_page_is_not_made_where_a_test_did_not_pass(how: str) -> None:
    recorded = Recorded()
    recorded.passed = {"a", "b"}
    assert list(without_result({"a", "b"}, recorded)) == []
    recorded.passed, recorded.not_passed = {"a"}, {"b": how}
    assert list(without_result({"a", "b", "c"}, recorded)) == [f"b: {how}", "c: not run"]
