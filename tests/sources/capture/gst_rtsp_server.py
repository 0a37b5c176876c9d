"""An RTSP server on loopback that stamps each picture with the time at which it was made. Not for: import.

Runs with the system's Python, which has GStreamer: /usr/bin/python3 gst_rtsp_server.py SIZE RATE_HZ. Prints its URL,
and ends with its standard input. The stamp: microseconds of CLOCK_MONOTONIC, 48 blocks of 8 x 8 pixels, black or white.
"""

import sys
import threading
import time

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402

BITS, BLOCK = 48, 8


def stamped(size, at_us):
    """Luma and chroma of one picture."""
    rows = [bytes((x + y) % 128 + 64 for x in range(size)) for y in range(BLOCK, size)]
    bits = b"".join((b"\xeb" if at_us >> bit & 1 else b"\x10") * BLOCK for bit in range(BITS))
    top = bits + b"\x80" * (size - len(bits))
    return top * BLOCK + b"".join(rows) + b"\x80" * (size * size // 2)


class Factory(GstRtspServer.RTSPMediaFactory):
    """One pipeline, shared by all who connect."""

    def __init__(self, size, rate_hz):
        super().__init__()
        self.size, self.rate_hz = size, rate_hz
        self.set_shared(True)
        self.set_launch(
            f"( appsrc name=src is-live=true format=time do-timestamp=true "
            f"caps=video/x-raw,format=I420,width={size},height={size},framerate={rate_hz}/1 "
            f"! x264enc tune=zerolatency speed-preset=ultrafast key-int-max={rate_hz} qp-max=20 "
            "! rtph264pay name=pay0 pt=96 config-interval=1 )"
        )
        self.bodies = stamped(size, 0)[size * BLOCK :]

    def feed(self, media):
        source = media.get_element().get_by_name("src")
        threading.Thread(target=self.push, args=(source,), daemon=True).start()

    def push(self, source):
        due = time.monotonic()
        while True:
            due += 1.0 / self.rate_hz
            time.sleep(max(0.0, due - time.monotonic()))
            top = stamped(self.size, time.monotonic_ns() // 1000)[: self.size * BLOCK]
            if source.emit("push-buffer", Gst.Buffer.new_wrapped(top + self.bodies)) != Gst.FlowReturn.OK:
                return


def main():
    size, rate_hz = int(sys.argv[1]), int(sys.argv[2])
    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service("0")
    factory = Factory(size, rate_hz)
    factory.connect("media-configure", lambda _, media: factory.feed(media))
    server.get_mount_points().add_factory("/live", factory)
    server.attach(None)
    print(f"rtsp://127.0.0.1:{server.get_bound_port()}/live", flush=True)
    loop = GLib.MainLoop()
    threading.Thread(target=lambda: (sys.stdin.read(), loop.quit()), daemon=True).start()
    loop.run()


main()
