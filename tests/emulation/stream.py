"""The CUDA port on the CPU: launches go to the runner, which runs the very same kernels in the emulator.

`with emulated("address") as stream: ...`. Stricter than a device where that helps: what is downloaded appears only at
synchronise(), and an array that was changed between its upload and synchronise() is an error. Not for: building it
(build.py).
"""

from __future__ import annotations

import os
import shutil
import signal
import struct
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from cathrt.kernels.cuda.stream import CudaError, DeviceMemory, Extent, Scalar
from tests.emulation import build as builder

ARGUMENTS = {
    np.int32: (1, "=i4x"),
    np.uint32: (2, "=I4x"),
    np.int64: (3, "=q"),
    np.uint64: (4, "=Q"),
    np.float32: (5, "=f4x"),
    np.float64: (6, "=d"),
}
SANITIZER_OPTIONS = {
    "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=0",
    "UBSAN_OPTIONS": "print_stacktrace=1",
    "TSAN_OPTIONS": "halt_on_error=1:exitcode=66",
}


class EmulationError(CudaError):
    """A kernel or a launch did what CUDA forbids: the emulator's or the sanitizer's text."""


class Runner:
    """The process. Raises EmulationError where it answers with an error, and where it dies; then it is over."""

    def __init__(self, build: builder.Build, program: Path, symbolize: bool = True, limit_s: float = 120.0) -> None:
        """program: as builder.program made it in this build.   limit_s: the longest that one request may take."""
        self._limit_s = limit_s
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        command = [str(program)]
        if build == "thread" and (setarch := shutil.which("setarch")):
            command = [setarch, "-R", *command]  # libtsan cannot place its shadow beside every random layout
        options = {name: f"{value}:symbolize={int(symbolize)}" for name, value in SANITIZER_OPTIONS.items()}
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._complaints,
            bufsize=0,
            env={**os.environ, **options},
        )

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def request(self, operation: bytes, *payload: bytes | memoryview) -> bytes:
        """Send one operation, wait for its answer."""
        late = threading.Timer(self._limit_s, self._process.kill)
        late.start()
        try:
            self._send(operation + struct.pack("=Q", sum(len(part) for part in payload)))
            for part in payload:
                self._send(part)
            failed, length = struct.unpack("=BQ", self._receive(9))
            answer = self._receive(length)
        except (BrokenPipeError, EOFError):
            raise EmulationError(self._last_words()) from None
        finally:
            late.cancel()
        if failed:
            raise EmulationError(answer.decode())
        return answer

    def sites(self) -> dict[str, int]:
        """Barriers, bound tests, atomics and fences executed so far: "<kind> <file>:<line>:<column>", how often."""
        lines = self.request(b"s").decode().splitlines()
        return {name: int(count) for name, _, count in (line.rpartition(" ") for line in lines)}

    def mutate(self, site: str) -> None:
        """From now on that site goes wrong, and no other; "" ends it."""
        self.request(b"m", site.encode())

    def seed(self, seed: int) -> None:
        """0: threads begin in order; otherwise in an order drawn from it."""
        self.request(b"n", struct.pack("=I", seed))

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()
        self._complaints.close()

    def _send(self, data: bytes | memoryview) -> None:
        assert self._process.stdin is not None
        left = memoryview(data)
        while left:
            left = left[self._process.stdin.write(left) :]

    def _receive(self, count: int) -> bytes:
        assert self._process.stdout is not None
        parts = bytearray()
        while len(parts) < count:
            part = self._process.stdout.read(count - len(parts))
            if not part:
                raise EOFError
            parts += part
        return bytes(parts)

    def _last_words(self) -> str:
        code = self._process.wait()
        self._complaints.seek(0)
        said = self._complaints.read().decode(errors="replace").strip()
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        if code == -signal.SIGKILL:
            how += f", after {self._limit_s:g} s without an answer"
        return f"the runner ended ({how})\n{said}"


class EmulatedStream:
    """cathrt.kernels.cuda.stream.Stream on a Runner."""

    def __init__(self, runner: Runner) -> None:
        self.runner = runner
        self._uploads: list[tuple[NDArray[Any], bytes]] = []
        self._downloads: list[tuple[NDArray[Any], bytes]] = []

    def allocate(self, nbytes: int) -> DeviceMemory:
        (address,) = struct.unpack("=Q", self.runner.request(b"a", struct.pack("=Q", nbytes)))
        return DeviceMemory(address, nbytes)

    def upload(self, array: NDArray[Any], memory: DeviceMemory) -> None:
        _check_copy(array, memory)
        sent = array.tobytes()
        self._uploads.append((array, sent))
        self.runner.request(b"w", struct.pack("=Q", memory.address), sent)

    def download(self, memory: DeviceMemory, array: NDArray[Any]) -> None:
        _check_copy(array, memory)
        if not array.flags.writeable:
            raise ValueError("the array to download into is read-only")
        data = self.runner.request(b"r", struct.pack("=QQ", memory.address, array.nbytes))
        self._downloads.append((array, data))

    def zero(self, memory: DeviceMemory) -> None:
        self.runner.request(b"z", struct.pack("=QQ", memory.address, memory.nbytes))

    def launch(
        self, kernel: str, grid: Extent, block: Extent, *arguments: DeviceMemory | Scalar, shared_bytes: int = 0
    ) -> None:
        name = kernel.encode()
        shape = struct.pack("=6IQ", *grid, *block, shared_bytes)
        packed = [_packed(argument) for argument in arguments]
        head = struct.pack("=H", len(name)) + name + shape + struct.pack("=H", len(packed))
        self.runner.request(b"l", head, *packed)

    def synchronise(self) -> None:
        uploads, downloads = self._uploads, self._downloads
        self._uploads, self._downloads = [], []
        for array, sent in uploads:
            if array.tobytes() != sent:
                raise EmulationError("an array was changed between its upload and synchronise()")
        for array, data in downloads:
            array[...] = np.frombuffer(data, array.dtype).reshape(array.shape)

    def close(self) -> None:
        if self.runner.alive:
            self.runner.request(b"f")


@contextmanager
def emulated(build: builder.Build, kernels: Path = builder.KERNELS, seed: int = 0) -> Iterator[EmulatedStream]:
    """A stream on a runner of its own. Skips the test aloud where this machine cannot make the build."""
    if (why := builder.missing(build)) is not None:
        pytest.skip(f"emulation build {build!r}: {why}")
    runner = Runner(build, builder.program(build, kernels))
    try:
        runner.seed(seed)
        yield EmulatedStream(runner)
    finally:
        runner.close()


def _check_copy(array: NDArray[Any], memory: DeviceMemory) -> None:
    if not array.flags.c_contiguous:
        raise ValueError("found an array that is not C-contiguous: copy it first")
    if array.nbytes > memory.nbytes:
        raise ValueError(f"found an array of {array.nbytes} bytes for memory of {memory.nbytes}")


def _packed(argument: DeviceMemory | Scalar) -> bytes:
    if isinstance(argument, DeviceMemory):
        return struct.pack("=BQ", 0, argument.address)
    if type(argument) not in ARGUMENTS:
        raise TypeError(f"found an argument {argument!r} of {type(argument).__name__}, expected DeviceMemory or one of "
                        f"{', '.join(kind.__name__ for kind in ARGUMENTS)}")  # fmt: skip
    code, form = ARGUMENTS[type(argument)]
    return struct.pack("=B", code) + struct.pack(form, argument.item())
