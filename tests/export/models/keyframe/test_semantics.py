"""What a network's numbers mean, from a file or another bundle: taken exactly, or refused by the key."""

from __future__ import annotations

from pathlib import Path

import pytest

from cathrt.export.models.keyframe.semantics import demonstration_semantics, semantics_from_toml, semantics_of_bundle
from cathrt.runtime.bundle.shipped import demonstration_bundle, shipped_keys
from cathrt.runtime.errors import ConfigError
from cathrt.runtime.models import open_bundle
from cathrt.runtime.models.keyframe.section import CLASSIFIER
from tests.export.small_export import SEMANTICS, semantics_file


def test_a_file_gives_labels_in_its_own_order_and_the_graphs_own_names(tmp_path: Path) -> None:
    found = semantics_from_toml(semantics_file(tmp_path))
    assert [label.name for label in found.keyframe.labels][:2] == ["LCA-better", "LCA-bad"]
    assert (found.preprocessing.input, found.preprocessing.layout, found.keyframe.output) == ("image", "NCHW", "logits")
    assert (found.name, found.demonstration) == ("small", False)


def test_another_bundle_gives_its_own(tmp_path: Path) -> None:
    shipped = open_bundle(demonstration_bundle(), shipped_keys())
    found = semantics_of_bundle(shipped)
    assert found.keyframe == shipped.manifest.model
    assert found.preprocessing == shipped.manifest.network(CLASSIFIER).preprocessing[0]


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
