"""Text from outside as it may be shown: what is written out, what stays, and that JSON says the same value."""

from __future__ import annotations

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cathrt.runtime.outside.plain_text import html_text, json_line, shown, shown_lines

CONTROLS = {
    "escape": ("\x1b[31m", "\\x1b[31m"),
    "bell": ("\x07", "\\x07"),
    "line end": ("\n", "\\n"),
    "carriage return": ("\r", "\\r"),
    "tab": ("\t", "\\t"),
    "delete": ("\x7f", "\\x7f"),
    "C1 control sequence introducer": ("\x9b31m", "\\x9b31m"),
    "next line": ("\x85", "\\x85"),
    "line separator": ("\u2028", "\\u2028"),
    "paragraph separator": ("\u2029", "\\u2029"),
    "right-to-left override": ("\u202e", "\\u202e"),
    "isolate": ("\u2066", "\\u2066"),
    "right-to-left mark": ("\u200f", "\\u200f"),
    "zero-width blank": ("\u200b", "\\u200b"),
    "byte order mark": ("\ufeff", "\\ufeff"),
    "lone surrogate": ("\udcff", "\\udcff"),
    "tag beyond 16 bits": ("\U000e0041", "\\U000e0041"),
}
PLAIN = ["run 3.dcm", "左冠動脈\u3000研究用・臨床使用不可", "a\u00a0b", "Müller's <b>\\n", "30°", "😀", ""]


@pytest.mark.parametrize(("text", "written"), CONTROLS.values(), ids=CONTROLS)
def test_a_control_character_is_written_out(text: str, written: str) -> None:
    assert shown(f"a{text}b") == f"a{written}b"
    assert json.loads(json_line({"name": text})) == {"name": text}
    assert text[0] not in json_line({"name": text})
    assert text[0] not in html_text(text)


@pytest.mark.parametrize("text", PLAIN)
def test_other_text_stays_as_it_is(text: str) -> None:
    assert shown(text) == text
    assert json_line(text) == json.dumps(text, ensure_ascii=False)


def test_lines_stay_where_text_has_lines_of_its_own() -> None:
    assert shown_lines("a\x1b\nb\r\n") == "a\\x1b\nb\\r\n"


def test_markup_is_escaped_for_a_page() -> None:
    assert html_text('<b a="1">\x1b') == "&lt;b a=&quot;1&quot;&gt;\\x1b"


@given(st.text(st.characters()))
def test_nothing_that_moves_or_turns_text_is_left_of_any_text(text: str) -> None:
    for plain in (shown(text), json_line(text), html_text(text)):
        assert not [c for c in plain if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp")]
    assert json.loads(json_line(text)) == text
