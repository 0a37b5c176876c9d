"""Changes to a conversation that is well-formed: in the bytes of its messages, and in which come, how often and when.

Not for: what a protocol's messages are (one file for each door), sending them (conversation.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

_ODD_NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)
_WIDTHS = (1, 2, 4)
_LONGEST_RUN = 64
_LONG_RUNS = (1_000, 20_000, 200_000)
_MOST_BYTES = 1 << 20  # of a mutated message


def mutated(pieces: Sequence[bytes], random: Random, words: Sequence[bytes] = ()) -> list[bytes]:
    """The conversation with some changes; one in eight has none, so that what comes after good messages is reached.

    words: pieces of text that mean something in the protocol.
    """
    changed = list(pieces)
    if random.random() < 0.125:
        return changed
    for _ in range(random.choice((1, 1, 1, 2, 4))):
        if random.random() < 0.75 and changed:
            place = _place(len(changed), random)
            changed[place] = mutated_bytes(changed[place], random, words)
        else:
            _reorder(changed, random)
    return changed


def mutated_bytes(data: bytes, random: Random, words: Sequence[bytes] = ()) -> bytes:
    """The message with one to eight changes."""
    changed = bytearray(data)
    for _ in range(random.choice((1, 1, 2, 4, 8))):
        random.choice(_CHANGES)(changed, random, words)
    return bytes(changed[:_MOST_BYTES])


def _place(length: int, random: Random) -> int:
    """Later messages more often: they are reached only where those before them are good."""
    return max(random.randrange(length), random.randrange(length))


def _reorder(pieces: list[bytes], random: Random) -> None:
    if not pieces:
        return
    at = random.randrange(len(pieces))
    match random.randrange(4):
        case 0:
            del pieces[at]
        case 1:
            pieces[at:at] = [pieces[random.randrange(len(pieces))]] * random.choice((1, 1, 2, 30))
        case 2:
            other = random.randrange(len(pieces))
            pieces[at], pieces[other] = pieces[other], pieces[at]
        case _:
            pieces[at] = pieces[at][: random.randrange(len(pieces[at]) + 1)]
            del pieces[at + 1 :]


def _flip(data: bytearray, random: Random, _words: Sequence[bytes]) -> None:
    if data:
        data[random.randrange(len(data))] ^= 1 << random.randrange(8)


def _number(data: bytearray, random: Random, _words: Sequence[bytes]) -> None:
    """An odd number over some bytes, in either byte order."""
    width = random.choice(_WIDTHS)
    if len(data) >= width:
        at = random.randrange(len(data) - width + 1)
        value = random.choice(_ODD_NUMBERS) & ((1 << 8 * width) - 1)
        data[at : at + width] = value.to_bytes(width, random.choice(("little", "big")))


def _near(data: bytearray, random: Random, _words: Sequence[bytes]) -> None:
    """A byte a little more or less: lengths that are nearly right."""
    if data:
        at = random.randrange(len(data))
        data[at] = (data[at] + random.choice((-2, -1, 1, 2))) & 0xFF


def _cut(data: bytearray, random: Random, _words: Sequence[bytes]) -> None:
    if data:
        at = random.randrange(len(data))
        del data[at : at + random.randint(1, _LONGEST_RUN)]


def _noise(data: bytearray, random: Random, _words: Sequence[bytes]) -> None:
    at = random.randrange(len(data) + 1)
    data[at:at] = random.randbytes(random.randint(1, _LONGEST_RUN))


def _again(data: bytearray, random: Random, _words: Sequence[bytes]) -> None:
    """A part of it once more, perhaps many times."""
    if data:
        at = random.randrange(len(data))
        part = data[at : at + random.randint(1, _LONGEST_RUN)]
        data[at:at] = part * random.choice((1, 1, 2, 50))


def _word(data: bytearray, random: Random, words: Sequence[bytes]) -> None:
    if words:
        word = random.choice(words)
        at = random.randrange(len(data) + 1)
        data[at : at + random.choice((0, len(word)))] = word


def _long(data: bytearray, random: Random, _words: Sequence[bytes]) -> None:
    """One byte very often, seldom."""
    if random.random() < 0.2:
        at = random.randrange(len(data) + 1)
        data[at:at] = random.randbytes(1) * random.choice(_LONG_RUNS)


_CHANGES: tuple[Callable[[bytearray, Random, Sequence[bytes]], None], ...] = (
    _flip, _flip, _number, _number, _near, _near, _cut, _noise, _again, _word, _word, _long,
)  # fmt: skip
