"""V4L2 taps, on a device that is made up below FFmpeg: its ioctls are answered by a preloaded library."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

SOURCE = Path(__file__).parent / "fake_v4l2.c"
ROOT = Path(__file__).resolve().parents[3]
PROGRAM = """
import json, sys, time
from cathrt.runtime.errors import SourceError
from tests.sources.capture.live_servers import number_of, opened, video_source

found = {"numbers": [], "ages_ms": [], "captured_ns": [], "shapes": [], "said": ""}
source = video_source("/dev/video-fake?size=64x64&rate_hz=50&pixel_format=yuyv422", no_signal_s=0.5)
with opened(source) as tap:
    try:
        for _ in range(int(sys.argv[1])):
            picture = tap.next()
            found["numbers"].append(number_of(picture.pixels))
            found["ages_ms"].append((time.monotonic_ns() - picture.captured_ns) / 1e6)
            found["captured_ns"].append(picture.captured_ns)
            found["shapes"].append(picture.pixels.shape)
    except SourceError as exc:
        found["said"] = str(exc)
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("cc")
    if compiler is None or not Path("/usr/include/linux/videodev2.h").exists():
        pytest.skip("no C compiler, or no headers of the kernel: apt install gcc linux-libc-dev")
    built = tmp_path_factory.mktemp("v4l2") / "fake_v4l2.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", str(built), str(SOURCE), "-ldl"], check=True)
    return built


def read(library: Path, pictures: int, **settings: str) -> dict[str, Any]:
    environment = os.environ | settings | {"LD_PRELOAD": str(library)}
    command = [sys.executable, "-W", "error", "-c", PROGRAM, str(pictures)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def test_a_device_gives_its_pictures_in_order_with_the_drivers_time(library: Path) -> None:
    found = read(library, 20)
    numbers = found["numbers"]
    assert numbers == list(range(numbers[0], numbers[0] + 20))
    assert found["shapes"] == [[64, 64]] * 20
    assert min(found["ages_ms"]) >= 0.0
    # by the driver's stamps, however late they are read
    assert np.diff(found["captured_ns"]) == pytest.approx(20e6, abs=2000)
    assert found["said"] == ""


def test_a_device_that_gives_no_picture_any_more_ends_in_an_error_in_time(library: Path) -> None:
    found = read(library, 1000, FAKE_V4L2_PICTURES="30")
    assert found["numbers"][-1] == 29
    assert found["said"] == "/dev/video-fake: no picture in time"
