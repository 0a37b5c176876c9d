"""Checkpoints as training programs leave them: the network is found, what is left out is listed, nothing is guessed."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from cathrt.export.checkpoint.file import CheckpointError
from cathrt.export.models.keyframe.checkpoint import Checkpoint, Reading, load_checkpoint
from cathrt.export.models.keyframe.convnext import ARCHS, ConvNext
from cathrt.export.models.keyframe.convnext_names import LAYOUTS, Layout
from cathrt.export.models.keyframe.semantics import manifest_of
from cathrt.export.models.keyframe.source import source_of, source_of_bundle
from cathrt.runtime.bundle.shipped import demonstration_bundle, shipped_keys
from cathrt.runtime.errors import ConfigError
from cathrt.runtime.models import open_bundle
from tests.export.checkpoint_files import ATTO, published, stored
from tests.export.small_export import small_semantics

Document = dict[str, Any]
_PIECES = itertools.count()


def numbers(arch: str = ATTO, first: float = 0.0, classes: int = 6) -> dict[str, Tensor]:
    """Weights in timm's names, each tensor a number of its own that is stored once: small files, whole shapes."""
    with torch.device("meta"):
        shapes = ConvNext(ARCHS[arch], classes=classes).state_dict()
    return {name: torch.tensor(first + place).expand(value.shape) for place, (name, value) in enumerate(shapes.items())}


