"""The table of doors: what is behind each, who attacks it, and the well-behaved peer that must be served meanwhile.

Not for: the attack's time and books (attack.py).
"""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random

from tests.fuzz.network import dicom, feed, page, receivers, servers
from tests.fuzz.network.conversation import End, converse
from tests.fuzz.network.victim import PATIENCE_S, Victim, started, wait_for_port

Case = Callable[[Random], End]
Answer = Callable[[socket.socket, Random], End]
_CONNECT_S = 5.0
_LONGEST_CALL_S = 15.0


@dataclass(frozen=True)
class Open:
    """A door while it is attacked. case: one attack of ours; None where the victim comes to us and `ends` are counted
    as it does. peer: what a well-behaved peer does, an exception where it is not served."""

    victim: Victim
    peer: Callable[[], None]
    case: Case | None = None


Door = Callable[[Path, "Attackers"], AbstractContextManager[Open]]


@dataclass
class Attackers:
    """The numbered cases of an attack: each has its own random numbers, so that it can be tried again alone.

    ended: called with the number and the end of each case.
    """

    name: str
    seed: int
    ended: Callable[[int, End], None]
    _next: int = 0

    def __post_init__(self) -> None:
        self._lock = threading.Lock()

    def draw(self) -> tuple[int, Random]:
        with self._lock:
            self._next += 1
            return self._next, self.random(self._next)

    def random(self, number: int) -> Random:
        return Random(f"{self.name} {self.seed} {number}")

    @property
    def cases(self) -> int:
        return self._next


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def _gateway(folder: Path, more: str = "", page_port: int = 0) -> Iterator[tuple[Victim, int, int, Path]]:
    """The gateway process on journals with records in them; its DICOM and feed ports, its state folder.

    page_port: where its page is, to which everybody is let in; 0: anywhere.
    """
    from tests.gateway.reading import RECORDS
    from tests.passes import write

    state, dicom_port, feed_port = folder / "state", free_port(), free_port()
    state.mkdir(parents=True)
    write(state / "live.journal", RECORDS)
    config = folder / "lab.toml"
    config.write_text(
        f"[listener]\nport = {dicom_port}\nreserve_mib = 1\nmax_associations = 16\npdu_s = 3.0\nidle_s = 5.0\n"
        f"drain_s = 2.0\n[feed]\nport = {feed_port}\n[page]\nport = {page_port}\ndemo = true\n{more}",
        encoding="utf-8",
    )
    words = ("cathrt.runtime.processes.gateway", str(state), "--config", str(config))
    try:
        with started(words, folder, (state,)) as victim:
            for port in (dicom_port, feed_port):
                wait_for_port(victim, port)
            yield victim, dicom_port, feed_port, state
    finally:
        from cathrt.runtime.processes.state_folder import StateFolder

        if StateFolder(state).memory.exists():
            StateFolder(state).dismiss_memory()


@contextmanager
def _dicom_door(folder: Path, _attackers: Attackers) -> Iterator[Open]:
    with _gateway(folder) as (victim, port, _feed, _state):
        store = _sender(folder, port)
        store()
        yield Open(victim, store, lambda random: dicom_case(port, random))


def dicom_case(port: int, random: Random) -> End:
    """One hostile association."""
    return converse(_connected(port), dicom.conversation(random), random, dicom.expects)


def _sender(folder: Path, port: int) -> Callable[[], None]:
    """A modality that stores one object more each time, and has it acknowledged."""
    from pydicom.uid import generate_uid

    from tests.listener.listening import associated, dataset
    from tests.sources.dicom_bytes import xa_file

    path = folder / "good.dcm"
    path.write_bytes(xa_file())

    def store() -> None:
        uid = str(generate_uid())
        sent = dataset(path, SOPInstanceUID=uid)
        sent.file_meta.MediaStorageSOPInstanceUID = uid
        with associated(port) as association:
            status = association.send_c_store(sent).get("Status")
            assert status == 0, f"a good object was answered with {status}"

    return store


@contextmanager
def _feed_door(folder: Path, _attackers: Attackers) -> Iterator[Open]:
    with _gateway(folder) as (victim, _dicom, port, _state):
        _read_all(port)
        yield Open(victim, lambda: _read_all(port), lambda random: feed_case(port, random))


def feed_case(port: int, random: Random) -> End:
    """One hostile connection to the feed."""
    return converse(_connected(port), feed.conversation(random), random, feed.expects)


@contextmanager
def _page_door(folder: Path, _attackers: Attackers) -> Iterator[Open]:
    port = free_port()
    with _gateway(folder, page_port=port) as (victim, _dicom, _feed, _state):
        wait_for_port(victim, port)
        csrf = _session_of(port)["csrf"]
        _open_readers(port)
        yield Open(victim, lambda: require_page(port), lambda random: page_case(port, random, csrf))


def _open_readers(port: int) -> None:
    """Have the page's threads open the journals, which they then keep open."""

    def ask(path: str) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_CONNECT_S)
        with closing(connection):
            connection.request("GET", path)
            connection.getresponse().read()

    paths = [
        "/api/live",
        "/api/runs",
        "/api/studies",
        "/api/health",
        f"/api/runs/{'0' * 64}",
        "/api/studies/1.2.3",
    ] * 16
    with ThreadPoolExecutor(16) as browsers:
        list(browsers.map(ask, paths))


