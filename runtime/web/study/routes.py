"""The paths of studies and decisions in the page's API.

Not for: what is shown (study_view.py), what is decided (runtime/decisions/).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from starlette.responses import Response

from cathrt.runtime.alert import DraftSigned, PersonDecided, ReviewFinished
from cathrt.runtime.decisions.asked import NotDurableError, Person, ReplacedError, UnknownStudyError
from cathrt.runtime.decisions.desk import DecisionDesk, Taken
from cathrt.runtime.decisions.said import UnfitError
from cathrt.runtime.web.live.absent import absent_parts, kinds_of
from cathrt.runtime.web.part.answers import json_answer
from cathrt.runtime.web.part.context import PageContext
from cathrt.runtime.web.part.errors import RefusedError
from cathrt.runtime.web.part.route import Asked, PageRoute
from cathrt.runtime.web.part.session import Role, Session
from cathrt.runtime.web.study.bodies import DecisionBody, ListInputs, ReviewBody, SignatureBody, StudyInputs
from cathrt.runtime.web.study.decided_view import StudyDecided, without_frame_of_record
from cathrt.runtime.web.study.study_view import StudyViews

_STATUS: dict[type[Exception], int] = {
    UnknownStudyError: 404,
    ReplacedError: 409,
    UnfitError: 422,
    NotDurableError: 503,
}
_REFUSALS = (404, 409, 422)
_DEMO = "demo"  # who decides where nobody has logged in

RecordT = TypeVar("RecordT", PersonDecided, DraftSigned, ReviewFinished)


def routes(context: PageContext) -> Sequence[PageRoute]:
    """Of a box without a place for decisions there are none."""
    desk = context.box.desk
    if desk is None:
        return []
    views = StudyViews(desk, absent_parts(context.config, kinds_of(context.box.bundles)))

    async def list_studies(asked: Asked[ListInputs, None]) -> Response:
        return json_answer(await context.in_files(views.newest, asked.inputs.most))

    async def show_study(asked: Asked[StudyInputs, None]) -> Response:
        found = await context.in_files(views.study, asked.inputs.study)
        if found is None:
            raise RefusedError(404, "found no study of that name, expected one of /api/studies: load the list again")
        uid = found["study_instance_uid"]
        await asked.viewed(studies=[] if uid is None else [uid], what="study")
        return json_answer(found)

    async def decide(asked: Asked[None, DecisionBody]) -> Response:
        taken = await context.in_files(refusing, desk.decide, asked.body.asked(), person(asked.session))
        return await answered(desk, taken)

    async def sign(asked: Asked[None, SignatureBody]) -> Response:
        taken = await context.in_files(refusing, desk.sign, asked.body.asked(), person(asked.session))
        return _answer("signoff", without_frame_of_record(taken.record), taken)

    async def finish(asked: Asked[None, ReviewBody]) -> Response:
        taken = await context.in_files(refusing, desk.finish, asked.body.asked(), person(asked.session))
        return _answer("review", without_frame_of_record(taken.record), taken)

    async def answered(desk: DecisionDesk, taken: Taken[PersonDecided]) -> Response:
        now = await context.in_files(desk.studies.study, taken.record.study)
        if now is None:
            return _answer("decision", without_frame_of_record(taken.record), taken)
        study = StudyDecided(now, desk.of(taken.record.study))
        return _answer("decision", study.decision(taken.record), taken)

    return [
        PageRoute("GET", "/api/studies", Role.VIEWER, list_studies, "The newest studies, no patients.", ListInputs),
        PageRoute(
            "GET", "/api/studies/{study}", Role.VIEWER, show_study,
            "One study: its patient, findings, drafts, and what people decided.",
            StudyInputs, errors=(404,), patients=True,
        ),
        PageRoute(
            "POST", "/api/decisions", Role.OPERATOR, decide, "Accept, correct or reject one thing of a study.",
            body=DecisionBody, status=201, errors=_REFUSALS,
        ),
        PageRoute(
            "POST", "/api/signoffs", Role.OPERATOR, sign, "Put a name to having read a draft.",
            body=SignatureBody, status=201, errors=_REFUSALS,
        ),
        PageRoute(
            "POST", "/api/reviews", Role.OPERATOR, finish, "Finish the review of a study: its objects are made anew.",
            body=ReviewBody, status=201, errors=_REFUSALS,
        ),
    ]  # fmt: skip


def person(session: Session) -> Person:
    """Who decides, as records name them."""
    user = session.user or _DEMO
    return Person(user, session.display_name or user)


def refusing(take: Callable[[Any, Person], Taken[RecordT]], asked: Any, by: Person) -> Taken[RecordT]:
    """Take a decision, with refusals as HTTP has them. Raises RefusedError; JournalError, StoreError."""
    try:
        return take(asked, by)
    except tuple(_STATUS) as exc:
        raise RefusedError(_STATUS[type(exc)], str(exc)) from exc


def _answer(name: str, document: dict[str, Any], taken: Taken[Any]) -> Response:
    return json_answer({name: document, "repeated": taken.repeated}, 200 if taken.repeated else 201)
