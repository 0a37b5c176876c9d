"""What every test may ask for: where the real angiograms are, a GPU, and a clear reason where they are not."""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path
from tempfile import gettempdir

import pytest
from hypothesis import settings

from tests.gpu import why_no_gpu
from tests.seconds import Seconds
from tests.turns import Turns

ROOT = Path(__file__).resolve().parent.parent
# Time is pytest-timeout's matter: an example that waits for a busy core is no failure.
settings.register_profile("cathrt", deadline=None)
settings.load_profile("cathrt")
_WITHOUT_GPU = pytest.StashKey[tuple[int, str]]()
_TURNS = pytest.StashKey[Turns]()


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Folder of real angiograms: $CATHRT_DATA, else ../shared/data beside the checkout. Skips without it."""
    candidates = [Path(os.environ["CATHRT_DATA"])] if "CATHRT_DATA" in os.environ else [ROOT.parent / "shared" / "data"]
    for folder in candidates:
        if (folder / "manifest.csv").is_file():
            return folder
    pytest.skip(f"no real angiograms: looked in {', '.join(map(str, candidates))}; set CATHRT_DATA to their folder")


def pytest_configure(config: pytest.Config) -> None:
    """Of several workers, each has its turn with the others, and computes on one thread."""
    if config.getoption("numprocesses", None):
        # Inherited by the workers, which have not loaded torch or NumPy yet: the threads of two that compute at the
        # same time would wait for each other by spinning. EngineConfig.threads is not read from here.
        os.environ.setdefault("OMP_NUM_THREADS", "1")
    if (worker := getattr(config, "workerinput", None)) is not None:
        config.stash[_TURNS] = Turns(Path(gettempdir()) / f"cathrt-turns-{worker['testrunuid']}")
    elif config.getoption("durations") is not None:
        config.pluginmanager.register(Seconds())


def pytest_unconfigure(config: pytest.Config) -> None:
    if _TURNS in config.stash:
        config.stash[_TURNS].close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, bool | None, bool | None]:
    """What is marked `alone` (it measures time) has no test beside it."""
    if _TURNS not in item.config.stash:
        return (yield)
    with item.config.stash[_TURNS].turn(alone=item.get_closest_marker("alone") is not None):
        return (yield)


@pytest.hookimpl(trylast=True)  # when -k and -m have had their say
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip what is marked needs_gpu, with the reason, where no device computes."""
    wanting = [item for item in items if item.get_closest_marker("needs_gpu")]
    if wanting and (why := why_no_gpu()) is not None:
        for item in wanting:
            item.add_marker(pytest.mark.skip(reason=f"needs_gpu: {why}"))
        config.stash[_WITHOUT_GPU] = (len(wanting), why.partition(":")[0])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say at the very end how much of the suite this machine could not show."""
    if _WITHOUT_GPU in config.stash:
        count, why = config.stash[_WITHOUT_GPU]
        terminalreporter.write_line(f"needs_gpu: {count} tests skipped, {why}")
