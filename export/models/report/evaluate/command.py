"""`cathrt evaluate report`: drafts against reference reports, and the clinicians' form and its answers.

Imports nothing heavy before it is called. Not for: how drafts are made (`cathrt report`), or figures of the
demonstration model (benchmarks/report_quality.py).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cathrt.runtime.alert import NOTICE
from cathrt.runtime.commands.options import JsonOption, say, show, show_json
from cathrt.runtime.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cathrt.export.models.report.evaluate.evaluation import Evaluation
    from cathrt.export.models.report.evaluate.texts import Pair
    from cathrt.export.qualify.intervals import Interval

_NO_SCORE = "VLScore says how near two texts lie in an encoder's space; clinicians may judge otherwise."


def evaluate_report(
    drafts: Annotated[
        Path | None,
        typer.Option(
            readable=False,
            help="JSON lines: study, en, ja, facts, pictures of each draft; or the output of report --json.",
        ),
    ] = None,
    reference: Annotated[
        Path | None, typer.Option(readable=False, help="JSON lines of the same form: the reports to compare with.")
    ] = None,
    encoder: Annotated[
        Path | None, typer.Option(readable=False, help="Folder of an image-text encoder, for VLScore.")
    ] = None,
    form: Annotated[
        Path | None,
        typer.Option(
            readable=False,
            help="Write a page on which clinicians score all texts blindly, and FILE.key.json beside it, which says "
            "whose each text is.",
        ),
    ] = None,
    answers: Annotated[
        list[Path] | None, typer.Option(readable=False, help="Scores that a reader saved on the form; repeat it.")
    ] = None,
    key: Annotated[Path | None, typer.Option(readable=False, help="Key of the form that --answers are of.")] = None,
    json_: JsonOption = False,
) -> None:
    """Compare drafts with reference reports.

    Counts the facts that both state, and gives the VLScore where an encoder is there. Writes a form for blinded
    clinicians, and counts their answers. Nothing is signed or refused for these figures.
    """
    if answers or key is not None:
        if drafts is not None or reference is not None or form is not None or encoder is not None:
            raise ConfigError("--answers and --key count scores: give them without drafts, reference, encoder and form")
        _count_answers(answers or [], key, json_=json_)
        return
    if drafts is None or reference is None:
        raise ConfigError("--drafts FILE and --reference FILE: give both, or --answers FILE and --key FILE")
    from cathrt.export.models.report.evaluate.encoder import open_encoder
    from cathrt.export.models.report.evaluate.evaluation import evaluated
    from cathrt.export.models.report.evaluate.texts import paired, read_texts

    pairs, alone = paired(read_texts(drafts), read_texts(reference))
    for study in alone:
        say(f"study {study}: has a draft or a reference alone, and is left out")
    opened = open_encoder(encoder) if encoder is not None else None
    found = evaluated(pairs, opened)
    for study, why in found.left_out:
        say(f"study {study}: {why}")
    _show(found, json_=json_)
    if form is not None:
        _write_form(pairs, form)


def _show(found: Evaluation, *, json_: bool) -> None:
    if json_:
        show_json({"type": "report_evaluation", **found.record(), "notice": NOTICE})
        return
    show(NOTICE)
    read_in = " and ".join(found.languages)
    show(f"{found.studies} studies, {found.withheld} drafts withheld; facts of references read in {read_in}")
    show("")
    show(f"  {'fact':<10}{'precision (95 %)':<28}{'recall (95 %)':<28}right, stated, true")
    for kind, score in found.scores.items():
        shares = f"{_share(score.precision, score.precision_95):<28}{_share(score.recall, score.recall_95):<28}"
        show(f"  {kind:<10}{shares}{score.right}, {score.stated}, {score.true}")
    if found.unread:
        show(f"sentences that say what no fact can hold: {found.unread}")
    for language, (mean, interval) in found.vlscores.items():
        show(f"VLScore, {language}: {_share(mean, interval)}. {_NO_SCORE}")


def _write_form(pairs: Sequence[Pair], path: Path) -> None:
    import json
    import random

    from cathrt.export.models.report.evaluate.clinician_form import form_items, form_of
    from cathrt.runtime.outside.output_files import whole_file

    made = form_of(tuple(form_items(pairs)), random.SystemRandom())
    key = path.with_name(f"{path.name}.key.json")
    for target, text in ((key, json.dumps(made.key, indent=1, ensure_ascii=False) + "\n"), (path, made.page)):
        with whole_file(target, "--form") as part:
            part.write_text(text, encoding="utf-8")
    say(f"form: {path}, shows the texts and pictures of {len(pairs)} studies: keep it as confidential as these")
    say(f"key:  {key}, which the readers must not see")


def _count_answers(answers: Sequence[Path], key: Path | None, *, json_: bool) -> None:
    from dataclasses import asdict

    from cathrt.export.models.report.evaluate.answers import clinician_scores, read_answers, read_key

    if key is None or not answers:
        raise ConfigError("--answers FILE and --key FILE: give both")
    of_form = read_key(key)
    found = clinician_scores([read_answers(path, of_form) for path in answers], of_form)
    if json_:
        document: dict[str, Any] = {"type": "clinician_scores", **asdict(found), "notice": NOTICE}
        show_json(document)
        return
    show(NOTICE)
    show(f"{found.scores} scores of {found.readers} readers, 1 to 10 points (95 % interval over studies)")
    show(f"  drafts      {_share(found.draft, found.draft_95)}")
    show(f"  references  {_share(found.reference, found.reference_95)}")
    show(f"  difference  {_share(found.difference, found.difference_95)}, of texts that one reader scored both")


def _share(value: float | None, interval: Interval | None) -> str:
    if value is None:
        return "none"
    return f"{value:.3f}" if interval is None else f"{value:.3f} ({interval[0]:.3f} to {interval[1]:.3f})"
