"""What a network's numbers mean, from a file or another bundle: taken exactly, or refused by the key."""

from __future__ import annotations

from pathlib import Path

import pytest

from cathrt.export.models.keyframe import checkpoint
from cathrt.export.models.keyframe.options import RANDOM_NAME, keyframe_source
from cathrt.export.models.keyframe.outputs import outputs_of
from cathrt.export.models.keyframe.semantics import (
    demonstration_semantics,
    manifest_of,
    semantics_from_toml,
    semantics_of_bundle,
)
from cathrt.runtime.bundle.shipped import demonstration_bundle, shipped_keys
from cathrt.runtime.config import Config
from cathrt.runtime.errors import ConfigError
from cathrt.runtime.models import open_bundle
from cathrt.runtime.models.keyframe.section import CLASSIFIER
from tests.export.further_outputs import FURTHER, OUTPUTS
from tests.export.small_export import SEMANTICS, semantics_file


def test_a_file_gives_labels_in_its_own_order_and_the_graphs_own_names(tmp_path: Path) -> None:
    found = semantics_from_toml(semantics_file(tmp_path))
    assert [label.name for label in found.keyframe.labels][:2] == ["LCA-better", "LCA-bad"]
    assert (found.preprocessing.input, found.preprocessing.layout, found.keyframe.output) == ("image", "NCHW", "logits")
    assert (found.name, found.demonstration) == ("small", False)


@pytest.mark.parametrize("one", ["[0.4]", "0.4"])
def test_one_mean_or_std_is_that_of_all_channels(tmp_path: Path, one: str) -> None:
    text = SEMANTICS.replace("[0.5, 0.5, 0.5]", one).replace("[0.25, 0.25, 0.25]", "[0.2]")
    found = semantics_from_toml(semantics_file(tmp_path, text)).preprocessing
    assert (found.mean, found.std) == ((0.4, 0.4, 0.4), (0.2, 0.2, 0.2))


def test_labels_keep_the_order_of_the_file_and_sizes_may_be_any_multiples_of_32(tmp_path: Path) -> None:
    first = '{ name = "LCA-better", laterality = "left", quality = "better" },\n  '
    last = '{ name = "RCA-others", laterality = "right", quality = "others" },\n]'
    assert first in SEMANTICS
    text = SEMANTICS.replace(first, "").replace(last, f"{last[:-1]}  {first.strip()}\n]")
    text = text.replace("height = 32", "height = 96").replace("width = 32", "width = 160")
    found = semantics_from_toml(semantics_file(tmp_path, text))
    names = [label.name for label in found.keyframe.labels]
    assert names == ["LCA-bad", "LCA-others", "RCA-better", "RCA-bad", "RCA-others", "LCA-better"]
    (tensor,) = manifest_of(found, {}, {}, {}).network(CLASSIFIER).inputs
    assert tensor.shape == (1, 3, 96, 160)


def test_another_bundle_gives_its_settings_and_nothing_of_what_it_is() -> None:
    shipped = open_bundle(demonstration_bundle(), shipped_keys())
    assert shipped.manifest.demonstration
    assert shipped.manifest.evidence
    found = semantics_of_bundle(shipped, "mine")
    assert found.keyframe == shipped.manifest.model
    assert found.preprocessing == shipped.manifest.network(CLASSIFIER).preprocessing[0]
    made = manifest_of(found, {}, {}, {})
    assert (made.name, made.demonstration, made.provenance, made.evidence) == ("mine", False, {}, {})
    assert shipped.manifest.name not in repr(made)


@pytest.mark.parametrize(
    ("file", "given", "name"),
    [
        ("checkpoint-best.pth", None, "checkpoint-best"),
        ("checkpoint-best.pth", "mine", "mine"),
        ("a\u202eb\udcff.pth", None, "a\\u202eb\\udcff"),
        ("x" * 200 + ".pth", None, "x" * 100),
    ],
)
def test_weights_like_a_bundle_are_named_after_their_own_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, given: str | None, name: str
) -> None:
    random = checkpoint.random_checkpoint("convnext_atto", 13, 0)
    monkeypatch.setattr(checkpoint, "load_checkpoint", lambda path, arch, state: random)
    source = keyframe_source(Config(), "convnext_atto", tmp_path / file, like=demonstration_bundle(), name=given)
    assert (source.manifest.name, source.manifest.demonstration) == (name, False)


