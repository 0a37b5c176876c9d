"""Hostile servers for the sources that we connect to: OpenIGTLink, MPEG-TS over TCP, RTSP.

Each answers one connection. Not for: who reads from them (client_victim.py), webhooks and brokers (receivers.py).
"""

from __future__ import annotations

import base64
import contextlib
import select
import socket
import struct
from collections.abc import Sequence
from functools import cache
from random import Random

import numpy as np

from tests.fuzz.network.conversation import End, converse
from tests.fuzz.network.mutate import mutated, mutated_bytes
from tests.sources.capture.openigtlink_bytes import image_body, image_message, raw_message

_SIDE = 64
_PICTURES = 12
_IGTL_WORDS = (b"IMAGE\0\0\0", b"TRANSFORM\0", b"STATUS\0", b"\xff" * 8, b"Angio", b"\0\1", b"\0\2", b"\0\3", bytes(8))
_TS_WORDS = (
    b"\x47\x40\0\x10",
    b"\x47\x1f\xff\x10",
    b"\0\0\1\xe0",
    b"\0\0\0\1\x67",
    b"\0\0\0\1\x68",
    b"\0\0\0\1\x65",
    b"\x47",
)
_RTSP_WORDS = (
    b"\r\n", b"RTSP/1.0 200 OK\r\n", b"RTSP/1.0 302 Moved\r\n", b"Location: file:///etc/passwd\r\n",
    b"Content-Length: ",
    b"Content-Length: 4294967295\r\n", b"a=fmtp:96 ", b"a=control:", b"m=video 0 RTP/AVP 96\r\n", b"Session: x\r\n",
    b"$\0\xff\xff",
    b"Transport: RTP/AVP/UDP;unicast;server_port=1-2\r\n", b"a=rtpmap:96 H265/90000\r\n",
    b"WWW-Authenticate: Digest realm=\"\"\r\n",
)  # fmt: skip


def serve_openigtlink(connection: socket.socket, random: Random) -> End:
    """Messages of images and of other types."""
    pieces = [_igtl_message(random) for _ in range(random.randint(1, 6))]
    return converse(connection, mutated(pieces, random, _IGTL_WORDS), random, lambda _piece: False)


def _igtl_message(random: Random) -> bytes:
    pixels = np.frombuffer(random.randbytes(48), np.uint8).reshape(6, 8)
    match random.randrange(6):
        case 0:
            return raw_message(
                random.randbytes(random.randrange(64)), kind=random.choice(("STATUS", "TRANSFORM", "X" * 12))
            )
        case 1:
            version = random.choice((1, 2, 2, 3, 0xFFFF))
            return raw_message(image_body(), version=version, size=random.choice((None, 0, 1 << 20, 1 << 40)))
        case 2:
            odd = {
                name: random.choice((0, 1, 2, 4, 5, 7, 255))
                for name in ("slices", "components", "scalar", "endianness")
            }
            chosen = random.sample(sorted(odd), random.randint(1, 3))
            return raw_message(image_body(**{name: odd[name] for name in chosen}))
        case 3:
            size = random.choice(((0, 0), (65535, 65535), (4096, 4096), (1, 1)))
            return raw_message(image_body(columns=size[0], rows=size[1], pixels=random.randbytes(16)))
        case _:
            return image_message(pixels.copy(), random.choice((0.0, 12.5, 4e9)))


def serve_transport_stream(connection: socket.socket, random: Random) -> End:
    """MPEG-TS of H.264, joined anywhere."""
    whole = b"".join(_transport_stream())
    start = random.choice((0, 0, 0, random.randrange(len(whole))))
    size = random.choice((188, 1316, 5000, 40_000))
    pieces = [whole[at : at + size] for at in range(start, len(whole), size)]
    return converse(connection, mutated(pieces, random, _TS_WORDS), random, lambda _piece: False)


@cache
def _transport_stream() -> list[bytes]:
    from tests.sources.capture.live_servers import transport_stream

    return transport_stream(range(_PICTURES), side=_SIDE)


def serve_rtsp(connection: socket.socket, random: Random) -> End:
    """Answers to each request, then RTP packets in the same connection."""
    with contextlib.closing(connection):
        connection.settimeout(2.0)
        try:
            for _ in range(8):
                request = _request_from(connection)
                if not request:
                    return "closed"
                answer = _rtsp_answer(request, random)
                connection.sendall(mutated_bytes(answer, random, _RTSP_WORDS) if random.random() < 0.3 else answer)
                if request.startswith(b"PLAY"):
                    for packet in mutated(_packets(random), random, _RTSP_WORDS):
                        connection.sendall(packet)
                    return "played"
        except OSError:
            return "closed"
    return "left"


