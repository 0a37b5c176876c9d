"""`cathrt user`: who may log in at the page."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cathrt.runtime.commands.user import user_app
from cathrt.runtime.errors import ConfigError
from cathrt.runtime.web.access.passwords import is_password
from cathrt.runtime.web.access.users_file import NO_PASSWORD, read_users
from cathrt.runtime.web.part.session import Role

PASSWORD = "correct horse battery"


def ran(*words: str, password: str = PASSWORD) -> str:
    """What the command shows. Raises what it raises."""
    done = CliRunner().invoke(user_app, list(words), input=f"{password}\n", catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def refusal(*words: str, password: str = PASSWORD) -> str:
    """Why it is refused."""
    with pytest.raises(ConfigError) as refused:
        ran(*words, password=password)
    return str(refused.value)


def test_users_are_added_changed_shown_and_removed(tmp_path: Path) -> None:
    file = str(tmp_path / "users")
    assert ran("add", file, "mori", "--role", "viewer", "--display-name", "Dr. 森") == "added: mori, viewer\n"
    assert ran("add", file, "svc", "--role", "admin", "--no-password") == "added: svc, admin\n"
    assert ran("add", file, "mori", "--role", "operator") == "changed: mori, operator\n"
    users = read_users(Path(file))
    assert (users["mori"].role, users["svc"].kept) == (Role.OPERATOR, NO_PASSWORD)
    assert is_password(PASSWORD, users["mori"].kept)
    shown = [json.loads(line) for line in ran("list", file, "--json").splitlines()]
    assert [(one["name"], one["role"], one["has_password"]) for one in shown] == [
        ("mori", "operator", True),
        ("svc", "admin", False),
    ]
    assert users["mori"].kept not in ran("list", file)
    assert ran("remove", file, "svc") == "removed: svc\n"
    assert list(read_users(Path(file))) == ["mori"]


def test_what_cannot_be_a_user_is_refused_and_the_file_stays(tmp_path: Path) -> None:
    file = str(tmp_path / "users")
    assert "found a password of 5 characters, expected 10 to 256" in refusal(
        "add", file, "mori", "--role", "viewer", password="short"
    )
    assert "found the name 'a:b'" in refusal("add", file, "a:b", "--role", "viewer")
    assert "found no user 'mori', expected one of none yet" in refusal("remove", file, "mori")
    assert not Path(file).exists()
