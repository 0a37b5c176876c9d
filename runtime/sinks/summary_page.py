"""One self-contained HTML page about some judged runs: no script, nothing fetched, readable from a file.

Every text that came from outside is escaped. Not for: live display (web/, later) or clinical documents.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from string import Template
from typing import Any

from numpy.typing import NDArray

from cathrt.runtime.alert import NOTICE, Alert, Outcome, RunResult, RunSummary, Verdict
from cathrt.runtime.outside.plain_text import html_text
from cathrt.runtime.sinks.contact_sheet import display_grey

_WIDTH, _HEIGHT = 640, 150

_PAGE = Template("""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>cathrt: $title</title>
<style>
:root{--ink:#e8eaed;--dim:#9aa0a6;--paper:#101418;--card:#181d23;--line:#2b323a;--result:#7fb7ff;
--better:#8fd694;--warn:#f2d06b}
body{margin:0;background:var(--paper);color:var(--ink);font:15px/1.5 system-ui,"Noto Sans","Noto Sans JP",sans-serif}
header,main{max-width:1040px;margin:0 auto;padding:16px 20px}
.notice{background:#3a3315;color:var(--warn);padding:8px 20px;text-align:center;position:sticky;top:0}
h1{font-size:22px;margin:8px 0 2px}h2{font-size:18px;margin:0}p.dim,td.dim,th,.dim{color:var(--dim)}
section{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:16px;margin:16px 0}
.result{margin:4px 0}.result b{font-weight:600;color:var(--result)}
.keys{display:flex;flex-wrap:wrap;gap:12px;margin:12px 0}.keys figure{margin:0;width:192px}
.keys img{width:192px;height:192px;object-fit:contain;background:#000;border-radius:4px;display:block}
figcaption{font-size:13px;color:var(--dim)}table{border-collapse:collapse;font-size:13px}
td,th{padding:2px 14px 2px 0;text-align:right;font-variant-numeric:tabular-nums}
td:first-child,th:first-child{text-align:left}.tables{display:flex;flex-wrap:wrap;gap:32px}
svg{width:100%;height:auto;display:block;margin:10px 0}svg text{font:11px system-ui,sans-serif;fill:#9aa0a6}
</style></head><body>
<div class="notice" role="note">$notice</div>
<header><h1>$title</h1><p class="dim">$subtitle</p></header>
<main>$runs</main></body></html>
""")

_RUN = Template("""<section>
<h2>$source</h2>
$results
<p class="dim">$facts</p>
$timeline
<div class="keys">$keys</div>
<div class="tables">
<table><tr><th>frames</th><th>$frames</th></tr>$books</table>
<table><tr><th>latency, ms</th><th>p50</th><th>p95</th><th>p99</th><th>max</th></tr>$latency</table>
</div></section>
""")


@dataclass(frozen=True, slots=True, eq=False)
class JudgedRun:
    """What the page shows of one run. marked_pixels: by index, (rows, columns) stored values of each marked frame."""

    summary: RunSummary
    verdicts: Sequence[Verdict]
    alerts: Sequence[Alert]
    marked_pixels: Mapping[int, NDArray[Any]]
    remark: str = ""


def summary_page(title: str, subtitle: str, runs: Sequence[JudgedRun]) -> str:
    """The page as text (UTF-8)."""
    return _PAGE.substitute(
        title=html_text(title),
        subtitle=html_text(subtitle),
        notice=html_text(NOTICE),
        runs="".join(_run(run) for run in runs) or "<section>No run was judged.</section>",
    )


def _run(run: JudgedRun) -> str:
    summary = run.summary
    facts = [f"{summary.frame_rate_hz:g} frames/s ({summary.frame_rate_origin})"]
    if summary.positioner_primary_angle_deg is not None:
        facts.append(_view(summary.positioner_primary_angle_deg, summary.positioner_secondary_angle_deg))
    late = sum(alert.late is True for alert in run.alerts)
    facts.append(f"alerts while it ran: {len(run.alerts)}" + (f", {late} of them late" if late else ""))
    facts += [f"{result.bundle} on {result.engine}" for result in summary.results]
    if run.remark:
        facts.append(run.remark)
    facts += summary.flags
    marked = [
        (index, score)
        for result in summary.results
        for index, score in zip(result.marked_frames, result.marked_scores, strict=True)
    ]
    return _RUN.substitute(
        source=html_text(summary.source),
        results="".join(map(_result, summary.results)),
        facts=html_text(" · ".join(facts)),
        timeline=_timeline(run),
        keys="".join(_key(index, score, run.marked_pixels[index]) for index, score in marked)
        or '<span class="dim">no frame to look at</span>',
        frames=summary.frames,
        books="".join(f"<tr><td>{name}</td><td>{count}</td></tr>" for name, count in summary.verdicts.items()),
        latency="".join(
            f"<tr><td>{html_text(stage.replace('_', ' '))}</td>"
            + "".join(f"<td>{value:.2f}</td>" for value in (times.p50, times.p95, times.p99, times.max))
            + "</tr>"
            for stage, times in summary.latency_ms.items()
        ),
    )


def _result(result: RunResult) -> str:
    return f'<p class="result"><b>{html_text(result.text)}</b><br>{html_text(result.text_ja)}</p>'


def _view(primary: float, secondary: float | None) -> str:
    view = f"{'LAO' if primary >= 0 else 'RAO'} {abs(primary):.0f}°"
    if secondary is not None:
        view += f" {'CRA' if secondary >= 0 else 'CAU'} {abs(secondary):.0f}°"
    return view


def _key(index: int, score: float, pixels: NDArray[Any]) -> str:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(display_grey(pixels)).save(buffer, "PNG")
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    return (
        f'<figure><img alt="frame {index}" src="data:image/png;base64,{data}">'
        f"<figcaption>frame {index} · score {score:.2f}</figcaption></figure>"
    )


def _timeline(run: JudgedRun) -> str:
    """Each model's score of every frame that it answered; alerts as marks at their frame, unjudged frames as gaps."""
    frames = max(run.summary.frames - 1, 1)

    def at(index: int, score: float) -> tuple[float, float]:
        return 24 + index * (_WIDTH - 32) / frames, 8 + (1 - score) * (_HEIGHT - 32)

    kinds = dict.fromkeys(finding.kind for verdict in run.verdicts for finding in verdict.findings)
    lines = [line for kind in kinds for line in _pieces(run.verdicts, kind, at)]
    curves = "".join(
        '<polyline fill="none" stroke="#8fd694" stroke-width="2" points="'
        + " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        + '"/>'
        for points in lines
        if points
    )
    marks = "".join(_mark(*at(alert.frame_index, alert.news.score), alert) for alert in run.alerts)
    base, right = 8 + (_HEIGHT - 32), _WIDTH - 8
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="scores over the run">'
        f'<path d="M24 8V{base}H{right}" fill="none" stroke="#2b323a"/><text x="0" y="14">1</text>'
        f'<text x="0" y="{base}">0</text><text x="24" y="{_HEIGHT - 6}">frame 0</text>'
        f'<text x="{right}" y="{_HEIGHT - 6}" text-anchor="end">{run.summary.frames - 1}</text>{curves}{marks}</svg>'
    )


def _pieces(
    verdicts: Sequence[Verdict], kind: str, at: Callable[[int, float], tuple[float, float]]
) -> list[list[tuple[float, float]]]:
    """One model's curve, in pieces between the frames that it did not answer."""
    pieces: list[list[tuple[float, float]]] = [[]]
    for verdict in verdicts:
        finding = next((found for found in verdict.findings if found.kind == kind), None)
        if finding is not None:
            pieces[-1].append(at(verdict.frame_index, finding.score))
        elif verdict.outcome is not Outcome.DUPLICATE and pieces[-1]:
            pieces.append([])
    return pieces


def _mark(x: float, y: float, alert: Alert) -> str:
    dashes, late = (' stroke-dasharray="2 2"', ", late: not a live alert") if alert.late else ("", "")
    return (
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" fill="none" stroke="#f2d06b" stroke-width="2"{dashes}>'
        f"<title>alert: frame {alert.frame_index}, raised at frame {alert.raised_at_frame}{late}</title></circle>"
    )
