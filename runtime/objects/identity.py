"""Deterministic UIDs of our objects: the same study, revision, results and kind of object have the same UID, always.

So an object that is made and sent again is the same object to an archive, and another revision never overwrites one.
Not for: identities of records (runtime/identity.py).
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterable
from dataclasses import dataclass

_OBJECTS = uuid.uuid5(uuid.NAMESPACE_URL, "urn:cathrt:objects:1")


@dataclass(frozen=True, slots=True)
class Edition:
    """Which statement of a study's results objects belong to. revision: of the study's end; 0 before it has ended.

    rests_on: a hash of the records that it rests on, and of the decision if there is one.
    """

    study_instance_uid: str
    revision: int
    rests_on: str


def uid_for(*parts: str | int) -> str:
    """A UID of the form 2.25.<number>, at most 44 characters, of these parts in this order."""
    text = "|".join(str(part).replace("\\", "\\\\").replace("|", "\\|") for part in parts)
    return f"2.25.{uuid.uuid5(_OBJECTS, text).int}"


def uid_of(edition: Edition, kind: str, *parts: str | int) -> str:
    """The UID of one object of an edition. kind: of object, ours, e.g. "key images". parts: which one of several."""
    return uid_for(edition.study_instance_uid, edition.revision, edition.rests_on, kind, *parts)


def hash_of(parts: Iterable[str]) -> str:
    """One hash of several texts, in their order."""
    digest = hashlib.sha256()
    for part in parts:
        octets = part.encode("utf-8", "backslashreplace")
        digest.update(b"%d:%s" % (len(octets), octets))
    return digest.hexdigest()
