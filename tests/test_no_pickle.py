"""No pickle is loaded at run time, nobody is called and nothing is forked: a bundle and its engines, watched.

`import openvino` by itself forks and reports to Google Analytics; runtime/engines/silent_openvino.py prevents it.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cathrt.export.bundle.sign import public_key, write_bundle
from tests.golden import conv_model, golden_manifest, with_external_data

# A hook that raised could be caught and passed over: the child ends with a code of its own.
WATCH = """
import os, sys

def end(code, text):
    sys.stderr.write(text + "\\n")
    sys.stderr.flush()
    os._exit(code)

def audit(event, arguments):
    if event == "pickle.find_class":
        end(90, f"unpickling {arguments}")
    if event in ("socket.connect", "socket.sendto", "socket.getaddrinfo", "urllib.Request"):
        end(92, f"calling out: {event} {arguments}")
    if event in ("subprocess.Popen", "os.system", "os.fork", "os.posix_spawn", "os.exec"):
        end(93, f"starting a process: {event} {arguments}")

class Ban:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "transformers", "joblib", "dill", "cloudpickle"):
            end(91, f"importing {name}")

sys.addaudithook(audit)
sys.meta_path.insert(0, Ban())
"""
RUN = """
import time
from pathlib import Path
from cathrt.runtime.models import open_bundle
from cathrt.runtime.config import EngineConfig
from cathrt.runtime.engines import open_engine
from cathrt.runtime.models.keyframe.section import CLASSIFIER

bundle = open_bundle(Path(sys.argv[1]), [sys.argv[2]])
for name in ("openvino", "onnxruntime"):
    engine = open_engine(name, bundle, CLASSIFIER, EngineConfig(threads=1))
    engine.infer(engine.input_buffers)
    engine.close()
time.sleep(0.5)  # what a vendor's thread wants to do behind our back, it has begun by now
print("judged")
"""


def watched(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", WATCH + code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_bundle_and_engines_run_without_pickle_training_packages_network_or_child(tmp_path: Path) -> None:
    key = Ed25519PrivateKey.generate()
    model, weights = with_external_data(conv_model())
    payload = {"model.onnx": model.SerializeToString(), "weights.bin": weights}
    folder = write_bundle(tmp_path / "bundle", golden_manifest(), payload, key)
    child = watched(RUN, str(folder), public_key(key))
    assert (child.returncode, child.stdout) == (0, "judged\n"), child.stderr


@pytest.mark.parametrize(
    ("code", "returncode"),
    [
        ("import pickle, decimal; pickle.loads(pickle.dumps(decimal.Decimal(1)))", 90),
        ("try:\n    import torch\nexcept ImportError:\n    pass", 91),
        ("from importlib import import_module\nimport_module('joblib.numpy_pickle')", 91),
        ("import socket; socket.getaddrinfo('localhost', 80)", 92),
        ("import subprocess; subprocess.run(['true'])", 93),
    ],
)
def test_the_watch_sees_what_it_watches_for(code: str, returncode: int) -> None:
    assert watched(code).returncode == returncode
