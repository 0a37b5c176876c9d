"""What speaks against a rung: errors, frames that miss their time, heat; and what does not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from cathrt.runtime.alert import Outcome
from cathrt.runtime.config import LadderConfig
from cathrt.runtime.line.heat import Heat, HeatReader, nvml_heat
from cathrt.runtime.line.judge import COVERED
from cathrt.runtime.line.ladder_signs import Signs, missed_its_time
from tests.passes import verdict

CONFIG = LadderConfig(errors=3, errors_s=5.0, missed_share=0.5, missed_s=0.8)
MS = 1_000_000


def test_a_covered_frame_and_a_repeat_miss_nothing() -> None:
    dropped = verdict(0, outcome=Outcome.DROPPED)
    assert not missed_its_time(replace(dropped, reason=COVERED))
    assert missed_its_time(replace(dropped, reason="overrun: 2 newer pictures were waiting"))
    assert missed_its_time(verdict(0, outcome=Outcome.LATE))
    for outcome in (Outcome.MET, Outcome.FAILED, Outcome.DUPLICATE):
        assert not missed_its_time(verdict(0, outcome=outcome))


def test_overload_is_a_share_of_the_window_and_ends_with_it() -> None:
    signs = Signs(CONFIG)
    for index in range(12):
        signs.saw(verdict(index), index * 66 * MS)
    assert signs.overload is None
    first = 12 * 66 * MS
    moments = []
    for index in range(12, 24):
        signs.saw(verdict(index, outcome=Outcome.LATE), index * 66 * MS)
        if signs.overload is not None:
            moments.append(index * 66 * MS)
    assert signs.overload is not None
    assert signs.overload >= first
    assert moments[0] - first <= CONFIG.missed_s * 1e9
    for index in range(24, 40):
        signs.saw(verdict(index), index * 66 * MS)
    assert signs.overload is None


def test_a_few_frames_say_nothing() -> None:
    signs = Signs(CONFIG)
    for index in range(3):
        signs.saw(verdict(index, outcome=Outcome.LATE), index * 66 * MS)
    assert signs.overload is None


def test_errors_count_within_their_window_only() -> None:
    signs = Signs(CONFIG)
    for second in (0, 3, 6):
        signs.erred(second * 10**9)
    assert signs.errors(6 * 10**9) is None
    signs.erred(7 * 10**9)
    assert signs.errors(7 * 10**9) == 3 * 10**9


def test_only_errors_in_a_row_are_the_end_of_the_last_rung() -> None:
    signs = Signs(CONFIG)
    for moment in range(5):
        signs.erred(moment)
    signs.answered()
    for moment in range(5, 10):
        signs.erred(moment)
    assert signs.only_errors is None
    signs.erred(10)
    assert signs.only_errors == 5


@pytest.fixture
def sysfs(tmp_path: Path) -> Path:
    counters = tmp_path / "devices/system/cpu/cpu0/thermal_throttle"
    zone = tmp_path / "class/thermal/thermal_zone0"
    counters.mkdir(parents=True)
    zone.mkdir(parents=True)
    (counters / "core_throttle_count").write_text("7\n")
    (counters / "package_throttle_count").write_text("9\n")
    (zone / "temp").write_text("61000\n")
    (zone / "trip_point_0_type").write_text("passive\n")
    (zone / "trip_point_0_temp").write_text("60000\n")
    (zone / "trip_point_1_type").write_text("hot\n")
    (zone / "trip_point_1_temp").write_text("95000\n")
    return tmp_path


def test_a_counter_that_rises_is_heat_for_that_look(sysfs: Path) -> None:
    read = HeatReader(sysfs, lambda: False)
    assert read() == Heat()
    (sysfs / "devices/system/cpu/cpu0/thermal_throttle/package_throttle_count").write_text("10\n")
    assert read() == Heat(cpu=True)
    assert read() == Heat()


def test_a_zone_above_its_hot_point_is_heat_and_above_its_passive_point_is_none(sysfs: Path) -> None:
    read = HeatReader(sysfs, lambda: False)
    assert read() == Heat()
    (sysfs / "class/thermal/thermal_zone0/temp").write_text("96000\n")
    assert read() == Heat(cpu=True)


def test_a_sensor_that_goes_away_is_no_heat(sysfs: Path) -> None:
    read = HeatReader(sysfs, lambda: True)
    (sysfs / "class/thermal/thermal_zone0/temp").unlink()
    (sysfs / "devices/system/cpu/cpu0/thermal_throttle/core_throttle_count").unlink()
    assert read() == Heat(gpu=True)


def test_a_machine_without_sensors_and_nvml_is_never_hot(tmp_path: Path) -> None:
    assert HeatReader(tmp_path, nvml_heat("libthere-is-none.so"))() == Heat()
