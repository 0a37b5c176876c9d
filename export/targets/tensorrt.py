"""An ONNX graph to a TensorRT plan, for TensorRT-RTX (no GPU needed) or TensorRT proper (the GPU in the machine).

One code for TensorRT 10, 11 and RTX: precision is in the graph alone, and no name is used that one of them lacks.
NVIDIA's code runs in a child process (tensorrt_child.py). Not for: running plans, and not for making graphs fp16 or
int8 (export/graph/precision.py, export/quantize/qdq.py).
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import onnx

from cathrt.export.targets.tensorrt_graph import checked_graph, external_files, node_text
from cathrt.export.targets.tensorrt_report import NetworkReport, report_from_json
from cathrt.runtime.bundle.fingerprint import BuildOptions, EngineFingerprint, ShapeProfile, Target, sm_text
from cathrt.runtime.engines.asked_child import ask_child
from cathrt.runtime.errors import EngineError

_PROGRAM = ("-m", "cathrt.export.targets.tensorrt_child")
_KEPT_ENVIRONMENT = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "HOME", "TMPDIR", "CUDA_VISIBLE_DEVICES")
_STDERR_KEPT = 600
_TURING = 75
_DEFAULTS = BuildOptions()


@dataclass(frozen=True, slots=True)
class _Package:
    """How a target is installed and what it takes. max_opset: newest first, (from this version on, opset)."""

    module: str
    distributions: tuple[str, ...]
    install: str
    sm: tuple[int, ...] | None  # what can be chosen; None: what is in the machine
    max_opset: tuple[tuple[tuple[int, int], int], ...]


# Opsets: NVIDIA's ONNX opset guide for 11.x, its parser's list of operators for 10.15; 20 for what is older and unread.
_PACKAGES: dict[Target, _Package] = {
    "tensorrt-rtx": _Package(
        "tensorrt_rtx", ("tensorrt-rtx",), "pip install tensorrt-rtx", (75, 80, 86, 89, 120, 121), (((1, 0), 25),)
    ),
    "tensorrt": _Package(
        "tensorrt",
        ("tensorrt", "tensorrt-cu13", "tensorrt-cu12"),
        "pip install tensorrt, which fetches from NVIDIA's own index",
        None,
        (((11, 0), 25), ((10, 15), 24), ((10, 0), 20)),
    ),
}


@dataclass(frozen=True, slots=True)
class PlanRequest:
    """What to build. sm: compute capabilities, 89 for SM 8.9; one plan serves all of them.

    profiles: for each dynamic input, one for each bucket, in the same order; none for static inputs.
    budget_s: the build is killed after it. memory_limit_mib: of the building process.
    """

    target: Target
    sm: tuple[int, ...]
    profiles: tuple[ShapeProfile, ...] = ()
    options: BuildOptions = _DEFAULTS
    budget_s: float = 600.0
    memory_limit_mib: int = 8192


@dataclass(frozen=True, slots=True)
class Plan:
    """A built plan: its bytes, what they were made from, the layers in them, what TensorRT warned of."""

    data: bytes
    fingerprint: EngineFingerprint
    report: NetworkReport
    warnings: tuple[str, ...]


def build_plan(
    onnx_bytes: bytes, request: PlanRequest, *, beside: Path | None = None, program: Sequence[str] = _PROGRAM
) -> Plan:
    """Build a plan in a child process. Raises EngineError naming each node, input or setting at fault.

    beside: folder of the files that the graph keeps tensors in; None for a graph that keeps all in itself.
    program: arguments to the child's Python; another one is only of use to tests.
    """
    package = _PACKAGES[request.target]
    version = installed_version(request.target)
    _check_sm(request)
    max_opset = next((opset for since, opset in package.max_opset if _two_numbers(version) >= since), 0)
    model = checked_graph(onnx_bytes, f"{request.target} {version}", max_opset, request.profiles, beside)
    with tempfile.TemporaryDirectory(prefix="cathrt-plan-") as name:
        folder = Path(name)
        (folder / "model.onnx").write_bytes(onnx_bytes)
        if beside is not None:
            for file in external_files(model):
                (folder / file).symlink_to((beside / file).resolve())
        asked = asdict(request) | {
            "module": package.module,
            "install": package.install,
            "chooses_device": package.sm is not None,
            "parent_pid": os.getpid(),
        }
        (folder / "request.json").write_text(json.dumps(asked), encoding="utf-8")
        _run(folder, request, program)
        try:
            answer = json.loads((folder / "answer.json").read_text(encoding="utf-8"))
        except (OSError, ValueError) as exc:
            raise EngineError(f"{request.target}: the building process left no answer ({exc})") from exc
        faults = [*answer["errors"], *(_parser_error(error, model) for error in answer["parser_errors"])]
        if faults:
            raise EngineError(
                f"{request.target} {version} refuses the graph: {'; '.join(faults)}{_advice(faults, request)}"
            )
        plan = (folder / "plan").read_bytes()
        report = report_from_json((folder / "report.json").read_text(encoding="utf-8"))
    fingerprint = EngineFingerprint(
        target=request.target,
        tensorrt_version=answer["version"],
        sm=request.sm,
        cuda_version=_cuda_version(package),
        driver_version=answer["driver_version"],
        options=request.options,
        profiles=request.profiles,
        onnx_sha256=hashlib.sha256(onnx_bytes).hexdigest(),
    )
    return Plan(plan, fingerprint, report, tuple(answer["warnings"]))


def installed_version(target: Target) -> str:
    """Version of the target's package, without importing it. Raises EngineError where it is not installed."""
    package = _PACKAGES[target]
    for distribution in package.distributions:
        try:
            return metadata.version(distribution)
        except metadata.PackageNotFoundError:
            continue
    raise EngineError(f"{target} is not installed: {package.install}")


