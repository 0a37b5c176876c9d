"""F13: a burst of large objects beside live work: all are kept, in little memory, and live loses no picture."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from pydicom import dcmread
from pydicom.uid import generate_uid

from cathrt.runtime.listener.statuses import SUCCESS
from cathrt.runtime.listener.store_reader import StoreReader
from tests.faults.operations.processes import live, made_state
from tests.faults.operations.test_disk import books_are_whole
from tests.listener.listening import associated
from tests.processes.test_gateway import started
from tests.sources.dicom_bytes import xa_file

Recorded = Callable[[str, object], None]
SENDERS, FRAMES, SIDE = 5, 160, 1024  # of one byte a pixel: 168 MB
MOST_MIB = 250.0


@pytest.mark.slow
def test_five_objects_of_168_mb_at_once_are_kept_in_little_memory_beside_live(
    tmp_path: Path, record_property: Recorded
) -> None:
    path = tmp_path / "run.dcm"
    path.write_bytes(xa_file())
    object_ = dcmread(path)
    object_.Rows = object_.Columns = SIDE
    object_.NumberOfFrames = FRAMES
    object_.BitsAllocated = object_.BitsStored = 8
    object_.HighBit = 7
    object_.PixelData = bytes(FRAMES * SIDE * SIDE)
    object_["PixelData"].VR = "OB"
    object_.save_as(path)
    assert path.stat().st_size > 167e6
    state = made_state(tmp_path)
    statuses: list[int] = []

    def send(port: int) -> None:
        mine = dcmread(path)
        mine.SOPInstanceUID = generate_uid()
        with associated(port) as association:
            statuses.append(int(association.send_c_store(mine).Status))

    with started(state) as gateway, live(state, {}) as running:
        process = psutil.Process(gateway.process.pid)
        before_mib, most_mib = process.memory_info().rss / 2**20, 0.0
        running.wait_for_more("met", 5)
        met, began = running.count("met"), time.monotonic()
        threads = [threading.Thread(target=send, args=(gateway.dicom_port,)) for _ in range(SENDERS)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            most_mib = max(most_mib, process.memory_info().rss / 2**20)
            time.sleep(0.05)
        took_s = time.monotonic() - began
        record_property("recovery_s", round(running.wait_for_more("met", 1), 3))
        assert statuses == [SUCCESS] * SENDERS
        assert most_mib - before_mib < MOST_MIB, "objects go to the disk as they come"
        assert running.count("met") - met > took_s, "live was held up"
        running.wait_for_more("runs", 1)
        gateway.end()
    books_are_whole(running)
    assert (running.count("lost"), running.count("failed")) == (0, 0)
    store = StoreReader(state.store)
    received = store.received()
    assert len(received) == SENDERS
    assert all(store.path_of(each).stat().st_size == each.size > 167e6 for each in received)
