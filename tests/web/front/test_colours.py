"""Colours: text that matters has a contrast of 7:1, and no meaning rests on a colour alone."""

from __future__ import annotations

import re

import pytest

from tests.web.front.js_texts import STATIC

STYLES = "\n".join(path.read_text(encoding="utf-8") for path in sorted((STATIC / "css").glob("*.css")))
NAMED = dict(re.findall(r"--([a-z]+): (#[0-9a-f]{6});", STYLES))
GROUNDS = ("paper", "card")
TEXTS = ("ink", "dim", "result", "right", "notice", "warn", "good")


def luminance(colour: str) -> float:
    """Relative luminance, WCAG 2.2."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    """Contrast ratio, WCAG 2.2."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_black_on_white_is_21() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21.0)


@pytest.mark.parametrize("ground", GROUNDS)
@pytest.mark.parametrize("text", TEXTS)
def test_text_has_seven_to_one(text: str, ground: str) -> None:
    assert contrast(NAMED[text], NAMED[ground]) >= 7.0


@pytest.mark.parametrize(
    ("text", "ground"),
    [
        (NAMED["black"], NAMED["notice"]),  # no live AI
        (NAMED["notice"], "#2c2710"),  # the notice, an alert
        (NAMED["warn"], "#33240d"),  # a lower rung
        (NAMED["ink"], NAMED["raised"]),  # buttons
        (NAMED["ink"], "#11456b"),  # the main button
    ],
)
def test_signs_have_seven_to_one(text: str, ground: str) -> None:
    assert text in STYLES
    assert ground in STYLES
    assert contrast(text, ground) >= 7.0


def test_touch_targets_are_44_pixels() -> None:
    assert "--touch: 44px" in STYLES
    (buttons,) = re.findall(r"\nbutton, \.button, select[^{]*\{([^}]*)\}", STYLES)
    assert "min-height: var(--touch)" in buttons
    assert "min-width: var(--touch)" in buttons


def test_motion_stops_where_a_person_asks_for_less() -> None:
    assert "prefers-reduced-motion: reduce" in STYLES
