"""What the reference answers to a run, computed once and kept.

An answer is found by the sha256 of the tensors that it answers, so what is kept cannot be taken for the answer to
anything else. Not for: the network itself (reference.py), or where answers are kept (kept.py).
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cathrt.export.qualify.kept import Kept
from cathrt.export.qualify.reference import Network

_DIGESTS = "digests"


@dataclass(frozen=True, slots=True, eq=False)
class ReferenceAnswers:
    """network: called from several threads at once. decided_by: JSON: all that its answers depend on beside the
    tensors. kept: where they are kept, if anywhere."""

    network: Network
    decided_by: Mapping[str, Any]
    kept: Kept | None = None

    def to_run(self, name: str) -> RunReference:
        """name: of the run, to find its answers by."""
        return RunReference(self, {**self.decided_by, "what": "reference answers", "run": name})


class RunReference:
    """The reference on the frames of one run."""

    def __init__(self, answers: ReferenceAnswers, decided_by: Mapping[str, Any]) -> None:
        self._network, self._kept, self._decided_by = answers.network, answers.kept, decided_by
        content = self._kept.get(decided_by) if self._kept is not None else None
        self._known = _unpacked(content) if content is not None else {}
        self._given: dict[bytes, Mapping[str, NDArray[Any]]] = {}
        self._computed = 0

    def __call__(self, tensors: Mapping[str, NDArray[np.float32]]) -> Mapping[str, NDArray[Any]]:
        """The answer to one frame, by output; kept or computed now."""
        if self._kept is None:
            return self._network(tensors)
        digest = _digest(tensors)
        answer = self._known.get(digest)
        if answer is None:
            answer = {name: np.array(values) for name, values in self._network(tensors).items()}
            self._computed += 1
        self._given[digest] = answer
        return answer

    def keep(self) -> None:
        """After the last frame: what was computed is there for the next time. Raises SinkError."""
        if self._kept is not None and self._computed:
            self._kept.put(self._decided_by, _packed(self._given))


def _digest(tensors: Mapping[str, NDArray[np.float32]]) -> bytes:
    total = hashlib.sha256()
    for name in sorted(tensors):
        tensor = np.ascontiguousarray(tensors[name])
        total.update(f"{name}|{tensor.dtype.str}|{tensor.shape}|".encode())
        total.update(tensor.data)
    return total.digest()


def _packed(answers: Mapping[bytes, Mapping[str, NDArray[Any]]]) -> bytes:
    """digests: (N, 32) bytes; each output: (N, ...)."""
    arrays: dict[str, Any] = {_DIGESTS: np.frombuffer(b"".join(answers), np.uint8).reshape(len(answers), -1)}
    names = next(iter(answers.values()))
    arrays |= {f"output.{name}": np.stack([answer[name] for answer in answers.values()]) for name in names}
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def _unpacked(content: bytes) -> dict[bytes, Mapping[str, NDArray[Any]]]:
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        outputs = {name.removeprefix("output."): arrays[name] for name in arrays.files if name != _DIGESTS}
        digests = [row.tobytes() for row in arrays[_DIGESTS]]
    return {digest: {name: values[row] for name, values in outputs.items()} for row, digest in enumerate(digests)}
