"""Writes the bill of materials of a release: CycloneDX 1.6 as JSON, of the core install in this environment.

`python -m release.sbom --out FILE` lists every package with version, licence and the hashes of its wheels in
deploy/requirements.lock, and inside each the native libraries that its wheel holds. Made at release, in an environment
that holds the lock's versions. Not for: finding them (closure.py).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL

from release.closure import Package, Part, core_packages
from release.lock import LOCK, Locked, locked_in

ROOT_NAME = "cathrt"


def bom_of(packages: Sequence[Package], locked: Mapping[str, Locked], made: datetime) -> Bom:
    """The bill. made: when, which the file says. Raises ValueError where a package is not the locked one."""
    components = {one.name: _component(one, locked.get(one.name)) for one in packages}
    root = components[ROOT_NAME]
    bom = Bom(metadata=BomMetaData(component=root, timestamp=made), components=set(components.values()) - {root})
    for one in packages:
        bom.register_dependency(components[one.name], [components[name] for name in one.requires])
    return bom


def text_of(bom: Bom) -> str:
    """As JSON. Raises ValueError where it is not valid CycloneDX 1.6."""
    text = JsonV1Dot6(bom).output_as_string(indent=2)
    if (fault := JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)) is not None:
        raise ValueError(f"the bill of materials is no CycloneDX 1.6: {fault}")
    return text + "\n"


def _component(package: Package, locked: Locked | None) -> Component:
    if package.name != ROOT_NAME and (locked is None or locked.version != package.version):
        raise ValueError(
            f"{package.name}: found {package.version}, expected {locked.version if locked else 'none'} as in "
            f"{LOCK.name}: install the lock, or make it anew (python -m release.lock)"
        )
    reference = f"pkg:pypi/{package.name}@{package.version}"
    return Component(
        name=package.name,
        version=package.version,
        type=ComponentType.APPLICATION if package.name == ROOT_NAME else ComponentType.LIBRARY,
        bom_ref=reference,
        purl=PackageURL("pypi", name=package.name, version=package.version),
        description=package.summary,
        licenses=[LicenseFactory().make_from_string(package.licence)],
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=one) for one in sorted(locked.hashes if locked else ())],
        components=[_part(reference, part) for part in package.parts],
    )


def _part(inside: str, part: Part) -> Component:
    return Component(
        name=part.name,
        version=part.version or None,
        type=ComponentType.LIBRARY,
        bom_ref=f"{inside}#{part.name}@{part.version}",
        licenses=[LicenseFactory().make_from_string(part.licence)],
        properties=[Property(name="cathrt:file", value=part.inside)],
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m release.sbom", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="file to write")
    parser.add_argument("--site", type=Path, help="folder of packages of another environment; default: this one")
    arguments = parser.parse_args()
    locked = {one.name: one for one in locked_in(LOCK.read_text(encoding="ascii"))}
    packages = core_packages(arguments.site)
    arguments.out.write_text(text_of(bom_of(packages, locked, datetime.now(UTC))), encoding="utf-8")
    print(f"{arguments.out}: {len(packages)} packages, {sum(len(one.parts) for one in packages)} libraries in them")
    return 0


if __name__ == "__main__":
    sys.exit(main())
