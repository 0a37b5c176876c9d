"""Which walls this machine's kernel has; a test of one that it lacks says what it could not show."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest


def kernel_has(wall: str) -> None:
    """Skips where this machine's kernel cannot show the wall."""
    found = json.loads(
        subprocess.run(
            [sys.executable, "-m", "cathrt.runtime.sources.decoder.confinement"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    )
    if not found[wall]:
        pytest.skip(f"this kernel has no {wall}: what it refuses cannot be shown here")
