"""Where a reader is in all journals at once, as the id of a server-sent event.

"live:812-9f3a1c07d2e4b6a8,study:40-…,gateway:0-…": of each journal what its feed says of one place (gateway/events.py).
Not for: following journals (event_stream.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cathrt.runtime.gateway.events import ClaimedPlace, claimed_place, event_id
from cathrt.runtime.journal.head import Head

END = "end"


def id_of(places: Mapping[str, Head]) -> str:
    """The id of these places, by the name of the journal."""
    return ",".join(f"{name}:{event_id(place)}" for name, place in places.items())


def claimed_places(text: str, names: Sequence[str]) -> dict[str, ClaimedPlace]:
    """The place in each journal that such an id names; "end" and "" name none. Raises ValueError for what is none."""
    if text in ("", END):
        return {}
    claimed = {}
    for part in text.split(","):
        name, colon, place = part.partition(":")
        if not colon or name not in names or name in claimed:
            raise ValueError(
                f"found {part[:40]!r} in the place, expected one of {', '.join(names)} once, a colon, and the place in "
                "that journal: give back the last id unchanged, or none"
            )
        claimed[name] = claimed_place(place)
    return claimed
