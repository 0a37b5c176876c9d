"""The report that every export leaves, signed or not: qualification.html for people, qualification.json for programs.

Nothing in it is of a patient. Not for: the verdicts (verdict.py), or what a manifest says (recipe.py).
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from string import Template
from typing import Any, Literal

from cathrt.export.models.study.comparison import QuestionDifference
from cathrt.export.models.study.verdict import TargetVerdict, rounded
from cathrt.export.models.study.worth import StudyWorth
from cathrt.export.qualify.html import STYLE, card, listed, section, table
from cathrt.runtime.alert import NOTICE
from cathrt.runtime.bundle.manifest import BETTER, NO_BETTER, TOO_FEW, WorthVerdict
from cathrt.runtime.outside.plain_text import html_text, json_escaped

_LISTED = 20
_COLOURS: dict[WorthVerdict, Literal["good", "bad", "open"]] = {BETTER: "good", NO_BETTER: "bad", TOO_FEW: "open"}
_PAGE = Template("""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>cathrt: export of $model</title>
<style>
$style
.good{border-color:#8fd694}.good h2{color:#8fd694}.bad{border-color:#ff8a80}.bad h2{color:#ff8a80}
</style></head><body>
<div class="notice" role="note">$notice</div>
<header><h1>Export of $model, $precision</h1><p class="dim">$about</p></header>
<main>$sections</main></body></html>
""")


def write_report(
    folder: Path,
    model: str,
    verdicts: Sequence[TargetVerdict],
    worth: StudyWorth,
    evidence: Mapping[str, Any],
    about: Sequence[str],
) -> None:
    """Both files in a folder, which is made anew. evidence: as the manifest has it. about: lines at the page's head."""
    unfinished = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".unfinished-report-"))
    try:
        (unfinished / "qualification.html").write_text(_page(model, verdicts, worth, about), encoding="utf-8")
        document = {
            "model": model,
            "failures": {one.target: list(map(str, one.failures)) for one in verdicts},
            "questions": {one.target: [_plain(each) for each in one.found.questions] for one in verdicts},
            **evidence,
        }
        text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
        escaped = "\n".join(map(json_escaped, text.split("\n")))
        (unfinished / "qualification.json").write_text(escaped, encoding="utf-8")
        shutil.rmtree(folder, ignore_errors=True)
        unfinished.rename(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _plain(one: QuestionDifference) -> dict[str, Any]:
    numbers = {"error": rounded(one.error), "nearest": rounded(one.nearest), "mean_error": rounded(one.mean_error)}
    return {**asdict(one), **numbers, "flips": list(map(str, one.flips))}


def _page(model: str, verdicts: Sequence[TargetVerdict], worth: StudyWorth, about: Sequence[str]) -> str:
    return _PAGE.substitute(
        style=STYLE,
        notice=html_text(NOTICE),
        model=html_text(model),
        precision=html_text(", ".join(dict.fromkeys(one.precision for one in verdicts))),
        about="<br>".join(map(html_text, about)),
        sections=_worth(worth) + "".join(part for one in verdicts for part in _target(one)),
    )


def _worth(worth: StudyWorth) -> str:
    items = "".join(f"<li>{html_text(line)}</li>" for line in worth.lines)
    return card(_COLOURS[worth.verdict], f"Worth: {worth.verdict}", f"<ul>{items}</ul>")


def _target(one: TargetVerdict) -> list[str]:
    found, gate = one.found, one.gate
    rows = [
        ("calls that are the same", "none" if found.same is None else str(found.same), f"at least {gate.calls:g}"),
        ("surest call that flips, margin", _number(next((flip.margin for flip in found.flips), None)),
         f"at most {gate.flip_margin:g}"),
        ("largest error in logits", _number(found.logit_error), f"at most {gate.logit_error:g}"),
        ("largest mean error of an amount, percent", _number(found.percent_error), f"at most {gate.percent_error:g}"),
        ("largest feature error, of the largest", _number(found.feature_error), f"at most {gate.feature_error:g}"),
        ("noise of the features, of their size", _number(found.feature_noise), f"at most {gate.feature_noise:g}"),
        ("studies with NaN or infinity", str(found.not_finite), "0"),
        ("studies, clips", f"{found.studies}, {found.clips}", ""),
    ]  # fmt: skip
    told = f"<p>{html_text(one.not_run)}</p>" if one.not_run else ""
    header = ("question", "largest error", "calls", "flips", "least margin of a call", "mean error, percent")
    questions = [
        (each.name, _number(each.error), str(each.called), str(len(each.flips)), _number(each.nearest),
         _number(each.mean_error))
        for each in found.questions
    ]  # fmt: skip
    return [
        _verdict(one),
        section(f"{one.target}: figures", f'<p class="dim">{html_text(one.answered)}</p>{told}'
                + table(("", "found", "required"), rows)),
        section(f"{one.target}: calls that flip, the surest first", listed(found.flips, _LISTED)),
        section(f"{one.target}: question by question", table(header, questions)),
    ]  # fmt: skip


def _verdict(one: TargetVerdict) -> str:
    if one.failures:
        items = "".join(f"<li>{html_text(str(failure))}</li>" for failure in one.failures)
        return card("bad", f"{one.target}: fidelity failed, not signed", f"<ul>{items}</ul>")
    who = "What stood in for the engine" if one.not_run else "The engine"
    return card("good", f"{one.target}: fidelity passed", f"{who} answers as the float32 network.")


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"
