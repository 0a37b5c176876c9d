"""The first reply of a decoder: the run it has found, or why there is none.

Not for: its frames (sandbox.py), and the fields of the run (messages.py).
"""

from __future__ import annotations

from dataclasses import replace

from cathrt.runtime.config import LimitsConfig
from cathrt.runtime.errors import SourceError
from cathrt.runtime.frame import Run, Timing
from cathrt.runtime.sources.decoder.process import DecoderProcess
from cathrt.runtime.sources.discover import UnlikeStillsError
from cathrt.runtime.sources.messages import WALLS, run_from_document
from cathrt.runtime.sources.reply_error import ReplyError
from cathrt.runtime.sources.syntax import printable


class KilledError(SourceError):
    """The decoder was killed from outside before it had described the run."""


class SilentError(SourceError):
    """The decoder has not described the run in time: the input may be whole, and the machine busy."""


def first_reply(decoder: DecoderProcess, name: str, limits: LimitsConfig) -> Run:
    """Wait for the run, at most limits.first_frame_s. Raises SourceError, KilledError where a fresh start may help,
    SilentError, UnlikeStillsError."""
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
            refused = UnlikeStillsError if reply.get("unlike") is True else SourceError
            raise refused(f"{name}: {printable(refusal, 600)}")
        run = run_from_document(reply.get("run"), name, limits)
        walls = reply.get("walls")
        missing = {f"decoder_without_{wall}" for wall in WALLS if not (isinstance(walls, dict) and walls.get(wall))}
        run = replace(run, flags=tuple(sorted({*run.flags, *missing})))
    except TimeoutError:
        raise SilentError(
            f"{name}: no header within limits.first_frame_s = {limits.first_frame_s:g}: "
            "the file is damaged, or the storage too slow"
        ) from None
    except ReplyError as exc:
        raise SourceError(f"{name}: its description makes no sense ({printable(str(exc), 200)}): not read") from exc
    return run


def with_given_rate(run: Run, rate_hz: float | None) -> Run:
    """The caller's rate in place of the default one. A run that states its own keeps it, and is flagged."""
    if rate_hz is None:
        return run
    if run.timing.origin != "default":
        return replace(run, flags=tuple(sorted({*run.flags, "given_rate_not_used"})))
    return replace(run, timing=Timing(rate_hz, "given"), flags=tuple(sorted({*run.flags} - {"frame_rate_default"})))
