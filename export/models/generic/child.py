"""Asks optimum-onnx in its own environment for a model's graph, and for what PyTorch answers to some pictures.

It needs an older transformers than anything else here, so it is a child process of another Python, and never a
dependency (decision 0043). Not for: what the child does (optimum_child.py), or what its answer means (source.py).
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cathrt.export.models.generic import optimum_child
from cathrt.runtime.children.parent import end_child, exit_status, start_child
from cathrt.runtime.engines.cpu import cpu_quota
from cathrt.runtime.errors import ConfigError, EngineError
from cathrt.runtime.outside.plain_text import shown

INSTALL = "python3 -m venv optimum && optimum/bin/pip install optimum-onnx==0.1.0 torch==2.13.0 pillow"
OPSET = 18  # read by every target, and the newest for which the exporter in optimum-onnx 0.1 was made
BUDGET_S = 3600.0
_PROGRAM = Path(optimum_child.__file__)
_KEPT_ENVIRONMENT = ("PATH", "LD_LIBRARY_PATH", "HOME", "TMPDIR")
_OFFLINE = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
_STDERR_KEPT = 600
_NAMED = 5

Tensor = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class OptimumExport:
    """What optimum-onnx made of a model, and what its framework answers.

    graph: ONNX. labels: of its columns. processor: the settings of the model's own image processor, defaults included.
    pixels: what that made of each picture, (1, channels, rows, columns). logits: PyTorch's, (N, labels), of those N
    that have the shape of the first. left_out: weights of the files that the network does not have.
    """

    graph: bytes
    architecture: str
    labels: tuple[str, ...]
    processor: Mapping[str, Any]
    pixels: tuple[Tensor, ...]
    logits: Tensor
    left_out: tuple[str, ...]
    versions: Mapping[str, str]


def given_python(python: Path | None) -> Path:
    """Raises ConfigError with the line that makes the environment where none is given."""
    if python is None:
        raise ConfigError(
            "--optimum-python: missing: optimum-onnx needs an environment of its own, since it takes an older "
            f"transformers than others do: {INSTALL}, then give --optimum-python optimum/bin/python"
        )
    return python


def export_with_optimum(
    python: Path, model: Path, pictures: Sequence[NDArray[np.uint8]], budget_s: float = BUDGET_S
) -> OptimumExport:
    """Run the child, and read what it left. pictures: grey, (rows, columns), the first of the shape of most frames.

    Raises ConfigError where there is no such Python, a package is missing in it, or the model is none that has all its
    weights and one label a picture; EngineError where optimum-onnx fails.
    """
    with tempfile.TemporaryDirectory(prefix="cathrt-optimum-") as name:
        folder = Path(name)
        for number, picture in enumerate(pictures):
            np.save(folder / f"picture-{number}.npy", picture)
        request = {
            "model": str(model.resolve()),
            "pictures": len(pictures),
            "opset": OPSET,
            "threads": cpu_quota(),
            "parent_pid": os.getpid(),
        }
        (folder / "request.json").write_text(json.dumps(request), encoding="utf-8")
        _run(python, folder, budget_s)
        return _read(python, folder, len(pictures))


def _run(python: Path, folder: Path, budget_s: float) -> None:
    environment = {key: os.environ[key] for key in _KEPT_ENVIRONMENT if key in os.environ}
    environment |= {"LANG": "C.UTF-8", "HF_HOME": str(folder / "home"), **_OFFLINE}
    command = [os.path.abspath(python), "-I", str(_PROGRAM), str(folder)]  # a link of a venv must not be followed
    with (folder / "stderr").open("wb") as stderr:
        try:
            child = start_child(
                lambda: subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=stderr,
                    env=environment,
                    start_new_session=True,
                )
            )
        except OSError as exc:
            raise ConfigError(
                f"--optimum-python {python}: cannot be run ({exc.strerror}): expected the Python of an environment: "
                f"{INSTALL}"
            ) from exc
        try:
            status = exit_status(child, budget_s)
        finally:
            end_child(child)
    if status is None:
        raise EngineError(f"optimum-onnx: no graph after {budget_s:g} s, the process was killed: try a smaller model")
    if status != 0:
        raise EngineError(
            f"optimum-onnx: its process ended with {_how(status)} ({_last_words(folder)}): the model's folder must be "
            "whole, and of an architecture that optimum-onnx exports for image classification"
        )


def _read(python: Path, folder: Path, pictures: int) -> OptimumExport:
    try:
        answer = json.loads((folder / "answer.json").read_text(encoding="utf-8"))
        if missing := answer["missing"]:
            raise ConfigError(f"--optimum-python {python}: {', '.join(missing)} not installed there: {INSTALL}")
        _require_whole(answer)
        if (folder / "graph" / "model.onnx_data").exists():
            raise ConfigError(
                "the network's weights are over 2 GiB, which one ONNX file cannot hold: use a smaller one"
            )
        return OptimumExport(
            graph=(folder / "graph" / "model.onnx").read_bytes(),
            architecture=str(answer["architecture"]),
            labels=_distinct([str(label) for label in answer["labels"]]),
            processor=dict(answer["processor"]),
            pixels=tuple(np.load(folder / f"pixels-{number}.npy", allow_pickle=False) for number in range(pictures)),
            logits=np.load(folder / "logits.npy", allow_pickle=False),
            left_out=tuple(map(str, answer["left_out"])),
            versions={str(name): str(version) for name, version in answer["versions"].items()},
        )
    except (OSError, ValueError, KeyError, TypeError) as exc:
        raise EngineError(f"optimum-onnx: its process left no usable answer ({type(exc).__name__}: {exc})") from exc


def _require_whole(answer: Mapping[str, Any]) -> None:
    """Raises ConfigError for a network that would be drawn at random in part, or that does not choose one label."""
    if answer["missing_weights"] or answer["other_shapes"]:
        wanting = [*answer["missing_weights"], *answer["other_shapes"]]
        more = f" and {len(wanting) - _NAMED} more" if len(wanting) > _NAMED else ""
        raise ConfigError(
            f"{answer['architecture']}: the files lack {', '.join(map(shown, wanting[:_NAMED]))}{more}, which "
            "transformers would draw at random: give the folder of a whole, trained classifier"
        )
    if answer["problem_type"] == "multi_label_classification":
        raise ConfigError(
            f"{answer['architecture']}: problem_type is multi_label_classification, expected a network that gives a "
            "picture one label: several at once cannot be represented"
        )
    if answer["problem_type"] == "regression" or len(answer["labels"]) < 2:
        raise ConfigError(
            f"{answer['architecture']}: problem_type {answer['problem_type']}, {len(answer['labels'])} labels: "
            "expected a classifier of two labels or more"
        )


def _distinct(labels: Sequence[str]) -> tuple[str, ...]:
    """The labels, printable; what occurs twice, or is empty, gets the number of its column."""
    plain = [shown(label).strip() for label in labels]
    return tuple(
        label if label and plain.count(label) == 1 else f"{label} (column {column})".strip()
        for column, label in enumerate(plain)
    )


def _how(status: int) -> str:
    return f"signal {-status}" if status < 0 else f"exit status {status}"


def _last_words(folder: Path) -> str:
    text = (folder / "stderr").read_text(encoding="utf-8", errors="replace")
    last = (text.strip().splitlines() or ["no word"])[-1]
    return shown(last[:_STDERR_KEPT])
