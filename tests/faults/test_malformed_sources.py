"""Every input of the malformed corpus comes to the end written beside it: quickly, in bounded memory, leaving no trace.

Cases are read two at a time through the real sandbox; each test waits for its own.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from cathrt.runtime.config import LimitsConfig
from cathrt.runtime.errors import SourceError
from cathrt.runtime.frame import Frame, LostFrame, Run
from tests.conftest import ROOT
from tests.faults.malformed import CASES
from tests.faults.malformed_case import Case, Read, Refused
from tests.sources.reading import only_input, read_sandboxed

MEMORY_MIB = 512
LIMITS = LimitsConfig(decoder_memory_mib=MEMORY_MIB, max_file_mib=256)
MAX_SECONDS = 5.0


@dataclass(frozen=True)
class Outcome:
    """What became of a case: a run and its items, or the refusal."""

    ended: tuple[Run, list[Frame | LostFrame]] | SourceError
    seconds: float


def _outcome(case: Case, folder: Path) -> Outcome:
    path = folder / case.name
    path.write_bytes(case.build())
    began = time.monotonic()
    ended: tuple[Run, list[Frame | LostFrame]] | SourceError
    try:
        ended = read_sandboxed(only_input(path), LIMITS)
    except SourceError as exc:
        ended = exc
    seconds = time.monotonic() - began
    assert [entry.name for entry in folder.iterdir()] == [case.name], "something was written beside the input"
    return Outcome(ended, seconds)


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Future[Outcome]]]:
    """The corpus, being read; a case that no test waits for is not begun."""
    with ThreadPoolExecutor(2) as pool:
        yield {case.id: pool.submit(_outcome, case, tmp_path_factory.mktemp("case")) for case in CASES}
        pool.shutdown(cancel_futures=True)


def test_ids_are_unique_and_the_corpus_is_as_large_as_promised() -> None:
    assert len({case.id for case in CASES}) == len(CASES) >= 150


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_malformed_input_ends_as_written(case: Case, outcomes: dict[str, Future[Outcome]]) -> None:
    outcome = outcomes[case.id].result(timeout=120)
    ended = outcome.ended
    if isinstance(case.end, Refused):
        assert isinstance(ended, SourceError), f"read as {ended}"
        message = str(ended)
        assert case.end.message in message
        assert message.startswith(f"{case.name}: ")
        assert message.isprintable()
        assert "Traceback" not in message
    else:
        assert isinstance(case.end, Read)
        assert not isinstance(ended, SourceError), f"refused: {ended}"
        run, items = ended
        assert run.frame_count == len(items) == case.end.frames
        assert [item.index for item in items] == list(range(case.end.frames))
        assert sum(isinstance(item, LostFrame) for item in items) == case.end.lost
        assert case.end.flags <= set(run.flags), run.flags
    assert outcome.seconds < MAX_SECONDS


def test_no_decoder_of_a_bomb_outgrows_its_memory(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.faults.corpus_memory", str(tmp_path), str(MEMORY_MIB)]
    peak_kib = int(subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout)
    assert 20 << 10 < peak_kib < MEMORY_MIB << 10, "KiB of the largest decoder"
