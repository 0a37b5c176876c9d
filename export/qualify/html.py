"""Parts of a qualification page, for what all kinds of model show and for what each shows of its own.

Every text goes through html_text: some of it came from outside. Not for: the page as a whole (page.py).
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from cathrt.runtime.outside.plain_text import html_text

REFERENCE, ENGINE = "#7fb7ff", "#ffb86b"  # colours
STYLE = """\
body{margin:0;background:#101418;color:#e8eaed;font:15px/1.5 system-ui,"Noto Sans","Noto Sans JP",sans-serif}
header,main{max-width:1040px;margin:0 auto;padding:16px 20px}
.notice{background:#3a3315;color:#f2d06b;padding:8px 20px;text-align:center;position:sticky;top:0}
h1{font-size:22px;margin:8px 0 2px}h2{font-size:18px;margin:0 0 8px}.dim{color:#9aa0a6}
section{background:#181d23;border:1px solid #2b323a;border-radius:8px;padding:16px;margin:16px 0;overflow-wrap:anywhere}
figcaption{font-size:13px}table{border-collapse:collapse;font-size:14px}th{color:#9aa0a6;font-weight:400}
td,th{padding:2px 18px 2px 0;text-align:left;vertical-align:top;font-variant-numeric:tabular-nums}
svg{width:100%;height:auto;display:block;margin:8px 0}svg text{font:11px system-ui,sans-serif;fill:#9aa0a6}"""


def section(title: str, body: str) -> str:
    """body: HTML. title: text."""
    return f"<section><h2>{html_text(title)}</h2>{body}</section>"


def card(colour: Literal["good", "bad", "open"], title: str, body: str) -> str:
    """A verdict. body: HTML. title: text."""
    return f'<section class="{colour}"><h2>{html_text(title)}</h2>{body}</section>'


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Cells are text."""

    def line(cells: Sequence[str], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}>{html_text(cell)}</{tag}>" for cell in cells) + "</tr>"

    return f"<table>{line(header, 'th')}{''.join(line(row, 'td') for row in rows)}</table>"


def lines(found: Sequence[Any]) -> str:
    """A list of what each entry says as text; nothing where there is none."""
    return f"<ul>{''.join(f'<li>{html_text(str(entry))}</li>' for entry in found)}</ul>" if found else ""


def listed(found: Sequence[Any], most: int) -> str:
    """The first `most` entries, and how many more there are."""
    more = f'<p class="dim">and {len(found) - most} more</p>' if len(found) > most else ""
    return (lines(found[:most]) or "None.") + more


def picture(grey: NDArray[np.uint8], says: str) -> str:
    """An image, (rows, columns), with its words for who cannot see it."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(grey).save(buffer, "PNG")
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    return f'<img alt="{html_text(says)}" src="data:image/png;base64,{data}">'
