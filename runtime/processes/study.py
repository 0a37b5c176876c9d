"""The study process of `cathrt run`: python -m cathrt.runtime.processes.study STATE [--config FILE]
[--bundle FOLDER ...]

Judges received objects and files of watched folders, each run once, into STATE/study.journal: the confirmed results.
With bundles that read studies it encodes each run and reads its study; with one that writes drafts, it writes one at
each end of a study. Not for: how (study/), and what is received (the gateway).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack, closing
from functools import partial
from pathlib import Path

from cathrt.runtime.config import Config
from cathrt.runtime.journal.lookups import last_seq
from cathrt.runtime.journal.writer import Journal
from cathrt.runtime.line.pipeline import Line
from cathrt.runtime.line.replay import opened_line
from cathrt.runtime.listener.store_reader import StoreReader
from cathrt.runtime.model_kind import Reader, Writer
from cathrt.runtime.models import given_bundles, load_config, open_reader, open_writer
from cathrt.runtime.processes.child import Process, ProcessArguments, process_main
from cathrt.runtime.processes.retaining import study_keeper
from cathrt.runtime.processes.state_folder import StateFolder
from cathrt.runtime.processes.times_file import TimesFile
from cathrt.runtime.processes.timings import RECEIVED, Timings, catch_up
from cathrt.runtime.retention.keeper import retaining
from cathrt.runtime.sources.decoder.sandbox import prepare_decoders
from cathrt.runtime.sources.discover import Input, InputKind
from cathrt.runtime.sources.input_names import private_name
from cathrt.runtime.study.confirm import Confirming, Judged, StudyWork
from cathrt.runtime.study.drafting import Drafts
from cathrt.runtime.study.endings import Endings
from cathrt.runtime.study.feature_store import FeatureStore
from cathrt.runtime.study.folder_watch import watching
from cathrt.runtime.study.intake_book import IntakeBook
from cathrt.runtime.study.model_thread import ModelThread
from cathrt.runtime.study.patience import beating
from cathrt.runtime.study.reading import Readings, study_readers
from cathrt.runtime.study.received_runs import ReceivedRuns
from cathrt.runtime.study.run_queue import RunQueue
from cathrt.runtime.study.study_ends import StudyEnds
from cathrt.runtime.study.watched_folder import WatchedFolder

_LOOK_S = 1.0  # longest between two looks at a watched folder


def study(running: Process, arguments: ProcessArguments) -> None:
    """Judge until running.stop is set. Raises CathrtError."""
    config = load_config(arguments.config)
    kinds: list[InputKind] = ["dicom", "video"] if config.study.watched_folders else ["dicom"]
    prepare_decoders(Input(kind, "", ()) for kind in kinds)
    given = given_bundles(arguments.bundles, config)
    writer = None if given.writer is None else open_writer(given.writer, config)
    readers = [open_reader(bundle, config) for bundle in given.readers]
    confirm(running, arguments.state, config, partial(opened_line, given.on_frames, config, "max"), writer, readers)


def confirm(
    running: Process,
    state: StateFolder,
    config: Config,
    open_line: Callable[[], AbstractContextManager[Line]],
    writer: Writer | None = None,
    readers: Sequence[Reader] = (),
) -> None:
    """Judge what is in the state folder's store and in the watched folders, with the line that open_line() opens.

    writer: of drafts; None where ends of studies are not to be drafted. readers: of studies.
    """
    settle_s, store = config.study.settle_s, StoreReader(state.store)
    times: dict[str, TimesFile] = {}
    with (
        ExitStack() as opened,  # closed when the journal has shown its last record
        closing(IntakeBook(state.intake)) as book,
        Journal(state.study_journal, config.journal, (Timings(lambda _run: times.get(RECEIVED)),)) as journal,
        beating(running.beat) as patience,
        ExitStack() as stack,
    ):
        times[RECEIVED] = opened.enter_context(closing(_times(state)))
        folders = [
            WatchedFolder(Path(name), settle_s, book.is_judged, name_of=partial(private_name, Path(name), number))
            for number, name in enumerate(config.study.watched_folders, 1)
        ]
        queue = RunQueue(ReceivedRuns(store, book), folders, book)
        work: list[StudyWork] = [Endings(store, book, journal)]
        judged: list[Judged] = []
        given, features, readings = study_readers(readers, store, book), None, None
        if given:
            features = opened.enter_context(closing(FeatureStore(state.features)))
            readings = Readings(
                readers=given,
                store=store,
                features=features,
                book=book,
                journal=journal,
                limits=config.limits,
                thread=ModelThread(running.stop, patience, queue.received_waits, "cathrt-readers"),
            )
            stack.callback(readings.close)
            work.append(readings)
            judged.append(readings.judged)
        if writer is not None:
            drafts = Drafts(
                writer=writer,
                ends=StudyEnds(store, book),
                store=store,
                book=book,
                journal=journal,
                limits=config.limits,
                thread=ModelThread(running.stop, patience, queue.received_waits, "cathrt-drafts"),
            )
            if readings is not None:
                drafts.readings = readings.of_end
            stack.callback(drafts.close)
            work.append(drafts)
            judged.append(drafts.judged)
        watchers = stack.enter_context(watching(folders, queue.files, min(settle_s / 2, _LOOK_S)))
        stack.enter_context(retaining(study_keeper(state, config, journal, book, store, features)))
        Confirming(queue, book, journal, config, running.stop, patience, watchers, work, judged).run(open_line)


def _times(state: StateFolder) -> TimesFile:
    """Where the stage times of all received runs are counted, up to what is durable."""
    journal = state.study_journal
    times = TimesFile(state.times(RECEIVED, "study"), RECEIVED, since_seq=last_seq(journal))
    try:
        catch_up(times, journal, lambda _run: True)
    except BaseException:
        times.close()
        raise
    return times


if __name__ == "__main__":
    process_main("study", "idle", study)