def _request_from(connection: socket.socket) -> bytes:
    got = b""
    while b"\r\n\r\n" not in got and len(got) < 1 << 16:
        piece = connection.recv(4096)
        if not piece:
            return b""
        got += piece
    return got


def _rtsp_answer(request: bytes, random: Random) -> bytes:
    """What a camera says, seldom something else."""
    lines = request.decode("latin-1").split("\r\n")
    number = next((line.partition(":")[2].strip() for line in lines if line.lower().startswith("cseq")), "1")
    status = (
        "200 OK" if random.random() < 0.93 else random.choice(("401 Unauthorized", "302 Moved", "404 No", "500 No"))
    )
    head, body = [f"RTSP/1.0 {status}", f"CSeq: {number}"], ""
    method = lines[0].partition(" ")[0]
    if method == "OPTIONS":
        head.append("Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN, GET_PARAMETER")
    elif method == "DESCRIBE":
        body = _description()
        head += ["Content-Type: application/sdp", f"Content-Length: {len(body)}"]
    elif method == "SETUP":
        head += ["Transport: RTP/AVP/TCP;unicast;interleaved=0-1", "Session: 12345678;timeout=60"]
    elif method == "PLAY":
        head += ["Session: 12345678", "Range: npt=0-", "RTP-Info: url=trackID=1;seq=1;rtptime=0"]
    if "302" in status:
        head.append(
            f"Location: {random.choice(('file:///etc/passwd', 'http://127.0.0.1:1/', 'rtsp://127.0.0.1:1/x', ''))}"
        )
    return ("\r\n".join([*head, "", ""]) + body).encode("latin-1")


@cache
def _units() -> Sequence[bytes]:
    """The NAL units of a short H.264 stream."""
    import io

    import av

    from tests.sources.capture.live_servers import numbered

    buffer = io.BytesIO()
    with av.open(buffer, "w", format="h264") as container:
        stream = container.add_stream("libx264", rate=25, options={"preset": "ultrafast", "tune": "zerolatency"})
        stream.width = stream.height = _SIDE
        stream.pix_fmt = "yuv420p"
        for number in range(_PICTURES):
            picture = av.VideoFrame.from_ndarray(numbered(number, _SIDE), format="gray").reformat(format="yuv420p")
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return [unit for unit in buffer.getvalue().replace(b"\0\0\0\1", b"\0\0\1").split(b"\0\0\1") if unit]


@cache
def _description() -> str:
    kinds = {unit[0] & 31: unit for unit in reversed(_units())}
    parameters = ",".join(base64.b64encode(kinds[kind]).decode() for kind in (7, 8))
    return (
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=x\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\n"
        f"a=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1;sprop-parameter-sets={parameters}\r\n"
        "a=control:trackID=1\r\n"
    )


def _packets(random: Random) -> list[bytes]:
    """Each unit as one RTP packet in the connection, large ones in fragments, with an RTCP report now and then."""
    packets, number = [], 1
    for picture, unit in enumerate(_units()):
        for payload, last in _payloads(unit):
            head = struct.pack(">BBHLL", 0x80, 96 | (0x80 if last else 0), number & 0xFFFF, 3600 * picture, 0x1234)
            packets.append(_interleaved(0, head + payload))
            number += 1
        if random.random() < 0.1:
            packets.append(_interleaved(1, struct.pack(">BBHLQLLL", 0x80, 200, 6, 0x1234, 1 << 32, 0, number, 0)))
    return packets


def _payloads(unit: bytes, most: int = 1000) -> list[tuple[bytes, bool]]:
    if len(unit) <= most:
        return [(unit, True)]
    parts = [unit[at : at + most] for at in range(1, len(unit), most)]
    last = len(parts) - 1
    return [
        (bytes([unit[0] & 0xE0 | 28, (0x80 * (n == 0)) | (0x40 * (n == last)) | unit[0] & 31]) + part, n == last)
        for n, part in enumerate(parts)
    ]


def _interleaved(channel: int, packet: bytes) -> bytes:
    return struct.pack(">BBH", 0x24, channel, len(packet)) + packet


def serve_good_openigtlink(connection: socket.socket) -> None:
    """The well-behaved server: an image every 50 ms for as long as it is wanted."""
    with contextlib.closing(connection), contextlib.suppress(OSError):
        number = 0
        while not select.select([connection], [], [], 0.05)[0]:
            number += 1
            pixels = np.full((6, 8), number % 251, np.uint8)
            connection.sendall(image_message(pixels, number * 0.05))
