"""A qualification as one self-contained HTML page: no script, nothing fetched, readable from a file.

Every text that came from outside is escaped. What is peculiar to a kind of model comes in through its Criteria. Not
for: measuring (measure.py), deciding (evidence.py), or what the network is worth (worth_card.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from string import Template
from typing import Any

import numpy as np

from cathrt.export.qualify.alone import P99_NEEDS, Alone, Latency
from cathrt.export.qualify.criteria import Criteria, Row
from cathrt.export.qualify.evidence import Qualified
from cathrt.export.qualify.html import ENGINE, STYLE, card, section, table
from cathrt.export.qualify.measure import Qualification
from cathrt.export.qualify.sequential import ERROR, Proof
from cathrt.export.qualify.worth_card import worth_card
from cathrt.runtime.alert import NOTICE
from cathrt.runtime.outside.plain_text import html_text

_WIDTH, _HEIGHT, _LEFT, _BASE = 640, 170, 8, 140
_BINS = 48
_LAYERS = 20

_PAGE = Template("""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>cathrt: qualification of $model</title>
<style>
$style
.verdicts{display:grid;grid-template-columns:1fr 1fr;gap:16px}.verdicts section{margin:16px 0 0}
@media(max-width:700px){.verdicts{grid-template-columns:1fr}}
.good{border-color:#8fd694}.good h2{color:#8fd694}.bad{border-color:#ff8a80}.bad h2{color:#ff8a80}
.open{border-color:#f2d06b}.open h2{color:#f2d06b}
.flips{display:flex;flex-wrap:wrap;gap:16px}.flips figure{margin:0;width:300px}
.flips img{width:300px;height:auto;background:#000;border-radius:4px;display:block}
.reference{color:#7fb7ff}.engine{color:#ffb86b}
</style></head><body>
<div class="notice" role="note">$notice</div>
<header><h1>Qualification of $model on $engine, $precision</h1>
<p class="dim">against $reference · artifact $artifact · qualification set $set<br>$about</p></header>
<main>$sections</main></body></html>
""")


def qualification_page(qualification: Qualification, criteria: Criteria[Any, Any], gate: Any) -> str:
    """The page as text (UTF-8). criteria, gate: of the kind and the precision qualified."""
    found, shown = qualification.comparison, criteria.shown
    qualified = Qualified(qualification, criteria, gate)
    rows = [
        *shown.rows(found, gate),
        *(_proof(proof) for proof in qualification.proofs),
        ("compared", f"{found.frames} frames of {found.runs} runs, at most {qualification.runs_at_most}", ""),
        *((f"left out: {reason}", str(count), "") for reason, count in sorted(qualification.left_out.items())),
    ]
    sections = [
        f'<div class="verdicts">{_fidelity(qualified)}{worth_card(qualification.worth)}</div>',
        section("Fidelity: figures", table(("", "found", "required"), rows)),
        *shown.sections(found, qualification.pictures),
        _layers(qualification.layer_errors),
        _latency(qualification.alone),
    ]
    return _PAGE.substitute(
        style=STYLE,
        notice=html_text(NOTICE),
        model=html_text(qualification.model),
        engine=html_text(qualification.engine),
        precision=html_text(_precision(qualification)),
        reference=html_text(qualification.reference),
        artifact=html_text(qualification.artifact_sha256[:16]),
        set=html_text(qualification.set_sha256[:16]),
        about=html_text(_about(qualification)),
        sections="".join(sections),
    )


def _precision(qualification: Qualification) -> str:
    return f"int8, rest in {qualification.rest}" if qualification.precision == "int8" else qualification.precision


def _about(qualification: Qualification) -> str:
    """Architecture, where the weights are from, date, versions."""
    about = qualification.about
    weights = f"random weights of seed {about.get('seed')}" if about.get("random_init") else "trained weights"
    made = [str(about.get("arch", "architecture not stated")), weights, f"qualified on {qualification.date}"]
    tools = ", ".join(f"{name} {version}" for name, version in sorted(qualification.tools.items()))
    return " · ".join([*made, f"with {tools}" if tools else "versions not stated"])


def _proof(proof: Proof) -> Row:
    doubt = f"{proof.runs} runs: {proof.standing}, a doubt of {min(1.0, 1.0 / proof.proven):.2g}"
    return f"mean of the runs' {proof.name} above {proof.floor:g}", doubt, f"a doubt of at most {ERROR:g}"


def _fidelity(qualified: Qualified) -> str:
    """Does the engine answer as its network?"""
    if qualified.fidelity == "passed":
        return card(
            "good", "Fidelity: passed", "The engine answers as the float network. Every limit of the gate is kept."
        )
    items = "".join(
        f"<li>{html_text(f'{failure.what}: found {failure.found}, required {failure.required}')}"
        + "".join(f'<br><span class="dim">{html_text(line)}</span>' for line in failure.look_at)
        + "</li>"
        for failure in qualified.failures
    )
    if qualified.fidelity == "failed":
        return card("bad", "Fidelity: failed, not signed", f"<ul>{items}</ul>")
    return card("open", "Fidelity: not enough evidence, not signed", f"<ul>{items}</ul>")


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


def _latency(alone: Alone | None) -> str:
    title = "<h2>Latency</h2>"
    if alone is None:
        return f"<section>{title}Neither latency nor memory was measured.</section>"
    few = "" if len(alone.latency.took_ms) >= P99_NEEDS else f" Fewer than {P99_NEEDS} calls: no p99 to quote."
    header = ("ms", "n", "min", "p25", "median", "p75", "p99", "max")
    return (
        f'<section>{title}<p class="dim">a call of inference, the engine alone in a process, fed with noise</p>'
        f"{_histogram(alone.latency)}{table(header, [('engine alone', *_times(alone.latency))])}"
        f"<p>Peak memory of a process with this engine: {alone.peak_rss_mib:.0f} MiB, of which "
        f"{alone.rss_before_mib:.0f} MiB before it was opened.{few}</p></section>"
    )


def _histogram(latency: Latency) -> str:
    """Calls by their time, up to the p99; what took longer stands in the last bar."""
    end = latency.quantile(0.99) or 1.0
    counts = np.histogram(np.minimum(latency.took_ms, end), _BINS, (0.0, end))[0]
    most, step = int(counts.max()), (_WIDTH - 2 * _LEFT) / _BINS
    bars = "".join(
        f'<rect x="{_LEFT + number * step:.1f}" y="{_BASE - height:.1f}" width="{step - 1:.1f}" '
        f'height="{height:.1f}" fill="{ENGINE}" fill-opacity="0.75"/>'
        for number, height in enumerate(counts / most * (_BASE - 16))
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
