"""A checkpoint is read strictly: every tensor that the network has, none that it has not, wherever `module.` stands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from cathrt.export.checkpoint.file import CheckpointError
from cathrt.export.models.study.checkpoint import read_checkpoint
from cathrt.export.models.study.drawn import drawn_tensor
from cathrt.export.models.study.products import PRODUCTS
from tests.export.models.study.small_study import MIXED, write_checkpoint

QUESTIONS = PRODUCTS["generic"].questions
TOKEN = "mil_model.cls_token"


@pytest.mark.parametrize(
    "prefix", ["", "module.", "model.module."], ids=["as released", "wrapped whole", "within another table"]
)
def test_module_is_passed_over_wherever_it_stands(tmp_path: Path, prefix: str) -> None:
    path = write_checkpoint(
        tmp_path / "best.pt",
        renamed=lambda name: (
            prefix + name.replace("mil_model.", "mil_model.module.").replace(".attn.", ".module.attn.")
        ),
    )
    found = read_checkpoint(path, QUESTIONS)
    np.testing.assert_array_equal(found.tensors[TOKEN], drawn_tensor(TOKEN, (1, 1, 128)))
    assert found.encoder.name == "mvit_v2_mini"
    assert (found.head.gated, found.head.views, found.head.columns) == (32, 0, 90)


def test_what_no_answer_rests_on_is_left_out_and_told(tmp_path: Path) -> None:
    found = read_checkpoint(write_checkpoint(tmp_path / "best.pt"), QUESTIONS)
    assert not [name for name in found.tensors if "aggregator" in name]
    assert found.notes == (
        "left out the tables optimizer",
        "left out 16 tensors of video_encoder.aggregator.*, which no answer rests on",
    )


def test_a_safetensors_file_of_bare_names_is_read_too(tmp_path: Path) -> None:
    table = torch.load(write_checkpoint(tmp_path / "best.pt"), weights_only=True)["linear_probing"]
    save_file(table, tmp_path / "best.safetensors")
    assert read_checkpoint(tmp_path / "best.safetensors", QUESTIONS).notes[0].startswith("left out 16 tensors")


def test_every_fault_is_listed(tmp_path: Path) -> None:
    changes: dict[str, Any] = {
        "video_encoder__proj__1__bias": None,
        "video_encoder__model__blocks__0__norm1__weight": None,
        "video_encoder__attention_pool__query": torch.zeros(1, 1, 128),
        "mil_model__heads__D1_cto__weight": torch.zeros(2, 256),
    }
    with pytest.raises(CheckpointError) as caught:
        read_checkpoint(write_checkpoint(tmp_path / "best.pt", **changes), QUESTIONS)
    said = str(caught.value)
    assert "best.pt: is not the network of 90 questions on mvit_v2_mini" in said
    assert "missing: video_encoder.proj.1.bias (128,)" in said
    assert "missing: video_encoder.model.blocks.0.norm1.weight (24,)" in said
    assert "unknown: video_encoder.attention_pool.query (1, 1, 128)" in said
    assert "another shape: mil_model.heads.D1_cto.weight is (2, 256), expected (1, 256)" in said
    assert len(said.splitlines()) == 6


def test_weights_of_another_product_are_refused_by_their_questions(tmp_path: Path) -> None:
    path = write_checkpoint(tmp_path / "best.pt", outputs=MIXED)
    with pytest.raises(
        CheckpointError, match=r"(?s)missing: mil_model\.heads\.prox_rca_stenosis.*unknown: .*heads\.ef"
    ):
        read_checkpoint(path, QUESTIONS)


def test_an_encoder_alone_answers_nothing(tmp_path: Path) -> None:
    torch.save({"video_encoder": {"proj": {"1": {"bias": torch.zeros(4)}}}, "text_encoder": {}}, tmp_path / "clip.pt")
    with pytest.raises(CheckpointError, match=r"holds an encoder and no mil_model\.\* tensors, so it answers nothing"):
        read_checkpoint(tmp_path / "clip.pt", QUESTIONS)


def test_a_file_without_the_network_is_refused(tmp_path: Path) -> None:
    torch.save({"state_dict": {"stem.weight": torch.zeros(4)}}, tmp_path / "other.pt")
    with pytest.raises(CheckpointError, match=r"other\.pt: found no video_encoder\.\* tensors, expected one"):
        read_checkpoint(tmp_path / "other.pt", QUESTIONS)


def test_two_networks_in_one_file_are_refused(tmp_path: Path) -> None:
    table = torch.load(write_checkpoint(tmp_path / "best.pt"), weights_only=True)["linear_probing"]
    torch.save({"linear_probing": table, "ema": {k: v.clone() for k, v in table.items()}}, tmp_path / "both.pt")
    with pytest.raises(CheckpointError, match=r"found 2 networks \(ema\., linear_probing\.\)"):
        read_checkpoint(tmp_path / "both.pt", QUESTIONS)


def test_a_tensor_that_is_there_with_and_without_module_is_refused(tmp_path: Path) -> None:
    table = torch.load(write_checkpoint(tmp_path / "best.pt"), weights_only=True)["linear_probing"]
    torch.save({"linear_probing": {**table, TOKEN: torch.zeros(1, 1, 128)}}, tmp_path / "twice.pt")
    with pytest.raises(CheckpointError, match=r"mil_model\.cls_token is there twice, once within module\."):
        read_checkpoint(tmp_path / "twice.pt", QUESTIONS)


def test_a_weight_that_is_no_number_is_refused(tmp_path: Path) -> None:
    path = write_checkpoint(tmp_path / "best.pt", mil_model__cls_token=torch.full((1, 1, 128), torch.nan))
    with pytest.raises(CheckpointError, match=r"mil_model\.cls_token holds NaN or infinity: fetch the file again"):
        read_checkpoint(path, QUESTIONS)


def test_a_file_with_code_is_not_read(tmp_path: Path) -> None:
    torch.save({"linear_probing": Path("/")}, tmp_path / "code.pt")
    with pytest.raises(CheckpointError, match=r"holds more than weights: .*Path"):
        read_checkpoint(tmp_path / "code.pt", QUESTIONS)
