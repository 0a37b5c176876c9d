"""The simplest thing, for comparison: the newest picture as a file, served by http.server, polled by browsers.

`serve`: a process that writes pictures at a steady pace, raw and as JPEG by Pillow, and serves them. `polled`: threads
that ask for one again and again, and decode it. Not for: our page (clients.py).
"""

from __future__ import annotations

import http.client
import io
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.measure import ROOT

FORMATS = ("raw", "jpeg")
POLL_HZ = 30.0  # of a browser: twice the rate of the pictures
_MOMENT = struct.Struct("<q")  # in front of each picture: when it was there to be shown
_QUALITY = 90


def written(folder: Path, pixels: NDArray[np.uint8], shown_ns: int) -> None:
    """The newest picture, in both formats, each put in its place as a whole."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=_QUALITY)
    for name, data in (("raw", pixels.tobytes()), ("jpeg", buffer.getvalue())):
        new = folder / f"{name}.new"
        new.write_bytes(_MOMENT.pack(shown_ns) + data)
        new.replace(folder / name)


def decoded(name: str, data: bytes, side: int) -> tuple[int, NDArray[np.uint8]]:
    """When it was there to be shown, and its greys."""
    (shown_ns,) = _MOMENT.unpack_from(data)
    if name == "raw":
        return shown_ns, np.frombuffer(data, np.uint8, offset=_MOMENT.size).reshape(side, side)
    return shown_ns, np.asarray(Image.open(io.BytesIO(data[_MOMENT.size :])))


def picture(side: int, number: int) -> NDArray[np.uint8]:
    """A picture that JPEG cannot make small at once: ramps with noise, as angiograms have."""
    noise = np.random.default_rng(number % 16).normal(0.0, 6.0, (side, side))
    return np.clip(np.linspace(40, 200, side)[None, :] + noise + number % 7, 0, 255).astype(np.uint8)


@contextmanager
def serving(side: int, rate_hz: float) -> Iterator[int]:
    """A process that serves pictures; its port."""
    command = [sys.executable, "-m", "benchmarks.page.peers", str(side), str(rate_hz)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        try:
            yield int(child.stdout.readline())
        finally:
            child.communicate()


def polled(port: int, name: str, browsers: int, side: int, seconds: float) -> list[tuple[int, int]]:
    """(shown_ns, received_ns) of each new picture at each browser."""
    found: list[tuple[int, int]] = []
    until_s = time.monotonic() + seconds

    def poll() -> None:
        connection, last_ns = http.client.HTTPConnection("127.0.0.1", port), 0
        while time.monotonic() < until_s:
            began_s = time.monotonic()
            connection.request("GET", f"/{name}")
            shown_ns, _ = decoded(name, connection.getresponse().read(), side)
            if shown_ns != last_ns:
                found.append((shown_ns, time.monotonic_ns()))
                last_ns = shown_ns
            time.sleep(max(0.0, 1.0 / POLL_HZ - (time.monotonic() - began_s)))
        connection.close()

    threads = [threading.Thread(target=poll) for _ in range(browsers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


class _Quiet(SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_args: object) -> None:
        """Says nothing."""


def main() -> None:
    side, rate_hz = int(sys.argv[1]), float(sys.argv[2])
    pictures = [picture(side, number) for number in range(16)]
    with tempfile.TemporaryDirectory(dir="/dev/shm") as name:
        folder, stop = Path(name), threading.Event()

        def write() -> None:
            number = 0
            while not stop.wait(1.0 / rate_hz):
                number += 1
                written(folder, pictures[number % 16], time.monotonic_ns())

        written(folder, pictures[0], time.monotonic_ns())
        writing = threading.Thread(target=write)
        writing.start()
        with ThreadingHTTPServer(("127.0.0.1", 0), lambda *given: _Quiet(*given, directory=name)) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            print(server.server_port, flush=True)
            sys.stdin.read()
            server.shutdown()
        stop.set()
        writing.join()


if __name__ == "__main__":
    main()
