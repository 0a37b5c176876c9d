"""kill -9 at every step of a delivery: nothing is lost, at most the last records come again, with the same ids."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from cathrt.runtime.failpoints import OUTLET_POINTS
from cathrt.runtime.outlets.outbox import Outbox
from tests.faults.calls import Nursery, nursery
from tests.outlets.delivering import journal_of, mixed
from tests.outlets.receivers import RECEIVERS, receiving

DELIVER = "tests.outlets.kill_delivery:deliver"


@pytest.fixture(scope="module")
def processes() -> Iterator[Nursery]:
    with nursery() as started:
        yield started


@pytest.mark.parametrize("kind", RECEIVERS)
@pytest.mark.parametrize("point", [point for point in OUTLET_POINTS if "bur" not in point])
def test_an_outlet_killed_and_started_again(processes: Nursery, tmp_path: Path, kind: str, point: str) -> None:
    ids = journal_of(tmp_path, mixed())
    kills = 0
    with receiving(kind) as receiver:
        while processes.run(DELIVER, str(tmp_path), kind, receiver.address, point, kills % 4) == -signal.SIGKILL:
            kills += 1
            assert kills < 60
            if kills > 3 and point in ("outlet.sending", "outlet.acknowledged"):
                break  # killed at every attempt, it would never end
        assert processes.run(DELIVER, str(tmp_path), kind, receiver.address, "", 0) == 0
        receiver.told.wait_for(lambda: set(receiver.told.ids) == set(ids))
    assert kills > 0
    assert list(dict.fromkeys(receiver.told.ids)) == ids
    assert len(receiver.told.ids) - len(ids) <= 16 * kills  # a turn's records, once a kill
    with closing(Outbox(tmp_path / "outbox.db")) as outbox:
        place = outbox.place("out", "live")
        assert place is not None
        assert place.head.seq == len(ids)


@pytest.mark.parametrize("point", [point for point in OUTLET_POINTS if "bur" in point])
def test_a_dead_letter_is_there_once_however_often_the_process_is_killed_over_it(
    processes: Nursery, tmp_path: Path, point: str
) -> None:
    ids = journal_of(tmp_path, mixed())
    with receiving("webhook") as receiver:
        receiver.told.answer = lambda id_: "refuse" if id_ in (ids[3], ids[9]) else "take"
        for _ in range(2):
            assert processes.run(DELIVER, str(tmp_path), "webhook", receiver.address, point, 0) == -signal.SIGKILL
        assert processes.run(DELIVER, str(tmp_path), "webhook", receiver.address, "", 0) == 0
    with closing(Outbox(tmp_path / "outbox.db")) as outbox:
        assert [letter.id for letter in outbox.letters("out")] == [ids[3], ids[9]]
    assert list(dict.fromkeys(receiver.told.ids)) == [id_ for id_ in ids if id_ not in (ids[3], ids[9])]
