"""Decisions of people as labelled data for a later training: what a model said, what a person said, of which picture.

No name, no date and no own words of anybody are in it: pictures by SOP Instance UID and frame, or by the hash of what
they hold; people as reader 1, 2, ... Not for: pixels, which stay where they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cathrt.runtime.alert import NOTICE, PersonDecided, RunSummary
from cathrt.runtime.decisions.confirmed import ConfirmedStudies
from cathrt.runtime.decisions.standing import Decisions, is_about

README = """# Decisions of people as labelled data

{notice}

`decisions.jsonl` has one JSON object a line, one for each decision, in the order in which they were made. It was made
from a journal of decisions whose last row is {rows}.

- `number`: of the decision, from 1. `stands`: no later decision is about the same thing. `counts`: it stands, and the
  model has said nothing newer of that thing since.
- `study`: a name for the study that says nothing of the patient, the same in all lines of one study. `revision`: of the
  study's end that was on the screen; 0 before its end.
- `reader`: who decided: 1, 2, ... in the order of their first decisions.
- `thing`: `key_frame`, `side`, `finding` or `results`. `what`: `accepted`, `corrected` or `rejected`.
- `run_id`: identity of the run by its content; null of a finding or of results. `frame_index`: of a key frame, from 0.
- `sop_instance_uid`, `frame_number`: where the picture is in an archive, the frame counted from 1. `content_sha256`: of
  transfer syntax and data set of the received object. All three are null where the run was not received by DICOM, or is
  not in the store any more.
- `model`: what the model had said: `bundle`, `manifest_sha256` (of the model), `engine`; of a frame `marked` (whether
  it was a key frame of the model), `score`, and `score_instead` of the frame that is taken in its place; of a run
  `side` and its `score`; of a finding `finding`, `value`, `positive`, `label`. Null of results.
- `person`: what the person says. Of a key frame `key_frame` (true or false) and `instead_frame_index`; of a run `side`;
  of a finding `value`, `positive`, `label`, all null where it was rejected; of results `accepted`.

SOP Instance UIDs lead to a patient for whoever may search the archive: treat the file accordingly. What people wrote in
their own words, their names and all times are left out.
"""


@dataclass(frozen=True, slots=True)
class Label:
    """One line of decisions.jsonl."""

    number: int
    stands: bool
    counts: bool
    study: str
    revision: int
    reader: int
    thing: str
    what: str
    run_id: str | None
    frame_index: int | None
    sop_instance_uid: str | None
    frame_number: int | None
    content_sha256: str | None
    model: Mapping[str, Any] | None
    person: Mapping[str, Any]
    notice: str


def labels_of(decisions: Decisions, studies: ConfirmedStudies) -> Iterator[Label]:
    """A line for each decision, oldest first. Raises JournalError, StoreError."""
    readers: dict[str, int] = {}
    made = [one for one in decisions.by_id.values() if isinstance(one, PersonDecided)]
    for number, one in enumerate(made, 1):
        reader = readers.setdefault(one.by, len(readers) + 1)
        now = studies.study(one.study)
        standing = decisions.of(one.study).standing(one.thing)
        stands = standing is not None and standing.id == one.id
        run = None if now is None else now.run(one.thing.run_id)
        uid, content = _picture(run, studies)
        frame = one.thing.frame_index
        yield Label(
            number=number,
            stands=stands,
            counts=stands and now is not None and is_about(one, now),
            study=one.study,
            revision=one.revision,
            reader=reader,
            thing=one.thing.kind,
            what=one.what,
            run_id=one.thing.run_id,
            frame_index=frame,
            sop_instance_uid=uid,
            frame_number=None if frame is None or uid is None else frame + 1,
            content_sha256=content,
            model=_model(one),
            person=_person(one),
            notice=NOTICE,
        )


def _picture(run: RunSummary | None, studies: ConfirmedStudies) -> tuple[str | None, str | None]:
    """SOP Instance UID and hash of a received run; its source is nothing but a UID then."""
    received = None if run is None else studies.store.stored(run.source)
    return (None, None) if received is None else (received.arrival.sop_instance_uid, received.content_sha256)


def _model(one: PersonDecided) -> dict[str, Any] | None:
    if one.said is None:
        return None
    said = one.said
    return {
        "bundle": said.bundle,
        "manifest_sha256": said.manifest_sha256,
        "engine": said.engine,
        "finding": one.thing.finding,
        "marked": said.marked,
        "score": said.score,
        "score_instead": said.score_instead,
        "side": said.side,
        "value": said.value,
        "positive": said.positive,
        "label": said.label,
    }


def _person(one: PersonDecided) -> dict[str, Any]:
    correction, said, rejected = one.correction, one.said, one.what == "rejected"
    if one.thing.kind == "results" or said is None:
        return {"accepted": not rejected}
    if one.thing.kind == "key_frame":
        instead = None if correction is None else correction.frame_index
        return {"key_frame": not rejected and instead is None, "instead_frame_index": instead}
    if one.thing.kind == "side":
        side = said.side if correction is None else correction.side
        return {"side": "unknown" if rejected else side}
    if rejected:
        return {"value": None, "positive": None, "label": None}
    if correction is None:
        return {"value": said.value, "positive": said.positive, "label": said.label}
    return {"value": correction.value, "positive": correction.positive, "label": correction.label}
