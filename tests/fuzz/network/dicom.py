"""The DICOM listener's door: conversations of associations with every service that it offers, and mutations of them.

Some changes are made while a message is built, so that lengths stay right and the deeper layers see them. Not for: TLS
to a listener that has it (its handshake is OpenSSL's); a TLS hello to one that has not is among the conversations.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from random import Random

from tests.fuzz.network.mutate import mutated, mutated_bytes
from tests.listener import raw_peer as raw
from tests.listener.commitment_user import COMMITMENT, WELL_KNOWN
from tests.listener.listening import VERIFICATION
from tests.sources.dicom_bytes import element, sequence, text

STEP = "1.2.840.10008.3.1.2.3.3"
_XA_ENHANCED, _OTHER = "1.2.840.10008.5.1.4.1.1.12.1.1", "1.2.840.10008.5.1.4.1.1.7"
_ABSTRACTS = (raw.XA, VERIFICATION, COMMITMENT, STEP, _XA_ENHANCED, _OTHER, "1.2.3", "")
_SYNTAXES = (raw.EXPLICIT_LITTLE, raw.IMPLICIT_LITTLE, "1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.1.99", "1.2.3", "")
_RELEASE, _ABORT = raw.pdu(5, bytes(4)), raw.pdu(7, bytes(4))
WORDS = (
    *(abstract.encode() for abstract in _ABSTRACTS if abstract), b"CATHRT          ", b"../../../../tmp/x\0",
    b"\x08\0\x99\x11SQ\0\0\xff\xff\xff\xff", b"\xfe\xff\0\xe0\xff\xff\xff\xff", b"\xfe\xff\xdd\xe0\0\0\0\0",
    b"\0\0\0\0\4\0\0\0\xff\xff\xff\x7f", b"\n\nfake log line", b"\x1b[2J", b"1.2.3.4.5.6.7.8.9" * 8,
    b"\xe0\x7f\x10\0OW\0\0",
)  # fmt: skip


def conversation(random: Random) -> list[bytes]:
    """One association, or what claims to be one."""
    if random.random() < 0.04:
        return [random.choice(_STRANGERS)]
    abstracts = tuple(random.sample(_ABSTRACTS, random.randint(1, 5)))
    if random.random() < 0.7:  # so that something can be asked for
        abstracts = (random.choice((raw.XA, VERIFICATION, COMMITMENT, STEP)), *abstracts)
    request = raw.associate(
        abstracts, _mostly(raw.EXPLICIT_LITTLE, _SYNTAXES, random), _mostly("CATHRT", ("X",), random)
    )
    pieces = [_with_items(request, random)]
    for _ in range(random.choice((1, 1, 2, 3))):
        number = random.randrange(len(abstracts))
        pieces += _message(abstracts[number], 2 * number + 1, random)
    pieces.append(random.choice((_RELEASE, _RELEASE, _ABORT, b"")))
    return mutated([piece for piece in pieces if piece], random, WORDS)


def expects(piece: bytes) -> bool:
    """An association, or the end of a data set, is answered."""
    return piece[:1] == b"\x01" or (piece[:1] == b"\x04" and piece[11:12] == b"\x02")


def _with_items(request: bytes, random: Random) -> bytes:
    """A-ASSOCIATE-RQ with further user items that pynetdicom parses, and its length set right again."""
    if random.random() < 0.6:
        return request
    content = request[6:]
    items = b"".join(
        raw.item(random.choice(_USER_ITEMS), mutated_bytes(random.choice(_ITEM_CONTENTS), random, WORDS)[:5000])
        for _ in range(random.randint(1, 4))
    )
    user = content.rindex(b"\x50\0")
    length = struct.unpack_from(">H", content, user + 2)[0] + len(items)
    if length > 0xFFFF:
        return request
    return raw.pdu(1, content[:user] + struct.pack(">BBH", 0x50, 0, length) + content[user + 4 :] + items)


# Asynchronous window, roles, version, extended negotiation, common extended negotiation, user identity and its answer.
_USER_ITEMS = (0x53, 0x54, 0x55, 0x56, 0x57, 0x58, 0x59, 0x51, 0x52, 0x20, 0x99)
_ITEM_CONTENTS = (
    struct.pack(">HH", 1, 1), struct.pack(">H", 4) + b"1.2.3\0\1\1", b"CATHRT 1", b"",
    struct.pack(">H", 5) + b"1.2.3" + bytes(6),
    bytes([2, 1]) + struct.pack(">H", 4) + b"user" + struct.pack(">H", 4) + b"pass", struct.pack(">L", 0),
)  # fmt: skip


def _message(abstract: str, context: int, random: Random) -> list[bytes]:
    """One DIMSE message in a few PDUs, of the service that the context is for, seldom of another."""
    build = _SERVICES.get(abstract, _store)
    if random.random() < 0.1:
        build = random.choice((_store, _echo, _action, _create, _set, _report))
    command, data = build(random, abstract)
    if random.random() < 0.4:
        command = _changed_command(command, random)
    if data and random.random() < 0.5:
        data = mutated_bytes(data, random, WORDS)
    return [
        *_fragments(command, context, random, is_command=True),
        *(_fragments(data, context, random, is_command=False) if data else ()),
    ]


def _fragments(content: bytes, context: int, random: Random, *, is_command: bool) -> list[bytes]:
    """Cut up into P-DATA PDUs, nearly always as agreed."""
    count = random.choice((1, 1, 1, 2, 5))
    size = max(1, -(-len(content) // count))
    parts = [content[at : at + size] for at in range(0, len(content), size)] or [b""]
    return [
        raw.fragment(
            part,
            is_command=is_command if random.random() < 0.98 else not is_command,
            last=(number == len(parts) - 1) == (random.random() < 0.98),
            context=context if random.random() < 0.98 else random.randrange(256),
        )
        for number, part in enumerate(parts)
    ]


def _changed_command(command: bytes, random: Random) -> bytes:
    """Mutated after its group length, which is set right again."""
    rest = mutated_bytes(command[12:], random, WORDS)
    return struct.pack("<HHLL", 0, 0, 4, len(rest)) + rest


def _echo(random: Random, abstract: str) -> tuple[bytes, bytes]:
    return raw.command(raw.ECHO, data_set=False, sop_class=abstract), b""


def _store(random: Random, abstract: str) -> tuple[bytes, bytes]:
    uid = _uid(random)
    data = element(0x00080016, text("UI", abstract)) + element(0x00080018, text("UI", uid.decode("latin-1")))
    data += _STUDY + element(0x00280008, text("IS", "2")) + element(0x00280010, _US) + element(0x00280011, _US)
    return raw.command(raw.STORE, uid, sop_class=abstract), data + b"\xe0\x7f\x10\0OW\0\0\x20\0\0\0" + bytes(32)


def _action(random: Random, abstract: str) -> tuple[bytes, bytes]:
    items = [{0x00081150: text("UI", raw.XA), 0x00081155: text("UI", "1.2.3")}] * random.choice((1, 1, 2, 40))
    data = element(0x00081195, text("UI", f"1.2.3.{random.randrange(10**6)}")) + element(0x00081199, sequence(*items))
    action = random.choice((1, 1, 1, 0, 2, None))
    return raw.normalized(raw.ACTION, abstract or COMMITMENT, WELL_KNOWN.encode(), action=action), data


def _create(random: Random, abstract: str) -> tuple[bytes, bytes]:
    state = random.choice(("IN PROGRESS", "IN PROGRESS", "COMPLETED", "DISCONTINUED", "x" * 70))
    scheduled = {0x0020000D: text("UI", "1.2.3.9"), 0x00081110: sequence()}
    data = element(0x00080005, text("CS", "ISO_IR 192")) + element(0x00100020, text("LO", "P1"))
    data += element(0x00400252, text("CS", state)) + element(0x00400270, sequence(scheduled))
    return raw.normalized(raw.CREATE, abstract or STEP, _uid(random)), data


def _set(random: Random, abstract: str) -> tuple[bytes, bytes]:
    state = random.choice(("COMPLETED", "DISCONTINUED", "IN PROGRESS", ""))
    reason = {0x00080100: text("SH", "110514"), 0x00080102: text("SH", "DCM")}
    data = element(0x00400252, text("CS", state)) + element(0x00400281, sequence(reason))
    return raw.normalized(raw.SET, abstract or STEP, _uid(random)), data


def _report(random: Random, abstract: str) -> tuple[bytes, bytes]:
    if random.random() < 0.5:
        return raw.reported(random.choice((0, 0x0110, 0xFFFF))), b""
    return raw.normalized(raw.EVENT_REPORT, abstract or COMMITMENT, WELL_KNOWN.encode()), _STUDY


def _uid(random: Random) -> bytes:
    """From few, so that the same object, step or study comes again."""
    return random.choice((b"1.2.3.1", b"1.2.3.2", b"1.2.3.3", b"1.2.3.4", b"", b"../x", b"1." + b"9" * 70))


def _mostly(usual: str, others: tuple[str, ...], random: Random) -> str:
    return usual if random.random() < 0.8 else random.choice(others)


_STUDY = element(0x00100010, text("PN", "Fuzz^A")) + element(0x00100020, text("LO", "P1"))
_STUDY += element(0x0020000D, text("UI", "1.2.3.9")) + element(0x0020000E, text("UI", "1.2.3.8"))
_US = text("US", "\4\0")
_SERVICES: dict[str, Callable[[Random, str], tuple[bytes, bytes]]] = {
    VERIFICATION: _echo,
    COMMITMENT: _action,
    STEP: _create,
}
_STRANGERS = (
    b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03" + bytes(500), b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"SSH-2.0-x\r\n",
    bytes(1000), b"\xff" * 70_000, raw.pdu(1, b"", length=0xFFFFFFFF), raw.pdu(4, b"", length=0), b"",
)  # fmt: skip
