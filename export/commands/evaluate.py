"""`cathrt evaluate <kind>`: what a model wrote or found, against what is given as true. A command a kind that has one.

Imports nothing heavy before a command runs. Not for: engines against their float32 network (`cathrt qualify`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import typer

from cathrt.runtime.commands.help import GroupWithWholeSummaries


def evaluate_commands(commands: Mapping[str, Callable[..., None]]) -> typer.Typer:
    """The group `evaluate`. commands: by kind of model, as typer takes them."""
    group = typer.Typer(
        name="evaluate",
        help="Compare a model's answers with the truth, offline.",
        no_args_is_help=True,
        rich_markup_mode=None,
        cls=GroupWithWholeSummaries,
    )
    group.callback()(lambda: None)  # or a group of one command would be that command
    for kind, command in commands.items():
        group.command(kind)(command)
    return group
