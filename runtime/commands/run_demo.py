"""`cathrt run --demo`: a state folder and a configuration to show the page with, and generated runs for it.

A phantom is the live source; three runs of one generated study come by DICOM. All of it is synthetic, no patient is
shown, so nobody logs in. Not for: `cathrt demo`, which ends by itself (demo.py, demo_live.py).
"""

from __future__ import annotations

import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from cathrt.runtime.bundle.shipped import (
    demonstration_bundle,
    demonstration_drafts_bundle,
    demonstration_studies_bundle,
)
from cathrt.runtime.commands.demo_live import demo_settings
from cathrt.runtime.commands.doctor import effective_config
from cathrt.runtime.config import Config
from cathrt.runtime.errors import CathrtError, SinkError
from cathrt.runtime.listener.peer_address import PeerAddress
from cathrt.runtime.listener.send import send_file
from cathrt.runtime.phantom.dicom import write_xa
from cathrt.runtime.phantom.source import PhantomSource
from cathrt.runtime.phantom.study import SceneRecipe
from cathrt.runtime.processes.health import PAGE
from cathrt.runtime.processes.state_folder import StateFolder
from cathrt.runtime.web.access.safety import require_safe

SEED = 7
_SIDES: tuple[Literal["left", "right"], ...] = ("left", "left", "right")
_RATE_HZ, _MOST_FRAMES = 15.0, 60
_LOOK_S = 0.2
_START_S = 60.0


@dataclass(frozen=True, slots=True)
class DemoBox:
    """What `cathrt run` is to run on. bundles: what judges frames, writes drafts, and reads studies."""

    state: Path
    config: Path
    settings: Config
    bundles: tuple[Path, ...]


@contextmanager
def demo_box(state: Path | None, config: Config) -> Iterator[DemoBox]:
    """A state folder with a configuration in it, until the end of the block. state: None: a temporary one.

    Raises ConfigError where the page of such a configuration would show more than phantoms.
    """
    folder = Path(tempfile.mkdtemp(prefix="cathrt-demo-")) if state is None else state
    try:
        folder.mkdir(parents=True, exist_ok=True)
        settings = _settings(config)
        require_safe(settings)
        file = folder / "demo.toml"
        file.write_text(effective_config(settings), encoding="utf-8")
        bundles = (demonstration_bundle(), demonstration_drafts_bundle(), demonstration_studies_bundle())
        yield DemoBox(folder, file, settings, bundles)
    finally:
        if state is None:
            with suppress(SinkError):
                StateFolder(folder).dismiss_memory()  # a process that ended badly left it
            shutil.rmtree(folder, ignore_errors=True)


class DemoVisitor(threading.Thread):
    """Waits for the page, says where it is, then draws runs and sends them. Ends when stop is set.

    What goes wrong is said, and ends nothing: the page goes on without these runs.
    """

    def __init__(self, box: DemoBox, stop: threading.Event, say: Callable[[str], None]) -> None:
        super().__init__(name="cathrt-run-demo", daemon=True)
        self._box, self._stop_event, self._say = box, stop, say

    def run(self) -> None:
        url = self._page_url()
        if url is None:
            return
        self._say(f"the page is at {url}  (open it in a browser; Ctrl-C ends the demonstration)")
        try:
            with tempfile.TemporaryDirectory(prefix="cathrt-demo-runs-") as folder:
                self._send_runs(Path(folder))
        except (CathrtError, OSError) as exc:
            self._say(f"no generated runs: {exc}")

    def _page_url(self) -> str | None:
        state, deadline_s = StateFolder(self._box.state), time.monotonic() + _START_S
        while not self._stop_event.wait(_LOOK_S):
            report = state.read_report(PAGE) or {}
            if report.get("url"):
                return str(report["url"])
            if report.get("fault") or time.monotonic() > deadline_s:
                self._say(f"the page is not there: {report.get('fault') or 'what was printed before says why'}")
                return None
        return None

    def _send_runs(self, folder: Path) -> None:
        listener = self._box.settings.listener
        service = PeerAddress(listener.ae_title, listener.host, listener.port)
        for number, side in enumerate(_SIDES):
            source = PhantomSource(
                SceneRecipe(SEED + number, side=side, frame_rate_hz=_RATE_HZ, most_frames=_MOST_FRAMES).scene()
            )
            path = write_xa(source.run, source.render, folder / f"run-{number}.dcm", study=f"demo {self._box.state}")
            if self._stop_event.is_set():
                return
            send_file(path, service)
        self._say(f"{len(_SIDES)} generated runs of one study were sent to it; its report follows")


def _settings(config: Config) -> Config:
    """One phantom as live source, the page on this machine without a login, and a study that ends soon."""
    settings = demo_settings(config, SEED)
    page = replace(
        config.page, enabled=True, host="127.0.0.1", port=_page_port(config.page.port), demo=True,
        tls_certificate="", tls_key="", proxy_addresses=(), proxy_user_header="",
    )  # fmt: skip
    listener = replace(settings.listener, study_settle_s=5.0, study_idle_s=15.0, study_long_idle_s=60.0)
    return replace(settings, page=page, listener=listener, outlets=())


def _page_port(wanted: int) -> int:
    """The port that people know, where it is free; else any."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError:
            return 0
    return wanted
