"""Whether a run's pixels are stored here, and where; for a run without them, why it has none.

Not for: reading them (frame_store.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cathrt.runtime.listener.store_reader import StoreReader
from cathrt.runtime.sources.syntax import is_uid

LIVE = "live"


@dataclass(frozen=True, slots=True)
class RunPixels:
    """file, key: of the stored object; None and "" where there is none. why, why_ja: then, for people.

    study_uid: Study Instance UID; None for a run of no study.
    """

    file: Path | None
    key: str = ""
    study_uid: str | None = None
    why: str = ""
    why_ja: str = ""

    @property
    def stored(self) -> bool:
        """Whether there are pixels."""
        return self.file is not None


_LIVE = RunPixels(
    None,
    why="Pictures of a live source are shown and not stored. A run has pixels once the angiography system has sent it.",
    why_ja="ライブ映像は表示のみで保存されません。血管撮影装置から受信した後に、確定したシリーズとして再生できます。",
)
_WATCHED = RunPixels(
    None,
    why="This run was read from a watched folder: its file stays there and is not kept here.",
    why_ja="監視フォルダーから読み込んだシリーズです。ファイルは元の場所にあり、ここには保存されていません。",
)
_GONE = RunPixels(
    None,
    why="The object of this run is not stored any more: it was removed as configured (retention), or by a person.",
    why_ja="このシリーズの画像は保存期間の設定により、または手動で削除されており、再生できません。",
)


def pixels_of(journal: str, source: str, store: StoreReader) -> RunPixels:
    """journal: which one the run is in. source: what the run is called there. Raises StoreError."""
    if journal == LIVE:
        return _LIVE
    if not is_uid(source):
        return _WATCHED
    received = store.stored(source)
    if received is None:
        return _GONE
    return RunPixels(store.path_of(received), received.content_sha256, store.study_of(source))
