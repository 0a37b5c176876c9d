"""Tells systemd how `cathrt run` is: ready, alive (its watchdog), stopping, and a line for `systemctl status`.

The protocol is a datagram to the socket that $NOTIFY_SOCKET names; see sd_notify(3). Not for: what makes the service
well (health.py), and when a process is started again (restarts.py).
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, MutableMapping

from cathrt.runtime.errors import ConfigError

# Who asks to be told, and how often. The manager passes them in the environment, and nowhere else.
_SOCKET, _WATCHDOG_US, _WATCHDOG_PID = "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"
_FEEDS = 4  # to the watchdog within its time: one that comes late costs nothing
_STATUS_BYTES = 1024


class ServiceManager:
    """The service manager that started this process; one that asks for nothing where there is none.

    Nothing here waits or raises: a manager that does not listen is no reason to stop. failure: why it was not told; ""
    as long as it was.
    """

    def __init__(self, address: str, watchdog_s: float | None, now_s: Callable[[], float] = time.monotonic) -> None:
        """address: a path, or "@" and an abstract name; "" for none. watchdog_s: longest without alive()."""
        self._address, self._every_s, self._now_s = address, watchdog_s and watchdog_s / _FEEDS, now_s
        self._fed_s: float | None = None
        self._ready = False
        self.failure = ""

    def ready(self) -> None:
        """The service does its work. Only the first call is passed on."""
        if not self._ready:
            self._ready = True
            self._tell("READY=1")

    def alive(self) -> None:
        """Feed the watchdog. To be called often: it is passed on as often as the watchdog needs."""
        if self._every_s is None:
            return
        now_s = self._now_s()
        if self._fed_s is None or now_s - self._fed_s >= self._every_s:
            self._fed_s = now_s
            self._tell("WATCHDOG=1")

    def status(self, line: str) -> None:
        """One line for people."""
        shown = line.replace("\n", " ").encode()[:_STATUS_BYTES].decode(errors="ignore")
        self._tell(f"STATUS={shown}")

    def stopping(self) -> None:
        """The service ends now; the watchdog no longer counts."""
        self._tell("STOPPING=1")

    def _tell(self, line: str) -> None:
        if not self._address:
            return
        address = f"\0{self._address[1:]}" if self._address.startswith("@") else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.setblocking(False)  # a manager that hangs must not hang the supervisor too
                sender.sendto(line.encode(), address)
        except OSError as exc:
            self.failure = f"the service manager at {self._address} was not told {line.partition('=')[0]}: {exc}"


def service_manager(
    environment: MutableMapping[str, str], pid: int, now_s: Callable[[], float] = time.monotonic
) -> ServiceManager:
    """The manager that the environment names. Its variables are taken out, so that no child speaks in our place.

    pid: of this process; a watchdog for another one is not ours. Raises ConfigError where they cannot be understood.
    """
    address = environment.pop(_SOCKET, "")
    microseconds, for_pid = environment.pop(_WATCHDOG_US, ""), environment.pop(_WATCHDOG_PID, "")
    if address and address[0] not in "/@":
        raise ConfigError(f"${_SOCKET}: found {address!r}, expected a path or an abstract name: start it by systemd")
    if not address or not microseconds or (for_pid and for_pid != str(pid)):
        return ServiceManager(address, None, now_s)
    if not microseconds.isdecimal() or not int(microseconds):
        raise ConfigError(
            f"${_WATCHDOG_US}: found {microseconds!r}, expected microseconds: set WatchdogSec in the unit"
        )
    return ServiceManager(address, int(microseconds) / 1e6, now_s)
