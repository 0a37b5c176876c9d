"""The verdict on a network's worth, as the qualification page shows it.

Not for: measuring it (a kind's Criteria), or the page as a whole (page.py).
"""

from __future__ import annotations

from typing import Literal

from cathrt.export.qualify.html import card, table
from cathrt.export.qualify.worth import Worth, WorthFigure
from cathrt.runtime.bundle.manifest import BETTER, NO_BETTER, TOO_FEW, WorthVerdict

_COLOURS: dict[WorthVerdict, Literal["good", "bad", "open"]] = {BETTER: "good", NO_BETTER: "bad", TOO_FEW: "open"}
_SAYS: dict[WorthVerdict, str] = {
    BETTER: "The float network is right more often than an answer without a network.",
    NO_BETTER: "The float network is right no more often than an answer without a network. It is signed only with "
    "--sign-anyway, and then each of its outputs says so.",
    TOO_FEW: "There are too few runs whose truth is known. It is signed only with --sign-anyway, and then each of its "
    "outputs says so.",
}


def worth_card(worth: Worth | None) -> str:
    """HTML. None: of a kind that cannot say."""
    if worth is None:
        return card("open", "Worth: not stated", "Nothing here says whether the network's answers are right.")
    rows = [_row(figure) for figure in worth.figures]
    shown = table(("question", "right", "without a network"), rows)
    return card(_COLOURS[worth.verdict], f"Worth: {worth.verdict}", f"<p>{_SAYS[worth.verdict]}</p>{shown}")


def _row(figure: WorthFigure) -> tuple[str, str, str]:
    right = "no run of known truth" if figure.right is None else str(figure.right)
    chance = "" if figure.right is None else f"{figure.chance:.3f}, {figure.how}"
    return f"{figure.what}, {figure.on}", f"{right}: {figure.verdict}", chance
