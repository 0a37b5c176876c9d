"""Asking the CUDA driver in a child process: whatever a broken driver does to who touches it, the line lives.

`python -m cathrt.runtime.device_probe [ORDINAL]` answers with one JSON line. Not for: what is asked
(engine_fingerprint.py), and not for a device that the line has open already.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict

from cathrt.runtime.engine_fingerprint import Device, probe_device
from cathrt.runtime.errors import EngineError

_PROGRAM = ("-m", "cathrt.runtime.device_probe")
PATIENCE_S = 30.0


def probe_in_child(ordinal: int = 0, *, program: Sequence[str] = _PROGRAM) -> Device:
    """probe_device(), in another process. Raises EngineError where no device answers, or the child crashes or hangs.

    program: arguments to the child's Python; another one is only of use to tests.
    """
    try:
        child = subprocess.run(
            [sys.executable, *program, str(ordinal)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=PATIENCE_S,
            check=False,
        )
    except subprocess.TimeoutExpired as exc:
        raise EngineError(
            f"the NVIDIA driver has not answered for {PATIENCE_S:g} s: check nvidia-smi, "
            "or choose an engine for the CPU"
        ) from exc
    lines = child.stdout.splitlines()
    if child.returncode == EngineError.exit_code and lines:
        raise EngineError(json.loads(lines[-1])["error"])
    if child.returncode != 0 or not lines:
        how = signal.Signals(-child.returncode).name if child.returncode < 0 else f"exit status {child.returncode}"
        last = (child.stderr.strip().splitlines() or ["no word"])[-1]
        raise EngineError(
            f"asking the NVIDIA driver ended with {how} ({last[:200]}): check nvidia-smi, or choose an engine "
            "for the CPU"
        )
    return Device(**json.loads(lines[-1]))


def main(ordinal: int) -> int:
    """Print the device, or why there is none, as JSON."""
    try:
        print(json.dumps(asdict(probe_device(ordinal))))
    except EngineError as exc:
        print(json.dumps({"error": str(exc)}))
        return EngineError.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
