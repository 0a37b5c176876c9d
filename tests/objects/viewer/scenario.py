"""OHIF beside Orthanc in Chromium, in a network namespace that has only `lo`: opens each series and says what is seen.

python -m tests.objects.viewer.scenario OBJECTS VIEWER WORK: a folder of DICOM files of one study, OHIF's files, and a
folder to work in. Prints one JSON object. Not for: judging what is seen (test_ohif.py).
"""

from __future__ import annotations

import fcntl
import json
import shutil
import socket
import struct
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydicom import dcmread

from tests.objects.viewer.parts import PLUGIN
from tests.objects.viewer.serving import serving
from tests.web.browser.chromium import EXECUTABLES

_SIOCSIFFLAGS, _IFF_UP = 0x8914, 1
_ARGUMENTS = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
_HTTP_PORT = 8042
_GRID, _BADGE = '[data-cy="viewport-grid"]', '[data-cy="ModalityLoadBadge-default"]'
_SERIES = '[data-cy^="study-browser-thumbnail"]'
_PATIENCE_MS, _SETTLED_MS = 60_000, 4_000
_REPORT, _MOST_GROUPS = "9102", 4
_NOT_OPENED = {9106}  # the draft as text: OHIF shows no Basic Text SR, and has been seen to hang over it
# To the arrow that leads to a report's next group: it has no name and stands behind the badge. Pixels.
_BEHIND_THE_BADGE = 36
_NOT_THERE = "No image URI found for "  # OHIF, of a frame that its viewport does not hold


def loopback_up() -> None:
    """A new network namespace has its loopback down."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sh", b"lo", _IFF_UP))


@contextmanager
def orthanc(work: Path) -> Iterator[str]:
    """Its address."""
    storage = work / "orthanc"
    storage.mkdir()
    settings = {
        "HttpPort": _HTTP_PORT, "RemoteAccessAllowed": False, "AuthenticationEnabled": False,
        "DicomServerEnabled": False, "DefaultEncoding": "Utf8", "StorageDirectory": str(storage),
        "IndexDirectory": str(storage), "Plugins": [str(PLUGIN)],
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
    }  # fmt: skip
    path = work / "orthanc.json"
    path.write_text(json.dumps(settings))
    address = f"http://127.0.0.1:{_HTTP_PORT}"
    with open(work / "orthanc.log", "wb") as log:
        running = subprocess.Popen(["Orthanc", str(path)], stdout=log, stderr=log)
    try:
        for _ in range(600):
            try:
                urllib.request.urlopen(f"{address}/system", timeout=5).close()
                break
            except OSError:
                time.sleep(0.1)
        yield address
    finally:
        running.terminate()
        running.wait(30)


def seen_of(page: Any, number: str, missed: list[str]) -> dict[str, Any]:
    """What a series shows once it is opened, by its number. groups: of a report, where each of them leads to."""
    entry = page.locator(f'{_SERIES}[data-series="{number}"]').first
    entry.scroll_into_view_if_needed()
    warned = entry.locator("#status-warning").count() > 0
    entry.dblclick()
    page.wait_for_timeout(_SETTLED_MS)
    found: dict[str, Any] = {
        "listed": entry.inner_text().split("\n")[0],
        "warned": warned,
        "text": page.locator(_GRID).inner_text(),
        "documents": page.locator(f"{_GRID} :is(object, embed, iframe)").count(),
    }
    if number == _REPORT:
        found["groups"] = groups_of(page, missed)
    return found


def groups_of(page: Any, missed: list[str]) -> list[dict[str, Any]]:
    """where: frame and number of frames in the viewport. missed: the frame that OHIF looked for and could not show."""
    found: list[dict[str, Any]] = []
    answer = page.locator(_GRID).get_by_role("button", name="No", exact=True)  # to "continue tracking?"
    if answer.count():
        answer.first.click()
    for number in range(_MOST_GROUPS):
        before = len(missed)
        if number:
            box = page.locator(_BADGE).first.bounding_box()
            page.mouse.click(box["x"] + box["width"] + _BEHIND_THE_BADGE, box["y"] + box["height"] / 2)
        page.wait_for_timeout(_SETTLED_MS)
        where = page.locator('[data-cy="viewport-overlay-bottom-right"]').first.inner_text()
        found.append({"where": where, "missed": missed[-1] if len(missed) > before else None})
    return found


def scenario(objects: Path, viewer: Path, work: Path) -> dict[str, Any]:
    """What is seen of each series, by its number, and every address elsewhere that was asked for."""
    from playwright.sync_api import sync_playwright

    executable = next(one for name in EXECUTABLES if (one := shutil.which(name)))
    paths = sorted(objects.iterdir())
    heads = [dcmread(path, stop_before_pixels=True) for path in paths]
    with orthanc(work) as address, serving(viewer, f"{address}/dicom-web") as site, sync_playwright() as playwright:
        for path in paths:
            urllib.request.urlopen(
                urllib.request.Request(f"{address}/instances", path.read_bytes()), timeout=60
            ).close()
        browser = playwright.chromium.launch(executable_path=executable, args=_ARGUMENTS)
        page = browser.new_page(viewport={"width": 1600, "height": 1000})
        page.set_default_timeout(_PATIENCE_MS)
        asked: set[str] = set()
        missed: list[str] = []
        page.on("console", lambda said: missed.append(said.text) if said.text.startswith(_NOT_THERE) else None)
        page.on("request", lambda request: asked.add(request.url.split("?")[0]))
        page.add_init_script("localStorage.setItem('shownTours', JSON.stringify(['basicViewerTour']))")
        page.goto(f"{site}/viewer?StudyInstanceUIDs={heads[0].StudyInstanceUID}")
        page.wait_for_selector(_SERIES)
        page.wait_for_timeout(5000)
        page.screenshot(path=work / "first.png")
        found: dict[str, Any] = {}
        for number in sorted({int(one.SeriesNumber) for one in heads} - _NOT_OPENED):
            found[str(number)] = seen_of(page, str(number), missed)
            page.screenshot(path=work / f"{number}.png")
        found["listed"] = page.locator(f"{_SERIES}").evaluate_all("all => all.map(one => one.dataset.series)")
        browser.close()
    return {"series": found, "outside": sorted(url for url in asked if not url.startswith((site, "blob:", "data:")))}


if __name__ == "__main__":
    loopback_up()
    print(json.dumps(scenario(*map(Path, sys.argv[1:4]))))
