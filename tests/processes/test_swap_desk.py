"""Asking for another bundle: a corrupt one is refused, the old one goes on; a kept one is in force after a restart."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cathrt.export.bundle.sign import public_key, write_bundle
from cathrt.runtime.bundle.opening import Bundle
from cathrt.runtime.config import Config, SwapConfig, TrustConfig
from cathrt.runtime.errors import EngineError, SinkError
from cathrt.runtime.line.ladder_place import Place
from cathrt.runtime.line.live_ladder import LiveLadder
from cathrt.runtime.models import trusted_bundle
from cathrt.runtime.processes.state_folder import StateFolder
from cathrt.runtime.processes.swap_desk import SwapDesk
from cathrt.runtime.processes.swap_files import (
    OVER,
    SwapAnswer,
    SwapRequest,
    answer_swap,
    bundles_in_force,
    request_swap,
    swap_answer,
    swapped_in,
)
from tests.golden import conv_model, golden_manifest
from tests.line.ladders import Bench

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
MODEL = conv_model().SerializeToString()
CONFIG = Config(
    swap=SwapConfig(shadow_frames=5, watch_frames=5), trust=TrustConfig((f"{public_key(KEY)} tests",))
)  # fmt: skip
PATIENCE_S = 60.0


def written(folder: Path, name: str) -> Path:
    """A signed bundle of that name."""
    return write_bundle(folder / name, replace(golden_manifest(), name=name), {"model.onnx": MODEL}, KEY)


@dataclass
class Lane:
    """A live source whose new bundle is opened as an engine in memory. opened: the bundles it was asked for."""

    bench: Bench
    refusal: EngineError | None = None
    opened: list[Bundle] = field(default_factory=list)

    @property
    def ladder(self) -> LiveLadder:
        return self.bench.ladder

    def open_beside(self, bundle: Bundle) -> Place:
        self.opened.append(bundle)
        if self.refusal is not None:
            raise self.refusal
        return self.bench.place("new", bundle=replace(self.bench.given, manifest_sha256=bundle.manifest_sha256))


@dataclass
class Desk:
    """The desk of a live process with one source."""

    state: StateFolder
    lane: Lane
    desk: SwapDesk

    def ask(self, bundle: Path, id_: str = "1") -> None:
        request_swap(self.state, SwapRequest(id_, str(bundle)))

    def until(self, what: Callable[[SwapAnswer], bool]) -> SwapAnswer:
        """Let the desk look until its answer is as wanted."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            self.desk.look()
            self.lane.ladder.settle()
            answer = swap_answer(self.state)
            if answer is not None and what(answer):
                return answer
            assert time.monotonic() < deadline, answer
            threading.Event().wait(0.01)

    def over(self) -> SwapAnswer:
        return self.until(lambda answer: answer.phase in OVER)


@pytest.fixture
def state(tmp_path: Path) -> StateFolder:
    folder = StateFolder(tmp_path / "state")
    folder.make()
    return folder


@pytest.fixture
def desk(state: StateFolder) -> Desk:
    return desk_of(state)


def desk_of(state: StateFolder) -> Desk:
    bench = Bench("cpu")
    lane = Lane(bench)
    return Desk(state, lane, SwapDesk(state, CONFIG, [lane], bench.clock, threading.Event()))


def test_a_good_bundle_is_compared_tried_and_kept_and_is_in_force_after_a_restart(
    desk: Desk, state: StateFolder, tmp_path: Path
) -> None:
    old, new = (trusted_bundle(written(tmp_path, name), CONFIG) for name in ("old", "new"))
    desk.ask(new.path)
    desk.until(lambda answer: answer.phase == "comparing")
    desk.lane.bench.run(8)
    desk.until(lambda answer: answer.phase == "on trial")
    assert swapped_in(state) == [], "not before it has proved itself"
    desk.lane.bench.run(8)
    assert desk.over().phase == "kept"
    assert [what for what, _, _ in desk.lane.bench.told] == ["started", "loaded", "compared", "swapped", "kept"]
    (bundle,), faults = bundles_in_force(state, [old], CONFIG)
    assert (bundle.manifest_sha256, faults) == (new.manifest_sha256, {})


