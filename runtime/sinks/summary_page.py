"""One self-contained HTML page about some judged runs: no script, nothing fetched, readable from a file.

Every text that came from outside is escaped. Not for: live display (web/, later) or clinical documents.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from string import Template
from typing import Any

from numpy.typing import NDArray

from cathrt.runtime.alert import NOTICE, Alert, KeyframeFinding, Outcome, RunSummary, Verdict
from cathrt.runtime.outside.plain_text import html_text
from cathrt.runtime.sinks.contact_sheet import display_grey

_WIDTH, _HEIGHT = 640, 150

_PAGE = Template("""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>cathrt: $title</title>
<style>
:root{--ink:#e8eaed;--dim:#9aa0a6;--paper:#101418;--card:#181d23;--line:#2b323a;--left:#7fb7ff;--right:#ffb86b;
--better:#8fd694;--warn:#f2d06b}
body{margin:0;background:var(--paper);color:var(--ink);font:15px/1.5 system-ui,"Noto Sans","Noto Sans JP",sans-serif}
header,main{max-width:1040px;margin:0 auto;padding:16px 20px}
.notice{background:#3a3315;color:var(--warn);padding:8px 20px;text-align:center;position:sticky;top:0}
h1{font-size:22px;margin:8px 0 2px}h2{font-size:18px;margin:0}p.dim,td.dim,th,.dim{color:var(--dim)}
section{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:16px;margin:16px 0}
.side{font-weight:600;padding:1px 10px;border-radius:10px;border:1px solid}.left{color:var(--left)}
.right{color:var(--right)}.unknown{color:var(--dim)}
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
<h2>$source <span class="side $laterality">$side</span></h2>
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
    """What the page shows of one run. key_pixels: (rows, columns) stored values of each key frame, best first."""

    summary: RunSummary
    verdicts: Sequence[Verdict[KeyframeFinding]]
    alerts: Sequence[Alert]
    key_pixels: Sequence[NDArray[Any]]
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
    side = {
        "left": f"left coronary 左冠動脈 {summary.laterality_score:.2f}",
        "right": f"right coronary 右冠動脈 {summary.laterality_score:.2f}",
        "unknown": "side unknown 不明",
    }[summary.laterality]
    facts = [f"{summary.frame_rate_hz:g} frames/s ({summary.frame_rate_origin})"]
    if summary.positioner_primary_angle_deg is not None:
        facts.append(_view(summary.positioner_primary_angle_deg, summary.positioner_secondary_angle_deg))
    if summary.laterality_mismatch:
        facts.append("C-arm angle unusual for this side")
    late = sum(alert.late is True for alert in run.alerts)
    facts.append(f"alerts while it ran: {len(run.alerts)}" + (f", {late} of them late" if late else ""))
    facts.append(f"{summary.bundle} on {summary.engine}")
    if run.remark:
        facts.append(run.remark)
    facts += summary.flags
    keys = zip(summary.key_frames, summary.key_frame_scores, run.key_pixels, strict=True)
    return _RUN.substitute(
        source=html_text(summary.source),
        laterality=summary.laterality,
        side=html_text(side),
        facts=html_text(" · ".join(facts)),
        timeline=_timeline(run),
        keys="".join(_key(*key) for key in keys) or '<span class="dim">no key frame</span>',
        frames=summary.frames,
        books="".join(f"<tr><td>{name}</td><td>{count}</td></tr>" for name, count in summary.verdicts.items()),
        latency="".join(
            f"<tr><td>{html_text(stage.replace('_', ' '))}</td>"
            + "".join(f"<td>{value:.2f}</td>" for value in (times.p50, times.p95, times.p99, times.max))
            + "</tr>"
            for stage, times in summary.latency_ms.items()
        ),
    )


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
    """P(better) of every judged frame, alerts as marks at the frame they were raised, unjudged frames as gaps."""
    frames = max(run.summary.frames - 1, 1)

    def at(index: int, score: float) -> tuple[float, float]:
        return 24 + index * (_WIDTH - 32) / frames, 8 + (1 - score) * (_HEIGHT - 32)

    lines: list[list[tuple[float, float]]] = [[]]
    for verdict in run.verdicts:
        if verdict.finding is not None:
            lines[-1].append(at(verdict.frame_index, verdict.finding.key_frame_score))
        elif verdict.outcome is not Outcome.DUPLICATE and lines[-1]:
            lines.append([])
    curves = "".join(
        '<polyline fill="none" stroke="#8fd694" stroke-width="2" points="'
        + " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        + '"/>'
        for points in lines
        if points
    )
    marks = "".join(_mark(*at(alert.frame_index, alert.score), alert) for alert in run.alerts)
    base, right = 8 + (_HEIGHT - 32), _WIDTH - 8
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="key-frame score over the run">'
        f'<path d="M24 8V{base}H{right}" fill="none" stroke="#2b323a"/><text x="0" y="14">1</text>'
        f'<text x="0" y="{base}">0</text><text x="24" y="{_HEIGHT - 6}">frame 0</text>'
        f'<text x="{right}" y="{_HEIGHT - 6}" text-anchor="end">{run.summary.frames - 1}</text>{curves}{marks}</svg>'
    )


def _mark(x: float, y: float, alert: Alert) -> str:
    dashes, late = (' stroke-dasharray="2 2"', ", late: not a live alert") if alert.late else ("", "")
    return (
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" fill="none" stroke="#f2d06b" stroke-width="2"{dashes}>'
        f"<title>alert: frame {alert.frame_index}, raised at frame {alert.raised_at_frame}{late}</title></circle>"
    )
