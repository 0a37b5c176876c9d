"""How the commands show their help: -h and --help, and each command's first sentence whole in a list of commands.

Not for: the texts, which stand beside the commands and options.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from typer.core import TyperGroup

if TYPE_CHECKING:
    from typer._click import Context, HelpFormatter

# For the root; the groups and commands below it inherit these. Longer lines than 120 characters are hard to read.
HELP_SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 120}


class GroupWithWholeSummaries(TyperGroup):
    """A group of commands. Typer's own cuts a summary that needs a second line ("Compare a bundle's...")."""

    def format_commands(self, ctx: Context, formatter: HelpFormatter) -> None:
        commands = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        shown = [(name, command) for name, command in commands if command is not None and not command.hidden]
        with formatter.section("Commands"):
            formatter.write_dl([(name, command.get_short_help_str(sys.maxsize)) for name, command in shown])