def page_case(port: int, random: Random, csrf: str) -> End:
    """One hostile connection to the page."""
    return converse(_connected(port), page.conversation(random, csrf), random, page.expects)


def require_page(port: int) -> None:
    """A browser that is told who it is, and gets the page."""
    assert _session_of(port)["csrf"]
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_CONNECT_S)
    with closing(connection):
        connection.request("GET", "/")
        assert connection.getresponse().read().startswith(b"<!doctype html>")


def _session_of(port: int) -> dict[str, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_CONNECT_S)
    with closing(connection):
        connection.request("GET", "/api/session")
        found: dict[str, str] = json.loads(connection.getresponse().read())
        return found


def _read_all(port: int) -> None:
    """A reader that has every record from the first one on."""
    from tests.gateway.reading import RECORDS, Reader, bodies

    reader = Reader(port, "/feeds/live")
    try:
        assert [event.data for event in reader.take(len(RECORDS))] == bodies(RECORDS), "other records than were written"
    finally:
        reader.close()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_CONNECT_S)
    with closing(connection):
        connection.request("GET", "/health")
        json.loads(connection.getresponse().read())


def _connected(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=_CONNECT_S)


@contextmanager
def listening_as(serve: Callable[[socket.socket], object]) -> Iterator[int]:
    """A server that answers each connection in a thread of its own; its port."""
    listening = socket.create_server(("127.0.0.1", 0), backlog=64)
    over = threading.Event()

    def accept() -> None:
        while not over.is_set():
            with suppress(OSError):
                connection, _ = listening.accept()
                threading.Thread(target=serve, args=(connection,), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield listening.getsockname()[1]
    finally:
        over.set()
        with suppress(OSError):
            listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join()


@dataclass(frozen=True)
class _Good:
    """The well-behaved server that a victim has beside the hostile one."""

    kind: str
    address: str
    serve: Callable[[socket.socket], object]


_GOOD_SOURCE = _Good("openigtlink", "127.0.0.1:{port}", servers.serve_good_openigtlink)
_GOOD_RECEIVER = _Good("webhook", "http://127.0.0.1:{port}/", receivers.serve_good_webhook)


def _client_door(kind: str, address: str, answer: Answer, good: _Good) -> Door:
    """A source or an outlet of ours comes to a hostile server, beside one that comes to a good server."""

    @contextmanager
    def door(folder: Path, attackers: Attackers) -> Iterator[Open]:
        def serve(connection: socket.socket) -> None:
            number, random = attackers.draw()
            attackers.ended(number, answer(connection, random))

        with listening_as(serve) as hostile_port, listening_as(good.serve) as good_port:
            addresses = (kind, address.format(port=hostile_port), good.kind, good.address.format(port=good_port))
            with started(("tests.fuzz.network.client_victim", *addresses), folder) as victim:
                counted = _Counted(victim, folder / "stdout")
                counted.wait()
                yield Open(victim, counted.require_served)

    return door


class _Counted:
    """What client_victim.py prints: the good server must have been used more at each look, and no call may last."""

    def __init__(self, victim: Victim, printed: Path) -> None:
        self._victim, self._printed = victim, printed
        self._served = 0.0

    def wait(self) -> None:
        """Until it has begun."""
        deadline = time.monotonic() + PATIENCE_S
        while self._newest().get("good served", 0) < 3:
            if time.monotonic() > deadline or self._victim.process.poll() is not None:
                raise SystemExit(f"the victim does not start: {self._victim.errors.read_text(errors='replace')}")
            time.sleep(0.1)

    def require_served(self) -> None:
        """Raises AssertionError."""
        newest = self._newest()
        served = newest.get("good served", 0.0)
        assert served > self._served, f"nothing more came from the good server after {served:.0f} calls"
        self._served = served
        assert newest["longest_call_s"] < _LONGEST_CALL_S, "a call does not return"

    def _newest(self) -> dict[str, float]:
        whole = [line for line in self._printed.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")]
        found: dict[str, float] = json.loads(whole[-1]) if whole else {}
        return found


DOORS: dict[str, Door] = {
    "dicom": _dicom_door,
    "feed": _feed_door,
    "page": _page_door,
    "openigtlink": _client_door("openigtlink", "127.0.0.1:{port}", servers.serve_openigtlink, _GOOD_SOURCE),
    "video": _client_door("video", "tcp://127.0.0.1:{port}", servers.serve_transport_stream, _GOOD_SOURCE),
    "rtsp": _client_door("video", "rtsp://127.0.0.1:{port}/x", servers.serve_rtsp, _GOOD_SOURCE),
    "webhook": _client_door("webhook", "http://127.0.0.1:{port}/", receivers.serve_webhook, _GOOD_RECEIVER),
    "mqtt": _client_door("mqtt", "mqtt://127.0.0.1:{port}", receivers.serve_mqtt, _GOOD_RECEIVER),
    "syslog": _client_door("syslog", "syslog+tcp://127.0.0.1:{port}", receivers.serve_syslog, _GOOD_RECEIVER),
}
