"""Makes display_goldens.json: what DCMTK shows of every group of display_matrix.py, upright and inverted.

`python -m tests.sources.display_goldens` needs dcm2pnm (Debian: apt-get install dcmtk; 3.6.7 made the file that is
kept) and some minutes.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.sources.display_matrix import Cell, dcmtk_picture, digest, groups

PATH = Path(__file__).with_suffix(".json")


def digests_of(cells: Sequence[Cell]) -> list[str]:
    """DCMTK's pictures of a group's cells: the one of all that are upright, and the one of all that are inverted."""
    found: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        for inverted in (False, True):
            (one,) = {digest(dcmtk_picture(cell, Path(folder))) for cell in cells if cell.inverted == inverted}
            found.append(one)
    return found


def digests_of_all() -> dict[str, list[str]]:
    """By group."""
    names, cells = zip(*groups(), strict=True)
    with ThreadPoolExecutor(24) as pool:  # each waits for a process
        return dict(zip(names, pool.map(digests_of, cells), strict=True))


def main() -> None:
    made = digests_of_all()
    lines = (f"{json.dumps(name)}: {json.dumps(digests)}" for name, digests in made.items())
    PATH.write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
