"""Help: -h as --help, and no text of a command or an option is cut, whatever the terminal's width."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from typer.core import TyperGroup
from typer.main import get_command

from cathrt.export.commands.cli import app

WIDTHS = (60, 80, 200)


def commands(group: object = None, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], object]]:
    """Every group and command by the words that call it, the root first."""
    group = get_command(app) if group is None else group
    yield words, group
    if isinstance(group, TyperGroup):
        for name, command in group.commands.items():
            yield from commands(command, (*words, name))


COMMANDS = dict(commands())


Show = Callable[[tuple[str, ...], str, int], str]
SHOWN: dict[tuple[tuple[str, ...], str, int], str] = {}  # most texts are looked at by several tests


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Show:
    """What a command prints for a flag on a terminal of so many columns."""

    def show(words: tuple[str, ...], flag: str, width: int) -> str:
        if (asked := (words, flag, width)) not in SHOWN:
            monkeypatch.setenv("COLUMNS", str(width))
            with pytest.raises(SystemExit, match="0"):
                app([*words, flag], prog_name="cathrt")
            SHOWN[asked] = capsys.readouterr().out
        return SHOWN[asked]

    return show


def packed(text: str) -> str:
    """Without blanks and line ends, which a narrow terminal moves."""
    return "".join(text.split())


def test_the_walk_finds_groups_and_commands_of_runtime_and_export() -> None:
    assert {(), ("replay",), ("key",), ("key", "new"), ("key", "trust"), ("export", "keyframe")} <= COMMANDS.keys()


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_the_short_flag_shows_the_same_help(shown: Show, words: tuple[str, ...]) -> None:
    assert shown(words, "-h", 80) == shown(words, "--help", 80)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_text_of_a_command_and_its_options_is_there_whole(
    shown: Show, words: tuple[str, ...], width: int
) -> None:
    command, text = COMMANDS[words], packed(shown(words, "--help", width))
    assert packed(command.help) in text  # type: ignore[attr-defined]
    for option in command.params:  # type: ignore[attr-defined]
        if option.help:
            assert packed(option.help) in text, option.name


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("words", [words for words, one in COMMANDS.items() if isinstance(one, TyperGroup)])
def test_a_list_of_commands_has_the_whole_first_sentence_of_each(
    shown: Show, words: tuple[str, ...], width: int
) -> None:
    group = COMMANDS[words]
    assert isinstance(group, TyperGroup)
    _, _, listed = shown(words, "--help", width).partition("Commands:\n")
    assert "..." not in listed
    for name, command in group.commands.items():
        paragraph = " ".join((command.help or "").split("\n\n")[0].split())
        sentence = paragraph.partition(". ")[0].removesuffix(".")
        assert sentence
        assert packed(f"{name} {sentence}.") in packed(listed), name


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_no_line_of_help_is_longer_than_the_terminal_but_for_a_list_of_choices(
    shown: Show, words: tuple[str, ...]
) -> None:
    for width in WIDTHS:
        for line in shown(words, "--help", width).splitlines():
            assert len(line) <= width or "|" in line, line
