"""Logging in and out over HTTP: the cookie, tries that fail, sessions that end, a proxy, a demonstration."""

from __future__ import annotations

import http.client
import ssl
import statistics
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cathrt.runtime.alert import NOTICE
from cathrt.runtime.config import Config, SourceConfig
from cathrt.runtime.errors import ConfigError
from cathrt.runtime.web.access.login_limit import LoginLimits
from cathrt.runtime.web.access.passwords import password_hash
from cathrt.runtime.web.access.users_file import NO_PASSWORD, User, read_users, write_users
from cathrt.runtime.web.page import USERS_FILE, PageLimits
from cathrt.runtime.web.part.session import Role
from tests.web.certificate import certificate_files
from tests.web.parts import part
from tests.web.serving import HOST, PASSWORD, PATIENCE_S, Client, make_users, served

QUICK = PageLimits(renew_s=0.05)
WRONG = "not this password"


def until(condition: Any) -> None:
    """Wait until it holds."""
    deadline_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.02)


def status(client: Client) -> int:
    """Of a path for viewers."""
    return client.get("/api/test/shown/a").status


def test_who_logs_in_gets_a_cookie_that_no_script_and_no_other_page_has(tmp_path: Path) -> None:
    with served(tmp_path, parts=(part,)) as page:
        client = page.client()
        assert client.get("/api/session").json == {
            "user": None, "display_name": "", "role": "anybody", "csrf": None, "demo": False,
            "expires_at": None, "login": "password", "notice": NOTICE,
        }  # fmt: skip
        answer = client.log_in("operator")
        assert answer.status == 201
        cookie = answer.headers["set-cookie"].split("; ")
        assert cookie[0].startswith("cathrt_session=")
        assert {part.lower() for part in cookie[1:]} == {"httponly", "path=/", "samesite=strict"}
        told = client.get("/api/session").json
        assert told == answer.json
        assert (told["user"], told["role"], told["login"]) == ("operator", "operator", "password")
        assert status(client) == 200
        assert client.delete("/api/session").status == 204
        assert status(client) == 401
        assert client.get("/api/session").json["user"] is None
    trail = (tmp_path / "audit.xml").read_text().splitlines()
    assert ['csd-code="110122"' in trail[0], 'csd-code="110123"' in trail[-1]] == [True, True]
    assert PASSWORD not in "".join(trail)


def test_logging_in_again_ends_the_session_before(tmp_path: Path) -> None:
    with served(tmp_path, parts=(part,)) as page:
        client = page.client("viewer")
        before = Client(page.page.port, cookie=client.cookie)
        assert client.log_in("operator").status == 201
        assert (status(before), status(client)) == (401, 200)


@pytest.mark.parametrize(
    ("user", "password"),
    [("operator", WRONG), ("nobody", PASSWORD), ("operator", ""), ("", PASSWORD), ("proxied", "-"), ("x\ny", "z")],
)
def test_what_is_wrong_is_not_said(tmp_path: Path, user: str, password: str) -> None:
    make_users(tmp_path / USERS_FILE)
    users = read_users(tmp_path / USERS_FILE)
    write_users(tmp_path / USERS_FILE, {**users, "proxied": User("proxied", Role.ADMIN, NO_PASSWORD)})
    with served(tmp_path, parts=()) as page:
        answer = page.client().log_in(user, password)
    assert (answer.status, answer.error) == (
        401,
        "found no such user with this password: check both, or ask an administrator",
    )
    assert "set-cookie" not in answer.headers
    trail = (tmp_path / "audit.xml").read_text()
    assert 'EventOutcomeIndicator="4"' in trail
    assert f'UserID="{user if user in ("operator", "proxied") else "unknown"}"' in trail


def test_tries_are_held_back_for_a_user_and_others_still_get_in(tmp_path: Path) -> None:
    limits = PageLimits(login=LoginLimits(of_user=3, of_address=100))
    with served(tmp_path, parts=(), limits=limits) as page:
        client = page.client()
        assert [client.log_in("operator", WRONG).status for _ in range(5)] == [401, 401, 401, 429, 429]
        held_back = client.log_in("operator")  # the right password, too late
        assert held_back.status == 429
        assert 0 < int(held_back.headers["retry-after"]) <= 900
        assert client.log_in("viewer").status == 201


