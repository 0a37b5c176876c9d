"""What replay refuses to open, `cathrt doctor` reports as missing in the same words; what it opens, doctor calls ok."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cathrt.export.bundle.sign import public_key, write_bundle
from cathrt.runtime.bundle.manifest import Artifact
from cathrt.runtime.commands.doctor_line import line_check
from cathrt.runtime.commands.options import bundle_at
from cathrt.runtime.config import Config, EngineConfig, TrustConfig
from cathrt.runtime.errors import CathrtError
from cathrt.runtime.line.replay import opened_line
from tests.e2e.commands import cathrt
from tests.golden import conv_model, golden_manifest

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
TRUST = TrustConfig((public_key(KEY),))
MODEL = Artifact("model.onnx", "float32")
INT8 = Artifact("model.onnx", "int8")
NO_VNNI = (
    "-c",
    "import sys; import cathrt.runtime.engines.openvino as engine; engine.sums_int8_exactly = lambda bits: bits == 7;"
    "from cathrt.runtime.commands.doctor_line import main; sys.exit(main(sys.argv[1]))",
)

NO_BFLOAT16 = (
    "-c",
    "import sys; import cathrt.runtime.engines.openvino as engine; engine.rest_here = lambda rest: 'float32';"
    "from cathrt.runtime.commands.doctor_line import main; sys.exit(main(sys.argv[1]))",
)


def bundle(folder: Path, *, int8: bool = False, **provenance: bool) -> Path:
    """A bundle for OpenVINO alone."""
    manifest = replace(golden_manifest(openvino=INT8 if int8 else MODEL), provenance=dict(provenance))
    return write_bundle(folder / "bundle", manifest, {"model.onnx": conv_model(int8=int8).SerializeToString()}, KEY)


def config(name: str = "openvino", fallback: str = "", trust: TrustConfig = TRUST) -> Config:
    return Config(engine=EngineConfig(name, threads=1, fallback=fallback), trust=trust)


def both(folder: Path) -> Path:
    """A bundle for both engines of the CPU."""
    manifest = golden_manifest(openvino=MODEL, onnxruntime=MODEL)
    return write_bundle(folder / "bundle", manifest, {"model.onnx": conv_model().SerializeToString()}, KEY)


PROVIDER = Config(engine=EngineConfig("onnxruntime", threads=1, provider="cuda"), trust=TRUST)
CASES: dict[str, tuple[Callable[[Path], Path], Config, str, str]] = {
    "what there is": (bundle, config(), "ok", "replay opens it: openvino"),
    "random weights": (lambda at: bundle(at, random_init=True), config(), "missing", "holds random weights"),
    "an untrusted key": (bundle, config(trust=TrustConfig()), "missing", "none of the 3 trusted keys"),
    "no artifact": (bundle, config("onnxruntime"), "missing", "has no artifact for onnxruntime, only for"),
    "an engine of no name": (bundle, config("abacus"), "missing", "engine 'abacus' is unknown"),
    "a GPU that is not there": (bundle, config("tensorrt"), "missing", "tensorrt"),
    "a fallback that cannot open": (bundle, config(fallback="onnxruntime"), "missing", "no artifact for onnxruntime"),
    "a fallback that stands in": (bundle, config("onnxruntime", "openvino"), "warn", "openvino (fallback for onnxr"),
    "a provider that is not there": (both, PROVIDER, "missing", "no NVIDIA driver"),
    "no bundle": (lambda at: at / "none", config(), "missing", "is missing, expected a bundle"),
}


def refusal(settings: Config, path: Path) -> CathrtError | None:
    """What replay raises when it opens the line."""
    try:
        with opened_line([bundle_at(path, settings)], settings, "realtime"):
            return None
    except CathrtError as exc:
        return exc


@pytest.mark.parametrize("case", CASES)
def test_doctor_says_of_a_line_what_replay_would(case: str, tmp_path: Path) -> None:
    make, settings, state, said = CASES[case]
    path = make(tmp_path)
    check = line_check(settings, path)
    assert (check.state, said in check.detail) == (state, True), check.detail
    refused = refusal(settings, path)
    assert (check.state == "missing") is (refused is not None)
    if refused is not None:
        assert check.detail == f"replay refuses it: {refused}"
        assert check.figures == {"error": type(refused).__name__}


def test_doctor_says_why_a_fallback_stands_in(tmp_path: Path) -> None:
    check = line_check(config("onnxruntime", "openvino"), bundle(tmp_path))
    assert "bundle golden has no artifact for onnxruntime" in check.detail


@pytest.mark.parametrize(
    ("program", "state"), [(("-m", "cathrt.runtime.commands.doctor_line"), "ok"), (NO_VNNI, "missing")]
)
def test_int8_is_missing_on_a_cpu_that_would_clip_it(tmp_path: Path, program: tuple[str, ...], state: str) -> None:
    from cathrt.runtime.engines.cpu import sums_int8_exactly

    if state == "ok" and not sums_int8_exactly(8):
        pytest.skip("this CPU has no VNNI")
    check = line_check(config(), bundle(tmp_path, int8=True), program=program)
    assert check.state == state, check.detail
    assert ("no VNNI" in check.detail) is (state == "missing")


def test_a_rest_that_runs_in_float32_for_want_of_bfloat16_is_a_warning(tmp_path: Path) -> None:
    artifact = Artifact("model.onnx", "int8", weight_bits=7, rest="bfloat16")
    payload = {"model.onnx": conv_model(int8=True, weight_range=63).SerializeToString()}
    path = write_bundle(tmp_path / "bundle", golden_manifest(openvino=artifact), payload, KEY)
    check = line_check(config(), path, program=NO_BFLOAT16)
    assert check.state == "warn"
    assert check.detail.startswith("opens as openvino with float32 rest: openvino: this CPU has no bfloat16 products")


@pytest.mark.parametrize(
    ("program", "within_s", "said"),
    [
        ("import os; os.abort()", 60.0, "opening it ended with SIGABRT"),
        ("import time; time.sleep(60)", 0.5, "not opened within 0.5 s: choose another engine"),
        ("raise SystemExit(3)", 60.0, "opening it ended with exit status 3"),
        ("pass", 60.0, "opening it ended with exit status 0"),
    ],
)
def test_an_engine_that_crashes_or_hangs_is_missing_and_doctor_goes_on(
    tmp_path: Path, program: str, within_s: float, said: str
) -> None:
    check = line_check(config(), tmp_path, within_s=within_s, program=("-c", program))
    assert check.state == "missing"
    assert said in check.detail


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(["--engine", "abacus"], 3), (["--engine", "tensorrt"], 1), (["--engine", "onnxruntime"], 0)],
)
def test_the_command_takes_the_engine_as_replay_does(tmp_path: Path, arguments: list[str], code: int) -> None:
    done = cathrt("doctor", "--json", "--folder", tmp_path, *arguments)
    assert done.returncode == code, done.stdout + done.stderr
    if code == 3:
        assert "engine.name: found 'abacus', expected one of" in done.stderr
        return
    (line,) = [record for record in done.records if record.get("name") == "line"]
    assert line["state"] == ("ok" if code == 0 else "missing")
    assert done.records[-1]["engine"]["name"] == arguments[1]
