"""The report of one run as one HTML file: plots as SVG inside it, then the rows. Nothing in it is fetched.

Not for: figures (rows.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from html import escape
from io import StringIO
from pathlib import Path
from typing import Any

from benchmarks.frame_stream.consumer import IMPLEMENTATIONS, LINE
from benchmarks.frame_stream.distribution import Distribution
from benchmarks.frame_stream.figures import STAGES, Picture, stages_ns
from benchmarks.frame_stream.plan import Gathered, Key, Plan
from benchmarks.frame_stream.rows import READER, first_after_pause, settled
from benchmarks.frame_stream.stalls import Stalls

_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem; color: #1c2126; }
h2 { margin-top: 2.2rem; } figure { margin: 1rem 0; } svg { max-width: 100%; height: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 13px; }
td, th { padding: .2rem .55rem; border-bottom: 1px solid #d8dde2; text-align: right; }
td:nth-child(-n+4), th:nth-child(-n+4) { text-align: left; } .wide { overflow-x: auto; }
"""
_COLUMNS = (
    "case", "load", "impl", "stage", "n", "median_ms", "p95_ms", "p99_ms", "p99_9_ms", "max_ms", "stalled", "miss_rate",
    "longest_missed", "missed_outside_stalls", "age_mean_ms", "age_growth", "sent", "accounted",
)  # fmt: skip

Draw = Callable[[Any], None]  # onto matplotlib's axes


def write_page(
    path: Path, plan: Plan, gathered: Mapping[Key, Gathered], rows: Sequence[Mapping[str, Any]], stalls: Stalls
) -> None:
    """Write it. rows: all of the run, the headline last."""
    *measured, last = rows
    plots = "".join(
        f"<h2>{escape(title)}</h2><p>{escape(about)}</p><figure>{_svg(draw)}</figure>"
        for title, about, draw in _plots(plan, gathered, stalls)
    )
    left_out = "".join(
        f"<li>{escape(row['impl'])}: {escape(row['reason'])}</li>" for row in measured if "reason" in row
    )
    figures = "".join(
        f"<tr><td>{escape(key)}</td><td>{'not measured' if value is None else value}</td></tr>"
        for key, value in last["headline"].items()
    )
    made_of = f"{last['machine']['cpu']}, {last['machine']['cores_used']} cores, {last['machine']['stalls']} stalls"
    arguments = " ".join(last["config"]["arguments"])
    path.write_text(
        "<!doctype html><html lang=en><meta charset=utf-8><title>FrameStream</title>"
        f"<style>{_STYLE}</style><h1>FrameStream</h1>"
        f"<p>{escape(made_of)}. Commit {escape(last['commit'])}. Arguments: {escape(arguments or 'none')}.</p>"
        f"<table>{figures}</table>{plots}"
        f"{'<h2>Left out</h2><ul>' + left_out + '</ul>' if left_out else ''}"
        f"<h2>All rows</h2><div class=wide>{_table([row for row in measured if 'reason' not in row])}</div></html>\n",
        encoding="utf-8",
    )


def _plots(plan: Plan, gathered: Mapping[Key, Gathered], stalls: Stalls) -> Iterator[tuple[str, str, Draw]]:
    """Title, explanation and drawing of each plot that there is data for."""
    cases = {key.case for key in gathered}
    if "steady" in cases:
        yield (
            f"Steady, {plan.fps:g} pictures/s", "From intended arrival to the reader. A curve ends where there are too "
            "few samples to say more.", lambda axes: _curves(axes, gathered, "steady"),
        )  # fmt: skip
        if Key("steady", LINE) in gathered:
            yield (
                "Where a picture's time goes", "The line, steady, each part's median and its highest percentile that "
                "there are enough samples for.", lambda axes: _stages(axes, gathered[Key("steady", LINE)]),
            )  # fmt: skip
    if "pauses" in cases:
        yield (
            "After a pause", "The first picture of each press of the pedal beside all others.",
            lambda axes: _pauses(axes, gathered),
        )  # fmt: skip
    if "overload" in cases:
        yield (
            "Overload", "How late each answer was in each one's first trial. Grey: the machine stood still.",
            lambda axes: _overload(axes, gathered, stalls),
        )  # fmt: skip


