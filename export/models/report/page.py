"""The report on an export, for people: a self-contained HTML page, no script, nothing fetched.

Not for: measuring (fidelity.py), the verdicts (qualified.py), or what the model is worth (worth.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from string import Template
from typing import Literal

from cathrt.export.models.report.merge_told import MergeTold
from cathrt.export.models.report.qualified import TargetVerdict
from cathrt.export.models.report.worth import ReportWorth
from cathrt.export.qualify.html import STYLE, card, lines, listed, section, table
from cathrt.runtime.alert import NOTICE
from cathrt.runtime.bundle.manifest import BETTER, TOO_FEW
from cathrt.runtime.outside.plain_text import html_text

_LISTED = 20
_MIB = 1 << 20

_PAGE = Template("""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>cathrt: export of $model</title>
<style>
$style
.good{border-color:#8fd694}.good h2{color:#8fd694}.bad{border-color:#ff8a80}.bad h2{color:#ff8a80}
.open{border-color:#f2d06b}.open h2{color:#f2d06b}
</style></head><body>
<div class="notice" role="note">$notice</div>
<header><h1>Export of $model, $precision</h1><p class="dim">$about</p></header>
<main>$sections</main></body></html>
""")


def export_page(
    model: str,
    verdicts: Sequence[TargetVerdict],
    worth: ReportWorth,
    merge: MergeTold | None,
    sizes: Mapping[str, Mapping[str, int]],
    about: Sequence[str],
) -> str:
    """The page as text (UTF-8). sizes: bytes of weights by network, then by what they are for. about: lines."""
    parts = [part for one in verdicts for part in _target(one)]
    parts += [_worth(worth), _sizes(sizes), _merge(merge)]
    return _PAGE.substitute(
        style=STYLE,
        notice=html_text(NOTICE),
        model=html_text(model),
        precision=html_text(", ".join(dict.fromkeys(one.precision for one in verdicts))),
        about="<br>".join(map(html_text, about)),
        sections="".join(parts),
    )


def _target(one: TargetVerdict) -> list[str]:
    found, gate = one.found, one.gate
    rows = [
        ("positions of the same likeliest token", str(found.same), _at_least(gate.agreement)),
        ("of these, ties", str(found.ties), ""),
        ("positions with NaN or infinity", str(found.not_finite), "0"),
        ("largest logit error, of the largest logit", _number(found.logit_error), _at_most(gate.logit_error)),
        ("noise of the logits, of their spread", _number(found.noise), _at_most(gate.noise)),
        ("mean divergence, nats", _number(found.mean_kl), _at_most(gate.mean_kl)),
        ("largest picture error, of the largest value", _number(found.image_error), _at_most(gate.image_error)),
        ("greedy answers, share before the first divergence", _number(found.greedy_share), _at_least(gate.greedy)),
        ("texts", str(found.cases), ""),
    ]
    against = f'<p class="dim">{html_text(f"{one.answered}, against {one.reference}")}</p>'
    told = f"<p>{html_text(one.not_run)}</p>" if one.not_run else ""
    figures = against + told + table(("", "found", "required"), rows)
    return [
        _verdict(one),
        section(f"{one.target}: figures", figures),
        section(f"{one.target}: greedy answers", lines(found.greedy) or "None."),
        section(f"{one.target}: other likeliest tokens, the surest first", listed(found.differences, _LISTED)),
    ]


def _verdict(one: TargetVerdict) -> str:
    if one.fidelity == "passed":
        says = "The engine answers as the float32 network. Every limit of the gate is kept."
        if one.not_run:
            says = "What stood in for the engine answers as the float32 network. Every limit of the gate is kept."
        return card("good", f"{one.target}: fidelity passed", says)
    items = "".join(f"<li>{html_text(str(failure))}</li>" for failure in one.failures)
    if one.fidelity == "failed":
        return card("bad", f"{one.target}: fidelity failed, not signed", f"<ul>{items}</ul>")
    return card("open", f"{one.target}: not enough evidence of fidelity, not signed", f"<ul>{items}</ul>")


def _worth(worth: ReportWorth) -> str:
    says = "" if worth.verdict == BETTER else "Signed only with --sign-anyway, and then each of its outputs says so."
    colour: Literal["good", "bad", "open"] = "bad"
    if worth.verdict in (BETTER, TOO_FEW):
        colour = "good" if worth.verdict == BETTER else "open"
    return card(colour, f"Worth: {worth.verdict}", f"<p>{says}</p>{lines(worth.lines)}")


def _sizes(sizes: Mapping[str, Mapping[str, int]]) -> str:
    told = ((role, purpose, size) for role, one in sizes.items() for purpose, size in one.items())
    rows = [(role, purpose or "other", f"{size / _MIB:.1f} MiB") for role, purpose, size in told]
    return section("Weights", table(("network", "of", "size"), rows))


def _merge(merge: MergeTold | None) -> str:
    if merge is None:
        return section("Adapter", "None: the base's weights as they are.")
    rows = [(one.name, one.how, f"{one.change:.4g}", f"{one.weight:.4g}", f"{one.ratio:.3g}") for one in merge.modules]
    header = ("weight", "how", "norm of the change", "norm before", "share")
    return section("Adapter", lines(merge.lines) + table(header, rows))


def _number(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.3g}"


def _at_least(limit: float | None) -> str:
    return "" if limit is None else f"at least {limit:g}"


def _at_most(limit: float | None) -> str:
    return "" if limit is None else f"at most {limit:g}"