def test_tries_are_held_back_for_an_address_whoever_it_tries(tmp_path: Path) -> None:
    limits = PageLimits(login=LoginLimits(of_user=100, of_address=4))
    with served(tmp_path, parts=(), limits=limits) as page:
        client = page.client()
        assert [client.log_in(f"user{n}", WRONG).status for n in range(5)] == [401, 401, 401, 401, 429]
        assert client.log_in("viewer").status == 429
    assert (tmp_path / "audit.xml").read_text().count('csd-code="110113"') == 2  # a security alert each


@pytest.mark.slow
@pytest.mark.alone
def test_a_user_that_there_is_not_takes_as_long_to_refuse(tmp_path: Path) -> None:
    limits = PageLimits(login=LoginLimits(of_user=1000, of_address=1000))
    write_users(tmp_path / USERS_FILE, {"operator": User("operator", Role.OPERATOR, password_hash(PASSWORD))})
    with served(tmp_path, parts=(), limits=limits) as page:
        client = page.client()
        client.log_in("nobody", WRONG)  # makes the hash that such names are checked against
        times: dict[str, list[float]] = {"operator": [], "nobody": []}
        for _ in range(9):
            for user, taken in times.items():
                begin_s = time.monotonic()
                assert client.log_in(user, WRONG).status == 401
                taken.append(time.monotonic() - begin_s)
    known, unknown = (statistics.median(times[user]) for user in ("operator", "nobody"))
    assert 0.7 < known / unknown < 1.4, times


def test_a_session_ends_when_its_user_is_removed_or_changed_and_so_do_its_streams(tmp_path: Path) -> None:
    with served(tmp_path, parts=(part,), limits=QUICK) as page:
        operator, viewer = page.client("operator"), page.client("viewer")
        users = read_users(tmp_path / USERS_FILE)
        write_users(tmp_path / USERS_FILE, {**users, "operator": replace(users["operator"], role=Role.VIEWER)})
        until(lambda: status(operator) == 401)
        assert status(viewer) == 200
        with viewer.opened("/api/test/quiet") as stream:
            write_users(tmp_path / USERS_FILE, {})
            assert stream.read().endswith(b": over\n\n")
        assert status(viewer) == 401


def test_a_stream_that_does_not_listen_is_cut_when_its_session_ends(tmp_path: Path) -> None:
    with served(tmp_path, parts=(part,), limits=QUICK) as page:
        viewer = page.client("viewer")
        with viewer.opened("/api/test/deaf") as stream:
            assert viewer.delete("/api/session").status == 204
            with pytest.raises((http.client.IncompleteRead, ConnectionError)):
                stream.read()


def test_a_users_file_that_cannot_be_read_locks_nobody_out(tmp_path: Path) -> None:
    with served(tmp_path, parts=(part,), limits=QUICK) as page:
        viewer = page.client("viewer")
        content = (tmp_path / USERS_FILE).read_text()
        (tmp_path / USERS_FILE).write_text("viewer:nonsense")
        time.sleep(0.3)
        assert status(viewer) == 200
        assert page.client().log_in("operator").status == 201
        (tmp_path / USERS_FILE).write_text(content.replace("viewer:viewer", "viewer:admin"))
        until(lambda: status(viewer) == 401)


def test_sessions_go_on_over_a_restart_of_the_page_and_an_idle_one_ends(tmp_path: Path) -> None:
    with served(tmp_path, parts=(part,)) as page:
        before = page.client("viewer")
    with served(tmp_path, parts=(part,)) as page:
        after = Client(page.page.port, cookie=before.cookie)
        assert status(after) == 200
        assert after.get("/api/session").json["csrf"] == before.csrf
    (tmp_path / USERS_FILE).unlink()
    with served(tmp_path, parts=(part,), users=False) as page:
        assert status(Client(page.page.port, cookie=before.cookie)) == 401
    make_users(tmp_path / USERS_FILE)
    with served(tmp_path, parts=(part,), limits=QUICK, page={"idle_minutes": 0.002}) as page:
        viewer = page.client("viewer")
        time.sleep(0.5)
        assert status(viewer) == 401


