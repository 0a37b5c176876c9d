"""The files by which `cathrt swap` asks the live process for a bundle, gets its answer, and a restart finds it again.

Each is one JSON object, put in its place as a whole and on the disk before anybody reads on. Not for: what happens in
between (swap_desk.py).
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cathrt.runtime.bundle.opening import Bundle
from cathrt.runtime.config import Config
from cathrt.runtime.errors import ConfigError, ManifestError, SinkError
from cathrt.runtime.models import trusted_bundle
from cathrt.runtime.outside.disk import sync_folder
from cathrt.runtime.outside.plain_text import json_line
from cathrt.runtime.processes.state_folder import StateFolder

WELL = "kept"  # the phase in which a swap has ended well
OVER = (WELL, "rolled back", "refused")


@dataclass(frozen=True, slots=True)
class SwapRequest:
    """id: of the request, which its answer bears. bundle: its folder."""

    id: str
    bundle: str


@dataclass(frozen=True, slots=True)
class SwapAnswer:
    """How far a request is. phase: checking, comparing, on trial; at the end one of OVER. detail: one line.

    frames: compared or watched so far; of so many.
    """

    id: str
    bundle: str
    phase: str
    reason: str
    detail: str
    frames: int = 0
    of: int = 0


@dataclass(frozen=True, slots=True)
class SwappedIn:
    """A bundle that was swapped in and kept: it takes the place of the given one of its kind at each start."""

    kind: str
    bundle: str
    manifest_sha256: str


def request_swap(state: StateFolder, request: SwapRequest) -> None:
    """Ask. Raises SinkError."""
    _write(state.swap_request, asdict(request))


def swap_request(state: StateFolder) -> SwapRequest | None:
    """What was asked last, if anything. Raises SinkError."""
    found = _read(state.swap_request)
    return None if found is None else SwapRequest(str(found.get("id")), str(found.get("bundle")))


def answer_swap(state: StateFolder, answer: SwapAnswer) -> None:
    """Say how far it is. Raises SinkError."""
    _write(state.swap_answer, asdict(answer))


def swap_answer(state: StateFolder) -> SwapAnswer | None:
    """The newest answer, if there is one. Raises SinkError."""
    found = _read(state.swap_answer)
    try:
        return None if found is None else SwapAnswer(**found)
    except TypeError as exc:
        raise SinkError(
            f"{state.swap_answer}: found {sorted(found or ())}, written by another version: remove it"
        ) from exc


def keep_swapped(state: StateFolder, swapped: SwappedIn) -> None:
    """Note for every later start that this bundle judges. Raises SinkError."""
    noted = {each.kind: asdict(each) for each in swapped_in(state)}
    _write(state.swapped, noted | {swapped.kind: asdict(swapped)})


def swapped_in(state: StateFolder) -> list[SwappedIn]:
    """What was swapped in and kept. Raises SinkError."""
    try:
        return [SwappedIn(**each) for each in (_read(state.swapped) or {}).values()]
    except TypeError as exc:
        raise SinkError(f"{state.swapped}: written by another version: remove it") from exc


def bundles_in_force(
    state: StateFolder, given: Sequence[Bundle], config: Config
) -> tuple[list[Bundle], dict[str, str]]:
    """The given bundles, each with what was swapped in for its kind in its place; and why not, by kind, where one that
    was kept cannot be had any more: then the given one judges.
    """
    faults: dict[str, str] = {}
    try:
        swapped = {each.kind: each for each in swapped_in(state)}
    except SinkError as exc:
        swapped, faults[""] = {}, f"what was swapped in is not known, the given bundles judge: {exc}"
    bundles: list[Bundle] = []
    for bundle in given:
        kind = bundle.manifest.kind
        if (wanted := swapped.get(kind)) is not None and wanted.manifest_sha256 != bundle.manifest_sha256:
            try:
                bundle = _same_bundle(wanted, config)
            except (ManifestError, ConfigError) as exc:
                faults[kind] = f"the bundle that was swapped in cannot be opened, the given one judges: {exc}"
        bundles.append(bundle)
    return bundles, faults


def _same_bundle(wanted: SwappedIn, config: Config) -> Bundle:
    bundle = trusted_bundle(Path(wanted.bundle), config)
    if bundle.manifest_sha256 != wanted.manifest_sha256:
        raise ManifestError(
            f"bundle {wanted.bundle} has the manifest {bundle.manifest_sha256[:12]}, expected "
            f"{wanted.manifest_sha256[:12]}: it was changed since it was swapped in: swap it in again"
        )
    return bundle


def _write(path: Path, document: dict[str, Any]) -> None:
    new = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        with open(new, "w", encoding="utf-8") as file:
            file.write(json_line(document) + "\n")
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
        sync_folder(path.parent)
    except OSError as exc:
        raise SinkError(f"{path}: cannot be written ({exc.strerror}): check the disk and the permissions") from exc


def _read(path: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as exc:
        raise SinkError(f"{path}: cannot be read ({exc}): remove it, and ask again") from exc
    if not isinstance(found, dict):
        raise SinkError(f"{path}: found {type(found).__name__}, expected an object: remove it, and ask again")
    return found
