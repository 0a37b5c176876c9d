"""Writing and signing bundles, and the ed25519 keys for it. The same input gives the same bytes.

Not for: deciding what a bundle says (the export recipes) or whether it is believed (cathrt.runtime.bundle.opening).
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import shutil
import stat
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from cathrt.runtime.bundle.files import MANIFEST, SIGNATURE, check_name
from cathrt.runtime.bundle.manifest import Manifest
from cathrt.runtime.bundle.verified_file import CHUNK, VerifiedFile
from cathrt.runtime.errors import ConfigError, ManifestError
from cathrt.runtime.models import open_bundle
from cathrt.runtime.outside.input_file import read_input_file
from cathrt.runtime.outside.output_files import writing

Content = bytes | Path | VerifiedFile  # of a file to write: itself, or where to copy it from


def generate_key(path: Path) -> str:
    """Make a private key: PEM (PKCS #8), mode 0600, never over an existing file. Returns the public key, hex."""
    key = Ed25519PrivateKey.generate()
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as exc:
        raise ConfigError(f"{path}: no key written ({exc.strerror}): give a new file in a folder that exists") from exc
    with os.fdopen(file, "wb") as stream:
        stream.write(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return public_key(key)


def load_key(path: Path) -> Ed25519PrivateKey:
    """Read a private key that only its owner can read. Raises ConfigError for any other file."""
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        pem = read_input_file(path, max_bytes=1 << 16)
    except OSError as exc:
        raise ConfigError(f"{path}: key cannot be read ({exc.strerror}): make one with cathrt key new") from exc
    if mode & 0o077:
        raise ConfigError(f"{path}: mode is {mode:04o}, expected 0600, since others may read the key: chmod 600 {path}")
    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError) as exc:
        raise ConfigError(f"{path}: not an unencrypted PEM private key ({exc}): make one with cathrt key new") from exc
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigError(f"{path}: holds {type(key).__name__}, expected an ed25519 key: make one with cathrt key new")
    return key


def public_key(key: Ed25519PrivateKey) -> str:
    """The public half as trust.keys and manifest.sig write it: 64 hex digits."""
    return key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw).hex()


def canonical_json(manifest: Manifest) -> bytes:
    """manifest.json as it is signed: UTF-8, keys sorted, two blanks of indent, newline at the end, no NaN."""
    fields = dataclasses.asdict(manifest)
    return (json.dumps(fields, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()


def signature_line(document: bytes, key: Ed25519PrivateKey) -> bytes:
    """manifest.sig for these bytes of manifest.json."""
    return f"ed25519 {public_key(key)} {key.sign(document).hex()}\n".encode()


def write_bundle(folder: Path, manifest: Manifest, payload: Mapping[str, Content], key: Ed25519PrivateKey) -> Path:
    """Write a signed bundle at `folder`, which must not exist yet, and return `folder`.

    manifest: complete but for `files`, which must be empty and is filled from the payload.
    payload: name in the bundle -> its bytes, or the file to copy, which goes through memory in pieces.
    The bundle is made beside `folder`, opened as the runtime will open it, and only then renamed into place: there is
    a whole bundle or none. Raises ManifestError where the runtime would refuse it, SinkError where its folder cannot be
    made.
    """
    if manifest.files:
        raise ManifestError(f"manifest.files lists {sorted(manifest.files)}, expected nothing: write_bundle fills it")
    if os.path.lexists(folder):
        raise ManifestError(f"{folder}: exists already and is not overwritten: remove it or name another")
    for name in payload:
        check_name(name)
    with writing(folder):
        unfinished = Path(tempfile.mkdtemp(dir=folder.absolute().parent, prefix=".unfinished-bundle-"))
    try:
        digests = {name: _write(unfinished / name, _pieces(content)) for name, content in sorted(payload.items())}
        document = canonical_json(dataclasses.replace(manifest, files=digests))
        _write(unfinished / MANIFEST, [document])
        _write(unfinished / SIGNATURE, [signature_line(document, key)])
        unfinished.chmod(0o755)
        open_bundle(unfinished, [public_key(key)]).close()
        unfinished.rename(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return folder


def _write(path: Path, pieces: Iterable[bytes | memoryview]) -> str:
    """Write the pieces to a new file. Returns the sha256 of what was written."""
    digest = hashlib.sha256()
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("xb") as stream:
        for piece in pieces:
            stream.write(piece)
            digest.update(piece)
        stream.flush()
        os.fsync(stream.fileno())
    path.chmod(0o644)
    return digest.hexdigest()


def _pieces(content: Content) -> Iterator[bytes | memoryview]:
    if isinstance(content, bytes):
        yield content
    elif isinstance(content, VerifiedFile):
        yield from content.chunks()
    else:
        with content.open("rb") as stream:
            while piece := stream.read(CHUNK):
                yield piece
