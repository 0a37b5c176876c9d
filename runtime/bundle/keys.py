"""Public keys that may sign bundles: their one text form, and the fingerprint by which two people compare them.

The same text stands in a .pub file and in trust.keys: 64 hex digits, and perhaps a blank and a name for the reader.
Not for: private keys, which only export knows (export/bundle/sign.py).
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from cathrt.runtime.errors import ConfigError
from cathrt.runtime.outside.input_file import read_input_file
from cathrt.runtime.outside.plain_text import shown

_TEXT = re.compile(r"([0-9a-f]{64})(?: +(\S(?:.{0,62}\S)?))?", re.ASCII)
_MAX_BYTES = 1 << 16
FORM = "64 lower-case hex digits, and perhaps a blank and a name of at most 64 characters"


@dataclass(frozen=True, slots=True)
class PublicKey:
    """An ed25519 public key. public: 64 hex digits, as manifest.sig has it. name: for the reader, or "".

    Nothing rests on the name: two entries with the same digits are one key.
    """

    public: str
    name: str = ""

    @property
    def fingerprint(self) -> str:
        """What two people read to each other: the first 128 bits of the key's sha256, eight groups of four digits."""
        digits = hashlib.sha256(bytes.fromhex(self.public)).hexdigest()[:32]
        return " ".join(digits[start : start + 4] for start in range(0, len(digits), 4))

    @property
    def text(self) -> str:
        """As it stands in a .pub file and in trust.keys."""
        return f"{self.public} {self.name}".rstrip()


def public_key_from_text(text: str, where: str) -> PublicKey:
    """Read one key. where: what to call its place in an error. Raises ConfigError for any other text."""
    found = _TEXT.fullmatch(text)
    if found is None or not text.isprintable():
        raise ConfigError(f"{where}: found {shown(text[:80])!r}, expected an ed25519 public key: {FORM}")
    return PublicKey(found[1], found[2] or "")


def public_key_from_file(path: Path) -> PublicKey:
    """Read a .pub file: one line. Raises ConfigError for any other file; one with a private key is told apart."""
    try:
        data = read_input_file(path, max_bytes=_MAX_BYTES)
    except OSError as exc:
        raise ConfigError(f"{path}: key cannot be read ({exc.strerror}): give the signer's .pub file") from exc
    if b"PRIVATE KEY" in data:
        raise ConfigError(
            f"{path}: holds a private key, expected a public one: give the .pub file that was made with it, and let "
            "nobody else have this one"
        )
    return public_key_from_text(data.decode("utf-8", "backslashreplace").strip(), str(path))
