"""What systemd is told: ready once, alive as often as its watchdog needs, stopping; and never at the work's cost."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from cathrt.runtime.errors import ConfigError
from cathrt.runtime.processes.service_manager import ServiceManager, service_manager

PID = 4711


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[socket.socket]:
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.setblocking(False)
        yield listening


def heard(systemd: socket.socket) -> list[str]:
    found = []
    while True:
        try:
            found.append(systemd.recv(4096).decode())
        except BlockingIOError:
            return found


def environment(systemd: socket.socket, **more: str) -> dict[str, str]:
    return {"NOTIFY_SOCKET": systemd.getsockname(), "PATH": "/usr/bin", **more}


def test_ready_is_said_once_and_stopping_at_the_end(systemd: socket.socket) -> None:
    manager = service_manager(environment(systemd), PID)
    manager.ready()
    manager.ready()
    manager.status("live running")
    manager.stopping()
    assert heard(systemd) == ["READY=1", "STATUS=live running", "STOPPING=1"]
    assert manager.failure == ""


def test_the_watchdog_is_fed_four_times_within_its_time(systemd: socket.socket) -> None:
    clock = Clock()
    manager = service_manager(environment(systemd, WATCHDOG_USEC="20000000", WATCHDOG_PID=str(PID)), PID, clock)
    for _ in range(200):  # 20 s of passes of 0.1 s
        manager.alive()
        clock.now_s += 0.1
    assert heard(systemd) == ["WATCHDOG=1"] * 4


@pytest.mark.parametrize("more", [{}, {"WATCHDOG_USEC": "20000000", "WATCHDOG_PID": "1"}])
def test_a_watchdog_that_is_not_ours_is_not_fed(systemd: socket.socket, more: dict[str, str]) -> None:
    service_manager(environment(systemd, **more), PID).alive()
    assert heard(systemd) == []


def test_children_do_not_inherit_the_variables(systemd: socket.socket) -> None:
    given = environment(systemd, WATCHDOG_USEC="20000000", WATCHDOG_PID=str(PID))
    service_manager(given, PID)
    assert given == {"PATH": "/usr/bin"}


def test_a_status_is_one_line_of_limited_length(systemd: socket.socket) -> None:
    ServiceManager(systemd.getsockname(), None).status("a\nREADY=1" + "é" * 2000)
    (said,) = heard(systemd)
    assert said.startswith("STATUS=a READY=1é")
    assert len(said.encode()) < 1100


def test_an_abstract_socket_is_reached() -> None:
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as listening:
        listening.bind("")  # the kernel gives it an abstract name
        listening.setblocking(False)
        name = listening.getsockname()
        ServiceManager(f"@{name[1:].decode()}", None).ready()
        assert heard(listening) == ["READY=1"]


def test_a_manager_that_does_not_read_holds_up_nobody(systemd: socket.socket) -> None:
    clock = Clock()
    manager = ServiceManager(systemd.getsockname(), 4.0, clock)
    for _ in range(5000):  # more than any socket's buffer takes
        manager.alive()
        clock.now_s += 1.0
    assert "was not told WATCHDOG: " in manager.failure


def test_without_a_manager_nothing_is_said() -> None:
    manager = service_manager({"WATCHDOG_USEC": "20000000"}, PID)
    manager.ready()
    manager.alive()
    manager.stopping()
    assert manager.failure == ""


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"NOTIFY_SOCKET": "vsock:2:1234"}, "expected a path or an abstract name"),
        ({"WATCHDOG_USEC": "soon"}, "expected microseconds"),
        ({"WATCHDOG_USEC": "0"}, "expected microseconds"),
    ],
)
def test_what_cannot_be_understood_is_refused_by_name(systemd: socket.socket, more: dict[str, str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        service_manager(environment(systemd, **more), PID)
