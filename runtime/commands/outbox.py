"""`cathrt outbox`: how far outlets have delivered, and their dead letters: list, show, retry, discard, restart.

Works beside a running gateway, which looks once a second at what is asked here, and without one. Not for: delivering
(outlets/delivery.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from cathrt.runtime.alert import NOTICE
from cathrt.runtime.commands.help import GroupWithWholeSummaries
from cathrt.runtime.commands.options import JsonOption, say, show, show_json
from cathrt.runtime.errors import SinkError

if TYPE_CHECKING:
    from cathrt.runtime.outlets.outbox import DeadLetter, LetterState, Outbox

outbox_app = typer.Typer(
    name="outbox",
    help="See how far outlets have delivered, and decide on dead letters.",
    no_args_is_help=True,
    rich_markup_mode=None,
    cls=GroupWithWholeSummaries,
)

StateArgument = Annotated[Path, typer.Argument(readable=False, help="State folder of `cathrt run`.")]
NumbersArgument = Annotated[list[int] | None, typer.Argument(help="Dead letters, by number.")]
AllOption = Annotated[bool, typer.Option("--all", help="All dead letters but discarded ones, or all of --outlet.")]
OutletOption = Annotated[str | None, typer.Option("--outlet", help="Dead letters of this outlet alone.")]


@outbox_app.command("list")
def list_command(state: StateArgument, json_: JsonOption = False) -> None:
    """Show how far each outlet has delivered, and its dead letters.

    Ends with 9 if there are dead letters that nobody has decided on.
    """
    from cathrt.runtime.commands.options import UNJUDGED
    from cathrt.runtime.outlets.outbox import LetterState
    from cathrt.runtime.outlets.state import OUTLETS
    from cathrt.runtime.processes.state_folder import StateFolder

    report = StateFolder(state).read_report(OUTLETS) or {}
    told: dict[str, Any] = {one["name"]: one for one in report.get("outlets", ())}
    with _outbox_of(state) as outbox:
        places, letters = outbox.places(), outbox.letters()
    for name in sorted({*told, *(outlet for outlet, _, _ in places)}):
        now = told.get(name, {})
        rows = {journal: place.head.seq for outlet, journal, place in places if outlet == name}
        dead = sum(letter.outlet == name and letter.state is not LetterState.DISCARDED for letter in letters)
        if json_:
            show_json(
                {
                    "type": "outlet",
                    "name": name,
                    "rows": rows,
                    "dead": dead,
                    **{key: now.get(key) for key in ("reachable", "error", "rows_behind", "oldest_s")},
                    "notice": NOTICE,
                }
            )
        else:
            done = ", ".join(f"{journal} to row {row}" for journal, row in rows.items())
            behind = f"; {now['rows_behind']} rows behind for {now['oldest_s']:.0f} s" if now.get("rows_behind") else ""
            error = f"; {now['error']}" if now.get("error") else ""
            show(f"outlet {name}: {done or 'has not begun'}; {dead} dead letters{behind}{error}")
    for letter in letters:
        _show_letter(letter, json_=json_)
    raise typer.Exit(UNJUDGED if any(letter.state is LetterState.DEAD for letter in letters) else 0)


@outbox_app.command("show")
def show_command(
    state: StateArgument, number: Annotated[int, typer.Argument(help="The dead letter.")], json_: JsonOption = False
) -> None:
    """Show one dead letter and its record, as the journal stores it."""
    with _outbox_of(state) as outbox:
        (letter,) = _chosen(outbox, [number])
    _show_letter(letter, json_=json_)
    show(letter.body.decode("utf-8"))


@outbox_app.command("retry")
def retry_command(
    state: StateArgument, numbers: NumbersArgument = None, all_: AllOption = False, outlet: OutletOption = None
) -> None:
    """Send dead letters again.

    A running gateway does so at once, else the next one. What is refused again is a dead letter again.
    """
    from cathrt.runtime.outlets.outbox import LetterState

    _mark(state, numbers, all_, outlet, LetterState.RETRY, "to be sent again")


@outbox_app.command("discard")
def discard_command(
    state: StateArgument, numbers: NumbersArgument = None, all_: AllOption = False, outlet: OutletOption = None
) -> None:
    """Decide that dead letters need not be delivered.

    They stay in the list, and `retry` still sends them. Retention waits no longer for those of a mandatory outlet.
    """
    from cathrt.runtime.outlets.outbox import LetterState

    _mark(state, numbers, all_, outlet, LetterState.DISCARDED, "discarded")


@outbox_app.command("restart")
def restart_command(
    state: StateArgument,
    outlet: Annotated[str, typer.Argument(help="Name of the outlet.")],
    journal: Annotated[Literal["live", "study", "gateway"], typer.Argument(help="The journal.")],
    at: Annotated[
        Literal["first", "now"],
        typer.Option(help="first: with the oldest record that is there. now: with those that come from now on."),
    ] = "first",
) -> None:
    """Let an outlet begin anew in a journal, when another journal has taken the place of the one it followed."""
    with _outbox_of(state) as outbox:
        if not outbox.ask(outlet, journal, at):
            begun = ", ".join(sorted({f"{name} {where}" for name, where, _ in outbox.places()}))
            raise SinkError(f"outlet {outlet} has not begun in {journal}, expected one of: {begun or 'none has begun'}")
    show(f"outlet {outlet}: begins anew in {journal} with the {'first record' if at == 'first' else 'next record'}")


@contextmanager
def _outbox_of(state: Path) -> Iterator[Outbox]:
    """Raises SinkError where there is none."""
    from cathrt.runtime.outlets.outbox import Outbox
    from cathrt.runtime.processes.state_folder import StateFolder

    path = StateFolder(state).outbox
    if not path.is_file():
        raise SinkError(
            f"{path}: no such file, expected the outbox of a `cathrt run` with [[outlets]]: check the state folder"
        )
    with closing(Outbox(path)) as outbox:
        yield outbox


def _chosen(outbox: Outbox, numbers: list[int]) -> list[DeadLetter]:
    """Raises SinkError naming a number that is none."""
    known = {letter.number: letter for letter in outbox.letters()}
    if unknown := [number for number in numbers if number not in known]:
        raise SinkError(f"no dead letter {unknown[0]}: `cathrt outbox list STATE` shows them")
    return [known[number] for number in numbers]


def _undecided(outbox: Outbox, outlet: str | None) -> list[DeadLetter]:
    return [letter for letter in outbox.letters(outlet) if letter.state != "discarded"]


def _mark(state: Path, numbers: list[int] | None, all_: bool, outlet: str | None, to: LetterState, words: str) -> None:
    if bool(numbers) == all_ or (outlet is not None and not all_):
        raise typer.BadParameter("expected numbers of dead letters, or --all, or --all --outlet NAME")
    with _outbox_of(state) as outbox:
        letters = _undecided(outbox, outlet) if all_ else _chosen(outbox, numbers or [])
        changed = outbox.mark([letter.number for letter in letters], to)
    show(f"{changed} dead letters {words}")
    if changed < len(letters):
        say(f"{len(letters) - changed} were so already")


def _show_letter(letter: DeadLetter, *, json_: bool) -> None:
    buried_at = datetime.fromtimestamp(letter.buried_at, UTC).isoformat(timespec="seconds")
    if json_:
        show_json(
            {
                "type": "dead_letter",
                "number": letter.number,
                "outlet": letter.outlet,
                "journal": letter.journal,
                "seq": letter.seq,
                "id": letter.id,
                "record_type": letter.type,
                "reason": letter.reason,
                "attempts": letter.attempts,
                "buried_at": buried_at,
                "state": letter.state.value,
                "notice": NOTICE,
            }
        )
    else:
        show(
            f"{letter.number:5} {letter.state:9} {letter.outlet}: {letter.type} of {letter.journal} row {letter.seq}, "
            f"{letter.attempts} attempts until {buried_at}: {letter.reason}"
        )
