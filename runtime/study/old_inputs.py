"""What the intake book knows of inputs that are gone for good: removed, some of it at a time.

Not for: how long anything is kept (runtime/retention/).
"""

from __future__ import annotations

import os
from pathlib import Path

from cathrt.runtime.study.intake_book import IntakeBook
from cathrt.runtime.study.waiting import path_of_key

_MOST = 1000  # files of one look


def forget_inputs(book: IntakeBook, first_object: int, after: bytes) -> tuple[int, bytes]:
    """Remove what the intake book knows of objects before that number, and of files that are gone.

    Looks at some of the files, behind `after`. Returns how many rows it removed, and where to go on. A file is gone
    where its folder is there and it is not: a share that is not mounted is no reason. Raises IntakeError.
    """
    looked_at = book.judged_files(after, _MOST)
    gone = [key for key in looked_at if _is_gone(path_of_key(key))]
    return book.forget_judged(gone, first_object), looked_at[-1] if len(looked_at) == _MOST else b""


def _is_gone(path: Path) -> bool:
    return not os.path.lexists(path) and path.parent.is_dir() and any(path.parent.iterdir())
