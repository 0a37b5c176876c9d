"""What the qualification of a keyframe network shows of its own: rows of figures, flips with their pictures, changes.

Not for: the page (qualify/page.py) or what is compared (comparison.py).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cathrt.export.models.keyframe.differences import KEY_FRAME_TOLERANCE, Comparison, Flip
from cathrt.export.models.keyframe.further import TOLD_APART
from cathrt.export.models.keyframe.gate import Gate
from cathrt.export.qualify.criteria import Pictures, Row
from cathrt.export.qualify.html import ENGINE, REFERENCE, lines, listed, picture, section
from cathrt.export.qualify.intervals import Share
from cathrt.runtime.outside.plain_text import html_text

_CHANGES = 50


def rows(compared: Comparison, gate: Gate) -> list[Row]:
    """Of the page's table."""
    error, sides = compared.logit_error, compared.laterality
    left, right = compared.known_frames
    found = [
        ("frames of the same class", str(compared.agreement), f"at least {gate.agreement:g}"),
        ("frames with NaN or infinity", str(len(compared.not_finite)), "0"),
        ("laterality F1", "not measured: needs frames of both sides", f"change at most {gate.laterality_f1_change:g}"),
        ("same key frame, runs", _share(compared.key_frames), f"at least {gate.key_frames:g}"),
        ("runs without a key frame on either side", str(compared.runs_without_key_frame), ""),
        ("logit error", "not measured: no finite logits", "" if gate.logit_error is None else f"{gate.logit_error:g}"),
        ("frames of known side", f"{left} left, {right} right", ""),
    ]
    if sides is not None:
        low, high = sides.interval
        told = f"{sides.before:.4f}, then {sides.after:.4f}: {sides.change:+.4f} (95 %: {low:+.4f} to {high:+.4f})"
        found[2] = (found[2][0], told, found[2][2])
    if error is not None:
        told = f"largest {error.largest:.3g} ({error.relative:.3g} of the largest logit) at {error.at}"
        found[5] = (found[5][0], f"{told}; mean {error.mean:.3g}", found[5][2])
    return [*found, *_further_rows(compared, gate)]


def sections(compared: Comparison, pictures: Pictures) -> list[str]:
    """Flips, and all else that changed."""
    changes = (
        (f"Key frames more than {KEY_FRAME_TOLERANCE} frame apart", compared.key_frame_changes),
        ("Sides that changed, of frames whose side is known", compared.side_changes),
        ("Frames on which the engine is not finite", compared.not_finite),
    )
    shown = [_flips(compared, pictures), *(section(title, listed(found, _CHANGES)) for title, found in changes)]
    if compared.domain is not None:
        title = "Frames whose verdict on the domain changed"
        shown.append(section(title, listed(compared.domain_changes, _CHANGES)))
    return shown


def _further_rows(compared: Comparison, gate: Gate) -> list[Row]:
    """Of networks with further outputs; none of others."""
    error, found = compared.readability, []
    if error is not None:
        told = f"mean {error.mean:.3g}, largest {error.largest:.3g} at {error.at}"
        found.append(("readability error", told, f"mean at most {gate.readability_error:g}"))
        order = (
            "not measured: no two frames far enough apart" if error.same_order is None else f"{error.same_order:.5g}"
        )
        found.append((f"frames of a run in the same order, if {TOLD_APART:g} of readability apart", order, ""))
        found.append(("runs of another key frame that is as readable", str(compared.runs_as_readable), ""))
    if compared.domain is not None:
        found.append(("frames of the same verdict on the domain", str(compared.domain), f"at least {gate.domain:g}"))
    return found


def _flips(compared: Comparison, pictures: Pictures) -> str:
    flips = compared.flips
    shown = [flip for flip in flips if (flip.where.number, flip.where.frame) in pictures]
    figures = "".join(_flip(flip, pictures[flip.where.number, flip.where.frame], compared.labels) for flip in shown)
    told = f"{len(flips)} flips" + (f", the {len(shown)} surest shown" if len(shown) < len(flips) else "")
    legend = 'scores of <span class="reference">the reference</span> and of <span class="engine">the engine</span>'
    text = f'<p class="dim">{told}; {legend}</p>' if flips else "No frame changed its class."
    rest = [flip for flip in flips if flip not in shown][:_CHANGES]
    return section("Flips", f'{text}<div class="flips">{figures}</div>{lines(rest)}')


def _flip(flip: Flip, grey: NDArray[np.uint8], labels: Sequence[str]) -> str:
    bars, row = "", 30
    for number, label in enumerate(labels):
        top = number * row
        bars += f'<text x="0" y="{top + 18}">{html_text(label)}</text>'
        for offset, score, colour in (
            (3, flip.scores_before[number], REFERENCE),
            (15, flip.scores_after[number], ENGINE),
        ):
            bars += f'<rect x="90" y="{top + offset}" width="{score * 160:.1f}" height="10" fill="{colour}"/>'
            bars += f'<text x="254" y="{top + offset + 9}">{score:.3f}</text>'
    return (
        f"<figure>{picture(grey, str(flip.where))}"
        f"<figcaption>{html_text(str(flip.where))}<br>{html_text(flip.class_before)} → {html_text(flip.class_after)}, "
        f"margin {flip.margin_before:.3f}, then {flip.margin_after:.3f}</figcaption>"
        f'<svg viewBox="0 0 300 {row * len(labels)}" role="img" aria-label="class scores">{bars}</svg></figure>'
    )


def _share(share: Share | None) -> str:
    return "not measured: no run of three frames" if share is None else str(share)
