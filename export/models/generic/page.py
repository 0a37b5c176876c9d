"""What the qualification of an image classifier shows of its own: rows of figures, flips with their pictures, changes.

Not for: the page (qualify/page.py) or what is compared (comparison.py).
"""

from __future__ import annotations

from collections.abc import Sequence

from cathrt.export.models.generic.comparison import Comparison, Flip
from cathrt.export.models.generic.gate import Gate
from cathrt.export.qualify.criteria import Pictures, Row
from cathrt.export.qualify.html import lines, listed, picture, section
from cathrt.runtime.outside.plain_text import html_text

_CHANGES = 50


def rows(compared: Comparison, gate: Gate) -> list[Row]:
    """Of the page's table."""
    error = compared.logit_error
    told = "not measured: no finite logits"
    if error is not None:
        told = f"largest {error.relative:.3g} of the largest logit, at {error.at}; mean {error.mean:.3g}"
    return [
        ("frames of the same label", str(compared.agreement), f"at least {gate.agreement:g}"),
        ("runs of the same label", str(compared.run_labels), f"at least {gate.run_labels:g}"),
        ("frames with NaN or infinity", str(len(compared.not_finite)), "0"),
        ("logit error", told, "" if gate.logit_error is None else f"at most {gate.logit_error:g}"),
        ("frames of known label", str(compared.known), ""),
    ]


def sections(compared: Comparison, pictures: Pictures) -> list[str]:
    """Flips, and all else that changed."""
    return [
        _flips(compared.flips, pictures),
        section("Runs of another label", listed(compared.run_changes, _CHANGES)),
        section("Frames on which the engine is not finite", listed(compared.not_finite, _CHANGES)),
    ]


def _flips(flips: Sequence[Flip], pictures: Pictures) -> str:
    shown = [flip for flip in flips if (flip.where.number, flip.where.frame) in pictures]
    figures = "".join(
        f"<figure>{picture(pictures[flip.where.number, flip.where.frame], str(flip.where))}"
        f"<figcaption>{html_text(str(flip))}</figcaption></figure>"
        for flip in shown
    )
    told = f"{len(flips)} flips" + (f", the {len(shown)} surest shown" if len(shown) < len(flips) else "")
    text = f'<p class="dim">{told}</p>' if flips else "No frame changed its label."
    rest = [flip for flip in flips if flip not in shown][:_CHANGES]
    return section("Flips", f'{text}<div class="flips">{figures}</div>{lines(rest)}')
