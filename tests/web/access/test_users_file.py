"""The users file: what is in it, who may read it, and what is said of a line that does not fit."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cathrt.runtime.errors import ConfigError
from cathrt.runtime.web.access.passwords import is_password, is_password_hash, password_hash
from cathrt.runtime.web.access.users_file import NO_PASSWORD, User, read_users, user_from, write_users
from cathrt.runtime.web.part.session import Role
from tests.web.serving import PASSWORD, kept

MORI = User("mori", Role.OPERATOR, kept(), "Dr. 森: cath lab 1")
BY_PROXY = User("svc@lab", Role.VIEWER, NO_PASSWORD)


def test_what_is_written_is_read_again_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    path = tmp_path / "users"
    assert read_users(path) == {}
    write_users(path, {user.name: user for user in (MORI, BY_PROXY)})
    assert read_users(path) == {"mori": MORI, "svc@lab": BY_PROXY}
    assert path.stat().st_mode & 0o777 == 0o600
    assert [other.name for other in tmp_path.iterdir()] == ["users"]


def test_a_password_is_kept_as_an_argon2id_hash_of_64_mib() -> None:
    made = password_hash(PASSWORD)
    assert made.startswith("$argon2id$v=19$m=65536,t=3,p=1$")
    assert PASSWORD not in made
    assert is_password_hash(made)
    assert is_password(PASSWORD, made)
    assert not is_password(PASSWORD + " ", made)
    assert not is_password(PASSWORD, None)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("mori:operator", "found 2 parts"),
        ("mori:boss:-", "found the role 'boss', expected one of viewer, operator, admin"),
        ("mori:anybody:-", "found the role 'anybody'"),
        ("mori:operator:secret", "found no argon2id hash"),
        (
            "mori:operator:$argon2i$v=19$m=65536,t=3,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA",
            "no argon2id hash",
        ),
        ("-rf:operator:-", "found the name '-rf'"),
        ("dr mori:operator:-", "found the name 'dr mori'"),
        ("森:operator:-", "found the name"),
        (f"mori:operator:-:{'x' * 65}", "a display name of at most 64"),
        ("mori:operator:-:a\u202eb", "that print"),
    ],
)
def test_a_line_that_does_not_fit_is_named(tmp_path: Path, line: str, says: str) -> None:
    path = tmp_path / "users"
    path.write_text(f"# users\n\n{line}\n", encoding="utf-8")
    path.chmod(0o600)
    with pytest.raises(ConfigError, match=r"page\.users_file: .*users, line 3: ") as caught:
        read_users(path)
    assert says in str(caught.value)


def test_a_name_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "users"
    path.write_text("a:viewer:-\na:admin:-\n")
    path.chmod(0o600)
    with pytest.raises(ConfigError, match="line 2: the user a is there twice"):
        read_users(path)


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o620, 0o602])
def test_a_file_that_others_may_read_or_change_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "users"
    write_users(path, {"mori": MORI})
    path.chmod(mode)
    with pytest.raises(ConfigError, match=rf"page\.users_file: .* has mode {mode:04o}"):
        read_users(path)
    path.chmod(0o640)
    assert read_users(path)


def test_a_folder_in_place_of_the_file_is_an_error_that_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"page\.users_file: .* cannot be read"):
        read_users(tmp_path)
    with pytest.raises(ConfigError, match="cannot be written"):
        write_users(tmp_path / "missing" / "users", {})
    assert os.listdir(tmp_path) == []


def test_no_user_can_be_made_whose_line_would_read_as_another() -> None:
    with pytest.raises(ValueError, match="found the name"):
        user_from("a:admin", "viewer", NO_PASSWORD)
    with pytest.raises(ValueError, match="display name"):
        user_from("a", "viewer", NO_PASSWORD, "x\nb:admin:-")
