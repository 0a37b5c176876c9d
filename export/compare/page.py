"""A comparison as one self-contained HTML page: no script, nothing fetched, readable from a file.

Every text that came from outside is escaped. Not for: a gate; the page says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from string import Template

import numpy as np
from numpy.typing import NDArray

from cathrt.export.compare.agreement import Difference
from cathrt.export.compare.compared import TIME_HEADER, Compared, SideName
from cathrt.export.compare.inputs import Pictures
from cathrt.export.qualify.html import STYLE, picture, section, table
from cathrt.runtime.outside.plain_text import html_text

_A, _B = "#7fb7ff", "#ffb86b"  # colours
_ROW = 30  # of a score's two bars

_PAGE = Template("""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>cathrt: comparison</title>
<style>
$style
.frames{display:flex;flex-wrap:wrap;gap:16px}.frames figure{margin:0;width:300px}
.frames img{width:300px;height:auto;background:#000;border-radius:4px;display:block}
.a{color:$a_colour}.b{color:$b_colour}
</style></head><body>
<div class="notice" role="note">$notice</div>
<header><h1>Two answers to the same frames</h1>
<p><span class="a">A</span> $a<br><span class="b">B</span> $b</p>
<p class="dim">$on. Not a gate: nothing is signed or refused for these figures. $made</p></header>
<main>$sections</main></body></html>
""")


def compare_page(compared: Compared, pictures: Pictures) -> str:
    """The page as text (UTF-8). pictures: of the differences that are shown; the others are left out."""
    tables = [section("Agreement", table(("", "A and B alike (95 %)"), compared.common_rows()))]
    if truth := compared.truth_rows():
        tables.append(
            section(
                "Against the truth of the generated runs", table(("", "A is right (95 %)", "B is right (95 %)"), truth)
            )
        )
    tables.append(section("Latency", table(TIME_HEADER, compared.time_rows())))
    return _PAGE.substitute(
        style=STYLE,
        notice=html_text(compared.notice),
        a_colour=_A,
        b_colour=_B,
        a=_side(compared.a),
        b=_side(compared.b),
        on=html_text(compared.on),
        made=html_text(compared.made),
        sections="".join([*tables, _frames(compared.agreement.differences, pictures)]),
    )


def _side(side: SideName) -> str:
    return html_text(f"{side.bundle} on {side.engine}, manifest {side.manifest_sha256[:12]}")


def _frames(differences: Sequence[Difference], pictures: Pictures) -> str:
    shown = [one for one in differences if (one.run_id, one.frame_index) in pictures]
    flips = sum(one.flip for one in differences)
    told = (
        f"{flips} flips, frames that A and B answer differently. Shown: {len(shown)} frames, flips first, then those "
    )
    told += "whose scores differ most."
    figures = "".join(_frame(one, pictures[one.run_id, one.frame_index]) for one in shown)
    return section("Where they differ", f'<p class="dim">{told}</p><div class="frames">{figures}</div>')


def _frame(one: Difference, grey: NDArray[np.uint8]) -> str:
    bars = ""
    for number, (name, *both) in enumerate(one.scores):
        top = number * _ROW
        bars += f'<text x="0" y="{top + 18}">{html_text(name)}</text>'
        for offset, score, colour in ((3, both[0], _A), (15, both[1], _B)):
            bars += f'<rect x="90" y="{top + offset}" width="{score * 160:.1f}" height="10" fill="{colour}"/>'
            bars += f'<text x="254" y="{top + offset + 9}">{score:.3f}</text>'
    where = f"{one.source} frame {one.frame_index}"
    return (
        f"<figure>{picture(grey, where)}<figcaption>{html_text(where)}{': flip' if one.flip else ''}<br>"
        f'<span class="a">A</span> {html_text(one.a)}<br><span class="b">B</span> {html_text(one.b)}</figcaption>'
        f'<svg viewBox="0 0 300 {_ROW * len(one.scores)}" role="img" aria-label="scores">{bars}</svg></figure>'
    )
