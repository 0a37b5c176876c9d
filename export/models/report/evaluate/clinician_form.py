"""A form on which clinicians score drafts and references without being told which is which: one HTML page and its key.

Every text stands alone, with the study's pictures, in random order. The page fetches nothing, keeps the scores in
itself, and saves them as a JSON file; it speaks English and Japanese. The key goes to a file of its own, which is not
given to the readers. Not for: what becomes of the answers (answers.py).
"""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any, Literal

from cathrt.export.models.report.evaluate.texts import Pair
from cathrt.export.qualify.html import STYLE
from cathrt.runtime.alert import NOTICE
from cathrt.runtime.errors import ConfigError
from cathrt.runtime.models.report.section import Language
from cathrt.runtime.outside.input_file import read_input_file
from cathrt.runtime.outside.plain_text import html_text, shown_lines

Origin = Literal["draft", "reference"]
ORIGINS: tuple[Origin, ...] = ("draft", "reference")
LEAST, MOST = 1, 10  # points
_MAX_PICTURE_BYTES = 8 << 20
_PICTURE_TYPES: Mapping[bytes, str] = {b"\x89PNG": "image/png", b"\xff\xd8\xff": "image/jpeg"}


@dataclass(frozen=True, slots=True)
class FormItem:
    """One text to score. pictures: data URIs."""

    study: str
    origin: Origin
    language: Language
    text: str
    pictures: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Form:
    """The page (HTML, UTF-8) and its key (JSON): which number is whose."""

    page: str
    key: dict[str, Any]


def form_items(pairs: Sequence[Pair]) -> Iterator[FormItem]:
    """Both texts of each study in each language that both are written in: a lone text would give itself away."""
    for pair in pairs:
        pictures = tuple(_data_uri(path) for path in pair.pictures)
        for language in pair.languages:
            texts = {"draft": pair.draft.texts[language], "reference": pair.reference.texts[language]}
            for origin in ORIGINS:
                yield FormItem(pair.study, origin, language, texts[origin], pictures)


def form_of(items: Sequence[FormItem], draw: random.Random) -> Form:
    """The form of these items, in an order that is drawn. Raises ConfigError where there is nothing to score."""
    if not items:
        raise ConfigError("no study has a draft and a reference in one language: there is nothing to score blindly")
    ordered = draw.sample(items, len(items))
    name = f"{draw.getrandbits(64):016x}"
    numbered = {str(number): item for number, item in enumerate(ordered, start=1)}
    shown = "".join(_shown(number, item) for number, item in numbered.items())
    page = _PAGE.substitute(
        style=STYLE,
        notice=html_text(NOTICE),
        items=shown,
        form=json.dumps(name),
        count=len(numbered),
        least=LEAST,
        most=MOST,
    )
    key = {
        number: {"study": item.study, "origin": item.origin, "language": item.language}
        for number, item in numbered.items()
    }
    return Form(page, {"form": name, "items": key})


def _shown(number: str, item: FormItem) -> str:
    pictures = "".join(f'<img alt="" src="{uri}">' for uri in item.pictures)
    points = "".join(
        f'<label><input type="radio" name="score-{number}" value="{value}">{value}</label>'
        for value in range(LEAST, MOST + 1)
    )
    paragraphs = html_text_lines(item.text)
    return (
        f'<section id="item-{number}"><h2><span class="en">Text</span><span class="ja">文章</span> {number}</h2>'
        f'<div class="pictures">{pictures}</div><blockquote lang="{item.language}">{paragraphs}</blockquote>'
        f'<fieldset class="points"><legend>{_both("Score", "評点")}</legend>{points}</fieldset>'
        f'<label class="remark">{_both("Remark", "コメント")}<textarea name="remark-{number}" rows="2" '
        'maxlength="2000"></textarea></label></section>'
    )


def html_text_lines(text: str) -> str:
    """Escaped text that keeps its line ends."""
    return "<br>".join(html_text(line) for line in shown_lines(text.strip()).split("\n"))


def _both(english: str, japanese: str) -> str:
    return f'<span class="en">{english}</span><span class="ja">{japanese}</span>'


