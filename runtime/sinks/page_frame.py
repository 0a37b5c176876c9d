"""What surrounds a page: styles, script, font, and the policy under which a browser runs nothing else.

All of it is in the page itself, so that it can be read from a file and fetches nothing. Not for: what a page says
(summary_page.py).
"""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from pathlib import Path
from string import Template

from cathrt.runtime.outside.plain_text import html_text

_FILES = Path(__file__).parent / "page"
_JAPANESE = "U+3000-30FF,U+4E00-9FFF,U+FF00-FFEF"
_PAGE = Template("""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="$policy">
<title>cathrt: $title</title>
<style>$style</style></head><body>
<div class="notice" role="note">$notice</div>
$body
<dialog aria-label="one frame, enlarged; press Escape to close"></dialog>
<script>$script</script></body></html>
""")


def page_around(title: str, notice: str, body: str) -> str:
    """The page as text (UTF-8). title, notice: plain text. body: HTML, in which text from outside has been escaped."""
    style, script = _style(), (_FILES / "page.js").read_text(encoding="utf-8")
    policy = f"default-src 'none'; img-src data:; font-src data:; style-src {_hash(style)}; script-src {_hash(script)}"
    return _PAGE.substitute(
        policy=f"{policy}; base-uri 'none'; form-action 'none'",
        title=html_text(title),
        style=style,
        notice=html_text(notice),
        body=body,
        script=script,
    )


def japanese_font() -> Path:
    """An OpenType font with Latin-1 and the Japanese of our own texts (page/OFL.txt), for pictures too."""
    return _FILES / "cathrt-japanese.otf"


@cache
def _style() -> str:
    font = base64.b64encode(japanese_font().read_bytes()).decode("ascii")
    source = f'url("data:font/otf;base64,{font}") format("opentype")'
    face = f'@font-face{{font-family:"cathrt Japanese";src:{source};unicode-range:{_JAPANESE}}}\n'
    return face + (_FILES / "page.css").read_text(encoding="utf-8")


def _hash(text: str) -> str:
    """How a policy names the one style or script that counts."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode('ascii')}'"
