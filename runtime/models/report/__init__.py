"""The report model (CAG-VLM, second stage): drafts of a study's report in English and Japanese, checked facts first."""

from __future__ import annotations

from cathrt.runtime.alert import Draft
from cathrt.runtime.bundle.opening import Bundle
from cathrt.runtime.config import EngineConfig, Policy
from cathrt.runtime.model_kind import DraftLinks, ModelKind, OnStudies, Writer
from cathrt.runtime.models.report.faults import report_faults
from cathrt.runtime.models.report.policy import ReportPolicy
from cathrt.runtime.models.report.records import ReportDraft
from cathrt.runtime.models.report.section import DECODER, EMBEDDING, VISION, ReportSection


def _open_writer(bundle: Bundle, engine: EngineConfig, policy: Policy | None) -> Writer:
    from cathrt.runtime.models.report.writer import ReportWriter  # the line does not need it

    return ReportWriter(bundle, engine, policy)


def _links(draft: Draft) -> DraftLinks:
    from cathrt.runtime.models.report.links import links_of  # only a page asks for it

    return links_of(draft)


REPORT = ModelKind(
    section=ReportSection,
    roles=frozenset({VISION, EMBEDDING, DECODER}),
    faults=report_faults,
    policy=ReportPolicy,
    findings=(),
    news=(),
    results=(),
    on_frames=None,
    on_studies=OnStudies(writer=_open_writer),
    drafts=(ReportDraft,),
    optional_roles=frozenset({VISION}),
    links=_links,
)
