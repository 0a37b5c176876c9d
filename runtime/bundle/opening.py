"""The bundle: the folder that export writes and the runtime opens, checked from its signature to its last file.

Opening believes nothing before the signature and hands on nothing before every file is checked; the order is the point.
Each file is opened once, and what was hashed is what engines get. Not for: engines (they are handed a checked Bundle)
and signing (export/bundle/sign.py).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from cathrt.runtime.bundle import shipped
from cathrt.runtime.bundle.check import Kind, manifest_from_json
from cathrt.runtime.bundle.files import MANIFEST, SIGNATURE, check_nothing_unlisted, opened_folder, read_file
from cathrt.runtime.bundle.keys import public_key_from_text
from cathrt.runtime.bundle.manifest import Manifest
from cathrt.runtime.bundle.onnx_external import ExternalTensor, check_external, check_overlaps
from cathrt.runtime.bundle.onnx_file import check_onnx
from cathrt.runtime.bundle.verified_file import VerifiedFile, verified_files
from cathrt.runtime.errors import ManifestError

# Operators that make activations int8 (weights alone may be stored so in a float32 graph).
_INT8_OPERATORS = frozenset(
    {"QuantizeLinear", "DynamicQuantizeLinear", "QLinearConv", "QLinearMatMul", "ConvInteger", "MatMulInteger"}
)
_MAX_MANIFEST_BYTES = 1 << 20
_MAX_SIGNATURE_BYTES = 256
_SIGNATURE_LINE = re.compile(rb"ed25519 ([0-9a-f]{64}) ([0-9a-f]{128})\n")


@dataclass(frozen=True, slots=True)
class Bundle:
    """An opened bundle whose every file, hash and signature has been checked.

    manifest_sha256: identity of the model in every verdict. signed_by: ed25519 public key, hex.
    files: the listed ones, open since they were hashed. external: by graph, the tensors that it keeps in other files.
    The files are closed by close(), at the end of a `with`, or when nothing refers to them any more. Engines that were
    opened from it go on.
    """

    path: Path
    manifest: Manifest
    manifest_sha256: str
    signed_by: str
    files: Mapping[str, VerifiedFile] = field(default_factory=dict, repr=False, compare=False)
    external: Mapping[str, tuple[ExternalTensor, ...]] = field(default_factory=dict, repr=False)

    def file(self, name: str) -> VerifiedFile:
        """One listed file. Raises ManifestError where it is not listed."""
        if name not in self.files:
            raise ManifestError(f"{name!r}: bundle {self.path} lists only {sorted(self.files)}")
        return self.files[name]

    def read(self, name: str) -> bytes:
        """The bytes of a file that is small by its nature. Raises ManifestError where it is not listed or changed."""
        return self.file(name).read()

    def mapped(self, name: str) -> NDArray[np.uint8]:
        """One listed file in memory, read from the disk where it is touched; all engines share it, see VerifiedFile.

        Raises ManifestError where it is not listed or changed.
        """
        return self.file(name).mapped()

    def external_data(self, tensor: ExternalTensor) -> NDArray[np.uint8]:
        """The elements of a tensor, as bytes in the mapping of its file. Raises ManifestError as mapped()."""
        return self.mapped(tensor.file)[tensor.offset : tensor.end]

    def check_unchanged(self) -> None:
        """Raise ManifestError where somebody wrote to one of the files since it was hashed."""
        for file in self.files.values():
            file.check_unchanged()

    def close(self) -> None:
        """Close the files. What was mapped stays valid for as long as it is referred to."""
        for file in self.files.values():
            file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_bundle(path: Path, trusted_keys: Collection[str], kinds: Mapping[str, Kind]) -> Bundle:
    """Check a bundle folder from its signature to its last file and hand it out.

    trusted_keys: ed25519 public keys as keys.py writes them (config trust.keys and shipped.shipped_keys()).
    kinds: of models, by name; models.open_bundle hands in its table.
    Raises ManifestError for whatever does not fit, ConfigError for a trusted key that is none.
    """
    trusted = {public_key_from_text(key, "trust.keys").public for key in trusted_keys}
    path = path.absolute()
    try:
        with opened_folder(path) as folder:
            document = read_file(folder, MANIFEST, max_bytes=_MAX_MANIFEST_BYTES)
            signature = read_file(folder, SIGNATURE, max_bytes=_MAX_SIGNATURE_BYTES)
            signed_by = _signer(document, signature, trusted)
            manifest = manifest_from_json(document, kinds)
            check_nothing_unlisted(folder, manifest.files)
            # Installers such as uv and conda link a package's files into place from their cache.
            files = verified_files(folder, manifest.files, hard_links=path.parent == shipped.FOLDER)
        try:
            external = _check_graphs(manifest, files)
        except BaseException:
            for file in files.values():
                file.close()
            raise
    except ManifestError as exc:
        raise ManifestError(f"bundle {path} refused: {exc}") from exc
    except OSError as exc:
        raise ManifestError(
            f"bundle {path} refused: it cannot be read ({exc}): check the disk and the permissions"
        ) from exc
    return Bundle(path, manifest, hashlib.sha256(document).hexdigest(), signed_by, files, external)


def _check_graphs(manifest: Manifest, files: Mapping[str, VerifiedFile]) -> dict[str, tuple[ExternalTensor, ...]]:
    """Walk every ONNX file. Returns the tensors that each keeps in other files."""
    sizes = {name: file.size for name, file in files.items()}
    external: dict[str, tuple[ExternalTensor, ...]] = {}
    for name, file in files.items():
        if name.endswith(".onnx"):
            graph = check_onnx(name, file.mapped().data)
            file.check_unchanged()
            _check_precision(name, graph.operators, manifest)
            check_external(name, graph.external, sizes)
            external[name] = graph.external
    check_overlaps([tensor for tensors in external.values() for tensor in tensors])
    return external


def _check_precision(name: str, operators: frozenset[str], manifest: Manifest) -> None:
    """An int8 graph must be declared so: engines go by the manifest where they refuse int8 that the CPU would clip."""
    found = sorted(operators & _INT8_OPERATORS)
    for role, engine, artifact in manifest.all_artifacts():
        if artifact.file == name and bool(found) != (artifact.precision == "int8" and not artifact.weights_only):
            declared = f"{artifact.precision}{' of weights alone' if artifact.weights_only else ''}"
            raise ManifestError(
                f"networks.{role}.artifacts.{engine}: {name} is declared {declared}, but its graph has "
                f"{', '.join(found) or 'no int8 operator'}: export the bundle again"
            )


def _signer(document: bytes, signature: bytes, trusted_keys: Collection[str]) -> str:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    line = _SIGNATURE_LINE.fullmatch(signature)
    if line is None:
        raise ManifestError(
            f"{SIGNATURE}: found {signature[:40]!r}, expected 'ed25519 <public key, hex> <signature, hex>': "
            "sign the bundle with cathrt.export.bundle.sign"
        )
    key = line[1].decode()
    if key not in trusted_keys:
        raise ManifestError(
            f"{SIGNATURE}: signed by {key}, which is none of the {len(trusted_keys)} trusted keys: "
            "if you know the signer, ask for the .pub file and run cathrt key trust"
        )
    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(key)).verify(bytes.fromhex(line[2].decode()), document)
    except InvalidSignature as exc:
        raise ManifestError(
            f"{SIGNATURE}: does not fit {MANIFEST} under key {key}, so one of them was changed: fetch the bundle again"
        ) from exc
    return key
