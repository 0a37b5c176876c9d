"""The plain OpenVINO loop as two operators of Holoscan: one that takes pictures, one that judges them.

Holoscan runs without a GPU once it finds CUDA's runtime library: `python -m venv HERE && HERE/bin/pip install
holoscan-cu12 nvidia-cuda-runtime-cu12`, then `--holoscan HERE/lib/python3.11/site-packages`. Its licence is NVIDIA's.
"""

from __future__ import annotations

import os
import resource
import sys
from pathlib import Path
from typing import Any

from benchmarks.frame_stream.arrivals import Arrivals
from benchmarks.frame_stream.ends import write_ends
from benchmarks.frame_stream.loops import Keep, Loop, checked, open_openvino, opened_loops
from benchmarks.frame_stream.pictures import Pictures
from benchmarks.frame_stream.setting import NotHereError, Setting, Trial

_STACK_BYTES = 32 << 20  # it refuses to start with less
_EVERYTHING, _FAULT = 1 << 16, 2  # a queue that no trial fills, and what to do if one did


def prepare_process(setting: Setting) -> None:
    """Start this program again with what Holoscan's libraries need, once. Raises NotHereError."""
    packages = Path(setting.holoscan)
    if not setting.holoscan or not (packages / "holoscan").is_dir():
        raise NotHereError("no --holoscan FOLDER with the packages holoscan-cu12 and nvidia-cuda-runtime-cu12")
    runtime = str(packages / "nvidia" / "cuda_runtime" / "lib")
    if os.environ.get("LD_LIBRARY_PATH") == runtime:
        return
    _, most = resource.getrlimit(resource.RLIMIT_STACK)
    resource.setrlimit(resource.RLIMIT_STACK, (_STACK_BYTES, most))
    again = ["-m", "benchmarks.frame_stream.consumer", *sys.argv[1:]]
    os.execve(
        sys.executable,
        [sys.executable, *again],
        os.environ | {"LD_LIBRARY_PATH": runtime, "HOLOSCAN_LOG_LEVEL": "ERROR"},
    )


class InHoloscan:
    """The newest alone: the judging operator's input holds one message and pops the older one. All: a large input."""

    def __init__(self, setting: Setting, keep: Keep) -> None:
        sys.path.append(setting.holoscan)  # last: everything else stays what it is
        try:
            import holoscan.core  # noqa: F401
        except ImportError as exc:
            raise NotHereError(f"holoscan does not load: {exc}") from exc
        self._loops, self._pictures = opened_loops(setting, open_openvino)
        self._scratch = Path(setting.pictures) / "checked.jsonl"
        self._keep = keep

    def check(self) -> tuple[list[list[float]], float]:
        return checked(self._loops[0], self._pictures, self._scratch)

    def run(self, trial: Trial) -> None:
        for source, loop in enumerate(self._loops):
            loop.begin(trial.rate_hz, Path(trial.folder) / f"{source}.jsonl")
        _application(self._loops, self._pictures, trial, self._keep).run()
        for loop in self._loops:
            loop.finish()
        write_ends((end for loop in self._loops for end in loop.ends), Path(trial.out))


def _application(loops: list[Loop], pictures: Pictures, trial: Trial, keep: Keep) -> Any:
    """Two operators a source, under its event-based scheduler with a thread for each."""
    from holoscan.core import Application, ConditionType, IOSpec, Operator
    from holoscan.schedulers import EventBasedScheduler

    class Take(Operator):  # type: ignore[misc]
        def __init__(self, fragment: Any, fifo: str, **options: Any) -> None:
            self._fifo = fifo
            super().__init__(fragment, **options)

        def setup(self, spec: Any) -> None:
            spec.output("out").condition(ConditionType.NONE)  # whether or not the other is ready

        def start(self) -> None:
            self._arrivals = Arrivals(Path(self._fifo), pictures)

        def compute(self, _into: Any, out: Any, _context: Any) -> None:
            arrival = self._arrivals.next()
            if arrival is None:
                self.stop_execution()
            else:
                out.emit(arrival, "out")

    class JudgeIt(Operator):  # type: ignore[misc]
        def __init__(self, fragment: Any, source: int, **options: Any) -> None:
            self._source = source
            super().__init__(fragment, **options)

        def setup(self, spec: Any) -> None:
            if keep == "all":
                port = spec.input("in")
                port.connector(IOSpec.ConnectorType.DOUBLE_BUFFER, capacity=_EVERYTHING, policy=_FAULT)
            else:
                spec.input("in", size=1, policy=IOSpec.QueuePolicy.POP)

        def compute(self, into: Any, _out: Any, _context: Any) -> None:
            loops[self._source].judge(self._source, into.receive("in"))

    class Stream(Application):  # type: ignore[misc]
        def compose(self) -> None:
            for source, fifo in enumerate(trial.fifos):
                take = Take(self, fifo, name=f"take{source}")
                judge = JudgeIt(self, source, name=f"judge{source}")
                self.add_flow(take, judge, {("out", "in")})

    application = Stream()
    threads = 2 * len(loops)
    application.scheduler(EventBasedScheduler(application, worker_thread_number=threads, name="scheduler"))
    return application
