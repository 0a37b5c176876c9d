"""One self-contained HTML page about some judged runs: nothing fetched, readable from a file.

Every text that came from outside is escaped. Not for: one run's part of it (run_section.py), live display or clinical
documents.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from cathrt.runtime.alert import Refusal
from cathrt.runtime.outside.plain_text import html_text
from cathrt.runtime.sinks.page_frame import page_around
from cathrt.runtime.sinks.pictures import MOST_BYTES
from cathrt.runtime.sinks.run_section import JudgedRun, run_section

_LIST_FROM = 4  # runs: fewer are seen at a glance

_HOW_TO_READ = """<details><summary>How to read this page</summary><dl>
<dt>MET</dt><dd>the frame was judged$within.</dd>
<dt>LATE</dt><dd>it was judged, but later than that. Only at real time.</dd>
<dt>DROPPED</dt><dd>it was not judged: newer frames were waiting, or its source had no data for it.</dd>
<dt>FAILED</dt><dd>it was not judged: its data are damaged, or an error occurred. This is not "nothing found".</dd>
<dt>DUPLICATE</dt><dd>it was not judged: it has the same pixels as the frame before.</dd>
<dt>The plot</dt><dd>The line is the score of each frame, with gaps where a frame was not judged. The broken line is the
threshold from which on a frame counts. A circle is an alert, at the frame that it is about; a broken circle was late. A
numbered triangle is a frame to look at, 1 first.</dd>
<dt>Times</dt><dd>End to end counts from when the frame was due (at real time) or handed over (at full speed) to its
verdict; its means are the sum of the lines above it. The wait for the frame itself comes before that.</dd>
<dt>Pictures</dt><dd>Grey values are stretched for the eye. Click a picture, or press Enter on it, to enlarge
it.</dd></dl></details>"""


@dataclass(frozen=True, slots=True)
class PageHead:
    """What a page says of itself.

    notice: as its records have it. made_at: an aware time. version: of cathrt. seed: of generated runs, else None.
    budget_ms: in which a frame must be judged to be MET; None where there is no deadline. thresholds: by kind of model,
    the score from which on a frame counts.
    """

    notice: str
    title: str
    subtitle: str
    made_at: datetime
    version: str
    seed: int | None
    budget_ms: float | None
    thresholds: Mapping[str, float]


def summary_page(head: PageHead, runs: Sequence[JudgedRun], refusals: Sequence[Refusal] = ()) -> str:
    """The page as text (UTF-8).

    All pictures together take at most pictures.MOST_BYTES: runs in order have theirs as long as there is room, and the
    page says of how many they are left out.
    """
    room, sections, without = MOST_BYTES, [], 0
    for number, run in enumerate(runs, 1):
        size = run.pictures.size_bytes if run.pictures else 0
        fits = size <= room
        room -= size if fits else 0
        without += not fits
        sections.append(run_section(number, run, head.thresholds, with_pictures=fits))
    made = [
        f"made {head.made_at:%Y-%m-%d %H:%M %Z}",
        f"cathrt {head.version}",
        *([f"seed {head.seed}"] if head.seed is not None else []),
    ]
    if without:
        made.append(f"pictures of {without} runs are left out: a page holds {MOST_BYTES >> 20} MiB of them")
    within = f" within {head.budget_ms:g} ms" if head.budget_ms is not None else " (no deadline here)"
    body = (
        f'<header><h1>{html_text(head.title)}</h1><p class="dim">{html_text(head.subtitle)}<br>'
        f"{html_text(' · '.join(made))}</p>{_HOW_TO_READ.replace('$within', within)}{_list_of(runs)}</header>\n"
        f"<main>{''.join(sections) or '<section>No run was judged.</section>'}{_refused(refusals)}</main>"
    )
    return page_around(head.title, head.notice, body)


def _list_of(runs: Sequence[JudgedRun]) -> str:
    if len(runs) < _LIST_FROM:
        return ""
    entries = (
        f'<li><a href="#run{number}">{html_text(run.summary.source)}</a> '
        f'<span class="dim">{html_text("; ".join(result.text for result in run.summary.results))}</span></li>'
        for number, run in enumerate(runs, 1)
    )
    listed = f"<summary>{len(runs)} runs</summary><ol>{''.join(entries)}</ol>"
    return f'<nav aria-label="runs"><details open>{listed}</details></nav>'


def _refused(refusals: Sequence[Refusal]) -> str:
    if not refusals:
        return ""
    entries = "".join(f"<li>{html_text(one.source)}: {html_text(one.message)}</li>" for one in refusals)
    return f"<section><h2>Refused inputs: {len(refusals)}</h2><ul>{entries}</ul></section>"
