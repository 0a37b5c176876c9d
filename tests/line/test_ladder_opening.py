"""Which rungs the configuration makes, of which bundles, and what is refused before anything is started."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cathrt.export.bundle.sign import public_key, write_bundle
from cathrt.runtime.bundle.opening import Bundle
from cathrt.runtime.clock import MonotonicClock
from cathrt.runtime.config import Config, EngineConfig, RungConfig, TrustConfig
from cathrt.runtime.engines.bounded import BoundedEngine
from cathrt.runtime.errors import ConfigError, EngineError, ManifestError
from cathrt.runtime.line import ladder_opening
from cathrt.runtime.line.ladder_opening import check_rungs, open_places
from cathrt.runtime.line.ladder_place import Place
from cathrt.runtime.models import trusted_bundle
from tests.golden import conv_model, golden_manifest

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
MODEL = conv_model().SerializeToString()
TRUST = TrustConfig((f"{public_key(KEY)} tests",))
OPENVINO = EngineConfig("openvino", threads=1)


def written(folder: Path, name: str) -> Path:
    return write_bundle(folder / name, replace(golden_manifest(), name=name), {"model.onnx": MODEL}, KEY)


@pytest.fixture
def bundle(tmp_path: Path) -> Iterator[Bundle]:
    with trusted_bundle(written(tmp_path, "large"), Config(trust=TRUST)) as opened:
        yield opened


def opened(bundle: Bundle, config: Config) -> Place:
    (place,) = open_places([bundle], config, MonotonicClock(), lambda: None)
    place.close()
    return place


def test_the_rungs_come_in_the_order_of_the_configuration(bundle: Bundle, tmp_path: Path) -> None:
    small = str(written(tmp_path, "small"))
    config = Config(
        engine=replace(OPENVINO, fallback="onnxruntime"),
        rungs=(RungConfig("openvino", bundle=small), RungConfig("onnxruntime", bundle=small)),
        trust=TRUST,
    )
    check_rungs([bundle], config)
    place = opened(bundle, config)
    assert [rung.label for rung in place.rungs] == [
        "openvino",
        "onnxruntime",
        "openvino with small",
        "onnxruntime with small",
    ]
    models = [rung.served for rung in place.rungs]
    assert models[0] is models[1]
    assert models[2] is models[3]
    assert models[0].bundle is not models[2].bundle
    assert place.in_force == 0


def test_engines_on_the_cpu_have_a_deadline(bundle: Bundle) -> None:
    (place,) = open_places([bundle], Config(engine=OPENVINO), MonotonicClock(), lambda: None)
    engine = place.rungs[0].engine
    assert isinstance(engine, BoundedEngine)
    engine.infer(engine.input_buffers)
    place.close()


def test_an_engine_that_cannot_be_opened_leaves_the_others_and_says_why(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = ladder_opening.open_engine

    def refusing(name: str, *arguments: object) -> object:
        if name == "openvino":
            raise EngineError("no room")
        return real(name, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(ladder_opening, "open_engine", refusing)
    place = opened(bundle, Config(engine=replace(OPENVINO, fallback="onnxruntime")))
    assert place.in_force == 1
    assert (place.rungs[0].why, place.change.detail) == ("no room", "no room")


def test_a_rung_without_an_artifact_or_of_an_unknown_engine_is_refused_at_the_start(bundle: Bundle) -> None:
    with pytest.raises(EngineError, match="has no artifact for tensorrt, only for"):
        check_rungs([bundle], Config(rungs=(RungConfig("tensorrt"),)))
    with pytest.raises(ConfigError, match=r"rungs.engine: found 'abacus', expected one of"):
        check_rungs([bundle], Config(rungs=(RungConfig("abacus"),)))


def test_a_rung_whose_bundle_is_not_trusted_is_refused_at_the_start(bundle: Bundle, tmp_path: Path) -> None:
    stranger = Ed25519PrivateKey.from_private_bytes(bytes(32))
    strange = write_bundle(tmp_path / "strange", golden_manifest(), {"model.onnx": MODEL}, stranger)
    with pytest.raises(ManifestError, match="none of the"):
        check_rungs([bundle], Config(rungs=(RungConfig("openvino", bundle=str(strange)),), trust=TRUST))
