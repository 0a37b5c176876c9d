"""How often a login may fail: counted for each user and for each address, over a time that slides.

Not for: whether a password is right (passwords.py).
"""

from __future__ import annotations

import ipaddress
import math
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass

_KEYS = 4096  # remembered at once; one more and the oldest is forgotten, whose tries have mostly passed


@dataclass(frozen=True, slots=True)
class LoginLimits:
    """Tries that may fail within within_s: of one user wherever from, and from one address whoever for."""

    of_user: int = 10
    of_address: int = 30
    within_s: float = 900.0


class LoginLimit:
    """For one event loop. now_s: any clock that only goes forward."""

    def __init__(self, now_s: Callable[[], float], limits: LoginLimits) -> None:
        self._now_s, self._limits = now_s, limits
        self._tries: OrderedDict[tuple[str, str], deque[float]] = OrderedDict()

    def begin(self, user: str, address: str) -> int:
        """Count a try before it is known how it ends, so that many at once count too.

        Returns 0, or the seconds after which one may be made again; that try is then not counted.
        """
        now_s = self._now_s()
        keys = self._keys(user, address)
        waits_s = [self._wait_s(key, most, now_s) for key, most in keys.items()]
        if any(waits_s):
            return math.ceil(max(waits_s))
        for key in keys:
            self._tries.setdefault(key, deque()).append(now_s)
            self._tries.move_to_end(key)
        while len(self._tries) > _KEYS:
            self._tries.popitem(last=False)
        return 0

    def succeeded(self, user: str, address: str) -> None:
        """The last try of this user from this address was no failure: it does not count, nor do the user's before."""
        for key in self._keys(user, address):
            if tries := self._tries.get(key):
                tries.pop()
        self._tries.pop(("user", user), None)

    def _keys(self, user: str, address: str) -> dict[tuple[str, str], int]:
        return {("user", user): self._limits.of_user, ("address", network_of(address)): self._limits.of_address}

    def _wait_s(self, key: tuple[str, str], most: int, now_s: float) -> float:
        tries = self._tries.get(key)
        if tries is None:
            return 0.0
        while tries and tries[0] <= now_s - self._limits.within_s:
            tries.popleft()
        if not tries:
            del self._tries[key]
            return 0.0
        return tries[-most] + self._limits.within_s - now_s if len(tries) >= most else 0.0


def network_of(address: str) -> str:
    """The address; of IPv6 its /64, since whoever has one address there has them all."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((found, 64), strict=False))