def behind(prefix: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {f"{prefix}.{name}": value for name, value in state.items()}


def loaded(folder: Path, document: Document, **wishes: Any) -> Checkpoint:
    return load_checkpoint(stored(folder / f"run-{next(_PIECES)}.ckpt", document), **wishes)


def refused(folder: Path, document: Document, **wishes: Any) -> str:
    with pytest.raises(CheckpointError) as caught:
        loaded(folder, document, **wishes)
    return str(caught.value)


def assert_is(checkpoint: Checkpoint, state: Mapping[str, Tensor]) -> None:
    assert list(checkpoint.state) == list(state)
    assert all(torch.equal(checkpoint.state[name], state[name]) for name in state)


MODEL, EMA = numbers(), numbers(first=1000.0)


def lightning(state: Mapping[str, Tensor]) -> Document:
    """As Lightning writes it, without settings that need code to be read."""
    return {
        "epoch": 12,
        "global_step": 4000,
        "pytorch-lightning_version": "2.5.0",
        "state_dict": dict(state),
        "loops": {"fit_loop": {"state_dict": {}, "epoch_progress": {"total": {"ready": 13}}}},
        "callbacks": {"ModelCheckpoint{'monitor': 'val_f1'}": {"best_model_score": torch.tensor(0.9), "best_k": {}}},
        "optimizer_states": [
            {"state": {0: {"step": torch.tensor(9.0), "exp_avg": torch.ones(2)}}, "param_groups": [{"lr": 1e-4}]}
        ],
        "lr_schedulers": [{"last_epoch": 12, "_last_lr": [1e-4]}],
        "hyper_parameters": {"lr": 1e-4, "labels": ["LCA", "RCA"], "weights": torch.ones(6)},
    }


# How a document holds the network; what stands beside it is no second one.
BOOKS: dict[str, Callable[[dict[str, Tensor]], Document]] = {
    "net": lambda state: behind("net", state),
    "backbone": lambda state: {"state_dict": behind("backbone", state)},
    "encoder in model": lambda state: {"state_dict": behind("model.encoder", state)},
    "compiled and parallel": lambda state: {"model": behind("module._orig_mod.net.module", state)},
    "deep": lambda state: behind("a.b.c.d.e.f.g.h.i.j.k", state),
    "tables": lambda state: {"run": {"best": {"weights": {"net": state}}}, "epoch": 3},
    "a list": lambda state: {"models": [state]},
    "a prefix of its own": lambda state: {"state_dict": behind("angio_net", state)},
    "blocks compiled one by one": lambda state: {
        name.replace(".conv_dw", "._orig_mod.conv_dw").replace("stages.1.", "stages.1.module."): value
        for name, value in state.items()
    },
    "averaged": lambda state: {"n_averaged": torch.tensor(7), **behind("module", state)},
    "ema alone": lambda state: {"ema": {"shadow": state, "decay": 0.999, "num_updates": 5}},
    "moments by name": lambda state: {"model": state, "optimizer": {"exp_avg": numbers(first=500.0)}},
}


CASES = [(book, "timm") for book in BOOKS] + [
    (book, layout) for book in ("net", "compiled and parallel") for layout in LAYOUTS if layout != "timm"
]


@pytest.mark.parametrize(("book", "layout"), CASES)
def test_the_network_is_found_wherever_a_training_program_puts_it(book: str, layout: Layout, tmp_path: Path) -> None:
    checkpoint = loaded(tmp_path, BOOKS[book](published(MODEL, layout)))
    assert_is(checkpoint, MODEL)
    assert (checkpoint.layout, checkpoint.reading.chosen) == (layout, None)


def test_a_lightning_checkpoint_gives_its_network_and_lists_the_rest(tmp_path: Path) -> None:
    further = {
        "criterion.weight": torch.ones(6),
        "loss_fn.weight": torch.ones(6),
        "val_f1.tp": torch.zeros(6, dtype=torch.int64),
        "aux_head.weight": torch.ones(2, 320),
    }
    checkpoint = loaded(tmp_path, lightning(behind("model", MODEL) | further), arch=ATTO)
    assert_is(checkpoint, MODEL)
    assert checkpoint.reading.left_out == (
        "state_dict.criterion.weight (6)",
        "state_dict.loss_fn.weight (6)",
        "state_dict.val_f1.tp (6)",
        "state_dict.aux_head.weight (2, 320)",
        "callbacks.ModelCheckpoint{'monitor': 'val_f1'}.best_model_score ()",
        "optimizer_states (2 tensors)",
        "hyper_parameters.weights (6)",
    )
    (line,) = checkpoint.reading.notes()
    assert line.startswith("weights: left out: state_dict.criterion.weight (6), state_dict.loss_fn.weight (6)")
    assert "do not use this export" in line
    assert checkpoint.reading.record() == {"left_out": list(checkpoint.reading.left_out)}


def test_of_a_file_of_the_network_alone_there_is_nothing_to_say(tmp_path: Path) -> None:
    reading = loaded(tmp_path, MODEL).reading
    assert (reading, reading.record(), reading.notes()) == (Reading(), {}, ())


def test_a_long_list_of_what_is_left_out_is_cut_on_the_terminal_and_in_the_record() -> None:
    reading = Reading(left_out=tuple(f"metric.{number}" for number in range(300)))
    assert "metric.9 and 290 more." in reading.notes()[0]
    assert reading.record()["left_out"][99:] == ["metric.99", "200 more"]


TWO: dict[str, tuple[Document, str, str]] = {
    "timm": ({"state_dict": MODEL, "state_dict_ema": EMA}, "state_dict", "state_dict_ema"),
    "model_ema": ({"model": MODEL, "model_ema": behind("module", EMA)}, "model", "model_ema.module"),
    "lightning": (
        lightning(behind("model", MODEL) | behind("ema_model.module", EMA)),
        "state_dict.model",
        "state_dict.ema_model.module",
    ),
    "beside": (MODEL | behind("ema.module", EMA), "top", "ema.module"),
}


@pytest.mark.parametrize("name", TWO)
def test_network_and_average_are_refused_together_and_taken_one_by_one(name: str, tmp_path: Path) -> None:
    document, model, ema = TWO[name]
    path = stored(tmp_path / "run.ckpt", document)
    with pytest.raises(CheckpointError, match="several sets of weights") as caught:
        load_checkpoint(path, ATTO)
    place = "" if model == "model" else f"{model}, "
    assert f"\n  --state model: {place}convnext_atto in the names of timm, 128 of 128 tensors" in str(caught.value)
    assert f"\n  --state ema: {ema}, convnext_atto in the names of timm, 128 of 128 tensors" in str(caught.value)
    for wish, name_of_it, state in (("model", model, MODEL), ("ema", ema, EMA), (ema, ema, EMA)):
        checkpoint = load_checkpoint(path, ATTO, wish)
        assert_is(checkpoint, state)
        assert checkpoint.reading.chosen == checkpoint.reading.record()["set"] == name_of_it
        assert f"taken is {name_of_it}" in checkpoint.reading.notes()[0]
        other = ema if state is MODEL else model
        assert f"{other} (128 tensors)" in checkpoint.reading.left_out


def test_teacher_and_student_are_chosen_by_their_prefix(tmp_path: Path) -> None:
    document = {"state_dict": behind("student.backbone", MODEL) | behind("teacher.backbone", EMA)}
    assert "(state_dict.student.backbone, state_dict.teacher.backbone)" in refused(tmp_path, document)
    assert_is(loaded(tmp_path, document, state="teacher"), EMA)
    assert_is(loaded(tmp_path, document, state="state_dict.student.backbone."), MODEL)
    for wish in ("model", "ema", "backbone"):
        message = refused(tmp_path, document, state=wish)
        assert f"--state {wish} (given, or of the bundle) fits" in message
        assert "--state state_dict.teacher.backbone: convnext_atto" in message


def test_a_wish_that_a_single_set_does_not_fit_is_refused(tmp_path: Path) -> None:
    assert_is(loaded(tmp_path, {"model": MODEL}, state="model"), MODEL)
    message = refused(tmp_path, {"model": MODEL}, state="ema")
    assert "fits no set of weights. The file holds:\n  --state model: convnext_atto" in message


def test_the_size_asked_for_chooses_between_networks_of_different_sizes(tmp_path: Path) -> None:
    document = behind("student", MODEL) | behind("teacher", numbers("convnext_femto"))
    checkpoint = loaded(tmp_path, document, arch=ATTO)
    assert_is(checkpoint, MODEL)
    assert checkpoint.reading.left_out == ("teacher (128 tensors)",)
    assert "several sets of weights (student, teacher)" in refused(tmp_path, document)
    assert "several sets" in refused(tmp_path, document, arch="convnext_base")


def test_a_network_that_stands_under_two_names_is_one(tmp_path: Path) -> None:
    assert_is(loaded(tmp_path, {"state_dict": behind("model", MODEL) | behind("net", MODEL)}), MODEL)


def test_a_second_set_that_is_not_whole_is_no_reason_to_choose_unasked(tmp_path: Path) -> None:
    part = {name: value for name, value in EMA.items() if not name.startswith("head.")}
    message = refused(tmp_path, {"model": MODEL, "ema": part}, arch=ATTO)
    assert "--state ema: convnext_atto in the names of timm, 124 of 128 tensors, not whole" in message
    assert_is(loaded(tmp_path, {"model": MODEL, "ema": part}, state="model"), MODEL)
    assert "not the weights" in refused(tmp_path, {"model": MODEL, "ema": part}, state="ema")


def without_layer_scale(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: value for name, value in state.items() if not name.endswith(".gamma")}


@pytest.mark.parametrize("layout", ["timm", "transformers", "facebook"])
def test_a_network_without_layer_scale_gets_ones_and_says_so(layout: Layout, tmp_path: Path) -> None:
    checkpoint = loaded(tmp_path, {"model": published(without_layer_scale(MODEL), layout)})
    ones = {name: torch.ones(value.shape) for name, value in MODEL.items() if name.endswith(".gamma")}
    assert_is(checkpoint, MODEL | ones)
    assert "no layer scale; ones are written" in checkpoint.reading.notes()[0]
    assert "layer_scale" in checkpoint.reading.record()


def test_one_missing_layer_scale_is_missing(tmp_path: Path) -> None:
    state = {name: value for name, value in MODEL.items() if name != "stages.2.blocks.3.gamma"}
    message = refused(tmp_path, behind("model", state))
    assert "Of its 128 tensors 127 match, 1 are missing" in message
    assert "model.stages.2.blocks.3.gamma: found nothing, expected (160)" in message


def test_a_stem_of_one_channel_computes_the_same_with_three(tmp_path: Path) -> None:
    torch.manual_seed(5)
    grey, stem = torch.randn(1, 1, 32, 32), nn.Conv2d(1, 40, 4, stride=4)
    with torch.no_grad():
        state = MODEL | {"stem.0.weight": stem.weight.detach().clone(), "stem.0.bias": stem.bias.detach().clone()}
        checkpoint = loaded(tmp_path, {"model": state})
        assert torch.equal(checkpoint.state["stem.0.weight"][:, :1], state["stem.0.weight"])
        assert not checkpoint.state["stem.0.weight"][:, 1:].any()
        three = nn.Conv2d(3, 40, 4, stride=4)
        three.load_state_dict({"weight": checkpoint.state["stem.0.weight"], "bias": checkpoint.state["stem.0.bias"]})
        torch.testing.assert_close(three(grey.expand(1, 3, 32, 32)), stem(grey), rtol=0.0, atol=1e-6)
    assert checkpoint.reading.stem_channels == 1
    assert "the stem reads one channel" in checkpoint.reading.notes()[0]
    assert "stem" in checkpoint.reading.record()


def test_a_stem_of_other_channels_is_refused_with_what_to_do(tmp_path: Path) -> None:
    message = refused(tmp_path, MODEL | {"stem.0.weight": torch.zeros(40, 4, 4, 4)})
    assert "stem.0.weight: found (40, 4, 4, 4), expected (40, 3, 4, 4)" in message
    assert "The stem reads 4 channels" in message
    assert "weight.sum(1, keepdim=True)" in message


@pytest.mark.parametrize(
    ("layout", "block", "layer"),
    [
        ("timm", "stages.{}.blocks.{}", {"mlp.grn.weight": (), "mlp.grn.bias": ()}),
        ("facebook", "stages.{}.{}", {"grn.gamma": (1, 1), "grn.beta": (1, 1)}),
        ("transformers", "convnext.encoder.stages.{}.layers.{}", {"grn.weight": (1, 1), "grn.bias": (1, 1)}),
    ],
)
def test_convnext_v2_is_refused_by_name(
    layout: Layout, block: str, layer: dict[str, tuple[int, ...]], tmp_path: Path
) -> None:
    state = published(without_layer_scale(MODEL), layout)
    for stage, (depth, width) in enumerate(zip(ARCHS[ATTO].depths, ARCHS[ATTO].widths, strict=True)):
        for number, (name, ones) in itertools.product(range(depth), layer.items()):
            state[f"{block.format(stage, number)}.{name}"] = torch.tensor(0.0).expand(*ones, 1, 4 * width).squeeze()
    if layout == "transformers":
        state = {name.replace("convnext.", "convnextv2."): value for name, value in state.items()}
    message = refused(tmp_path, {"model": state})
    assert "weights of ConvNeXt V2, near convnext_atto: 24 tensors are of its layer GRN" in message
    assert "first version" in message


@pytest.mark.parametrize(
    "name",
    [
        "stages.0.blocks.1.attn.qkv.weight",
        "stages.1.blocks.0.mlp.fc1.lora_A.weight",
        "stem.0.weight_fake_quant.scale",
        "stages.2.blocks.30.gamma",
        "head.pre_logits.fc.weight",
    ],
)
def test_a_tensor_inside_the_network_that_convnext_has_not_is_never_left_out(name: str, tmp_path: Path) -> None:
    message = refused(tmp_path, {"state_dict": behind("net", MODEL | {name: torch.ones(7)})})
    assert "Of its 128 tensors 128 match, 0 are missing, 0 have another shape; 1 are left over" in message
    assert f"state_dict.net.{name}: found (7), expected nothing" in message


@pytest.mark.parametrize("last", ["fc.weight", "net.head.fc.1.weight"])
def test_a_last_layer_elsewhere_is_named_and_not_guessed(last: str, tmp_path: Path) -> None:
    state = behind("net", {name: value for name, value in MODEL.items() if not name.startswith("head.fc")})
    state |= {last: torch.ones(6, 320), last.replace("weight", "bias"): torch.ones(6)}
    message = refused(tmp_path, state)
    assert "Of its 128 tensors 126 match, 2 are missing" in message
    assert "net.head.fc.weight: found nothing, expected (classes, 320)" in message
    assert f"{last} (6, 320) may be the last layer" in message
    assert "save it as net.head.fc.weight" in message


def test_of_another_size_than_the_one_asked_for_the_nearest_is_named(tmp_path: Path) -> None:
    state = {name: value for name, value in MODEL.items() if name != "stem.0.bias"}
    message = refused(tmp_path, state, arch="convnext_base")
    assert "not the weights of convnext_base in the names of timm, 1 differences; the nearest size is" in message
    assert "the nearest size is convnext_atto. Of its 128 tensors 127 match" in message


def test_another_network_with_a_few_such_names_is_refused_with_how_few_match(tmp_path: Path) -> None:
    state = {f"blocks.{n}.attn.qkv.weight": torch.ones(2) for n in range(12)}
    state |= {"norm.weight": torch.ones(192), "head.weight": torch.ones(6, 192), "head.bias": torch.ones(6)}
    assert "Of its 116 tensors 1 match, 113 are missing, 2 have another shape; 0 are left over" in refused(
        tmp_path, state
    )


def test_a_table_that_holds_itself_is_read_once(tmp_path: Path) -> None:
    document: Document = {"model": MODEL}
    document["again"] = document
    assert_is(loaded(tmp_path, document), MODEL)


def test_two_tensors_of_one_name_are_refused(tmp_path: Path) -> None:
    assert "both called a.b" in refused(tmp_path, {"a": {"b": torch.ones(1)}, "a.b": torch.ones(1)})


def test_what_was_read_stands_in_the_provenance_and_in_the_stages_identity(tmp_path: Path) -> None:
    document, semantics = {"state_dict": MODEL, "state_dict_ema": EMA}, small_semantics(tmp_path)
    path = stored(tmp_path / "run.ckpt", document)
    models = [source_of(load_checkpoint(path, ATTO, wish), semantics, seed=None) for wish in ("model", "ema")]
    assert [model.about["weights_read"]["set"] for model in models] == ["state_dict", "state_dict_ema"]
    assert [model.notes[0] for model in models] == [
        "weights: the file holds several sets, taken is state_dict",
        "weights: the file holds several sets, taken is state_dict_ema",
    ]
    first, second = (model.networks["classifier"].identity for model in models)
    assert models[0].weights_sha256 == models[1].weights_sha256
    assert first != second, "or the stages of one set would be taken for those of the other"


def test_a_bundle_is_held_against_the_set_that_it_was_made_of(tmp_path: Path) -> None:
    path = stored(tmp_path / "run.ckpt", {"state_dict": MODEL, "state_dict_ema": EMA})
    made = source_of(load_checkpoint(path, ATTO, "ema"), small_semantics(tmp_path), seed=None)
    provenance = {"chain": {"weights": made.weights_sha256}, **made.about}
    bundle = open_bundle(demonstration_bundle(), shipped_keys())
    bundle = replace(bundle, manifest=replace(made.manifest, provenance=provenance))
    for wish in (None, "ema", "state_dict_ema"):
        again = source_of_bundle(bundle, path, wish)
        assert again is not None
        assert again.about == made.about
    with pytest.raises(ConfigError, match="--state model is state_dict, bundle small was made of state_dict_ema"):
        source_of_bundle(bundle, path, "model")


def test_a_network_of_one_channel_needs_one_mean_and_one_std(tmp_path: Path) -> None:
    semantics = small_semantics(tmp_path)
    checkpoint = loaded(tmp_path, MODEL | {"stem.0.weight": torch.ones(40, 1, 4, 4)})
    assert manifest_of(semantics, {}, {}, {}) == source_of(checkpoint, semantics, seed=None).manifest
    unlike = replace(semantics, preprocessing=replace(semantics.preprocessing, mean=(0.485, 0.456, 0.406)))
    with pytest.raises(ConfigError, match=r"reads one channel, .* mean \[0\.485, 0\.456, 0\.406\]"):
        source_of(checkpoint, unlike, seed=None)
