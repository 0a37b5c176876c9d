"""F4 and F5: a disk that is full, fails, may only be read, has no inodes or dawdles, under whole processes.

What holds: nothing is shown or acknowledged that is not durable (I1, I5), nothing that was is lost (I7), every picture
is accounted for (I4), and work goes on by itself when the disk does.
"""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydicom.uid import generate_uid

from cathrt.runtime.config import Config, SourceConfig
from cathrt.runtime.counts import FRAME_ENDS
from cathrt.runtime.journal.report import verify_journal
from cathrt.runtime.listener.statuses import OUT_OF_RESOURCES, PROCESSING_FAILURE, SUCCESS
from cathrt.runtime.listener.store_reader import StoreReader
from cathrt.runtime.models import record_parts
from cathrt.runtime.processes.health import health_of
from cathrt.runtime.processes.heartbeat import last_beat_ns
from cathrt.runtime.processes.state_folder import StateFolder
from tests.faults.operations.processes import Live, live, made_state, supervised_live
from tests.faults.weather import Weather
from tests.listener.listening import associated, dataset
from tests.processes.test_gateway import Running, started
from tests.sources.dicom_bytes import xa_file

Recorded = Callable[[str, object], None]
FULL = {"write_error": errno.ENOSPC}
READ_ONLY = {"write_error": errno.EROFS, "create_error": errno.EROFS}
FAILS = {"sync_error": errno.EIO}
NO_INODES = {"create_error": errno.ENOSPC}


class Place:
    """A gateway process whose store is in the weather's reach, and a sender."""

    def __init__(self, state: StateFolder, running: Running, weather: Weather, file: Path) -> None:
        self.state, self.weather = state, weather
        self._running, self._file = running, file

    def send(self, uid: str) -> int:
        with associated(self._running.dicom_port) as association:
            return int(association.send_c_store(dataset(self._file, SOPInstanceUID=uid)).Status)

    def received(self) -> list[str]:
        """UIDs of what is in the store, whose files are there."""
        store = StoreReader(self.state.store)
        received = store.received()
        assert all(store.path_of(each).stat().st_size == each.size for each in received)
        return [each.arrival.sop_instance_uid for each in received]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("gateway")
    state = made_state(folder)
    weather = Weather(folder / "weather", state.store)
    file = folder / "run.dcm"
    file.write_bytes(xa_file())
    with pytest.MonkeyPatch.context() as patched:
        for name, value in weather.environment().items():
            patched.setenv(name, value)
        with started(state) as running:
            yield Place(state, running, weather, file)
            running.end()


def refused_and_taken_later(
    place: Place, weather: dict[str, int], status: int, recorded: Recorded, only: Path | None = None
) -> None:
    before, uid = place.received(), generate_uid()
    with place.weather.storm(only, **weather):
        assert [place.send(uid) for _ in range(2)] == [status] * 2
    assert place.received() == before, "not confirmed, and there"
    assert not any((place.state.store / "incoming").iterdir())
    cleared = time.monotonic()
    assert place.send(uid) == SUCCESS
    recorded("recovery_s", round(time.monotonic() - cleared, 3))
    assert place.received() == [*before, uid]


def test_a_full_disk_is_answered_a700_and_the_sender_comes_again(place: Place, record_property: Recorded) -> None:
    refused_and_taken_later(place, FULL, OUT_OF_RESOURCES, record_property)


def test_a_disk_that_may_only_be_read_is_answered_a700(place: Place, record_property: Recorded) -> None:
    refused_and_taken_later(place, READ_ONLY, OUT_OF_RESOURCES, record_property)


def test_a_disk_that_fails_is_answered_with_a_failure(place: Place, record_property: Recorded) -> None:
    refused_and_taken_later(place, FAILS, PROCESSING_FAILURE, record_property)


def test_without_inodes_the_sender_is_answered_a700_on_its_association(place: Place, record_property: Recorded) -> None:
    refused_and_taken_later(place, NO_INODES, OUT_OF_RESOURCES, record_property)


@pytest.mark.parametrize(
    ("trouble", "status"),
    [
        pytest.param(FULL, OUT_OF_RESOURCES, id="full"),
        pytest.param(FAILS, PROCESSING_FAILURE, id="fails"),
    ],
)
def test_a_disk_that_fails_the_index_alone_leaves_no_transaction_open(
    trouble: dict[str, int], status: int, place: Place, record_property: Recorded
) -> None:
    index = place.state.store / "index.db"
    refused_and_taken_later(place, trouble, status, record_property, only=index)


