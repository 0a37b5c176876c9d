"""Reads the malformed inputs that declare or unfold into much, and prints the largest decoder's peak memory in KiB.

Run as `python -m tests.faults.corpus_memory FOLDER`, in a process of its own: the kernel only tells the largest child
that was ever waited for. Not for: how the cases end (test_malformed_sources.py).
"""

from __future__ import annotations

import contextlib
import resource
import sys
from pathlib import Path

from cathrt.runtime.config import LimitsConfig
from cathrt.runtime.errors import SourceError
from tests.faults.malformed import CASES
from tests.sources.reading import only_input, read_sandboxed

HUNGRY = ("bomb", "huge", "65535", "many", "other-dimensions")


def main() -> None:
    folder, memory_mib = Path(sys.argv[1]), int(sys.argv[2])
    limits = LimitsConfig(decoder_memory_mib=memory_mib, max_file_mib=256)
    for case in CASES:
        if any(word in case.id for word in HUNGRY):
            path = folder / case.name
            path.write_bytes(case.build())
            with contextlib.suppress(SourceError):
                read_sandboxed(only_input(path), limits)
            path.unlink()
    print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)


if __name__ == "__main__":
    main()
