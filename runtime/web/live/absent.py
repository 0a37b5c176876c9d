"""What this box does not have, and why: a page that shows nothing must say that nothing was to be shown.

Not for: parts that are there and do not work, which health says.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from cathrt.runtime.config import Config
from cathrt.runtime.models import MODELS

_MOST_BYTES = 16 << 20  # of a manifest
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Absent:
    """part: a word for programs. why, why_ja: a sentence for people."""

    part: str
    why: str
    why_ja: str


_NO_SOURCES = Absent(
    "live_sources",
    "No live source is configured, so nothing is watched live: add [[sources]] to the configuration.",
    "ライブ映像の入力が設定されていないため、ライブ監視は行われません。設定に [[sources]] を追加してください。",
)
_NO_READER = Absent(
    "study_bundle",
    "No bundle that reads studies was given, so there are no findings of a study: start cathrt run with one.",
    "検査全体を読むモデルが指定されていないため、検査の所見はありません。",
)
_NO_WRITER = Absent(
    "report_bundle",
    "No bundle that writes drafts was given, so there is no draft of a report: start cathrt run with one.",
    "レポート下書きのモデルが指定されていないため、下書きはありません。",
)
_NO_QUALITY = Absent(
    "quality_model",
    "This version has no model of image quality of its own: what is shown is the readability of key frames, where the "
    "bundle gives it.",
    "画質専用のモデルはこの版にはありません。表示されるのは、モデルが出すキーフレームの読みやすさです。",
)
_QUALITY = "quality"


def absent_parts(config: Config, kinds: Collection[str]) -> Sequence[Absent]:
    """kinds: of the bundles that were given."""
    on_studies = [row.on_studies for kind in kinds if (row := MODELS.get(kind)) and row.on_studies]
    found = []
    if not config.sources:
        found.append(_NO_SOURCES)
    if not any(row.reader for row in on_studies):
        found.append(_NO_READER)
    if not any(row.writer for row in on_studies):
        found.append(_NO_WRITER)
    if _QUALITY not in MODELS:
        found.append(_NO_QUALITY)
    return found


def kinds_of(bundles: Sequence[Path]) -> frozenset[str]:
    """The kinds of model that these bundles say they are of. Whoever uses one has checked it; this only shows words."""
    return frozenset(kind for folder in bundles if (kind := _kind_of(folder)) is not None)


def _kind_of(folder: Path) -> str | None:
    try:
        with open(folder / "manifest.json", "rb") as file:
            document = json.loads(file.read(_MOST_BYTES))
        return str(document["model"]["kind"])
    except (OSError, ValueError, KeyError, TypeError) as exc:
        _log.warning("%s: its kind cannot be read for the page: %s", folder, exc)
        return None