@pytest.mark.parametrize("damage", ["a file", "the signature", "a stranger's key", "no bundle"])
def test_a_bundle_that_does_not_check_is_refused_and_the_old_one_goes_on(
    desk: Desk, state: StateFolder, tmp_path: Path, damage: str
) -> None:
    folder = written(tmp_path, "new")
    if damage == "a file":
        model = bytearray((folder / "model.onnx").read_bytes())
        model[len(model) // 2] ^= 1
        (folder / "model.onnx").write_bytes(model)
    elif damage == "the signature":
        manifest = (folder / "manifest.json").read_bytes()
        (folder / "manifest.json").write_bytes(manifest.replace(b'"new"', b'"fit"'))
    elif damage == "a stranger's key":
        stranger = Ed25519PrivateKey.from_private_bytes(bytes(32))
        folder = write_bundle(tmp_path / "strange", golden_manifest(), {"model.onnx": MODEL}, stranger)
    else:
        folder = tmp_path / "there is none"
    desk.ask(folder)
    answer = desk.over()
    assert (answer.phase, answer.reason) == ("refused", "bundle")
    assert str(folder) in answer.detail
    assert desk.lane.opened == [], "nothing of it was loaded"
    desk.lane.bench.run(5)
    assert {str(verdict.outcome) for verdict in desk.lane.bench.journal.verdicts} == {"MET"}
    assert desk.lane.bench.told[-1] == ("refused", "bundle", None)
    assert swapped_in(state) == []


def test_a_bundle_whose_engine_cannot_be_opened_is_refused(desk: Desk, tmp_path: Path) -> None:
    desk.lane.refusal = EngineError("no room on the device")
    desk.ask(written(tmp_path, "new"))
    answer = desk.over()
    assert (answer.phase, answer.reason, answer.detail) == ("refused", "errors", "no room on the device")


def test_a_bundle_that_is_too_slow_for_the_budget_is_refused_before_any_frame(desk: Desk, tmp_path: Path) -> None:
    place = desk.lane.bench.place

    def slow(*rungs: str, bundle: Bundle) -> Place:
        made = place(*rungs, bundle=bundle)
        desk.lane.bench.engines["new"].takes_ms = 200.0
        return made

    desk.lane.bench.place = slow  # type: ignore[method-assign,assignment]
    desk.ask(written(tmp_path, "new"))
    assert "an inference takes 200 ms, the budget of a frame is 60 ms" in desk.over().detail


def test_a_swap_that_the_process_did_not_survive_is_refused_at_the_next_start(
    state: StateFolder, tmp_path: Path
) -> None:
    answer_swap(state, SwapAnswer("1", str(tmp_path), "on trial", "agreed", "5 of 5"))
    again = desk_of(state)
    again.ask(tmp_path)
    again.desk.restart({})
    assert again.lane.bench.told[-1] == ("refused", "restart", None)
    again.desk.look()
    answer = swap_answer(state)
    assert answer is not None
    assert (answer.phase, answer.reason) == ("refused", "restart")
    assert again.lane.opened == [], "it was not asked for again"


def test_a_kept_bundle_that_was_changed_since_leaves_the_given_one_in_force_and_says_so(
    desk: Desk, state: StateFolder, tmp_path: Path
) -> None:
    old, new = written(tmp_path, "old"), written(tmp_path, "new")
    desk.ask(new)
    desk.until(lambda answer: answer.phase == "comparing")
    desk.lane.bench.run(8)
    desk.lane.bench.run(8)
    desk.over()
    (new / "model.onnx").write_bytes(b"something else")
    given = trusted_bundle(old, CONFIG)
    (bundle,), faults = bundles_in_force(state, [given], CONFIG)
    assert bundle is given
    assert "the given one judges" in faults["keyframe"]
    again = desk_of(state)
    again.desk.restart(faults)
    assert again.lane.bench.told[-1] == ("refused", "bundle", None)


def test_a_request_is_answered_once(desk: Desk, tmp_path: Path) -> None:
    desk.ask(tmp_path / "none")
    desk.over()
    said = len(desk.lane.bench.changes)
    for _ in range(5):
        desk.desk.look()
    assert len(desk.lane.bench.changes) == said
    desk.ask(tmp_path / "none", "2")
    assert desk.until(lambda answer: answer.id == "2" and answer.phase in OVER)


def test_files_of_another_version_or_torn_ones_are_told_and_stop_nothing(desk: Desk, state: StateFolder) -> None:
    state.swap_answer.write_text('{"mood": 1}')
    with pytest.raises(SinkError, match="written by another version: remove it"):
        swap_answer(state)
    desk.desk.restart({})
    state.swap_request.write_text("{")
    desk.desk.look()
    assert not desk.lane.ladder.swapping


def test_a_torn_note_of_what_was_swapped_in_leaves_the_given_bundles_in_force(
    state: StateFolder, tmp_path: Path
) -> None:
    state.swapped.write_text("{")
    given = trusted_bundle(written(tmp_path, "old"), CONFIG)
    bundles, faults = bundles_in_force(state, [given], CONFIG)
    assert bundles == [given]
    assert "the given bundles judge" in faults[""]
