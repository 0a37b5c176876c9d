"""PDUs written byte by byte (PS3.8 section 9.3, PS3.7 annex E), for senders that no library would be.

Not for: what the listener must make of them (test_hostile_peers.py).
"""

from __future__ import annotations

import socket
import struct

VERIFICATION, XA = "1.2.840.10008.1.1", "1.2.840.10008.5.1.4.1.1.12.1"
IMPLICIT_LITTLE, EXPLICIT_LITTLE = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1"
ACCEPTED, REJECTED, P_DATA, RELEASED, ABORTED = 2, 3, 4, 6, 7
STORE, ECHO, EVENT_REPORT, SET, ACTION, CREATE = 0x0001, 0x0030, 0x0100, 0x0120, 0x0130, 0x0140


def pdu(kind: int, content: bytes, *, length: int | None = None) -> bytes:
    """length: what it declares; by default the truth."""
    return struct.pack(">BBL", kind, 0, len(content) if length is None else length) + content


def item(kind: int, content: bytes) -> bytes:
    return struct.pack(">BBH", kind, 0, len(content)) + content


def associate(
    abstracts: tuple[str, ...] = (XA,),
    syntax: str | None = EXPLICIT_LITTLE,
    called: str = "CATHRT",
    calling: str = "RAW",
) -> bytes:
    """A-ASSOCIATE-RQ; the context of abstracts[n] has the ID 2n+1. syntax: None for contexts without one."""
    syntaxes = b"" if syntax is None else item(0x40, syntax.encode())
    contexts = b"".join(
        item(0x20, bytes([2 * number + 1, 0, 0, 0]) + item(0x30, abstract.encode()) + syntaxes)
        for number, abstract in enumerate(abstracts)
    )
    user = item(0x51, struct.pack(">L", 16384)) + item(0x52, b"1.2.3")
    head = struct.pack(">HH16s16s32x", 1, 0, called.encode().ljust(16), calling.encode().ljust(16))
    return pdu(1, head + item(0x10, b"1.2.840.10008.3.1.1.1") + contexts + item(0x50, user))


def command(field: int, uid: bytes = b"1.2.3.4", *, data_set: bool = True, sop_class: str = XA) -> bytes:
    """The command set of a request, implicit little endian."""
    elements = [
        (0x0002, _even(sop_class.encode())), (0x0100, struct.pack("<H", field)), (0x0110, struct.pack("<H", 1)),
        (0x0700, struct.pack("<H", 2)), (0x0800, struct.pack("<H", 1 if data_set else 0x0101)),
    ]  # fmt: skip
    if field == STORE:
        elements.append((0x1000, _even(uid)))
    return _command_set(elements)


def normalized(
    field: int, sop_class: str, uid: bytes, *, data_set: bool = True, action: int | None = None, message: int = 1
) -> bytes:
    """The command set of an N-ACTION, N-SET or N-CREATE request (PS3.7 section 10.3). action: Action Type ID."""
    requested = field in (ACTION, SET)
    elements = [
        (0x0003 if requested else 0x0002, _even(sop_class.encode())), (0x0100, struct.pack("<H", field)),
        (0x0110, struct.pack("<H", message)), (0x0800, struct.pack("<H", 1 if data_set else 0x0101)),
        (0x1001 if requested else 0x1000, _even(uid)),
    ]  # fmt: skip
    if action is not None:
        elements.append((0x1008, struct.pack("<H", action)))
    return _command_set(elements)


def reported(status: int, message: int = 1) -> bytes:
    """The command set of an answer to an N-EVENT-REPORT."""
    elements = [
        (0x0100, struct.pack("<H", EVENT_REPORT | 0x8000)), (0x0120, struct.pack("<H", message)),
        (0x0800, struct.pack("<H", 0x0101)), (0x0900, struct.pack("<H", status)),
    ]  # fmt: skip
    return _command_set(elements)


def _command_set(elements: list[tuple[int, bytes]]) -> bytes:
    body = b"".join(struct.pack("<HHL", 0, number, len(value)) + value for number, value in elements)
    return struct.pack("<HHLL", 0, 0, 4, len(body)) + body


def fragment(content: bytes, *, is_command: bool, last: bool = True, context: int = 1) -> bytes:
    """P-DATA-TF with one value."""
    control = (1 if is_command else 0) | (2 if last else 0)
    return pdu(P_DATA, struct.pack(">LBB", len(content) + 2, context, control) + content)


def answer(connection: socket.socket) -> tuple[int, bytes] | None:
    """The next PDU of the listener: its type and content; None once it has closed the connection."""
    try:
        head = _exactly(connection, 6)
        if head is None:
            return None
        kind, _, length = struct.unpack(">BBL", head)
        content = _exactly(connection, length)
    except ConnectionError:
        return None
    return None if content is None else (kind, content)


def field_of(content: bytes) -> int:
    """The kind of message whose command set an answer begins with."""
    at = content.index(struct.pack("<HHL", 0, 0x0100, 2)) + 8
    return int(struct.unpack_from("<H", content, at)[0])


def status_of(content: bytes) -> int:
    """The status in the command set of a P-DATA answer."""
    at = content.index(struct.pack("<HHL", 0, 0x0900, 2)) + 8
    return int(struct.unpack_from("<H", content, at)[0])


def _exactly(connection: socket.socket, count: int) -> bytes | None:
    found = b""
    while len(found) < count:
        piece = connection.recv(count - len(found))
        if not piece:
            return None
        found += piece
    return found


def _even(value: bytes) -> bytes:
    return value + bytes(len(value) % 2)
