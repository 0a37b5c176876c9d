"""One run's part of a page: what each model says of it, its plot, its pictures, how its frames ended, and its times.

Every text that came from outside is escaped. Not for: the page around it (summary_page.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from string import Template

from cathrt.runtime.alert import JUDGED, Alert, Percentiles, RunResult, RunSummary, StageTimes, Verdict
from cathrt.runtime.outside.plain_text import html_text
from cathrt.runtime.sinks.pictures import Picture, RunPictures, Strip
from cathrt.runtime.sinks.score_plot import score_plot

_SUM = ' class="sum"'
_SECTION = Template("""<section>
<h2 id="run$number">$source</h2>
$results
<p class="dim">$facts</p>
$plot
<div class="keys">$pictures</div>
<div class="tables">
<table><tr><th>frames</th><th>$frames</th></tr>$books</table>
$times
</div></section>
""")


@dataclass(frozen=True, slots=True, eq=False)
class JudgedRun:
    """What the page shows of one run. pictures: None where it could not be read again. remark: one more fact."""

    summary: RunSummary
    verdicts: Sequence[Verdict]
    alerts: Sequence[Alert]
    pictures: RunPictures | None
    remark: str = ""


def run_section(number: int, run: JudgedRun, thresholds: Mapping[str, float], *, with_pictures: bool) -> str:
    """number: of the run on its page, for links. thresholds: by kind of model."""
    summary = run.summary
    return _SECTION.substitute(
        number=number,
        source=html_text(summary.source),
        results="".join(map(_result, summary.results)),
        facts=html_text(" · ".join(_facts(run))),
        plot=score_plot(summary, run.verdicts, run.alerts, thresholds),
        pictures=_pictures(run, with_pictures=with_pictures),
        frames=summary.frames,
        books="".join(f"<tr><td>{name}</td><td>{count}</td></tr>" for name, count in summary.verdicts.items()),
        times=_times([verdict.latency_ms for verdict in run.verdicts if verdict.outcome in JUDGED]),
    )


def _facts(run: JudgedRun) -> list[str]:
    summary = run.summary
    facts = [f"{summary.frame_rate_hz:g} frames/s ({summary.frame_rate_origin})"]
    if summary.positioner_primary_angle_deg is not None:
        facts.append(_view(summary.positioner_primary_angle_deg, summary.positioner_secondary_angle_deg))
    late = sum(alert.late is True for alert in run.alerts)
    facts.append(f"alerts while it ran: {len(run.alerts)}" + (f", {late} of them late" if late else ""))
    facts += [f"{result.bundle} on {result.engine}" for result in summary.results]
    if run.remark:
        facts.append(run.remark)
    return [*facts, *summary.flags]


def _result(result: RunResult) -> str:
    return (
        f'<p class="result"><b>{html_text(result.text)}</b><br><span lang="ja">{html_text(result.text_ja)}</span></p>'
    )


def _view(primary: float, secondary: float | None) -> str:
    view = f"{'LAO' if primary >= 0 else 'RAO'} {abs(primary):.0f}°"
    if secondary is not None:
        view += f" {'CRA' if secondary >= 0 else 'CAU'} {abs(secondary):.0f}°"
    return view


def _pictures(run: JudgedRun, *, with_pictures: bool) -> str:
    summary = run.summary
    marked = [
        (rank, index, score)
        for result in summary.results
        for rank, (index, score) in enumerate(zip(result.marked_frames, result.marked_scores, strict=True), 1)
    ]
    pictures = run.pictures if with_pictures else None
    figures = [] if marked else ['<span class="dim">no frame to look at</span>']
    for rank, index, score in marked:
        picture = pictures.marked.get(index) if pictures else None
        second = index / summary.frame_rate_hz
        figures.append(
            f"<figure>{_enlargeable(picture, index) if picture else 'no picture'}"
            f"<figcaption>{rank}. frame {index} · {second:.2f} s · score {score:.2f}</figcaption></figure>"
        )
    if pictures and pictures.strip:
        figures.append(_player(pictures.strip, summary))
    return "".join(figures)


def _enlargeable(picture: Picture, index: int) -> str:
    return f'<button class="picture" aria-label="enlarge frame {index}">{_image(picture, f"frame {index}")}</button>'


def _image(picture: Picture, told: str) -> str:
    size = f'width="{picture.width}" height="{picture.height}"'
    return f'<img alt="{told}" {size} loading="lazy" decoding="async" src="{picture.uri}">'


def _player(strip: Strip, summary: RunSummary) -> str:
    """The run, as fast as it was acquired. Without a script, its first frame."""
    count, last = len(strip.frames), len(strip.frames) - 1
    step = strip.frames[1] - strip.frames[0] if last else 1
    ms = 1000.0 * step / summary.frame_rate_hz
    return (
        f'<figure class="player" data-ms="{ms:.0f}"><div class="window">{_image(strip.picture, "the run")}</div>'
        f'<div class="controls"><button>play</button><input type="range" min="0" max="{last}" value="0" '
        f'aria-label="frame of the run"></div><figcaption>the run, {count} of {summary.frames} frames</figcaption>'
        "</figure>"
    )


def _times(frames: Sequence[StageTimes]) -> str:
    """Means add up to that of end to end; percentiles of parts never do."""
    if not frames:
        return ""
    rows = {
        "preprocessing": [times.preprocess for times in frames],
        "inference": [times.infer for times in frames],
        "meaning of the outputs": [times.postprocess for times in frames],
        "queue and rest": [t.end_to_end - t.preprocess - t.infer - t.postprocess for t in frames],
        "end to end": [times.end_to_end for times in frames],
        "before it: wait for the frame": [times.source for times in frames],
    }
    lines = "".join(
        f"<tr{_SUM if name == 'end to end' else ''}><td>{name}</td>{_cells(values)}</tr>"
        for name, values in rows.items()
    )
    head = "".join(f"<th>{name}</th>" for name in ("mean", "p50", "p95", "p99", "max"))
    return f"<table><tr><th>latency, ms</th>{head}</tr>{lines}</table>"


def _cells(values: Sequence[float]) -> str:
    spread = Percentiles.over(values)
    told = (sum(values) / len(values), spread.p50, spread.p95, spread.p99, spread.max)
    return "".join(f"<td>{value:.2f}</td>" for value in told)