def _data_uri(path: Path) -> str:
    try:
        data = read_input_file(path, _MAX_PICTURE_BYTES)
    except OSError as exc:
        raise ConfigError(f"{path}: cannot be read ({exc.strerror}): correct the picture's name") from exc
    kind = next((kind for begin, kind in _PICTURE_TYPES.items() if data.startswith(begin)), None)
    if kind is None:
        raise ConfigError(f"{path}: neither PNG nor JPEG: the form shows these two")
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"


_PAGE = Template("""<!doctype html>
<html lang="en" data-shown="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<title>cathrt: blinded reading / 盲検評価</title>
<style>
$style
html[data-shown="en"] .ja,html[data-shown="ja"] .en{display:none}
.pictures{display:flex;flex-wrap:wrap;gap:12px}.pictures img{max-width:480px;width:100%;background:#000}
blockquote{margin:12px 0;padding:8px 16px;border-left:3px solid #7fb7ff;font-size:17px}
fieldset{border:1px solid #2b323a;border-radius:6px}.points label{display:inline-block;padding:4px 10px}
.remark textarea{display:block;width:100%;box-sizing:border-box}
textarea,input[type=text]{background:#101418;color:#e8eaed;border:1px solid #4a525b;border-radius:4px;padding:4px}
button{font:inherit;padding:6px 16px;margin-right:8px}
</style></head><body>
<div class="notice" role="note">$notice</div>
<header>
<p><button type="button" id="language">日本語</button></p>
<h1><span class="en">Blinded reading of $count texts</span><span class="ja">$count 件の文章の盲検評価</span></h1>
<p class="en">Score each text as a report of the pictures above it, from $least (useless) to $most (as good as a report
can be). Some texts were written by people, some by a program; the order is random. Score each text by itself. Save the
scores at the end as a file; nothing leaves this page otherwise.</p>
<p class="ja">各文章を、その上の画像に対する報告書として採点してください。
$least 点（役に立たない）から $most 点（報告書として最良）です。
人が書いた文章とプログラムが書いた文章が無作為な順に並んでいます。それぞれ単独で採点してください。
最後に採点をファイルとして保存します。それ以外にこのページから情報が送られることはありません。</p>
<p><label><span class="en">Reader (a code, not a name)</span><span class="ja">評価者（氏名ではなく記号）</span>
<input type="text" id="reader" maxlength="40"></label></p>
</header>
<main>$items
<section><p><button type="button" id="save"><span class="en">Save the scores</span><span class="ja">採点を保存</span>
</button><span id="left"></span></p></section></main>
<script>
"use strict";
const form = $form, count = $count, root = document.documentElement;
let unsaved = false;
const field = (name) => document.querySelector(name);
function answers() {
  const scores = {}, remarks = {};
  for (let number = 1; number <= count; number++) {
    const chosen = field('input[name="score-' + number + '"]:checked');
    const remark = field('textarea[name="remark-' + number + '"]').value.trim();
    if (chosen) scores[number] = Number(chosen.value);
    if (remark) remarks[number] = remark;
  }
  return {form: form, reader: field("#reader").value.trim(), scores: scores, remarks: remarks};
}
function tell() {
  const left = count - Object.keys(answers().scores).length;
  field("#left").textContent = root.dataset.shown === "ja" ? "未採点 " + left + " 件" : left + " texts without a score";
}
function speak(language) {
  root.dataset.shown = root.lang = language;
  field("#language").textContent = language === "ja" ? "English" : "日本語";
  tell();
}
field("#language").addEventListener("click", () => speak(root.dataset.shown === "ja" ? "en" : "ja"));
document.addEventListener("input", () => { unsaved = true; tell(); });
window.addEventListener("beforeunload", (event) => { if (unsaved) event.preventDefault(); });
field("#save").addEventListener("click", () => {
  const given = answers();
  const file = new Blob([JSON.stringify(given, null, 1) + "\\n"], {type: "application/json"});
  const link = document.createElement("a");
  link.href = URL.createObjectURL(file);
  link.download = "scores-" + form + "-" + (given.reader.replace(/[^A-Za-z0-9]/g, "") || "reader") + ".json";
  link.click();
  unsaved = false;
});
speak(navigator.language.startsWith("ja") ? "ja" : "en");
</script></body></html>
""")
