"""Escapes and character sets of HL7 v2."""

from __future__ import annotations

import hl7
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cathrt.runtime.objects.hl7.text import CHARSETS, CharsetError, escaped, escaped_lines

MESSAGE = hl7.parse("MSH|^~\\&|\r")
JIS = CHARSETS["ISO IR87"]


@given(st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E)))
def test_another_library_reads_back_what_was_escaped(text: str) -> None:
    assert not {*escaped(text)} & {*"|^~&"}
    assert MESSAGE.unescape(escaped(text)) == text


@given(st.text())
def test_no_text_of_others_can_begin_a_segment_or_end_a_message(text: str) -> None:
    for written in (escaped(text), escaped_lines(text)):
        assert not {*written} & {*"\r\n\x0b\x1c\x00|"}


def test_lines_of_formatted_text_become_breaks() -> None:
    assert escaped_lines("a|b\nc\r\nd") == "a\\F\\b\\.br\\c\\.br\\d"


def test_jis_is_declared_and_comes_back_to_ascii_before_each_separator() -> None:
    assert (JIS.declared, JIS.scheme) == ("~ISO IR87", "ISO 2022-1994")
    written = JIS.encoded("PID|山田^太郎|\r")
    assert written == b"PID|\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B|\r"


def test_half_width_katakana_become_full_width_with_their_marks() -> None:
    assert JIS.encoded("ﾔﾏﾀﾞ|ﾀﾛｳ").decode("iso2022_jp") == "ヤマダ|タロウ"


def test_yen_and_overline_do_not_become_separators() -> None:
    assert JIS.encoded("¥‾a") == b"\x1b$B!o!1\x1b(Ba"  # ￥￣


def test_a_character_that_jis_has_not_is_refused_and_named_by_its_number() -> None:
    with pytest.raises(CharsetError, match=r"U\+9AD9 is not in ISO IR87.*UNICODE UTF-8"):
        JIS.encoded("PID|髙橋")
    assert CHARSETS["UNICODE UTF-8"].encoded("髙橋").decode() == "髙橋"
