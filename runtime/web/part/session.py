"""Who asks: the roles, and one person's time at the page.

Not for: how a session begins and ends (access/sessions.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class Role(IntEnum):
    """What somebody may do; each role may do what those before it may. ANYBODY: has not said who it is."""

    ANYBODY = 0
    VIEWER = 1
    OPERATOR = 2
    ADMIN = 3

    @property
    def word(self) -> str:
        """As the users file and the API write it."""
        return self.name.lower()


ROLES = {role.word: role for role in Role if role is not Role.ANYBODY}


@dataclass(frozen=True, slots=True)
class Session:
    """One person at one browser.

    id: for logs and the audit trail; nobody gets in with it. user: as in the users file; "" before the login.
    address: where from. expires_s: on the wall clock, seconds since 1970; 0: this login does not end by itself.
    demo: nobody has logged in, since this is a demonstration.
    """

    id: str
    user: str
    display_name: str
    role: Role
    address: str
    expires_s: float = 0.0
    demo: bool = False
