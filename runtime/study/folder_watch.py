"""Looks at the watched folders, each in a thread of its own: one that hangs (a network drive) holds up nobody else.

Not for: which files are complete (watched_folder.py).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from queue import SimpleQueue

from cathrt.runtime.study.waiting import WaitingRun
from cathrt.runtime.study.watched_folder import WatchedFolder

_REST = 4.0  # a look that took long is followed by a rest of so many times its length


@contextmanager
def watching(
    folders: Sequence[WatchedFolder], complete: SimpleQueue[WaitingRun], every_s: float
) -> Iterator[list[threading.Thread]]:
    """While the block runs, put complete files into the queue, oldest first. Yields the threads: all live, or there is
    a bug of ours, which its thread has reported.

    every_s: between two looks at a folder; longer where a look takes long. A thread that hangs in a call to the system
    is left behind: it ends with the process.
    """
    stop = threading.Event()

    def watch(folder: WatchedFolder) -> None:
        while not stop.is_set():
            began_s = time.monotonic()
            for run in folder.look():
                complete.put(run)
            stop.wait(max(every_s, _REST * (time.monotonic() - began_s)))

    threads = [
        threading.Thread(target=watch, args=(folder,), name=f"cathrt-folder-{number}", daemon=True)
        for number, folder in enumerate(folders)
    ]
    for thread in threads:
        thread.start()
    try:
        yield threads
    finally:
        stop.set()
        for thread in threads:
            thread.join(1.0)
