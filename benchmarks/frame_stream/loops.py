"""The plain loops: a thread that takes pictures, the simplest queue, a network, a line of JSON. No journal.

What somebody writes in an afternoon around OpenVINO or ONNX Runtime. Preprocessing is our kernels' and priorities are
those of the line, so that what differs is what lies around the network. Frameworks: gstreamer.py, holoscan.py.
"""

from __future__ import annotations

import json
import queue
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from benchmarks.frame_stream.arrivals import Arrival, Arrivals, go_ahead
from benchmarks.frame_stream.ends import End, write_ends
from benchmarks.frame_stream.pictures import Pictures, open_pictures
from benchmarks.frame_stream.setting import CHECKED_PICTURES, NotHereError, Setting, Trial, answers_and_time
from cathrt.runtime.bundle.manifest import Artifact
from cathrt.runtime.bundle.opening import Bundle
from cathrt.runtime.engines.cpu import rest_here
from cathrt.runtime.models.keyframe.section import CLASSIFIER
from cathrt.runtime.preprocess import Preprocessor

Keep = Literal["all", "newest"]
Infer = Callable[[NDArray[Any]], NDArray[Any]]


class Queue(Protocol):
    """Between the thread that takes pictures and the one that judges them. None: the stream has ended."""

    def put(self, arrival: Arrival | None) -> None: ...
    def get(self) -> Arrival | None: ...