@pytest.mark.parametrize("slow_ms", [1000, pytest.param(5000, marks=pytest.mark.slow)])
def test_a_slow_sync_delays_the_answer_and_success_still_means_durable(
    slow_ms: int, place: Place, record_property: Recorded
) -> None:
    uid, began = generate_uid(), time.monotonic()
    with place.weather.storm(slow_syncs=1, sync_ms=slow_ms):
        assert place.send(uid) == SUCCESS
        assert time.monotonic() - began >= slow_ms / 1e3
        assert place.weather.get("slow_syncs") <= 0
    cleared = time.monotonic()
    assert place.send(generate_uid()) == SUCCESS
    record_property("recovery_s", round(time.monotonic() - cleared, 3))


@pytest.fixture
def stormy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[StateFolder, Weather]:
    """A state folder and the weather over it, which every process that is started meets."""
    state = made_state(tmp_path)
    weather = Weather(tmp_path / "weather", state.path)
    for name, value in weather.environment().items():
        monkeypatch.setenv(name, value)
    return state, weather


def books_are_whole(running: Live) -> None:
    """Every picture has its end; the journal balances, and has no verdict that is not counted."""
    report = verify_journal(running.state.live_journal, record_parts())
    assert report.sound, [books.anomalies for books in report.passes]
    counts = running.counts
    assert counts is not None
    assert (counts.waiting, counts.unjudged) == (0, 0)
    assert counts.values["received"] == counts.values["held"] + sum(counts.values[end] for end in FRAME_ENDS)
    verdicts = sum(sum(books.verdicts.values()) for books in report.passes)
    assert verdicts + counts.values["lost"] == counts.values["frames"]


@pytest.mark.parametrize(
    "trouble",
    [
        pytest.param(FULL, id="full"),
        pytest.param(READ_ONLY, id="read-only", marks=pytest.mark.slow),
        pytest.param(FAILS, id="fails", marks=pytest.mark.slow),
    ],
)
def test_live_is_never_given_up_for_its_disk_and_goes_on_by_itself(
    trouble: dict[str, int], stormy: tuple[StateFolder, Weather], record_property: Recorded
) -> None:
    state, weather = stormy
    source = SourceConfig(name="A", kind="phantom")
    with supervised_live(state) as running:
        running.wait_for_more("met", 5)
        with weather.storm(None, **trouble):
            running.wait_for(lambda: len(running.ends()) >= 3)  # more than supervisor.restarts
            assert all("cannot persist" in end and "as long as it takes" in end for end in running.ends())
            met = running.count("met")
            health = health_of(state, Config(sources=(source,)), time.monotonic_ns())
            assert any(reason.startswith("live: ") for reason in health.reasons)
            assert running.count("met") == met, "judged, and not durable"
        record_property("recovery_s", round(running.wait_for_more("met", 1), 3))
        running.wait_for_more("runs", 2)
    books_are_whole(running)


@pytest.mark.parametrize("slow_ms", [2000, pytest.param(5000, marks=pytest.mark.slow)])
def test_live_goes_on_beside_a_slow_sync_and_loses_no_picture(
    slow_ms: int, stormy: tuple[StateFolder, Weather], record_property: Recorded
) -> None:
    state, weather = stormy
    with live(state, {}) as running:
        running.wait_for_more("met", 5)
        with weather.storm(slow_syncs=1, sync_ms=slow_ms):
            running.wait_for(lambda: weather.get("slow_syncs") <= 0)  # the writer is in it
            began, met = time.monotonic(), running.count("met")
            running.wait_for_more("received", 30)
            beat_ns = last_beat_ns(state.heartbeat("live"))
            assert beat_ns is not None
            assert time.monotonic_ns() - beat_ns < 3e9, "live stands still"
            during = time.monotonic() - began
            if during < slow_ms / 2e3:  # else the machine was too busy to see it
                assert running.count("met") == met, "a verdict counts once it is durable"
            running.wait_for(lambda: running.count("met") > met)
        record_property("recovery_s", round(max(0.0, time.monotonic() - began - slow_ms / 1e3), 3))
        running.wait_for_more("runs", 1)
    books_are_whole(running)
    assert (running.count("failed"), running.count("lost")) == (0, 0)
