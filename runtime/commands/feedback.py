"""`cathrt feedback`: what people decided about results, as labelled data for a later training.

Not for: what a line holds (decisions/feedback.py).
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from cathrt.runtime.alert import NOTICE
from cathrt.runtime.commands.options import JsonOption, show, show_json

FILE, README_FILE = "decisions.jsonl", "README.md"


def feedback_command(
    state: Annotated[Path, typer.Argument(readable=False, help="State folder of `cathrt run`, which may be running.")],
    out: Annotated[Path, typer.Option(readable=False, help="Folder for decisions.jsonl and a README.")],
    json_: JsonOption = False,
) -> None:
    """Write what people decided as labelled data: what the model said, what the person said, of which picture.

    No names, dates or own words are in it. Pictures are named by SOP Instance UID and frame, or by a hash; pixels stay
    where they are.
    """
    from cathrt.runtime.decisions.book import decisions_in
    from cathrt.runtime.decisions.confirmed import ConfirmedStudies
    from cathrt.runtime.decisions.feedback import README, labels_of
    from cathrt.runtime.errors import SourceError
    from cathrt.runtime.journal.lookups import last_seq
    from cathrt.runtime.listener.store_reader import StoreReader
    from cathrt.runtime.outside.output_files import output_folder, whole_file
    from cathrt.runtime.outside.plain_text import json_line
    from cathrt.runtime.processes.state_folder import StateFolder

    folder = StateFolder(state)
    if not folder.gateway_journal.exists():
        raise SourceError(f"{state}: no gateway.journal, expected the state folder of a `cathrt run` with its page")
    studies = ConfirmedStudies(folder.study_journal, StoreReader(folder.store))
    labels = list(labels_of(decisions_in(folder.gateway_journal), studies))
    output_folder(out)
    lines = "".join(f"{json_line(asdict(label))}\n" for label in labels)
    readme = README.format(notice=NOTICE, rows=last_seq(folder.gateway_journal))
    for name, text in ((FILE, lines), (README_FILE, readme)):
        with whole_file(out / name) as part:
            part.write_text(text, encoding="utf-8")
    if json_:
        told = {"file": str(out / FILE), "decisions": len(labels), "counting": sum(label.counts for label in labels)}
        show_json({"type": "feedback", **told, "notice": NOTICE})
    else:
        show(NOTICE)
        show(f"{out / FILE}: {len(labels)} decisions, of which {sum(label.counts for label in labels)} count now")
