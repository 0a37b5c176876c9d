"""The first reply of a decoder: the run it has found, or why there is none.

Not for: its frames (sandbox.py), and the fields of the run (messages.py).
"""

from __future__ import annotations

from dataclasses import replace

from cathrt.runtime.config import LimitsConfig
from cathrt.runtime.errors import SourceError
from cathrt.runtime.frame import Run
from cathrt.runtime.sources.decoder.process import DecoderProcess
from cathrt.runtime.sources.messages import WALLS, ReplyError, run_from_document
from cathrt.runtime.sources.syntax import printable


class KilledError(SourceError):
    """The decoder was killed from outside before it had described the run."""


def first_reply(decoder: DecoderProcess, name: str, limits: LimitsConfig) -> Run:
    """Wait for the run, at most limits.first_frame_s. Raises SourceError, KilledError where a fresh start may help."""
    try:
        reply = decoder.receive(limits.first_frame_s)
        if reply is None:
            ending = decoder.how_it_ended()
            if ending.killed:
                raise KilledError(f"{name}: the decoder stopped: {ending.text}: open it again")
            raise SourceError(
                f"{name}: the decoder stopped: {ending.text}: the file is damaged or not what it says it is"
            )
        if isinstance(refusal := reply.get("refused"), str):
            raise SourceError(f"{name}: {printable(refusal, 600)}")
        run = run_from_document(reply.get("run"), name, limits)
        walls = reply.get("walls")
        missing = {f"decoder_without_{wall}" for wall in WALLS if not (isinstance(walls, dict) and walls.get(wall))}
        run = replace(run, flags=tuple(sorted({*run.flags, *missing})))
    except TimeoutError:
        raise SourceError(
            f"{name}: no header within limits.first_frame_s = {limits.first_frame_s:g}: "
            "the file is damaged, or the storage too slow"
        ) from None
    except ReplyError as exc:
        raise SourceError(f"{name}: its description makes no sense ({printable(str(exc), 200)}): not read") from exc
    return run
