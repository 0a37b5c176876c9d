"""What every file of checks on the stub of the driver starts with. Only their child processes use it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.stub_driver.control import Stub
from tests.stub_driver.image import image


@pytest.fixture
def stub() -> Stub:
    """The driver, with no fault set and nothing counted."""
    stub = Stub()
    stub.reset()
    return stub


@pytest.fixture
def fatbin(tmp_path: Path) -> Path:
    """A file with the stub's kernels, for open_stream."""
    path = tmp_path / "kernels.image"
    path.write_bytes(image())
    return path
