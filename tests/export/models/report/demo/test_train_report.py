"""The training script from pictures to card, a step or two a stage; it goes on where it stopped, its folders load."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cathrt.export.models.report.demo.train_report import STAGES, STOPPED, main
from cathrt.export.models.report.weights import open_base, open_merged

SMALL = [
    "--scenes",
    "9",
    "--test-scenes",
    "2",
    "--matrix",
    "64",
    "--tokenizer-texts",
    "60",
    "--test-texts",
    "1",
    "--arithmetic",
    "float32",
]
STEPS = ["--vision-steps", "1", "--text-steps", "1", "--base-steps", "2", "--adapter-steps", "1"]


@pytest.mark.slow
def test_the_script_goes_from_pictures_to_card(tmp_path: Path) -> None:
    work = ["--work", str(tmp_path), *SMALL, *STEPS]
    assert main([*work, "--stages", *STAGES[:4]]) == 0
    assert main([*work, "--stages", "base", "--minutes", "0"]) == STOPPED
    assert main([*work, "--stages", "base", "adapter", "evaluation"]) == 0
    evidence = json.loads((tmp_path / "evidence.json").read_text())
    assert evidence["adapter"]["pictures"] == 2
    assert "# Model card" in (tmp_path / "MODEL_CARD.md").read_text()
    merged = open_merged(open_base(tmp_path / "base"), tmp_path / "adapter")
    assert merged.weights.shape.image_tokens == 36


def test_scenes_of_one_side_alone_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--work", str(tmp_path), *SMALL, "--scenes", "1", "--stages", "tokenizer", "vision"]) == 3
    assert "give more scenes" in capsys.readouterr().err


def test_a_stage_that_does_not_exist_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--work", str(tmp_path), "--stages", "everything"])
    assert "everything" in capsys.readouterr().err
