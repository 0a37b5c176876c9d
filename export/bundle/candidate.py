"""A bundle in the making whose files are large: a candidate that is qualified, and the same files signed.

Files are copied once: the candidate's folder becomes the bundle's. Not for: whether it may be signed (a kind's
recipe), or bundles small enough to be written again (sign.py).
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cathrt.export.bundle.sign import Content, canonical_json, public_key, signature_line, write_bundle
from cathrt.runtime.bundle.files import MANIFEST, SIGNATURE
from cathrt.runtime.bundle.manifest import Manifest
from cathrt.runtime.bundle.opening import Bundle
from cathrt.runtime.errors import ManifestError
from cathrt.runtime.models import open_bundle


@contextmanager
def candidate(folder: Path, manifest: Manifest, payload: Mapping[str, Content]) -> Iterator[Bundle]:
    """The bundle as the runtime will open it, in a new folder below `folder`, signed with a key that nobody trusts."""
    passing = Ed25519PrivateKey.generate()
    with tempfile.TemporaryDirectory(dir=folder, prefix=".candidate-") as name:
        path = write_bundle(Path(name) / "bundle", manifest, payload, passing)
        with open_bundle(path, [public_key(passing)]) as opened:
            yield opened


def sign_candidate(opened: Bundle, manifest: Manifest, key: Ed25519PrivateKey, final: Path) -> Path:
    """Make the candidate's folder the bundle at `final`, which must not exist, with this manifest and signature.

    manifest: with the candidate's own files. Opened as the runtime opens it before it is renamed. Raises ManifestError.
    """
    if os.path.lexists(final):
        raise ManifestError(f"{final}: exists already and is not overwritten: remove it or name another")
    if manifest.files != opened.manifest.files:
        raise ManifestError(f"{final}: its files are not those that were qualified: export it again")
    document = canonical_json(manifest)
    for name, content in ((MANIFEST, document), (SIGNATURE, signature_line(document, key))):
        _written_anew(opened.path / name, content)
    opened.path.chmod(0o755)
    open_bundle(opened.path, [public_key(key)]).close()
    opened.path.rename(final)
    return final


def leave_unsigned(opened: Bundle, manifest: Manifest, final: Path) -> Path:
    """Make the candidate's folder `final`, made anew, without a signature. The runtime refuses such a folder."""
    _written_anew(opened.path / MANIFEST, canonical_json(manifest))
    (opened.path / SIGNATURE).unlink()
    opened.path.chmod(0o755)
    shutil.rmtree(final, ignore_errors=True)
    opened.path.rename(final)
    return final


def signed_before(final: Path, manifest: Manifest, key: Ed25519PrivateKey | None) -> Bundle | None:
    """The bundle that this export signed before, if there is one, which is left as it is.

    manifest: of the candidate, with its files. Raises ManifestError where the folder holds anything else.
    """
    if key is None or not os.path.lexists(final):
        return None
    found = open_bundle(final, [public_key(key)])
    if replace(found.manifest, evidence={}, worth=None) != replace(manifest, evidence={}, worth=None):
        found.close()
        raise ManifestError(f"{final}: holds another bundle, which is not overwritten: remove it or name another")
    return found


def _written_anew(path: Path, content: bytes) -> None:
    path.unlink()
    with path.open("xb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    path.chmod(0o644)
