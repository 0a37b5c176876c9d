"""`cathrt evaluate report` from its files to what it prints and writes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from cathrt.export.commands.evaluate import evaluate_commands
from cathrt.export.models.report.evaluate.command import evaluate_report
from cathrt.runtime.errors import ConfigError
from cathrt.runtime.models.report.facts import Facts, Lesion
from cathrt.runtime.models.report.section import LANGUAGES
from cathrt.runtime.models.report.template import prose_from_facts

TRUE = Facts(("left", "right"), (Lesion("lad", "6", 75), Lesion("rca", "2", 100, True, True)), "right")
DRAFT = Facts(("left", "right"), (Lesion("lad", "6", 90),), "right")


def run(*words: object) -> Result:
    app = typer.Typer()
    app.add_typer(evaluate_commands({"report": evaluate_report}))
    app.callback()(lambda: None)
    return CliRunner().invoke(app, ["evaluate", "report", *map(str, words)])


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """Four studies whose drafts all miss the occlusion and grade the other narrowing wrongly."""
    written = []
    for name, facts in (("drafts", DRAFT), ("references", TRUE)):
        path = tmp_path / f"{name}.jsonl"
        texts = {language: prose_from_facts(language, facts) for language in LANGUAGES}
        path.write_text("".join(json.dumps({"study": f"s{n}", **texts}) + "\n" for n in range(4)), encoding="utf-8")
        written.append(path)
    return written[0], written[1]


def test_it_prints_precision_and_recall_of_every_kind_of_fact(files: tuple[Path, Path]) -> None:
    done = run("--drafts", files[0], "--reference", files[1], "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert (found["studies"], found["unread"], found["languages"]) == (4, 0, ["en"])
    shares = {kind: (score["precision"], score["recall"]) for kind, score in found["scores"].items()}
    assert shares == {
        "side": (1.0, 1.0),
        "artery": (1.0, 0.5),
        "grade": (0.0, 0.0),
        "cto": (None, 0.0),
        "segment": (1.0, 0.5),
        "dominance": (1.0, 1.0),
        "grafts": (None, None),
    }
    assert found["vlscores"] == {}


def test_it_prints_a_table_for_people(files: tuple[Path, Path]) -> None:
    done = run("--drafts", files[0], "--reference", files[1])
    assert done.exit_code == 0, done.output
    assert "4 studies" in done.stdout
    assert "artery    1.000 (1.000 to 1.000)" in done.stdout
    assert "cto       none" in done.stdout


def test_it_writes_the_form_and_its_key_apart_and_counts_its_answers(files: tuple[Path, Path], tmp_path: Path) -> None:
    page, key = tmp_path / "form.html", tmp_path / "form.html.key.json"
    done = run("--drafts", files[0], "--reference", files[1], "--form", page)
    assert done.exit_code == 0, done.output
    items = json.loads(key.read_text(encoding="utf-8"))
    assert len(items["items"]) == 16
    assert "origin" not in page.read_text(encoding="utf-8")
    points = {number: 7 if item["origin"] == "draft" else 8 for number, item in items["items"].items()}
    saved = tmp_path / "scores.json"
    saved.write_text(json.dumps({"form": items["form"], "reader": "a", "scores": points, "remarks": {}}))
    counted = run("--answers", saved, "--key", key, "--json")
    assert counted.exit_code == 0, counted.output
    found = json.loads(counted.stdout)
    assert (found["scores"], found["draft"], found["reference"], found["difference"]) == (16, 7.0, 8.0, -1.0)
    assert "drafts      7.000" in run("--answers", saved, "--key", key).stdout


@pytest.mark.parametrize(
    "words",
    [(), ("--drafts", "x"), ("--answers", "x"), ("--key", "x"), ("--answers", "x", "--key", "y", "--drafts", "z")],
    ids=["nothing", "drafts alone", "answers alone", "key alone", "both"],
)
def test_what_is_asked_together_is_given_together(words: tuple[str, ...]) -> None:
    done = run(*words)
    assert isinstance(done.exception, ConfigError)


def test_a_study_without_its_other_half_is_named_and_left_out(files: tuple[Path, Path]) -> None:
    with files[0].open("a", encoding="utf-8") as stream:
        stream.write(json.dumps({"study": "lonely", "en": "x"}) + "\n")
    done = run("--drafts", files[0], "--reference", files[1], "--json")
    assert "study lonely: has a draft or a reference alone" in done.stderr
    assert json.loads(done.stdout)["studies"] == 4