class NewestOnly:
    """One picture waits; a newer one takes its place, and nobody says so."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._newest: Arrival | None = None
        self._ended = False

    def put(self, arrival: Arrival | None) -> None:
        with self._changed:
            if arrival is None:
                self._ended = True
            else:
                self._newest = arrival
            self._changed.notify()

    def get(self) -> Arrival | None:
        with self._changed:
            self._changed.wait_for(lambda: self._newest is not None or self._ended)
            newest, self._newest = self._newest, None
            return newest


def made_queue(keep: Keep) -> Queue:
    return queue.SimpleQueue() if keep == "all" else NewestOnly()


class Loop:
    """Judges the pictures of one stream, one after the other, and writes a line for each."""

    def __init__(self, network: Infer, bundle: Bundle, pictures: Pictures) -> None:
        self._infer = network
        (self._spec,) = bundle.manifest.network(CLASSIFIER).preprocessing
        (made,) = bundle.manifest.network(CLASSIFIER).input_specs()
        self._tensor = np.zeros(made.shape, np.float32)
        self._pictures = pictures
        self.ends: list[End] = []

    def begin(self, rate_hz: float, lines: Path) -> None:
        """A stream begins."""
        self._prepare = Preprocessor(self._pictures.run("stream", rate_hz), self._spec)
        self._lines = lines.open("w", encoding="utf-8")
        self.ends = []

    def judge(self, source: int, arrival: Arrival) -> NDArray[Any]:
        """One picture, from its queue to its line."""
        go_ahead()
        taken_ns = time.monotonic_ns()
        self._prepare(arrival.pixels, self._tensor)
        prepared_ns = time.monotonic_ns()
        logits = self._infer(self._tensor)
        verdict_ns = time.monotonic_ns()
        self._lines.write(json.dumps({"picture": arrival.number, "logits": logits.ravel().tolist()}) + "\n")
        self._lines.flush()
        shown_ns = time.monotonic_ns()
        self.ends.append(
            End(
                source,
                arrival.number,
                "MET",
                captured_ns=arrival.captured_ns,
                taken_ns=taken_ns,
                preprocess_ms=(prepared_ns - taken_ns) / 1e6,
                infer_ms=(verdict_ns - prepared_ns) / 1e6,
                verdict_ns=verdict_ns,
                shown_ns=shown_ns,
            )
        )
        return logits

    def finish(self) -> None:
        self._lines.close()


def checked(loop: Loop, pictures: Pictures, scratch: Path) -> tuple[list[list[float]], float]:
    """Of the first pictures, as a stream would have them."""
    loop.begin(15.0, scratch)

    def logits(number: int) -> list[float]:
        found: list[float] = loop.judge(0, Arrival(number, 0, pictures.taken(number))).ravel().tolist()
        return found

    found = answers_and_time(logits, CHECKED_PICTURES)
    loop.finish()
    return found


def opened_loops(setting: Setting, open_network: Callable[[Setting, Bundle], Infer]) -> tuple[list[Loop], Pictures]:
    """One loop a source, each with a network of its own."""
    bundle, pictures = setting.opened_bundle(), open_pictures(Path(setting.pictures))
    return [Loop(open_network(setting, bundle), bundle, pictures) for _ in range(setting.sources)], pictures


class PlainLoops:
    """One loop and one thread that takes pictures for each source."""

    def __init__(self, setting: Setting, open_network: Callable[[Setting, Bundle], Infer], keep: Keep) -> None:
        self._loops, self._pictures = opened_loops(setting, open_network)
        self._keep = keep
        self._scratch = Path(setting.pictures) / "checked.jsonl"

    def check(self) -> tuple[list[list[float]], float]:
        return checked(self._loops[0], self._pictures, self._scratch)

    def run(self, trial: Trial) -> None:
        run_sources(self._loops, trial, self._one)

    def _one(self, source: int, loop: Loop, trial: Trial) -> None:
        waiting = made_queue(self._keep)
        arrivals = Arrivals(Path(trial.fifos[source]), self._pictures)

        def take() -> None:
            while (arrival := arrivals.next()) is not None:
                waiting.put(arrival)
            waiting.put(None)

        taker = threading.Thread(target=take, daemon=True)
        taker.start()
        while (arrival := waiting.get()) is not None:
            loop.judge(source, arrival)
        taker.join()


def run_sources(loops: Sequence[Loop], trial: Trial, one: Callable[[int, Loop, Trial], None]) -> None:
    """Every source's loop in a thread of its own, until all streams have ended; then write what became of them.

    Raises what one of them raised.
    """
    failures: list[BaseException] = []

    def run(source: int) -> None:
        try:
            one(source, loops[source], trial)
        except BaseException as exc:
            failures.append(exc)

    for source, loop in enumerate(loops):
        loop.begin(trial.rate_hz, Path(trial.folder) / f"{source}.jsonl")
    threads = [threading.Thread(target=run, args=(source,)) for source in range(len(loops))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for loop in loops:
        loop.finish()
    if failures:
        raise failures[0]
    write_ends((end for loop in loops for end in loop.ends), Path(trial.out))


def open_openvino(setting: Setting, bundle: Bundle) -> Infer:
    """As OpenVINO's own documentation opens a file for latency, in the bundle's precision."""
    from cathrt.runtime.engines.silent_openvino import ov

    artifact = artifact_for("openvino", bundle)
    precision = rest_here(artifact.rest) if artifact.precision == "int8" else artifact.precision
    hints = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": setting.used_threads,
        "INFERENCE_PRECISION_HINT": {"float32": ov.Type.f32, "bfloat16": ov.Type.bf16}[precision],
    }
    compiled = ov.Core().compile_model(str(bundle.path / artifact.file), "CPU", hints)
    request, logits = compiled.create_infer_request(), compiled.output("logits")
    warm_up(lambda tensor: request.infer({0: tensor}), bundle)
    return lambda tensor: request.infer({0: tensor})[logits]


def open_onnxruntime(setting: Setting, bundle: Bundle) -> Infer:
    """Its own defaults but for the number of threads; in the precision of the bundle's artifact for it."""
    import onnxruntime as ort

    artifact = artifact_for("onnxruntime", bundle)
    options = ort.SessionOptions()
    options.intra_op_num_threads = setting.used_threads
    session = ort.InferenceSession(str(bundle.path / artifact.file), options, providers=["CPUExecutionProvider"])
    (name,) = [port.name for port in session.get_inputs()]

    def infer(tensor: NDArray[Any]) -> NDArray[Any]:
        found: NDArray[Any] = session.run(["logits"], {name: tensor})[0]
        return found

    warm_up(infer, bundle)
    return infer


def warm_up(infer: Callable[[NDArray[Any]], object], bundle: Bundle) -> None:
    for _ in range(2):
        infer(np.zeros(bundle.manifest.network(CLASSIFIER).input_specs()[0].shape, np.float32))


def artifact_for(engine: str, bundle: Bundle) -> Artifact:
    """Raises NotHereError where the bundle has none."""
    artifacts = bundle.manifest.network(CLASSIFIER).artifacts
    if engine not in artifacts:
        raise NotHereError(f"bundle {bundle.manifest.name} has nothing for {engine}: export it with --target {engine}")
    return artifacts[engine]
