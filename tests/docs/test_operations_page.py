"""Whatever health, a process or an engine may say stands in docs/operations.md with what to do; nothing else does."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import get_args

import pytest

from cathrt.runtime import errors
from cathrt.runtime.alert import EngineReason, EngineWhat
from tests.docs.blocks import ROOT
from tests.docs.said import sentences_in

PAGE = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
# Every file whose words health passes on, and of those that do more than that the functions.
SPEAKERS: dict[str, set[str] | None] = {
    "runtime/processes/health.py": {"health_of", "source_health", "_against_conservation", "_process"},
    "runtime/processes/gateway.py": {"health_with"},
    "runtime/processes/engine_health.py": None,
    "runtime/processes/retention_said.py": None,
    "runtime/processes/journal_check.py": {"check_said"},
    "runtime/processes/supervisor.py": {"_start"},
    "runtime/processes/restarts.py": {"ended", "stopped", "_given_up"},
    "runtime/decisions/book.py": {"decisions_said"},
    "runtime/outlets/state.py": None,
    "runtime/audit/state.py": None,
    "runtime/outlets/outlets.py": {"state"},
    "runtime/retention/keeper.py": {"_report"},
    "runtime/retention/kept_journal.py": {"look", "_note"},
    "runtime/retention/kept_objects.py": {"_looked"},
    "runtime/retention/kept_features.py": {"look"},
}
# Parts of sentences, names of keys and prefixes: what they are put together to is in the page.
PARTS = {
    "… …", "… starts", "since … s (…: …)", "retention: …", "ended …", "by …", "by signal …", "with exit status …",
    "… restarts within … s", "all are younger than retention.keep_hours", "ended …, expected exit status 0", "…: …",
    "restart ……", "given up", "starting…", "…: given up, since another start would end the same way",
    "…; the others go on",
}  # fmt: skip
# What health takes from files that say nothing to a person.
SILENT = {
    "runtime/alert.py", "runtime/config.py", "runtime/errors.py", "runtime/processes/counts_file.py",
    "runtime/processes/heartbeat.py", "runtime/processes/state_folder.py",
}  # fmt: skip


def entries() -> list[str]:
    """What stands in the first column of the page's tables."""
    first = re.findall(r"^\| ((?:`[^`]+`(?:, )?)+)[^|]*\|", PAGE, re.MULTILINE)
    return [one for cell in first for one in re.findall(r"`([^`]+)`", cell)]


def said() -> Iterator[tuple[str, str]]:
    for file, functions in SPEAKERS.items():
        for sentence in sorted(sentences_in(ROOT / file, functions)):
            if sentence not in PARTS and not re.fullmatch(r"[a-z_-]+…?|(source|outlet|note) ?…?: …", sentence):
                yield file, sentence


def fits(entry: str, sentence: str) -> bool:
    """Whether an entry of the page is this sentence, where "…" in the entry stands for anything."""
    pattern = re.escape(entry.replace("`", "")).replace("…", ".*")
    return re.fullmatch(pattern, sentence.replace("`", "")) is not None


@pytest.mark.parametrize(("file", "sentence"), list(said()), ids=lambda value: value[-40:])
def test_what_may_be_said_is_explained(file: str, sentence: str) -> None:
    assert [entry for entry in entries() if fits(entry, sentence)], f"{file}: docs/operations.md has no row for it"


def test_nothing_is_explained_that_is_never_said() -> None:
    section = PAGE[PAGE.index("## When health says something") : PAGE.index("## How a process ended")]
    sentences = {one for file, functions in SPEAKERS.items() for one in sentences_in(ROOT / file, functions)}
    sayings = [entry for entry in entries() if f"`{entry}`" in section and not re.fullmatch(r"[a-z_]+", entry)]
    assert len(sayings) > 25
    assert not [entry for entry in sayings if not any(fits(entry, one) for one in sentences)]


def test_every_file_that_health_reads_is_known_as_a_speaker_or_as_silent() -> None:
    text = (ROOT / "runtime/processes/health.py").read_text(encoding="utf-8")
    imported = {
        f"{node.module.removeprefix('cathrt.').replace('.', '/')}.py"
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("cathrt.")
    }
    assert imported <= SPEAKERS.keys() | SILENT


def test_a_new_reason_without_a_row_is_noticed() -> None:
    assert not [entry for entry in entries() if fits(entry, "the tap is on fire for … s")]


def test_every_degradation_state_and_its_reason_is_explained() -> None:
    missing = {*get_args(EngineWhat), *get_args(EngineReason)} - set(entries())
    assert not missing


def test_every_exit_code_of_a_process_is_explained() -> None:
    codes = {0, 2} | {one.exit_code for one in vars(errors).values() if hasattr(one, "exit_code")}
    table = PAGE[PAGE.index("## How a process ended") : PAGE.index("## Kernel settings")]
    assert {int(code) for code in re.findall(r"^\| (\d+) \|", table, re.MULTILINE)} == codes
