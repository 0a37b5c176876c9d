"""Makes runtime/web/static/js/vendor: the page's third-party JavaScript, as npm has it but for one rewrite.

`npm pack preact@11.2.0 htm@3.1.1 uplot@1.6.32`, then `python -m release.page_vendor FOLDER` writes the files, their
licences and HASHES.json; with `--check` it compares instead. A browser does not know names of packages, so the name in
an import becomes the file beside it: that is the rewrite. `upstream()` undoes it, so that anybody can see that a file
is the package's own without having the package.
Not for: the page's own code, which needs no build step.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import tarfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

VENDOR = Path(__file__).resolve().parent.parent / "runtime" / "web" / "static" / "js" / "vendor"
HASHES = "HASHES.json"
IMPORT = (b'from"preact"', b'from"./preact.mjs"')  # what stands upstream, what stands here


@dataclass(frozen=True, slots=True)
class Taken:
    """One file of a package. inside: its path there. name: here. rewritten: whether IMPORT is applied to it."""

    package: str
    version: str
    licence: str
    inside: str
    name: str
    rewritten: bool = False

    @property
    def tarball(self) -> str:
        """What `npm pack` calls the package."""
        return f"{self.package}-{self.version}.tgz"


TAKEN = (
    Taken("preact", "11.2.0", "MIT", "dist/preact.mjs", "preact.mjs"),
    Taken("preact", "11.2.0", "MIT", "hooks/dist/hooks.mjs", "hooks.mjs", rewritten=True),
    Taken("preact", "11.2.0", "MIT", "LICENSE", "preact.LICENSE.txt"),
    Taken("htm", "3.1.1", "Apache-2.0", "dist/htm.module.js", "htm.mjs"),
    Taken("htm", "3.1.1", "Apache-2.0", "LICENSE", "htm.LICENSE.txt"),
    Taken("uplot", "1.6.32", "MIT", "dist/uPlot.esm.js", "uPlot.mjs"),
    Taken("uplot", "1.6.32", "MIT", "dist/uPlot.min.css", "uPlot.css"),
    Taken("uplot", "1.6.32", "MIT", "LICENSE", "uPlot.LICENSE.txt"),
)


def here(taken: Taken, content: bytes) -> bytes:
    """The file as it stands here. Raises ValueError if what is to be rewritten is not there exactly once."""
    if not taken.rewritten:
        return content
    if content.count(IMPORT[0]) != 1:
        raise ValueError(
            f"{taken.package} {taken.inside}: found {content.count(IMPORT[0])} imports of preact, expected 1"
        )
    return content.replace(*IMPORT)


def upstream(taken: Taken, content: bytes) -> bytes:
    """The file as its package has it, out of the one that stands here."""
    return content.replace(IMPORT[1], IMPORT[0]) if taken.rewritten else content


def files_of(folder: Path) -> dict[str, bytes]:
    """Every file of VENDOR by its name, HASHES.json too, made from the tarballs in a folder."""
    files: dict[str, bytes] = {}
    packages: dict[str, dict[str, str]] = {}
    rows = []
    for taken in TAKEN:
        packed = (folder / taken.tarball).read_bytes()
        packages[taken.tarball] = {"licence": taken.licence, "sha512": hashlib.sha512(packed).hexdigest()}
        with tarfile.open(folder / taken.tarball) as archive:
            member = archive.extractfile(f"package/{taken.inside}")
            if member is None:
                raise ValueError(f"{taken.tarball}: found no file {taken.inside}, expected one: is it another version?")
            content = member.read()
        files[taken.name] = here(taken, content)
        rows.append({**asdict(taken), "upstream_sha256": sha256(content), "sha256": sha256(files[taken.name])})
    document = {"rewrite": [part.decode() for part in IMPORT], "packages": packages, "files": rows}
    files[HASHES] = (json.dumps(document, indent=1) + "\n").encode()
    return files


def sha256(content: bytes) -> str:
    """64 hex digits."""
    return hashlib.sha256(content).hexdigest()


def differing(files: Mapping[str, bytes]) -> list[str]:
    """Names of files that stand here otherwise, or only on one side."""
    standing = {path.name: path.read_bytes() for path in VENDOR.iterdir()}
    return sorted(name for name in files.keys() | standing.keys() if files.get(name) != standing.get(name))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m release.page_vendor", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="holds what npm pack has written")
    parser.add_argument("--check", action="store_true", help="compare, write nothing; exit code 1 if anything differs")
    asked = parser.parse_args()
    files = files_of(asked.folder)
    if asked.check:
        wrong = differing(files)
        print("\n".join(f"{name}: differs" for name in wrong) or f"{len(files)} files are as npm has them")
        raise SystemExit(bool(wrong))
    VENDOR.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (VENDOR / name).write_bytes(content)
    print(f"{VENDOR}: {len(files)} files")


if __name__ == "__main__":
    main()
