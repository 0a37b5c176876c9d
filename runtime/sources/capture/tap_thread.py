"""Reads a tap for ever in a thread of its own: opens it, reconnects when it is lost, gives up on calls that hang.

The reader gets the newest pictures first when it is late, and a Missing for each one that was overrun.
Not for: the connection itself (the taps beside this file), and which pictures make up a run (line/live_runs.py).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from cathrt.runtime.clock import Clock
from cathrt.runtime.config import SourceConfig
from cathrt.runtime.counts import Counts
from cathrt.runtime.errors import SourceError
from cathrt.runtime.ports import Missing, Picture, Tap
from cathrt.runtime.sources.capture.inbox import Inbox
from cathrt.runtime.sources.capture.reading import BackOff, Reading
from cathrt.runtime.sources.capture.sighting import Sighting, Silence, SourceTimes, signature_of

MOST_ABANDONED = 8  # threads in calls that never returned; each keeps what its call holds
_CLOSE_S = 5.0  # longest that close() waits for its threads


_BACK_OFF = BackOff()


class TapThread:
    """A live source that never ends. take() is for one reader's thread; close() may come from any."""

    def __init__(
        self,
        config: SourceConfig,
        open_tap: Callable[[], Tap],
        clock: Clock,
        counts: Counts,
        back_off: BackOff = _BACK_OFF,
    ) -> None:
        """Start the thread. open_tap is called in it, as often as needed."""
        self._name = config.name
        self._open_tap = open_tap
        self._clock = clock
        self._counts = counts
        self._back_off = back_off
        self._no_signal_ns = round(config.no_signal_s * 1e9)
        self._first_picture_ns = round(config.first_picture_s * 1e9)
        self._changed = threading.Condition()
        self._inbox = Inbox(config.queue_frames)
        self._too_late_ns = round(config.frame_budget_ms * 1e6 / 2)  # the other half is for judging
        self._abandoned: list[Reading] = []
        self._seen = self._closed = False
        self._fault: BaseException | None = None
        self._silent_since_ns = clock.now_ns()  # the newest picture, or the start
        self._next_silence_ns = self._silent_since_ns + self._first_picture_ns
        with self._changed:  # the thread looks at what is set here
            self._reading = self._started(self._silent_since_ns)

    def take(self, wait_s: float | None) -> Sighting | Missing | Silence | None:
        """The oldest that waits. None: nothing came within wait_s (None: for ever), or the source is closed.

        Raises SourceError where so many calls have hung that only a new process helps, and whatever else than
        SourceError a tap has raised.
        """
        end_ns = None if wait_s is None else self._clock.now_ns() + round(wait_s * 1e9)
        with self._changed:
            while True:
                if (item := self._inbox.take(self._clock.now_ns() - self._too_late_ns)) is not None:
                    self._changed.notify_all()  # there is room
                    return item
                if self._closed:
                    return None
                if self._fault is not None:
                    raise self._fault
                now_ns = self._clock.now_ns()
                if (silence := self._silence(now_ns)) is not None:
                    return silence
                if end_ns is not None and now_ns >= end_ns:
                    return None
                patience_ns = min(self._next_silence_ns, self._given_up_ns() or self._next_silence_ns)
                until_ns = patience_ns if end_ns is None else min(patience_ns, end_ns)
                if not self._changed.wait((until_ns - now_ns) / 1e9) and until_ns == end_ns:
                    return None

    def close(self) -> None:
        """Close the tap and end its thread. Idempotent. Returns within 5 s, whether or not a call hangs."""
        with self._changed:
            if not self._closed:
                self._closed = True
                self._abandon()
            left = [thread for reading in self._abandoned for thread in reading.threads]
        end = time.monotonic() + _CLOSE_S
        for thread in left:
            thread.join(max(0.0, end - time.monotonic()))

    def _silence(self, now_ns: int) -> Silence | None:
        """What to say where no picture came for too long. A connection that gives none is given up for a new one."""
        reading, given_up_ns = self._reading, self._given_up_ns()
        given_up = given_up_ns is not None and now_ns >= given_up_ns
        if not given_up and now_ns < self._next_silence_ns:
            return None
        self._next_silence_ns = now_ns + self._no_signal_ns
        if not given_up:
            return Silence(self._silent_since_ns, f"no signal: {reading.trouble}")
        self._abandon()
        if reading.item_ns is not None and now_ns - reading.item_ns < self._no_signal_ns:
            reason = f"no signal: {reading.trouble}"
        else:
            self._counts.add("hung")
            reason = "does not answer: a call into the source has not returned"
        self._abandoned = [old for old in self._abandoned if old.threads]
        if len(self._abandoned) > MOST_ABANDONED:
            self._fault = SourceError(
                f"{self._name}: {len(self._abandoned)} calls into the source have never returned, "
                f"at most {MOST_ABANDONED} are borne: the process has to be started anew"
            )
            raise self._fault
        self._reading = self._started(now_ns)
        return Silence(self._silent_since_ns, reason)

    def _given_up_ns(self) -> int | None:
        """When the connection is given up if no picture comes; None where there is no connection."""
        reading = self._reading
        if not reading.connected:
            return None
        if reading.picture_ns is None:
            return reading.began_ns + self._first_picture_ns
        return reading.picture_ns + self._no_signal_ns

    def _abandon(self) -> None:
        """The thread ends when its call returns. Its tap is closed from another one, since that may hang as well."""
        reading = self._reading
        self._abandoned.append(reading)
        if reading.tap is not None:
            reading.closer = threading.Thread(target=reading.tap.close, name=f"cathrt-close-{self._name}", daemon=True)
            reading.closer.start()
        self._reading = Reading()
        self._changed.notify_all()

    # What follows runs in the thread that reads.

    def _started(self, now_ns: int) -> Reading:
        reading = Reading(now_ns, connected=True)
        reading.thread = threading.Thread(
            target=self._read, args=(reading,), name=f"cathrt-tap-{self._name}", daemon=True
        )
        reading.thread.start()
        return reading

    def _read(self, reading: Reading) -> None:
        """One connection after the other, until the source is closed or this thread was given up."""
        wait_s = self._back_off.first_s
        try:
            while self._begun(reading):
                trouble = self._connection(reading)
                with self._changed:
                    reading.tap, reading.connected, reading.trouble = None, False, trouble
                    wait_s = self._back_off.first_s if reading.picture_ns is not None else wait_s
                    self._changed.notify_all()
                    self._changed.wait_for(lambda: not self._is_current(reading), wait_s)
                wait_s = min(2.0 * wait_s, self._back_off.most_s)
        except BaseException as exc:  # the thread that takes the pictures raises it
            with self._changed:
                if self._is_current(reading):
                    self._fault = exc
                    self._changed.notify_all()

    def _is_current(self, reading: Reading) -> bool:
        return self._reading is reading and not self._closed

    def _begun(self, reading: Reading) -> bool:
        with self._changed:
            if not reading.connected:  # the first connection began with the thread
                reading.began_ns, reading.connected = self._clock.now_ns(), True
                reading.picture_ns = reading.item_ns = None
                reading.times = SourceTimes()
                self._changed.notify_all()
            return self._is_current(reading)

    def _connection(self, reading: Reading) -> str:
        """From opening to closing; returns what was the trouble."""
        tap = None
        try:
            tap = self._open_tap()
            if self._opened(reading, tap):
                while self._handed_on(reading, tap.next()):
                    pass
        except SourceError as exc:
            return str(exc)
        finally:
            if tap is not None:
                tap.close()
        return "it was closed"

    def _opened(self, reading: Reading, tap: Tap) -> bool:
        with self._changed:
            if self._is_current(reading):
                self._counts.add("opened")
                reading.tap, reading.trouble = tap, "no picture came yet"
            return self._is_current(reading)

    def _handed_on(self, reading: Reading, came: Picture | Missing) -> bool:
        """False where nobody wants any more of this thread: what came is then no one's."""
        item = came if isinstance(came, Missing) else self._sighting(reading, came)
        with self._changed:
            self._changed.wait_for(lambda: not (self._inbox.full and self._is_current(reading)))
            if not self._is_current(reading):
                return False
            reading.item_ns = now_ns = self._clock.now_ns()
            self._counts.add("received")
            if isinstance(item, Missing):
                reading.trouble = f"the newest picture is missing: {item.reason}"
            else:
                self._counts.note("picture_ns", item.picture.captured_ns)
                reading.picture_ns = self._silent_since_ns = now_ns
                reading.trouble = "no picture came any more"
                self._next_silence_ns = now_ns + self._no_signal_ns
                self._seen = True
            self._inbox.put(item)
            self._changed.notify_all()
        return True

    def _sighting(self, reading: Reading, picture: Picture) -> Sighting:
        reopened = ("reopened",) if reading.picture_ns is None and self._seen else ()
        return Sighting(picture, signature_of(picture.pixels), reopened + reading.times.flags_of(picture))
