"""Words: both languages say the same things, the code says nothing else, and nothing is left over."""

from __future__ import annotations

import re

from cathrt.runtime.alert import NOTICE
from tests.web.front.js_texts import beginnings, code, keys_said, scripts, strings, words

# What stands between tags and is no sentence: names of views by DICOM, a key, part of a comparison.
NO_TEXTS = {"cathrt", "RAO", "LAO", "CRA", "CAU", "Space", "one"}


def test_both_languages_have_the_same_keys_with_the_same_places_in_them() -> None:
    english, japanese = words("en"), words("ja")
    assert list(english) == list(japanese)
    differing = {key for key in english if _places(english[key]) != _places(japanese[key])}
    assert not differing


def test_every_word_is_said_and_everything_that_is_said_is_a_word() -> None:
    known = set(words("en"))
    assert len(keys_said()) > 150
    assert not keys_said() - known, "say() asks for a key that is in no language"
    begun = tuple(beginnings())
    assert not {one for one in begun if not any(key.startswith(one) for key in known)}
    assert not {key for key in known - strings() if not key.startswith(begun)}, "words that nothing says"


def test_the_notice_is_the_one_of_every_record() -> None:
    assert f"{words('en')['notice']} {words('ja')['notice']}" == NOTICE


def test_no_word_is_empty_and_japanese_is_japanese() -> None:
    same = {key for key, text in words("ja").items() if text.isascii()}
    assert same == {"latency.p99", "facts.p99", "aids.clahe", "patient.id"}
    assert all(text.strip() for language in ("en", "ja") for text in words(language).values())


def test_a_text_for_people_stands_in_no_script() -> None:
    # Between tags of a template: a letter there is a text that no language file knows. Signs and units are none.
    found = []
    for path in scripts():
        for text in re.findall(r">([^<>`${}]*[A-Za-z\u3040-\u9fff]{2,}[^<>`${}]*)<", code(path)):
            if text.strip() not in NO_TEXTS and not re.search(r"=>|[;?(]", text):
                found.append(f"{path.name}: {text.strip()}")
    assert not found


def _places(text: str) -> list[str]:
    return sorted(re.findall(r"\{(\w+)\}", text))
