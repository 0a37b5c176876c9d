"""What the sentences of a draft rest on: the same facts in both languages, and frames that the model was shown."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cathrt.runtime.models import MODELS
from cathrt.runtime.models.report.facts import Facts, Lesion
from cathrt.runtime.models.report.links import links_of
from cathrt.runtime.models.report.template import prose_from_facts
from tests.passes import draft

FACTS = (
    Facts(("left",)),
    Facts(()),
    Facts(("left", "right"), (Lesion("lad", "6", 75), Lesion("rca", None, None)), "right", 0),
    Facts(("left", "right"), (Lesion("rca", "2", 100, occluded=True, chronic=True),), "left", 2),
)


@pytest.mark.parametrize("facts", FACTS)
def test_each_sentence_of_plain_prose_is_linked_to_its_own_fact_in_both_languages(facts: Facts) -> None:
    text, text_ja = prose_from_facts("en", facts), prose_from_facts("ja", facts)
    links = links_of(replace(draft().draft, facts=facts, text=text, text_ja=text_ja))
    for language, whole in (("en", text), ("ja", text_ja)):
        found = [one for one in links.sentences if one.language == language]
        assert [one.facts for one in found] == [(number,) for number in range(len(links.facts))]
        assert all(whole[one.start : one.end] == one.text for one in found)
        words = [fact.text if language == "en" else fact.text_ja for fact in links.facts]
        assert [one.text for one in found] == words


def test_a_fact_says_where_it_is_and_frames_say_which_side_they_show() -> None:
    links_of_kind = MODELS["report"].links
    assert links_of_kind is not None
    links = links_of_kind(draft().draft)
    assert [(one.side, one.artery, one.segment) for one in links.facts] == [
        ("left", None, None), ("left", "lad", "6"), (None, None, None),
    ]  # fmt: skip
    assert [(one.frame_index, one.side) for one in links.frames] == [(9, "left")]


def test_a_draft_without_facts_has_frames_alone() -> None:
    links = links_of(replace(draft(withheld="no").draft, facts=None))
    assert (links.sentences, links.facts, len(links.frames)) == ((), (), 1)
