"""Child processes end with their parent, however it ends: those that render, build plans, measure and draw in pools.

The decoder's own are in tests/sources/test_decoder_lifetime.py.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from cathrt.runtime.config import LimitsConfig
from cathrt.runtime.engines.asked_child import ask_child
from cathrt.runtime.errors import SourceError
from cathrt.runtime.phantom.renderer_process import RendererProcess
from cathrt.runtime.phantom.study import SceneRecipe
from tests.conftest import ROOT

RECIPE = SceneRecipe(1, matrix=64)
LIMITS = LimitsConfig()

# Each starts children, and makes the file `ready` when they are at work.
PARENTS = {
    "renderer": """
from tests.children.test_children import LIMITS, RECIPE, RendererProcess
renderer = RendererProcess(RECIPE, LIMITS)
ready.touch()
time.sleep(600)
""",
    "plan building": """
from cathrt.export.targets import tensorrt
from tests.export.tensorrt_requests import ADA, relu, request
tensorrt.installed_version = lambda target: "1.7.1"
child = f'''
import sys, time
from pathlib import Path
from cathrt.export.targets import tensorrt_child
tensorrt_child._build = lambda *arguments: (Path({str(ready)!r}).touch(), time.sleep(600))
tensorrt_child.main(Path(sys.argv[1]))
'''
tensorrt.build_plan(relu(), request(ADA), program=("-c", child))
""",
    "engine measured alone": """
import threading
import psutil
def has_loaded(child):  # between fork and exec it has the maps of its parent, and its command line
    return "spawn_main" in " ".join(child.cmdline()) and any("onnxruntime" in map_.path for map_ in child.memory_maps())
def touch_when_loaded():
    while not any(map(has_loaded, psutil.Process().children())):
        time.sleep(0.05)
    ready.touch()
if __name__ == "__main__":  # or the worker would load the engine with this script, before it is asked
    from cathrt.export.bundle.sign import public_key, write_bundle
    from cathrt.export.qualify.alone import measure_alone
    from cathrt.runtime.bundle.manifest import Artifact
    from cathrt.runtime.models import open_bundle
    from cathrt.runtime.config import EngineConfig
    from tests.export.small_export import KEY
    from tests.golden import conv_model, golden_manifest
    manifest = golden_manifest(onnxruntime=Artifact("model.onnx", "float32"))
    path = write_bundle(ready.parent / "bundle", manifest, {"model.onnx": conv_model().SerializeToString()}, KEY)
    bundle = open_bundle(path, [public_key(KEY)])
    threading.Thread(target=touch_when_loaded, daemon=True).start()
    measure_alone(bundle, "classifier", "onnxruntime", EngineConfig("onnxruntime", 1), calls=10**9)
""",
    "training frames": """
from cathrt.export.models.keyframe.demo.dataset import Rendering, load_scenes
if __name__ == "__main__":
    for _ in load_scenes(range(10_000), ready.parent / "scenes", Rendering(2, 64), workers=1):
        ready.touch()
""",
}


@pytest.mark.parametrize("what", PARENTS)
@pytest.mark.parametrize("fate", [signal.SIGCONT, signal.SIGSTOP], ids=["running", "stopped"])
def test_no_child_survives_its_parents_death(what: str, fate: signal.Signals, tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    script = tmp_path / "parent.py"
    script.write_text(f"import time\nfrom pathlib import Path\nready = Path({str(ready)!r})\n{PARENTS[what]}")
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    children: list[psutil.Process] = []
    with subprocess.Popen([sys.executable, str(script)], cwd=ROOT, env=environment) as parent:
        try:
            wait_for(lambda: ready.exists() and bool(workers_of(parent.pid)))
            children = workers_of(parent.pid)
            for child in children:
                child.send_signal(fate)
        finally:
            parent.kill()
    assert children
    try:
        wait_for(lambda: not any(map(alive, children)), 10.0)
    finally:
        for child in filter(alive, children):
            child.kill()


def alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def workers_of(pid: int) -> list[psutil.Process]:
    """The children that do the work; multiprocessing's own tracker ends when they and the parent are gone.

    Without their children: a library may run a command for a moment (onnxruntime asks `file` for the architecture);
    stopped in that moment it would stay, and no worker of ours would be the reason.
    """
    found = psutil.Process(pid).children()
    return [child for child in found if "resource_tracker" not in " ".join(child.cmdline())]


def wait_for(condition: Callable[[], bool], within_s: float = 60.0) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_question_that_is_not_answered_in_time_leaves_no_process_behind(tmp_path: Path) -> None:
    note = tmp_path / "pids"
    code = f"import os, time; os.fork(); open({str(note)!r}, 'a').write(f'{{os.getpid()}}\\n'); time.sleep(600)"
    with pytest.raises(TimeoutError):
        ask_child(["-c", code], 1.5)
    asked = [psutil.Process(int(line)) for line in note.read_text().split() if psutil.pid_exists(int(line))]
    wait_for(lambda: not any(map(alive, asked)), 5.0)
    assert len(note.read_text().split()) == 2


# What one start leaves behind is seen at once; what one in many leaves, among the slow ones.
@pytest.mark.parametrize("starts", [20, pytest.param(200, marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", ["interpreter missing", "ends at once", "says nothing"])
def test_failed_starts_of_a_renderer_leave_nothing_behind(
    kind: str, starts: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interpreter = tmp_path / "interpreter"
    if kind != "interpreter missing":
        interpreter.write_text("#!/bin/sh\nexec sleep 60\n" if kind == "says nothing" else "#!/bin/sh\nexit 1\n")
        interpreter.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(interpreter))
    limits = replace(LIMITS, first_frame_s=0.01 if kind == "says nothing" else 20.0)
    before = 0
    for attempt in range(starts):
        with pytest.raises(SourceError, match="phantom seed 1: "):
            RendererProcess(RECIPE, limits)
        before = before or len(os.listdir("/proc/self/fd"))
        assert len(os.listdir("/proc/self/fd")) == before, f"start {attempt}"
    assert not [child for child in psutil.Process().children() if str(interpreter) in " ".join(child.cmdline())]