def test_random_weights_like_a_bundle_are_named_as_random_and_stay_a_demonstration() -> None:
    source = keyframe_source(Config(), "convnext_atto", random_init=True, like=demonstration_bundle())
    assert (source.manifest.name, source.manifest.demonstration) == (RANDOM_NAME, True)
    assert source.about["random_init"] is True


def test_random_weights_are_a_demonstration_by_another_name() -> None:
    found = demonstration_semantics("keyframe-random")
    assert (found.name, found.demonstration) == ("keyframe-random", True)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("height = 32", "height = 32.0", r"preprocessing\.height: found 32\.0, expected"),
        ("height = 32", "height = 33", "33x32: ConvNeXt halves it five times"),
        ("height = 32", "heigth = 32", r"preprocessing\.heigth: unknown key"),
        ("height = 32", 'layout = "NHWC"', r"preprocessing\.layout: the exported graph settles it"),
        ("[1.0, 99.0]", "[99.0, 1.0]", r"percentiles: found 99\.0, 1\.0"),
        ("mean = [0.5, 0.5, 0.5]", "mean = [0.5, 0.5]", r"preprocessing\.mean"),
        ("mean = [0.5, 0.5, 0.5]", "", r"preprocessing\.mean: missing"),
        ('"RCA-bad"', '"LCA-bad"', "expected each once"),
        ("[keyframe]", "[key_frame]", r"no table \[keyframe\]"),
        ("visible_threshold = 0.5", "visible_threshold = 1.5", r"keyframe\.visible_threshold: found 1\.5"),
        ("visible_threshold = 0.5", "", r"keyframe\.visible_threshold: missing"),
        ("[keyframe]", "[keyframe", "not valid TOML"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_by_its_key(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in SEMANTICS
    with pytest.raises(ConfigError, match=message):
        semantics_from_toml(semantics_file(tmp_path, SEMANTICS.replace(old, new, 1)))


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.toml: cannot be read"):
        semantics_from_toml(tmp_path / "none.toml")


def test_tables_of_further_outputs_give_them_under_the_graphs_own_names(tmp_path: Path) -> None:
    section = semantics_from_toml(semantics_file(tmp_path, FURTHER)).keyframe
    assert outputs_of(section) == OUTPUTS
    assert section.readability is not None
    assert section.readability.poor_below == 0.3
    assert section.domain is not None
    assert [reason.name for reason in section.domain.reasons][:2] == ["inverted", "drawing"]
    assert section.run_visible_threshold is None


def test_the_manifest_declares_every_output(tmp_path: Path) -> None:
    manifest = manifest_of(semantics_from_toml(semantics_file(tmp_path, FURTHER)), {}, {}, {})
    declared = [(tensor.name, tensor.shape, tensor.dtype) for tensor in manifest.network(CLASSIFIER).outputs]
    assert declared == [(name, (1, rows), "float32") for name, rows in OUTPUTS.items()]


def test_one_further_output_alone_is_enough(tmp_path: Path) -> None:
    text = SEMANTICS + "run_visible_threshold = 0.4\n[keyframe.readability]\npoor_below = 0.3\n"
    section = semantics_from_toml(semantics_file(tmp_path, text)).keyframe
    assert outputs_of(section) == {"logits": 6, "readability": 1}
    assert section.run_visible_threshold == 0.4


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "poor_below = 0.3",
            'output = "x"\npoor_below = 0.3',
            r"keyframe\.readability\.output: the exported graph settles",
        ),
        ("poor_below = 0.3", "poor_below = 3", r"keyframe\.readability\.poor_below: found 3"),
        ("poor_below = 0.3", "", r"keyframe\.readability\.poor_below: missing"),
        ("[keyframe.readability]", "[keyframe.readable]", r"keyframe\.readable: unknown key"),
        (
            "[keyframe.domain]",
            '[keyframe.domain]\noutput = "x"',
            r"keyframe\.domain\.output: the exported graph settles",
        ),
        ('name = "drawing"', 'name = "inverted"', "expected each once"),
        ('text = "a drawing", ', "", r"reasons\.\d+\.text: missing"),
    ],
)
def test_a_table_of_a_further_output_that_does_not_fit_is_refused_by_its_key(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    assert old in FURTHER
    with pytest.raises(ConfigError, match=message):
        semantics_from_toml(semantics_file(tmp_path, FURTHER.replace(old, new, 1)))
