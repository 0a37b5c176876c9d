"""Progress: frames are counted, not records; never more done than there are; speed and time left of the last minute."""

from __future__ import annotations

from cathrt.runtime.line.pipeline import watch
from cathrt.runtime.sinks.progress import ProgressSink, Speed
from tests.lines import ArraySource, ListJournal, line
from tests.passes import refusal, stored


def test_every_verdict_advances_by_one_frame() -> None:
    told: list[tuple[int, int]] = []
    sink = ProgressSink(lambda done, total: told.append((done, total)))
    journal = ListJournal()
    source = ArraySource([0.1, 0.9, 0.1, None, 0.2])
    sink.opened(source.run)
    watch(source, line(), journal)
    for record in journal.records.values():
        sink.emit(stored(record))
    assert told == [(done, 5) for done in range(6)]


def test_a_run_of_unknown_length_grows_the_total() -> None:
    told: list[tuple[int, int]] = []
    sink = ProgressSink(lambda done, total: told.append((done, total)))
    journal = ListJournal()
    watch(ArraySource([0.1, 0.2]), line(), journal)
    for record in journal.records.values():
        sink.emit(stored(record))
    assert told == [(1, 1), (2, 2)]


def test_inputs_that_are_not_opened_yet_are_taken_to_be_as_long_as_the_others() -> None:
    told: list[tuple[int, int]] = []
    sink = ProgressSink(lambda done, total: told.append((done, total)), inputs=5)
    sink.opened(ArraySource([0.1] * 10).run)
    sink.opened(ArraySource([0.1] * 20).run)
    sink.emit(stored(refusal()))
    assert told == [(0, 50), (0, 75), (0, 60)]


def test_no_input_is_expected_when_all_were_opened_or_refused() -> None:
    told: list[tuple[int, int]] = []
    sink = ProgressSink(lambda done, total: told.append((done, total)), inputs=1)
    sink.emit(stored(refusal()))
    sink.opened(ArraySource([0.1] * 10).run)  # more than were promised
    assert told == [(0, 0), (0, 10)]


class Seconds:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def spoken(*counts: tuple[float, int, int]) -> list[str]:
    clock = Seconds()
    speed = Speed(clock)
    words = []
    for second, done, expected in counts:
        clock.now = second
        words.append(speed.words(done, expected))
    return words


def test_speed_and_time_left_are_said_once_they_mean_something() -> None:
    assert spoken((0.5, 30, 600), (2.0, 100, 600), (10.0, 500, 600)) == [
        "30 of about 600 frames",
        "100 of about 600 frames, 50 frames/s, 0:10 left",
        "500 of about 600 frames, 50 frames/s, 0:02 left",
    ]


def test_frames_that_an_earlier_process_judged_do_not_make_the_speed() -> None:
    at_once = [(2.0, 9000, 10_000)]
    then = [(2.0 + second, 9000 + 5 * second, 10_000) for second in range(1, 91)]
    assert spoken(*at_once, *then)[-1] == "9450 of about 10000 frames, 5 frames/s, 1:50 left"


def test_a_count_that_stands_still_or_is_not_known_has_no_speed() -> None:
    assert spoken((5.0, 0, 0), (6.0, 0, 100)) == ["0 frames", "0 of about 100 frames"]


def test_hours_are_said_as_hours() -> None:
    assert spoken((10.0, 10, 10_000))[0].endswith("1 frames/s, 2:46:30 left")
