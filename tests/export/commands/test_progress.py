"""Progress where there is no terminal: a line every few seconds, with what is left."""

from __future__ import annotations

from cathrt.export.commands.progress import EVERY_S, ProgressLines


def test_a_line_comes_every_few_seconds_and_at_the_end_of_a_stage() -> None:
    said: list[str] = []
    now_s = [100.0]
    lines = ProgressLines(said.append, lambda: now_s[0])
    for done in range(1, 65):
        now_s[0] += 2.0
        lines.advance("qualifying openvino", done, 64)
    assert said[0] == "qualifying openvino: 4 of 64, 6 s, about 1 min 30 s left"
    assert said[-1] == "qualifying openvino: 64 of 64, 2 min 6 s"
    assert len(said) == 1 + 60 // 3
    assert EVERY_S == 5.0


def test_another_stage_has_a_time_of_its_own() -> None:
    said: list[str] = []
    now_s = [0.0]
    lines = ProgressLines(said.append, lambda: now_s[0])
    lines.advance("first", 0, 2)
    now_s[0] = 60.0
    lines.advance("second", 1, 2)
    now_s[0] = 66.0
    lines.advance("second", 1, 2)
    assert said == ["second: 1 of 2, 6 s, about 6 s left"]
