"""Readers that come and go at random beside a writer: every id exactly once, in order."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cathrt.runtime.journal.writer import Journal
from tests.gateway.reading import PATIENCE_S, Serving, serving
from tests.passes import AT_ONCE, refusal, rows


def read_with_reconnects(served: Serving, reconnects: int, seed: int) -> list[str]:
    """The ids of the records that a reader gets which leaves so often, after any number of bytes, then stays."""
    chance = random.Random(seed)
    got: list[str] = []
    last_id: str | None = None
    for left in range(reconnects, -1, -1):
        with served.reader(last_id=last_id) as reader:
            assert reader.status == 200, reader.error()
            wanted = chance.choice([0, 1, 2, 3, 5, 20]) if left else None
            for count, event in enumerate(reader.events(), 1):
                got.append(event.record_id)
                if event.record_id == refusal("last").id:
                    return got
                if wanted is not None and count >= wanted:
                    break
            if wanted:
                reader.lose_half_an_event(chance)
            last_id = reader.last_id
    raise AssertionError("the stream ended before the last record")


@pytest.mark.parametrize("reconnects", [100, pytest.param(300, marks=pytest.mark.slow)])
def test_after_random_reconnects_a_reader_has_every_record_once_and_in_order(tmp_path: Path, reconnects: int) -> None:
    with serving(tmp_path) as served, ThreadPoolExecutor(2) as readers:
        reading = [readers.submit(read_with_reconnects, served, reconnects, seed) for seed in (1, 2)]
        with Journal(served.journal(), AT_ONCE) as journal:
            for number in range(4 * reconnects):
                journal.append(refusal(f"input {number}"))
                if number % 3 == 0:
                    journal.sync()
            journal.append(refusal("last"))
        stored = [id_ for _, id_ in rows(served.journal())]
        assert len(stored) == 4 * reconnects + 1
        for each in reading:
            assert each.result(PATIENCE_S) == stored