def _check_sm(request: PlanRequest) -> None:
    known = _PACKAGES[request.target].sm
    if not request.sm or len(set(request.sm)) != len(request.sm):
        raise EngineError(f"--sm: found {request.sm or 'none'}, expected compute capabilities, each once, such as 89")
    if known is None:
        return  # the child knows the device
    unknown = [sm for sm in request.sm if sm not in known]
    if unknown:
        raise EngineError(
            f"--sm: {request.target} has no target SM {sm_text(unknown)}, it knows {sm_text(known)}: "
            "choose among these, or build with --target tensorrt on the device itself"
        )
    if _TURING in request.sm and len(request.sm) > 1:
        # NVIDIA's own advice: shared with Turing, the newer devices get Turing's choices.
        raise EngineError(f"--sm: SM 7.5 shares no plan, found it with {len(request.sm) - 1} more: build it alone")


def _run(folder: Path, request: PlanRequest, program: Sequence[str]) -> None:
    environment = {key: os.environ[key] for key in _KEPT_ENVIRONMENT if key in os.environ} | {"LANG": "C.UTF-8"}
    try:
        child = ask_child(["-P", *program, str(folder)], request.budget_s, environment)
    except TimeoutError as exc:
        raise EngineError(
            f"{request.target}: not built after {request.budget_s:g} s with {request.memory_limit_mib} MiB, "
            "the process was killed: raise the time limit, or the memory limit (with too little memory it hangs)"
        ) from exc
    if child.returncode != 0:
        last = child.stderr.strip()[-_STDERR_KEPT:]
        how = signal.Signals(-child.returncode).name if child.returncode < 0 else f"exit status {child.returncode}"
        raise EngineError(
            f"{request.target}: the building process ended with {how} under a limit of {request.memory_limit_mib} MiB "
            f"({last or 'no message'}): raise the limit if memory ran out"
        )


def _parser_error(error: dict[str, Any], model: onnx.ModelProto) -> str:
    """One error of the ONNX parser, with the node as our own messages call it."""
    nodes = model.graph.node
    same = [node for node in nodes if node.name == error["name"] and node.op_type == error["operator"]]
    if error["name"] and same:
        where = node_text(same[0])
    elif 0 <= error["index"] < len(nodes) and nodes[error["index"]].op_type == error["operator"]:
        where = node_text(nodes[error["index"]])
    else:
        where = f"node {error['name'] or error['index']} ({error['operator'] or 'the graph itself'})"
    return f"{where}: {error['message']} [{error['code']}]"


def _advice(faults: Sequence[str], request: PlanRequest) -> str:
    if any("bad_alloc" in fault for fault in faults):
        return f": raise the limit of {request.memory_limit_mib} MiB"
    if any("Turing" in fault and "FP32 GEMM" in fault for fault in faults):
        return ": write its float32 matrix products as 1x1 convolutions, or in float16: SM 7.5 takes those"
    return ""


def _cuda_version(package: _Package) -> str | None:
    """The CUDA that the installed wheels were made for, as their names say."""
    pattern = re.compile(rf"{package.module}[_-]cu(\d+)(?:[_-]libs)?", re.ASCII)
    names = (distribution.metadata["Name"] or "" for distribution in metadata.distributions())
    found = {match[1] for name in names if (match := pattern.fullmatch(name.replace("-", "_")))}
    return found.pop() if len(found) == 1 else None


def _two_numbers(version: str) -> tuple[int, int]:
    major, minor = version.split(".")[:2]
    return int(major), int(minor)
