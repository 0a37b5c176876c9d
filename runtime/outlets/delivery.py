"""One outlet at work: takes the rows of the journals in order and sends each until it is taken, refused or passed over.

step() does a bounded piece of work and says how long to wait. It holds one batch of each journal and one message, so
an outlet costs the same whether its receiver was away for a second or a day. Not for: threads (outlets.py).
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from cathrt.runtime.alert import StoredRecord
from cathrt.runtime.config import OutletConfig
from cathrt.runtime.errors import ConfigError, JournalError
from cathrt.runtime.failpoints import failpoint
from cathrt.runtime.outlets.backoff import Backoff
from cathrt.runtime.outlets.following import Following
from cathrt.runtime.outlets.limiter import Limiter
from cathrt.runtime.outlets.message import Lane, message_from
from cathrt.runtime.outlets.outbox import DeadLetter, LetterState, Outbox
from cathrt.runtime.outlets.peer import Peer, RefusedError, UnreachableError
from cathrt.runtime.outlets.state import OutletState

POLL_S = 0.05  # between two looks where nothing is new
LOOK_S = 1.0  # between two looks at what a person has asked for, and at a journal that cannot be followed
MOST_DEAD = 10_000  # dead letters of one outlet; then it waits for a person
SUSPECT = 8  # times that a receiver that is there does not take a record, before others are tried
_WORTH_NOTING_S = 5.0  # being behind for less is not stored
_TURN = 16  # records of one journal that are sent before the others have their turn
_LETTERS = 16  # dead letters that are sent again in one step


@dataclass(frozen=True, slots=True)
class Timing:
    """now_ns, now_s: of the monotonic clock. wall_s: seconds since 1970. chance: from 0 up to 1."""

    now_ns: Callable[[], int] = time.monotonic_ns
    wall_s: Callable[[], float] = time.time
    chance: Callable[[], float] = random.random

    def now_s(self) -> float:
        """The monotonic clock in seconds."""
        return self.now_ns() / 1e9


class Delivery:
    """For one thread, but for state and abort()."""

    def __init__(
        self,
        settings: OutletConfig,
        wanted: frozenset[str],
        journals: Mapping[str, Path],
        outbox: Outbox,
        open_peer: Callable[[], Peer],
        timing: Timing,
    ) -> None:
        """wanted: types of records. journals: by name, the most urgent first. Raises OutboxError."""
        self._settings, self._outbox, self._open_peer, self._timing = settings, outbox, open_peer, timing
        self._backoff = Backoff(settings.first_wait_s, settings.most_wait_s, timing.chance)
        self._limiter = Limiter(settings.rate_per_minute, timing.now_s)
        self._wanted = wanted
        self._journals = [Following(settings, name, path, outbox) for name, path in journals.items()]
        self._peer: Peer | None = None
        self._failures = 0  # in a row
        self._not_before_s = self._look_at_s = timing.now_s()
        since = outbox.behind_since(settings.name)
        self._behind_at_s = None if since is None else timing.now_s() - max(0.0, timing.wall_s() - since)
        self._noted_behind, self._lag_at_s = since is not None, 0.0
        self.sending_since_ns = 0  # 0: nothing is being sent
        self.state = OutletState(settings.name, settings.kind, settings.mandatory, dead=outbox.dead(settings.name))

    def step(self) -> float:
        """Do what is due. Returns the seconds to wait before the next step; 0.0 if there is more to do.

        Raises OutboxError: then the outlet has to be made anew.
        """
        wait_s = self._not_before_s - self._timing.now_s()
        if wait_s <= 0.0:
            wait_s = self._attempt()
        self._note_lag()
        return min(wait_s, LOOK_S)

    def last_try(self) -> None:
        """Let the next step() be an attempt, whatever there was to wait for: the outlet is about to stop."""
        self._not_before_s = self._timing.now_s()
        self._look_at_s = self._not_before_s

    def abort(self) -> None:
        """Let an attempt in another thread fail soon."""
        if (peer := self._peer) is not None:
            peer.abort()

    def close(self) -> None:
        """Note the places, say goodbye and close the journals. Raises OutboxError."""
        try:
            for journal in self._journals:
                journal.save()
        finally:
            if self._peer is not None:
                self._peer.close()
            for journal in self._journals:
                journal.close()

    def _attempt(self) -> float:
        try:
            looks = self._timing.now_s() >= self._look_at_s
            if looks:
                self._look_at_s = self._timing.now_s() + LOOK_S
                for journal in self._journals:
                    self._fill(journal, looks=True)
            sent = self._send_letters() if looks else False
            for journal in self._journals:
                sent |= self._follow(journal)
            if not sent and looks:
                self._idle()
        except (UnreachableError, ConfigError) as exc:
            return self._failed(exc)
        return 0.0 if sent else POLL_S

    def _idle(self) -> None:
        """Nothing waits. Raises UnreachableError, ConfigError."""
        if self._opened().idle():
            self._reached()
        elif self.state.error:  # of a time when something waited, or the receiver could not be opened
            self._failures = 0
            self.state = replace(self.state, reachable=None, since=None, error="")

    def _fill(self, journal: Following, *, looks: bool) -> None:
        """Read on, where no row is left. A journal that cannot be followed is tried again at the next look."""
        if journal.fault and not looks:
            return
        try:
            if looks:
                journal.look()
            journal.fill()
        except JournalError as exc:
            journal.fault = str(exc)
        else:
            journal.fault = ""

    def _follow(self, journal: Following) -> bool:
        """Send a turn's records of one journal. Returns whether there was one."""
        sent = 0
        self._fill(journal, looks=False)
        try:
            while journal.rows and sent < _TURN:
                stored = journal.rows[0].stored
                if stored.type in self._wanted and stored.seq not in journal.ahead:
                    if journal.attempts or self._limiter.takes(stored):
                        self._deliver(journal)
                        sent += 1
                        journal.save_if_due(self._timing.now_s())
                        continue
                    journal.keep_back()
                    continue
                journal.advance()
            return bool(sent)
        finally:
            journal.save_if_due(self._timing.now_s(), at_once=bool(sent))

    def _deliver(self, journal: Following) -> None:
        """Send the record at the front, and move the place behind it. Raises UnreachableError, ConfigError."""
        stored = journal.rows[0].stored
        failpoint("outlet.sending")
        journal.attempts += 1
        self._count(repeats=int(journal.attempts > 1))
        try:
            self._send(stored, journal)
        except RefusedError as exc:
            journal.refusals += 1
            if journal.refusals < self._settings.refusals:
                raise UnreachableError(f"refused {journal.name} row {stored.seq}: {exc}") from exc
            self._bury(journal, str(exc))
            return
        except UnreachableError as exc:
            journal.unheard = journal.unheard + 1 if exc.heard else 0
            if journal.unheard < SUSPECT or not self._takes_another(journal):
                raise
            if fault := self._fault_with(stored, journal):
                self._bury(journal, f"{fault}, {journal.attempts} times, while another record was taken")
                return
        failpoint("outlet.acknowledged")
        journal.advance()

    def _takes_another(self, journal: Following) -> bool:
        """Whether the receiver takes a record that is not the one at the front: then it may be the record after all.

        One of another run or journal, where there is one, so that the order within a run stays. Raises ConfigError.
        """
        first, others = journal.rows[0].stored, list(self._others(journal))
        of_another_run = (pair for pair in others if pair[0] is not journal or _run_of(pair[1]) != _run_of(first))
        chosen = next(of_another_run, others[0] if others else None)
        if chosen is None or not self._limiter.takes(chosen[1]):
            return False
        where, other = chosen
        try:
            self._send(other, where)
        except (RefusedError, UnreachableError):
            return False
        where.ahead.add(other.seq)
        return True

    def _others(self, journal: Following) -> Iterator[tuple[Following, StoredRecord]]:
        """Records that wait beside the one at the front of that journal, and where."""
        for one in self._journals:
            self._fill(one, looks=False)
            for row in islice(one.rows, 1 if one is journal else 0, None):
                if row.stored.type in self._wanted and row.stored.seq not in one.ahead:
                    yield one, row.stored

    def _fault_with(self, stored: StoredRecord, journal: Following) -> str:
        """Send it once more. Returns why it was not taken, "" if it was. Raises UnreachableError, ConfigError."""
        try:
            self._send(stored, journal)
        except RefusedError as exc:
            return str(exc)
        except UnreachableError as exc:
            if not exc.heard:
                raise
            return str(exc)
        return ""

    def _send(self, stored: StoredRecord, journal: Following) -> None:
        lane = Lane(journal.name, journal.limited, self._settings.names)
        self._send_message(stored, lane)
        self._reached()
        self._count(delivered=1)

    def _send_message(self, stored: StoredRecord, lane: Lane) -> None:
        try:
            peer = self._opened()
            self.sending_since_ns = self._timing.now_ns()
            peer.send(message_from(stored, lane, self._timing.now_ns()))
        except UnreachableError:
            self._drop_peer()
            raise
        finally:
            self.sending_since_ns = 0

    def _opened(self) -> Peer:
        """The receiver; it is opened anew after each failure, so that changed secrets and certificates count."""
        if self._peer is None:
            self._peer = self._open_peer()
        return self._peer

    def _drop_peer(self) -> None:
        if self._peer is not None:
            self._peer.close()
            self._peer = None

    def _bury(self, journal: Following, reason: str) -> None:
        """Make the record at the front a dead letter. Raises UnreachableError where there are too many of them."""
        name, stored = self._settings.name, journal.rows[0].stored
        if self._outbox.dead(name) >= MOST_DEAD:
            raise UnreachableError(f"{MOST_DEAD} dead letters: retry or discard them (cathrt outbox)")
        journal.bury(
            DeadLetter(
                0, name, journal.name, stored.seq, stored.id, stored.type, stored.body, reason, journal.attempts,
                self._timing.wall_s(),
            )
        )  # fmt: skip
        failpoint("outlet.buried")
        self._count(failed=1)
        self.state = replace(self.state, dead=self._outbox.dead(name))

    def _send_letters(self) -> bool:
        """Send again the dead letters for which a person has asked that. Returns whether there was one."""
        letters = self._outbox.letters(self._settings.name, LetterState.RETRY, _LETTERS)
        for letter in letters:
            stored = StoredRecord(letter.seq, letter.id, letter.type, letter.body)
            limited = next((one.limited for one in self._journals if one.name == letter.journal), 0)
            failpoint("outlet.sending")
            self._count(repeats=1)
            try:
                self._send_message(stored, Lane(letter.journal, limited, self._settings.names))
            except RefusedError as exc:
                self._outbox.refused_again(letter, str(exc))
            except UnreachableError as exc:
                if exc.heard:  # or it would be tried for ever, before all others
                    self._outbox.refused_again(letter, str(exc))
                raise
            else:
                failpoint("outlet.acknowledged")
                self._outbox.delivered(letter)
                self._reached()
                self._count(delivered=1)
        self.state = replace(self.state, dead=self._outbox.dead(self._settings.name))
        return bool(letters)

    def _reached(self) -> None:
        self._failures = 0
        if self.state.reachable is not True:
            self.state = replace(self.state, reachable=True, since=self._timing.wall_s())
        if self.state.error:
            self.state = replace(self.state, error="")

    def _failed(self, exc: UnreachableError | ConfigError) -> float:
        """Note it. Returns the wait before the next attempt."""
        self._drop_peer()
        self._failures += 1
        self._count(failed=1)
        if self.state.reachable is not False:
            self.state = replace(self.state, reachable=False, since=self._timing.wall_s())
        self.state = replace(self.state, error=str(exc))
        wait_s = self._backoff.after(self._failures)
        if isinstance(exc, UnreachableError) and exc.wait_s is not None:
            wait_s = max(wait_s, min(exc.wait_s, self._settings.most_wait_s))
        self._not_before_s = self._timing.now_s() + wait_s
        return wait_s

    def _count(self, *, delivered: int = 0, repeats: int = 0, failed: int = 0) -> None:
        self.state = replace(
            self.state,
            delivered=self.state.delivered + delivered,
            repeats=self.state.repeats + repeats,
            failed=self.state.failed + failed,
        )

    def _note_lag(self) -> None:
        """Behind is: rows wait that could not be sent in this step, or a journal cannot be followed."""
        now_s, faults = self._timing.now_s(), tuple(one.fault for one in self._journals if one.fault)
        behind = bool(faults) or any(one.rows for one in self._journals)
        if not behind:
            self._behind_at_s = None
        elif self._behind_at_s is None:
            self._behind_at_s = now_s
        lag_s = 0.0 if self._behind_at_s is None else now_s - self._behind_at_s
        if self._noted_behind != (noted := lag_s >= _WORTH_NOTING_S) and (noted or not behind):
            self._outbox.note_behind(self._settings.name, self._timing.wall_s() - lag_s if noted else None)
            self._noted_behind = noted
        if now_s >= self._lag_at_s or not behind:
            self._lag_at_s = now_s + LOOK_S
            self.state = replace(
                self.state,
                faults=faults,
                rows_behind=sum(_rows_behind(one) for one in self._journals) if behind else 0,
                oldest_s=round(lag_s, 3),
                limited=sum(one.limited for one in self._journals),
                pruned=sum(one.pruned for one in self._journals),
            )


def _rows_behind(journal: Following) -> int:
    try:
        return journal.rows_behind()
    except JournalError:
        return len(journal.rows)


def _run_of(stored: StoredRecord) -> str | None:
    return json.loads(stored.body).get("run_id")  # type: ignore[no-any-return]