def _curves(axes: Any, gathered: Mapping[Key, Gathered], case: str) -> None:
    for key, group in gathered.items():
        if key.case == case:
            times = [t for pictures in settled(key, group) for t in stages_ns(pictures)[READER]]
            curve = Distribution(times).curve_ms()
            label = key.implementation if key.load == "none" else f"{key.implementation}, load {key.load}"
            axes.plot(
                [1.0 / (1.0 - percent / 100.0) for percent, _ in curve], [ms for _, ms in curve], label=label,
                color=_color(key.implementation), linestyle="-" if key.load == "none" else "--",
            )  # fmt: skip
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xticks([1, 2, 10, 100, 1000], ["0", "p50", "p90", "p99", "p99.9"])
    axes.set_ylabel("ms")
    _plain(axes.yaxis)
    axes.legend(fontsize=8)


def _stages(axes: Any, group: Gathered) -> None:
    found = [stages_ns(pictures) for pictures in settled(Key("steady", LINE), group)]
    for place, stage in enumerate(STAGES):
        curve = Distribution(t for one in found for t in one[stage]).curve_ms()
        if curve:
            middle = next((ms for percent, ms in curve if percent >= 50.0), curve[-1][1])
            axes.plot([middle, curve[-1][1]], [place, place], color=_color(LINE), linewidth=4, alpha=0.35)
            axes.plot([middle], [place], "o", color=_color(LINE))
    axes.set_yticks(range(len(STAGES)), STAGES)
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.set_xlabel("ms")
    _plain(axes.xaxis)


def _pauses(axes: Any, gathered: Mapping[Key, Gathered]) -> None:
    names = [key.implementation for key in gathered if key.case == "pauses"]
    for place, name in enumerate(names):
        group = gathered[Key("pauses", name)]
        rest = [[p for p in stream.pictures if not p.first_after_pause] for stream in group.streams]
        for streams, marker, shift in ((rest, ".", -0.12), (first_after_pause(group), "D", 0.12)):
            times = [t / 1e6 for pictures in streams for t in stages_ns(pictures)[READER]]
            axes.plot(times, [place + shift] * len(times), marker, color=_color(name), alpha=0.5, markersize=5)
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.set_xlabel("ms; diamonds: first after a pause")
    _plain(axes.xaxis)


def _overload(axes: Any, gathered: Mapping[Key, Gathered], stalls: Stalls) -> None:
    for key, group in gathered.items():
        if key.case != "overload":
            continue
        pictures: Sequence[Picture] = group.streams[0].pictures
        began_ns = pictures[0].intended_ns
        answered = [picture for picture in pictures if picture.end and picture.end.judged]
        axes.plot(
            [(picture.intended_ns - began_ns) / 1e9 for picture in answered],
            [(picture.end.shown_ns - picture.intended_ns) / 1e6 for picture in answered if picture.end],
            ".", markersize=3, color=_color(key.implementation), label=key.implementation,
        )  # fmt: skip
        for began, ended in zip(stalls.began_ns, stalls.ended_ns, strict=True):
            if began_ns < began < pictures[-1].intended_ns and key.implementation == LINE:
                axes.axvspan((began - began_ns) / 1e9, (ended - began_ns) / 1e9, color="0.8", zorder=0)
    axes.set_yscale("log")
    axes.set_xlabel("s")
    axes.set_ylabel("ms")
    _plain(axes.yaxis)
    axes.legend(fontsize=8, markerscale=3)


def _plain(axis: Any) -> None:
    """Numbers as people write them, on an axis that is logarithmic; between tens only where there is room."""
    from matplotlib.ticker import LogFormatter

    axis.set_major_formatter("{x:g}")
    axis.set_minor_formatter(LogFormatter())


def _color(name: str) -> str:
    return f"C{list(IMPLEMENTATIONS).index(name)}"


def _svg(draw: Draw) -> str:
    """One drawing, as an element for a page."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.0, 4.5), layout="constrained")
    FigureCanvasSVG(figure)
    axes = figure.add_subplot()
    axes.grid(alpha=0.3)
    draw(axes)
    written = StringIO()
    figure.savefig(written, format="svg", metadata={"Date": None})
    drawn = written.getvalue()
    return drawn[drawn.index("<svg") :]


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    head = "".join(f"<th>{escape(column.removesuffix('_ms'))}</th>" for column in _COLUMNS)
    lines = (
        "".join(f"<td>{'' if (value := row.get(column)) is None else escape(str(value))}</td>" for column in _COLUMNS)
        for row in rows
    )
    return f"<table><tr>{head}</tr>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"
