"""A listener on a loopback port, and a sender: what the tests of the listener share. Not for: attacks (raw_peer.py)."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from pydicom import dcmread
from pydicom.dataset import Dataset
from pynetdicom import AE
from pynetdicom.association import Association

from cathrt.runtime.config import ListenerConfig
from cathrt.runtime.listener.commitment_book import Commitment
from cathrt.runtime.listener.object_store import Arrival, ObjectStore, Placed
from cathrt.runtime.listener.scp import Listener, opened_listener
from cathrt.runtime.listener.spool import SpoolLimits
from cathrt.runtime.listener.study_end import StudyEnd

PATIENCE_S = 60.0  # for what comes; on a busy machine it comes late
SETTINGS = ListenerConfig(port=0, pdu_s=2.0, idle_s=5.0, reserve_mib=1, drain_s=2.0)
LIMITS = SpoolLimits(max_object_bytes=64 << 20, reserve_bytes=1 << 20)
XA = "1.2.840.10008.5.1.4.1.1.12.1"
VERIFICATION = "1.2.840.10008.1.1"
EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"


@dataclass
class Listening:
    """A running listener, its store, and what it told."""

    listener: Listener
    store: ObjectStore
    folder: Path
    told: list[tuple[Arrival, Placed]]
    ends: list[StudyEnd]
    commitments: list[Commitment]
    connected: ExitStack

    def connect(self) -> socket.socket:
        """A bare connection, closed at the end of the test at the latest."""
        return self.connected.enter_context(
            socket.create_connection(("127.0.0.1", self.listener.port), timeout=PATIENCE_S)
        )

    def files(self, room: str) -> list[Path]:
        """What lies in a room of the store."""
        return sorted(path for path in (self.folder / room).rglob("*") if path.is_file())


@contextmanager
def listening(folder: Path, settings: ListenerConfig = SETTINGS, limits: SpoolLimits = LIMITS) -> Iterator[Listening]:
    """Listen on a free port until the end of the block."""
    store = ObjectStore(folder, limits)
    told: list[tuple[Arrival, Placed]] = []
    ends: list[StudyEnd] = []
    commitments: list[Commitment] = []
    try:
        with (
            ExitStack() as connected,
            opened_listener(
                settings, store, lambda arrival, placed: told.append((arrival, placed)), ends.append, commitments.append
            ) as listener,
        ):
            yield Listening(listener, store, folder, told, ends, commitments, connected)
            assert listener.is_well, "a thread of the listener has died"
    finally:
        store.close()


@contextmanager
def associated(
    port: int,
    contexts: Sequence[tuple[str, str]] = ((XA, EXPLICIT_LITTLE),),
    calling: str = "MODALITY",
    **options: object,
) -> Iterator[Association]:
    """An association that the listener accepted, released at the end."""
    ae = AE(calling)
    for abstract, syntax in contexts:
        ae.add_requested_context(abstract, syntax)
    association = ae.associate("127.0.0.1", port, **{"ae_title": "CATHRT", **options})  # type: ignore[arg-type]
    wrapper = association.dul.socket
    connection = wrapper.socket if wrapper is not None else None
    try:
        assert association.is_established, "the association was not accepted"
        yield association
    finally:
        if association.is_established:
            association.release()
        if connection is not None:
            connection.close()  # which pynetdicom forgets where the other side was first


def dataset(path: Path, **changes: object) -> Dataset:
    """A data set to send, with other values for some attributes."""
    read = dcmread(path)
    for keyword, value in changes.items():
        setattr(read, keyword, value)
    return read


def with_settings(**changes: object) -> ListenerConfig:
    """The settings of the tests with other values."""
    return replace(SETTINGS, **changes)  # type: ignore[arg-type]


def wait_until(holds: Callable[[], bool], within_s: float = PATIENCE_S) -> None:
    """Wait for what other threads bring about."""
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline, "it did not become so in time"
        time.sleep(0.01)
