"""`cathrt user add | list | remove`: who may log in at the page.

Not for: what each role may do (docs/page.md), how the page checks a password (web/access/).
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from cathrt.runtime.commands.help import GroupWithWholeSummaries
from cathrt.runtime.commands.options import JsonOption, say, show, show_json
from cathrt.runtime.errors import ConfigError

user_app = typer.Typer(
    name="user",
    help="Say who may log in at the page.",
    no_args_is_help=True,
    rich_markup_mode=None,
    cls=GroupWithWholeSummaries,
)

FileArgument = Annotated[
    Path, typer.Argument(readable=False, metavar="FILE", help="The users file: page.users_file, or STATE/page-users.")
]
NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The user: A-Z a-z 0-9 . _ @ -")]


@user_app.command("add")
def add_command(
    file: FileArgument,
    name: NameArgument,
    role: Annotated[
        Literal["viewer", "operator", "admin"],
        typer.Option(help="viewer sees; operator also decides and signs; admin may do all."),
    ],
    display_name: Annotated[str, typer.Option(help="What people are shown in place of the name.")] = "",
    no_password: Annotated[
        bool, typer.Option("--no-password", help="For somebody whom a reverse proxy lets in (page.proxy_addresses).")
    ] = False,
) -> None:
    """Add a user, or give one another role and password.

    Asks for the password twice; where standard input is no terminal, it is its first line. The page takes up the
    change within seconds; a user who was changed logs in again.
    """
    from cathrt.runtime.web.access.passwords import password_hash
    from cathrt.runtime.web.access.users_file import NO_PASSWORD, read_users, user_from, write_users

    users = read_users(file)
    try:
        user_from(name, role, NO_PASSWORD, display_name)  # before a password is asked for
    except ValueError as exc:
        raise ConfigError(f"{file}: {exc}") from exc
    kept = NO_PASSWORD if no_password else password_hash(_password())
    did = "changed" if name in users else "added"
    write_users(file, {**users, name: user_from(name, role, kept, display_name)})
    show(f"{did}: {name}, {role}")


@user_app.command("list")
def list_command(file: FileArgument, json_: JsonOption = False) -> None:
    """Show who may log in."""
    from cathrt.runtime.alert import NOTICE
    from cathrt.runtime.web.access.users_file import NO_PASSWORD, read_users

    for user in read_users(file).values():
        has_password = user.kept != NO_PASSWORD
        if json_:
            facts = {"name": user.name, "role": user.role.word, "display_name": user.display_name}
            show_json({"type": "user", **facts, "has_password": has_password, "notice": NOTICE})
        else:
            show(f"{user.name:24}{user.role.word:10}{user.display_name}{'' if has_password else ' (by proxy)'}")


@user_app.command("remove")
def remove_command(file: FileArgument, name: NameArgument) -> None:
    """Take a user out. Sessions of theirs end within seconds."""
    from cathrt.runtime.web.access.users_file import read_users, write_users

    users = read_users(file)
    if name not in users:
        raise ConfigError(f"{file}: found no user {name[:40]!r}, expected one of {', '.join(users) or 'none yet'}")
    write_users(file, {other: user for other, user in users.items() if other != name})
    show(f"removed: {name}")


def _password() -> str:
    """Raises ConfigError."""
    from cathrt.runtime.web.access.passwords import LEAST_CHARACTERS, MOST_CHARACTERS

    if sys.stdin.isatty():
        say(f"A password of {LEAST_CHARACTERS} to {MOST_CHARACTERS} characters; several words are easier to remember.")
        password = str(typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True))
    else:
        password = sys.stdin.readline().removesuffix("\n").removesuffix("\r")
    if not LEAST_CHARACTERS <= len(password) <= MOST_CHARACTERS:
        raise ConfigError(
            f"found a password of {len(password)} characters, expected {LEAST_CHARACTERS} to {MOST_CHARACTERS}: "
            "choose several words, or give one on standard input"
        )
    return password
