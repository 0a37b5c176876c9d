"""What the model is asked in training is what the runtime asks, token for token; the answers are the truth."""

from __future__ import annotations

from random import Random

from cathrt.export.models.report.demo.tasks import (
    copied_task,
    findings_of,
    joined,
    made_up_task,
    picture_task,
    prompt_ids,
    prose_task,
    tokens_of,
    unknown_side_task,
)
from cathrt.runtime.models.report.facts import Facts, Lesion
from cathrt.runtime.models.report.prompt import facts_prompt, prose_prompt
from cathrt.runtime.models.report.schema import facts_from_json
from cathrt.runtime.models.report.tokens import Tokenizer
from tests.export.models.report.demo.small import small_library, small_tokenizer

LEFT = Facts(("left",), (Lesion("lad", "6", 75),), "left")
RIGHT = Facts(("right",), (Lesion("rca", "2", 100, occluded=True, chronic=True),), "right")
SECTION = small_library(2).section


def test_prompts_are_the_runtimes() -> None:
    findings = findings_of(LEFT, Random(1))
    assert picture_task(SECTION, LEFT, [0], Random(1)).parts == facts_prompt(SECTION, findings)
    assert prose_task(SECTION, "ja", LEFT, Random(1)).parts == prose_prompt(SECTION, "ja", LEFT)


def test_prompts_have_the_tokens_that_the_runtime_gives_them() -> None:
    library = small_library(2)
    document, vocabulary = library.tokenizer.to_str(), library.tokenizer.get_vocab_size()
    reader = Tokenizer(document, vocabulary, SECTION.tokens)
    for task in (picture_task(SECTION, LEFT, [0], Random(0)), prose_task(SECTION, "en", RIGHT, Random(0))):
        texts = [part for part in task.parts if isinstance(part, str)]
        expected = [token for text in texts for token in reader.encode_markup(text)]
        image = {SECTION.tokens.begin_image, SECTION.tokens.image, SECTION.tokens.end_image}
        assert [token for token in prompt_ids(task.parts, library.tokenizer, SECTION) if token not in image] == expected


def test_a_study_of_both_sides_shows_a_picture_of_each_between_marks() -> None:
    facts = joined(LEFT, RIGHT)
    tokens = tokens_of(picture_task(SECTION, facts, [4, 5], Random(0)), small_tokenizer(), SECTION)
    assert tokens.pictures == (4, 5)
    assert SECTION.picture is not None
    assert tokens.ids.count(SECTION.tokens.image) == 2 * SECTION.picture.tokens
    assert tokens.ids.count(SECTION.tokens.begin_image) == tokens.ids.count(SECTION.tokens.end_image) == 2


def test_the_answer_follows_the_prompt_and_ends_the_turn() -> None:
    task = picture_task(SECTION, LEFT, [0], Random(0))
    tokens = tokens_of(task, small_tokenizer(), SECTION)
    answer = list(tokens.ids[tokens.answer_from :])
    assert answer.pop() in SECTION.tokens.end
    assert facts_from_json(small_tokenizer().decode(answer)) == LEFT


def test_a_picture_of_unknown_side_is_asked_about_without_naming_one() -> None:
    task = unknown_side_task(SECTION, LEFT, 0)
    asked = "".join(part for part in task.parts[1:] if isinstance(part, str))
    assert "left" not in asked
    assert "right" not in asked


def test_facts_that_are_confirmed_are_copied() -> None:
    task = copied_task(SECTION, joined(LEFT, RIGHT), Random(0))
    assert task.pictures == ()
    assert "lad 6 75%" in "".join(part for part in task.parts if isinstance(part, str))


def test_joined_scenes_that_contradict_each_other_have_no_dominance() -> None:
    assert joined(LEFT, RIGHT).dominance is None
    assert joined(LEFT, Facts(("right",))).dominance == "left"


def test_the_longest_answer_fits_the_section() -> None:
    longest = 0
    for seed in range(300):
        tokens = tokens_of(made_up_task(SECTION, Random(seed)), small_tokenizer(), SECTION)
        longest = max(longest, len(tokens.ids) - tokens.answer_from)
    assert longest < SECTION.most_tokens
