"""The scores of a run over time as one SVG picture: curves, thresholds, alerts, and the frames that were marked.

Not for: what the scores mean (models/), or text from outside, of which nothing is drawn but what is escaped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil

from cathrt.runtime.alert import Alert, Outcome, RunSummary, Verdict
from cathrt.runtime.outside.plain_text import html_text

_WIDTH, _HEIGHT = 640, 190
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 12, 14, 38
_MOST_TICKS = 10


@dataclass(frozen=True, slots=True)
class _Places:
    """Where a frame and a score lie in the picture."""

    summary: RunSummary

    def x(self, index: float) -> float:
        return _LEFT + index * (_WIDTH - _LEFT - _RIGHT) / max(self.summary.frames - 1, 1)

    def y(self, score: float) -> float:
        return _TOP + (1.0 - score) * (_HEIGHT - _TOP - _BOTTOM)


def score_plot(
    summary: RunSummary, verdicts: Sequence[Verdict], alerts: Sequence[Alert], thresholds: Mapping[str, float]
) -> str:
    """thresholds: by kind of model, the score from which on a frame counts.

    Each model's score of every frame that it answered; alerts as circles at their frame, marked frames as numbered
    triangles, unjudged frames as gaps. Seconds are the frame's number over the nominal rate.
    """
    places = _Places(summary)
    kinds = dict.fromkeys(finding.kind for verdict in verdicts for finding in verdict.findings)
    parts = [
        *_axes(places),
        *(_threshold(places, thresholds[kind]) for kind in kinds if kind in thresholds),
        *(_curve(piece) for kind in kinds for piece in _pieces(verdicts, kind, places)),
        *(_alert(places, alert) for alert in alerts),
        *(
            _marked(places, rank, index, score)
            for result in summary.results
            for rank, (index, score) in enumerate(zip(result.marked_frames, result.marked_scores, strict=True), 1)
        ),
    ]
    return f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="score over time">{"".join(parts)}</svg>'


def _axes(places: _Places) -> list[str]:
    summary, base = places.summary, places.y(0.0)
    last_s = max(summary.frames - 1, 0) / summary.frame_rate_hz
    every_s = next((step for step in (1, 2, 5, 10, 30, 60) if last_s / step <= _MOST_TICKS), ceil(last_s / _MOST_TICKS))
    parts = [f'<path class="axis" d="M{_LEFT} {_TOP}V{base:.1f}H{_WIDTH - _RIGHT}"/>']
    parts += [
        f'<text x="{_LEFT - 6}" y="{places.y(score) + 4:.1f}" text-anchor="end">{score:g}</text>'
        for score in (0.0, 0.5, 1.0)
    ]
    for second in range(0, int(last_s) + 1, every_s):
        x = places.x(second * summary.frame_rate_hz)
        parts.append(f'<path class="axis" d="M{x:.1f} {base:.1f}v4"/>')
        parts.append(f'<text x="{x:.1f}" y="{base + 16:.1f}" text-anchor="middle">{second}</text>')
    middle = (_TOP + base) / 2
    parts.append(
        f'<text x="12" y="{middle:.1f}" text-anchor="middle" transform="rotate(-90 12 {middle:.1f})">score</text>'
    )
    told = f"time, s (frames 0 to {max(summary.frames - 1, 0)})"
    parts.append(f'<text x="{(_LEFT + _WIDTH - _RIGHT) / 2}" y="{_HEIGHT - 6}" text-anchor="middle">{told}</text>')
    return parts


def _threshold(places: _Places, score: float) -> str:
    y = places.y(score)
    return (
        f'<path class="threshold" d="M{_LEFT} {y:.1f}H{_WIDTH - _RIGHT}"/>'
        f'<text x="{_WIDTH - _RIGHT}" y="{y - 4:.1f}" text-anchor="end">threshold {score:.2f}</text>'
    )


def _curve(piece: Sequence[tuple[float, float]]) -> str:
    return f'<polyline class="curve" points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in piece)}"/>'


def _pieces(verdicts: Sequence[Verdict], kind: str, places: _Places) -> list[list[tuple[float, float]]]:
    """One model's curve, in pieces between the frames that it did not answer."""
    pieces: list[list[tuple[float, float]]] = [[]]
    for verdict in verdicts:
        finding = next((found for found in verdict.findings if found.kind == kind), None)
        if finding is not None:
            pieces[-1].append((places.x(verdict.frame_index), places.y(finding.score)))
        elif verdict.outcome is not Outcome.DUPLICATE and pieces[-1]:
            pieces.append([])
    return [piece for piece in pieces if piece]


def _alert(places: _Places, alert: Alert) -> str:
    classes, late = ("alert late", ", late: not a live alert") if alert.late else ("alert", "")
    told = f"alert: frame {alert.frame_index}, raised at frame {alert.raised_at_frame}{late}"
    x, y = places.x(alert.frame_index), places.y(alert.news.score)
    return f'<circle class="{classes}" cx="{x:.1f}" cy="{y:.1f}" r="6"><title>{html_text(told)}</title></circle>'


def _marked(places: _Places, rank: int, index: int, score: float) -> str:
    x, y = places.x(index), places.y(score)
    triangle, number = ((y + 8, "l-4 7h8z"), y + 26) if score >= 0.5 else ((y - 8, "l-4 -7h8z"), y - 18)
    return (
        f'<g class="key"><title>no. {rank} to look at: frame {index}, score {score:.2f}</title>'
        f'<path d="M{x:.1f} {triangle[0]:.1f}{triangle[1]}"/>'
        f'<text x="{x:.1f}" y="{number:.1f}" text-anchor="middle">{rank}</text></g>'
    )