def proxied(tmp_path: Path, addresses: tuple[str, ...]) -> Any:
    """A page behind proxies at these addresses."""
    return served(tmp_path, parts=(part,), page={"proxy_addresses": addresses, "proxy_user_header": "X-Remote-User"})


def test_a_proxy_names_who_asks(tmp_path: Path) -> None:
    with proxied(tmp_path, ("127.0.0.0/8",)) as page:
        client = Client(page.page.port, headers={"x-remote-user": "operator"})
        told = client.get("/api/session").json
        assert (told["user"], told["login"]) == ("operator", "proxy")
        assert status(client) == 200
        assert client.post("/api/test/changed", {"text": ""}).status == 403  # a proxy's cookie is no X-CSRF
        client.csrf = told["csrf"]
        assert client.post("/api/test/changed", {"text": ""}).json["by"] == "operator"
        assert client.log_in("operator").status == 409
        assert status(Client(page.page.port)) == 401
        for unknown in ("stranger", "", "operator, admin"):
            refused = Client(page.page.port, headers={"x-remote-user": unknown}).get("/api/session")
            assert (refused.status, "page.users_file" in refused.error) == (403, True)


def test_the_header_of_whoever_is_no_proxy_means_nothing(tmp_path: Path) -> None:
    with proxied(tmp_path, ("10.0.0.5", "2001:db8::/32")) as page:
        forged = Client(page.page.port, headers={"x-remote-user": "admin"})
        assert status(forged) == 401
        assert forged.get("/api/session").json["user"] is None
        assert forged.log_in("viewer").status == 201
        assert forged.get("/api/session").json["user"] == "viewer"


def test_in_a_demonstration_nobody_logs_in_and_changes_still_need_the_csrf_value(tmp_path: Path) -> None:
    with served(tmp_path, parts=(part,), users=False, page={"demo": True}) as page:
        client = page.client()
        told = client.get("/api/session").json
        assert (told["user"], told["role"], told["demo"], told["login"]) == ("demo", "operator", True, "none")
        assert status(client) == 200
        assert client.post("/api/test/changed", {"text": ""}).status == 403
        client.csrf = told["csrf"]
        assert client.post("/api/test/changed", {"text": ""}).status == 201
        assert client.ask("PUT", "/api/test/admin").status == 403
        assert client.log_in("operator").status == 409


@pytest.mark.parametrize(
    ("config", "says"),
    [
        (
            replace(Config(), sources=(SourceConfig(name="room 1", kind="video", address="rtsp://x/y"),)),
            r"page\.demo: .*'room 1', which is no phantom",
        ),
        (replace(Config(), listener=replace(Config().listener, host="0.0.0.0")), r"page\.demo: .*listener\.host 0\.0"),
    ],
)
def test_nothing_but_phantoms_is_shown_without_a_login(tmp_path: Path, config: Config, says: str) -> None:
    with pytest.raises(ConfigError, match=says), served(tmp_path, config=config, users=False, page={"demo": True}):
        pass


def test_over_tls_the_cookie_is_for_this_host_and_for_tls_alone(tmp_path: Path) -> None:
    certificate, key = certificate_files(tmp_path)
    keys = {"tls_certificate": str(certificate), "tls_key": str(key)}
    with served(tmp_path, parts=(part,), page=keys) as page:
        assert page.url.startswith(f"https://{HOST}:")
        client = Client(page.page.port, tls=ssl.create_default_context(cafile=certificate))
        answer = client.log_in("viewer")
        cookie = answer.headers["set-cookie"]
        assert cookie.startswith("__Host-cathrt_session=")
        assert "; secure" in cookie.lower()
        assert answer.headers["strict-transport-security"] == "max-age=31536000"
        assert status(client) == 200
