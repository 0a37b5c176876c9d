"""A qualification as one self-contained HTML page: no script, nothing fetched, readable from a file.

Every text that came from outside is escaped. Not for: measuring (qualify/measure.py) or deciding
(models/keyframe/comparison.py).
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from string import Template
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cathrt.export.models.keyframe.comparison import KEY_FRAME_TOLERANCE, Flip, Share
from cathrt.export.models.keyframe.gate import Failure, Gate
from cathrt.export.qualify.alone import Latency
from cathrt.export.qualify.evidence import verdict
from cathrt.export.qualify.measure import P99_NEEDS, Qualification
from cathrt.runtime.alert import NOTICE
from cathrt.runtime.outside.plain_text import html_text

_WIDTH, _HEIGHT, _LEFT, _BASE = 640, 170, 8, 140
_BINS = 48
_LAYERS, _CHANGES = 20, 50
_REFERENCE, _ENGINE = "#7fb7ff", "#ffb86b"

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
<p class="dim">against $reference · artifact $artifact · judge set $judge_set</p></header>
<main>$sections</main></body></html>
""")


def qualification_page(qualification: Qualification, gate: Gate) -> str:
    """The page as text (UTF-8)."""
    failures = verdict(qualification, gate)
    sections = [
        _verdict(failures),
        _figures(qualification, gate),
        _flips(qualification),
        _changes(qualification),
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
        judge_set=html_text(qualification.judge_set_sha256[:16]),
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


def _figures(qualification: Qualification, gate: Gate) -> str:
    compared = qualification.comparison
    error, sides = compared.logit_error, compared.laterality
    left, right = compared.known_frames
    rows = [
        ("frames of the same class", str(compared.agreement), f"at least {gate.agreement:g}"),
        ("frames with NaN or infinity", str(len(compared.not_finite)), "0"),
        ("laterality F1", "not measured: needs frames of both sides", f"change at most {gate.laterality_f1_change:g}"),
        ("same key frame, runs", _share(compared.key_frames), f"at least {gate.key_frames:g}"),
        ("runs without a key frame on either side", str(compared.runs_without_key_frame), ""),
        ("logit error", "not measured: no finite logits", "" if gate.logit_error is None else f"{gate.logit_error:g}"),
        ("judged", f"{compared.frames} frames of {compared.runs} runs", ""),
        ("frames of known side", f"{left} left, {right} right", ""),
        *((f"left out: {reason}", str(count), "") for reason, count in sorted(qualification.left_out.items())),
    ]
    if sides is not None:
        low, high = sides.interval
        told = f"{sides.before:.4f}, then {sides.after:.4f}: {sides.change:+.4f} (95 %: {low:+.4f} to {high:+.4f})"
        rows[2] = (rows[2][0], told, rows[2][2])
    if error is not None:
        told = f"largest {error.largest:.3g} ({error.relative:.3g} of the largest logit) at {error.at}"
        rows[5] = (rows[5][0], f"{told}; mean {error.mean:.3g}", rows[5][2])
    return f"<section><h2>Figures</h2>{_table(('', 'found', 'required'), rows)}</section>"


def _flips(qualification: Qualification) -> str:
    flips = qualification.comparison.flips
    shown = [flip for flip in flips if (flip.where.number, flip.where.frame) in qualification.pictures]
    figures = "".join(
        _flip(flip, qualification.pictures[flip.where.number, flip.where.frame], qualification.labels) for flip in shown
    )
    told = f"{len(flips)} flips" + (f", the {len(shown)} surest shown" if len(shown) < len(flips) else "")
    legend = 'scores of <span class="reference">the reference</span> and of <span class="engine">the engine</span>'
    text = f'<p class="dim">{told}; {legend}</p>' if flips else "No frame changed its class."
    rest = [flip for flip in flips if flip not in shown][:_CHANGES]
    return f'<section><h2>Flips</h2>{text}<div class="flips">{figures}</div>{_lines(rest)}</section>'


def _flip(flip: Flip, picture: NDArray[np.uint8], labels: Sequence[str]) -> str:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG")
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    bars, row = "", 30
    for number, label in enumerate(labels):
        top = number * row
        bars += f'<text x="0" y="{top + 18}">{html_text(label)}</text>'
        for offset, score, colour in (
            (3, flip.scores_before[number], _REFERENCE),
            (15, flip.scores_after[number], _ENGINE),
        ):
            bars += f'<rect x="90" y="{top + offset}" width="{score * 160:.1f}" height="10" fill="{colour}"/>'
            bars += f'<text x="254" y="{top + offset + 9}">{score:.3f}</text>'
    return (
        f'<figure><img alt="{html_text(str(flip.where))}" src="data:image/png;base64,{data}">'
        f"<figcaption>{html_text(str(flip.where))}<br>{html_text(flip.class_before)} → {html_text(flip.class_after)}, "
        f"margin {flip.margin_before:.3f}, then {flip.margin_after:.3f}</figcaption>"
        f'<svg viewBox="0 0 300 {row * len(labels)}" role="img" aria-label="class scores">{bars}</svg></figure>'
    )


def _changes(qualification: Qualification) -> str:
    compared = qualification.comparison
    parts = [
        (f"Key frames more than {KEY_FRAME_TOLERANCE} frame apart", compared.key_frame_changes),
        ("Sides that changed, of frames whose side is known", compared.side_changes),
        ("Frames on which the engine is not finite", compared.not_finite),
    ]
    return "".join(
        f"<section><h2>{title}</h2>{_lines(found[:_CHANGES]) or 'None.'}"
        + (f'<p class="dim">and {len(found) - _CHANGES} more</p>' if len(found) > _CHANGES else "")
        + "</section>"
        for title, found in parts
    )


def _layers(layers: Sequence[tuple[str, float]]) -> str:
    title = "<h2>Error by layer</h2>"
    if not layers:
        return f"<section>{title}Not measured.</section>"
    shown = layers[:_LAYERS]
    most = max(max(error for _, error in shown), np.finfo(float).tiny)
    bars = "".join(
        f'<text x="0" y="{18 * row + 13}">{html_text(name)}</text>'
        f'<rect x="250" y="{18 * row + 3}" width="{max(error / most, 0.0) * 310:.1f}" height="12" fill="{_ENGINE}"/>'
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
        f"{_histogram(qualification.latency, qualification.reference_latency)}{_table(header, rows)}"
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
        for count, colour in zip(counts, (_REFERENCE, _ENGINE), strict=True)
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


def _share(share: Share | None) -> str:
    return "not measured: no run of three frames" if share is None else str(share)


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    def line(cells: Sequence[str], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}>{html_text(cell)}</{tag}>" for cell in cells) + "</tr>"

    return f"<table>{line(header, 'th')}{''.join(line(row, 'td') for row in rows)}</table>"


def _lines(found: Sequence[Any]) -> str:
    return f"<ul>{''.join(f'<li>{html_text(str(entry))}</li>' for entry in found)}</ul>" if found else ""
