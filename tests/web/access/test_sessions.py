"""Sessions on clocks of the test's own: how they begin, go on over a killed gateway, and end."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import pytest

from cathrt.runtime.web.access.sessions import (
    MOST_OF_ONE_USER,
    Clocks,
    Sessions,
    read_sessions,
    write_sessions,
)
from cathrt.runtime.web.access.users_file import NO_PASSWORD, User
from cathrt.runtime.web.part.session import Role

IDLE_S, LONGEST_S = 600.0, 3600.0
MORI, SATO = User("mori", Role.OPERATOR, NO_PASSWORD, "Dr. Mori"), User("sato", Role.VIEWER, NO_PASSWORD)
USERS = {"mori": MORI, "sato": SATO}


class Hands:
    """Two clocks that the test sets together."""

    def __init__(self, now_s: float = 100.0) -> None:
        self.now_s, self.wall_s = now_s, 1.8e9

    def pass_by(self, seconds: float) -> None:
        """Let time go by."""
        self.now_s += seconds
        self.wall_s += seconds

    def sessions(self) -> Sessions:
        """Sessions by these clocks."""
        return Sessions(Clocks(lambda: self.now_s, lambda: self.wall_s), IDLE_S, LONGEST_S)


def test_only_the_token_opens_its_session() -> None:
    sessions = Hands().sessions()
    token, held = sessions.begin(MORI, "10.0.0.1")
    assert sessions.of_token(token) is held
    assert (held.session.user, held.session.display_name, held.session.role) == ("mori", "Dr. Mori", Role.OPERATOR)
    for other in (held.session.id, held.csrf, token[:-1], "", "\ud800"):
        assert sessions.of_token(other) is None
    assert len(token) >= 43  # 256 bits
    assert sessions.begin(MORI, "10.0.0.1")[0] != token


def test_one_that_nobody_uses_ends_and_one_that_is_used_ends_later() -> None:
    hands = Hands()
    sessions = hands.sessions()
    idle, used = (sessions.begin(MORI, "") for _ in range(2))
    for _ in range(5):
        hands.pass_by(IDLE_S / 2)
        assert sessions.of_token(used[0]) is used[1]
    assert sessions.of_token(idle[0]) is None
    assert idle[1].ended.is_set()
    hands.pass_by(LONGEST_S - 5 * IDLE_S / 2)
    assert sessions.of_token(used[0]) is None  # however much it was used
    assert used[1].ended.is_set()


def test_an_open_stream_is_use_but_does_not_outlast_the_end() -> None:
    hands = Hands()
    sessions = hands.sessions()
    token, held = sessions.begin(MORI, "")
    held.open = 1
    hands.pass_by(IDLE_S * 2)
    assert sessions.sweep(USERS) == 0
    assert sessions.of_token(token) is held
    hands.pass_by(LONGEST_S)
    assert sessions.sweep(USERS) == 1
    assert held.ended.is_set()


@pytest.mark.parametrize(
    "users",
    [
        {"sato": SATO},
        {**USERS, "mori": replace(MORI, role=Role.VIEWER)},
        {**USERS, "mori": replace(MORI, kept="another")},
    ],
    ids=["removed", "another role", "another password"],
)
def test_a_user_who_was_changed_is_logged_out(users: dict[str, User]) -> None:
    sessions = Hands().sessions()
    (token, held), (other, _) = sessions.begin(MORI, ""), sessions.begin(SATO, "")
    assert sessions.sweep(users) == 1
    assert held.ended.is_set()
    assert sessions.of_token(token) is None
    assert sessions.of_token(other) is not None


def test_a_gateway_that_was_killed_comes_back_with_its_sessions(tmp_path: Path) -> None:
    hands, path = Hands(), tmp_path / "page-sessions.json"
    before = hands.sessions()
    token, held = before.begin(MORI, "10.0.0.1")
    write_sessions(path, before.document())
    assert path.stat().st_mode & 0o777 == 0o600
    assert token not in path.read_text()
    hands.pass_by(60.0)
    hands.now_s = 5.0  # another process may count from another moment
    after = hands.sessions()
    content = read_sessions(path)
    assert content is not None
    after.take_up(content)
    found = after.of_token(token)
    assert found is not None
    assert (found.session, found.csrf) == (held.session, held.csrf)
    assert after.sweep(USERS) == 0
    hands.pass_by(IDLE_S - 1)
    assert after.of_token(token) is not None
    hands.pass_by(LONGEST_S - 60.0 - IDLE_S + 1)
    assert after.of_token(token) is None  # its end is that of before


def test_a_session_whose_time_was_over_is_not_taken_up() -> None:
    hands = Hands()
    before = hands.sessions()
    token, _ = before.begin(MORI, "")
    document = before.document().encode()
    hands.pass_by(LONGEST_S)
    after = hands.sessions()
    after.take_up(document)
    assert after.of_token(token) is None


@pytest.mark.parametrize("document", [b"", b"{}", b"[1]", b'[{"key": "a"}]', b"\xff"])
def test_what_is_no_list_of_sessions_is_refused(document: bytes) -> None:
    with pytest.raises(ValueError, match="expected sessions of the page"):
        Hands().sessions().take_up(document)


def test_one_person_has_so_many_sessions_and_the_least_used_ends() -> None:
    hands = Hands()
    sessions = hands.sessions()
    (first, _), *rest = [(sessions.begin(MORI, ""), hands.pass_by(1.0))[0] for _ in range(MOST_OF_ONE_USER)]
    assert sessions.of_token(first) is not None  # used last now
    sessions.begin(MORI, "")
    assert sessions.of_token(first) is not None
    assert sessions.of_token(rest[0][0]) is None
    assert len(sessions) == MOST_OF_ONE_USER


def test_who_a_proxy_names_keeps_one_session_until_the_user_changes() -> None:
    sessions = Hands().sessions()
    held = sessions.of_proxy(MORI, "10.0.0.5")
    assert sessions.of_proxy(MORI, "10.0.0.5") is held
    assert json.loads(sessions.document()) == []  # the proxy names them again
    changed = sessions.of_proxy(replace(MORI, role=Role.VIEWER), "10.0.0.5")
    assert changed.session.role is Role.VIEWER
    assert held.ended.is_set()


def test_when_the_page_ends_streams_end_and_sessions_stay() -> None:
    sessions = Hands().sessions()
    token, held = sessions.begin(MORI, "")

    async def waits() -> None:
        await asyncio.wait_for(held.ended.wait(), 5.0)

    sessions.end_all()
    asyncio.run(waits())
    assert sessions.of_token(token) is held
