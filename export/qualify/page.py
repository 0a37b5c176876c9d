"""A qualification as one self-contained HTML page: no script, nothing fetched, readable from a file.

Every text that came from outside is escaped. What is peculiar to a kind of model comes in through its Criteria. Not
for: measuring (measure.py) or deciding (evidence.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from string import Template
from typing import Any

import numpy as np

from cathrt.export.qualify.alone import Latency
from cathrt.export.qualify.criteria import Criteria
from cathrt.export.qualify.evidence import verdict
from cathrt.export.qualify.gate import Failure
from cathrt.export.qualify.html import ENGINE, REFERENCE, section, table
from cathrt.export.qualify.measure import P99_NEEDS, Qualification
from cathrt.runtime.alert import NOTICE
from cathrt.runtime.outside.plain_text import html_text

_WIDTH, _HEIGHT, _LEFT, _BASE = 640, 170, 8, 140
_BINS = 48
_LAYERS = 20

_PAGE = Template("""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>cathrt: qualification of $model</title>
<style>
body{margin:0;background:#101418;color:#e8eaed;font:15px/1.5 system-ui,"Noto Sans","Noto Sans JP",sans-serif}
header,main{max-width:1040px;margin:0 auto;padding:16px 20px}
.notice{background:#3a3315;color:#f2d06b;padding:8px 20px;text-align:center;position:sticky;top:0}
h1{font-size:22px;margin:8px 0 2px}h2{font-size:18px;margin:0 0 8px}.dim{color:#9aa0a6}
section{background:#181d23;border:1px solid #2b323a;border-radius:8px;padding:16px;margin:16px 0;overflow-wrap:anywhere}
.passed{border-color:#8fd694}.passed h2{color:#8fd694}.failed{border-color:#ff8a80}.failed h2{color:#ff8a80}
.flips{display:flex;flex-wrap:wrap;gap:16px}.flips figure{margin:0;width:300px}
.flips img{width:300px;height:auto;background:#000;border-radius:4px;display:block}
figcaption{font-size:13px}table{border-collapse:collapse;font-size:14px}th{color:#9aa0a6;font-weight:400}
td,th{padding:2px 18px 2px 0;text-align:left;vertical-align:top;font-variant-numeric:tabular-nums}
svg{width:100%;height:auto;display:block;margin:8px 0}svg text{font:11px system-ui,sans-serif;fill:#9aa0a6}
.reference{color:#7fb7ff}.engine{color:#ffb86b}
</style></head><body>
<div class="notice" role="note">$notice</div>
<header><h1>Qualification of $model on $engine, $precision</h1>
<p class="dim">against $reference · artifact $artifact · qualification set $set</p></header>
<main>$sections</main></body></html>
""")


def qualification_page(qualification: Qualification, criteria: Criteria[Any, Any], gate: Any) -> str:
    """The page as text (UTF-8). criteria, gate: of the kind and the precision qualified."""
    found, shown = qualification.comparison, criteria.shown
    rows = [
        *shown.rows(found, gate),
        ("compared", f"{found.frames} frames of {found.runs} runs", ""),
        *((f"left out: {reason}", str(count), "") for reason, count in sorted(qualification.left_out.items())),
    ]
    sections = [
        _verdict(verdict(qualification, criteria, gate)),
        section("Figures", table(("", "found", "required"), rows)),
        *shown.sections(found, qualification.pictures),
        _layers(qualification.layer_errors),
        _latency(qualification),
    ]
    return _PAGE.substitute(
        notice=html_text(NOTICE),
        model=html_text(qualification.model),
        engine=html_text(qualification.engine),
        precision=html_text(qualification.precision),
        reference=html_text(qualification.reference),
        artifact=html_text(qualification.artifact_sha256[:16]),
        set=html_text(qualification.set_sha256[:16]),
        sections="".join(sections),
    )


def _verdict(failures: Sequence[Failure]) -> str:
    if not failures:
        return '<section class="passed"><h2>Passed: may be signed</h2>Every limit of the gate is kept.</section>'
    items = "".join(
        f"<li>{html_text(f'{failure.what}: found {failure.found}, required {failure.required}')}"
        + "".join(f'<br><span class="dim">{html_text(line)}</span>' for line in failure.look_at)
        + "</li>"
        for failure in failures
    )
    return f'<section class="failed"><h2>Failed: not signed</h2><ul>{items}</ul></section>'


def _layers(layers: Sequence[tuple[str, float]]) -> str:
    title = "<h2>Error by layer</h2>"
    if not layers:
        return f"<section>{title}Not measured.</section>"
    shown = layers[:_LAYERS]
    most = max(max(error for _, error in shown), np.finfo(float).tiny)
    bars = "".join(
        f'<text x="0" y="{18 * row + 13}">{html_text(name)}</text>'
        f'<rect x="250" y="{18 * row + 3}" width="{max(error / most, 0.0) * 310:.1f}" height="12" fill="{ENGINE}"/>'
        f'<text x="{_WIDTH}" y="{18 * row + 13}" text-anchor="end">{error:.3g}</text>'
        for row, (name, error) in enumerate(shown)
    )
    svg = f'<svg viewBox="0 0 {_WIDTH} {18 * len(shown)}" role="img" aria-label="error by layer">{bars}</svg>'
    return f'<section>{title}<p class="dim">the worst {len(shown)} of {len(layers)} measured</p>{svg}</section>'


def _latency(qualification: Qualification) -> str:
    timed = [("engine", qualification.latency), ("reference", qualification.reference_latency)]
    alone = qualification.alone
    rows = [(name, *_times(latency)) for name, latency in timed]
    memory = "Memory was not measured."
    if alone is not None:
        rows.append(("engine alone", *_times(alone.latency)))
        memory = (
            f"Peak memory of a process with this engine: {alone.peak_rss_mib:.0f} MiB, of which "
            f"{alone.rss_before_mib:.0f} MiB before it was opened."
        )
    few = "" if len(qualification.latency.took_ms) >= P99_NEEDS else f" Fewer than {P99_NEEDS} calls: no p99 to quote."
    header = ("ms", "n", "min", "p25", "median", "p75", "p99", "max")
    return (
        '<section><h2>Latency</h2><p class="dim">a call of inference alone; '
        '<span class="engine">engine</span> and <span class="reference">reference</span> in turns</p>'
        f"{_histogram(qualification.latency, qualification.reference_latency)}{table(header, rows)}"
        f"<p>{memory}{few}</p></section>"
    )


def _histogram(engine: Latency, reference: Latency) -> str:
    """Calls by their time, up to the longer p99; what took longer stands in the last bar."""
    times = [np.array(latency.took_ms) for latency in (reference, engine)]
    end = max(latency.quantile(0.99) for latency in (engine, reference)) or 1.0
    counts = [np.histogram(np.minimum(took, end), _BINS, (0.0, end))[0] for took in times]
    most, step = max(int(count.max()) for count in counts), (_WIDTH - 2 * _LEFT) / _BINS
    bars = "".join(
        f'<rect x="{_LEFT + number * step:.1f}" y="{_BASE - height:.1f}" width="{step - 1:.1f}" '
        f'height="{height:.1f}" fill="{colour}" fill-opacity="0.75"/>'
        for count, colour in zip(counts, (REFERENCE, ENGINE), strict=True)
        for number, height in enumerate(count / most * (_BASE - 16))
        if height
    )
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="latency histogram">{bars}'
        f'<path d="M{_LEFT} {_BASE}H{_WIDTH - _LEFT}" stroke="#2b323a"/><text x="{_LEFT}" y="{_BASE + 16}">0 ms</text>'
        f'<text x="{_WIDTH - _LEFT}" y="{_BASE + 16}" text-anchor="end">{end:.2f} ms and more</text>'
        f'<text x="{_LEFT}" y="10">{most} calls</text></svg>'
    )


def _times(latency: Latency) -> tuple[str, ...]:
    return (
        str(len(latency.took_ms)),
        *(f"{latency.quantile(share):.2f}" for share in (0.0, 0.25, 0.5, 0.75, 0.99, 1.0)),
    )
