"""What the test with a real viewer needs: Orthanc with DICOMweb, Chromium, and OHIF's own build from npm.

Not for: running them (scenario.py).
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tarfile
from pathlib import Path

from tests.conftest import ROOT
from tests.web.browser.chromium import why_no_chromium

PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
NAME, PACKAGE = "@ohif/app@3.12.10", "ohif-app-3.12.10.tgz"  # MIT; later ones need a newer Node.js than Debian has
SHA512 = (
    "d24b85eba32af5cf5d303fbe6d4b138ccac9a57270699873f41e2e4b6e380dac"
    "008d2913c0860553dde9c4fb915108b16918bb4001e517715ed6ab9d06566b98"
)
_LEFT_OUT = ("dist/ort/", "dist/dicom-microscopy-viewer/")  # 150 MB that no test looks at


def why_not() -> str | None:
    """Which part is missing, and how to get it; None where all are there."""
    if shutil.which("Orthanc") is None or not PLUGIN.is_file():
        return "no viewer test: Orthanc with DICOMweb is not installed (apt-get install orthanc orthanc-dicomweb)"
    if shutil.which("unshare") is None:
        return "no viewer test: unshare is not installed (apt-get install util-linux)"
    if subprocess.run(["unshare", "-rn", "true"], capture_output=True, check=False).returncode:
        return "no viewer test: this user may make no network namespace"
    return why_no_chromium()


def viewer(folder: Path) -> Path | str:
    """OHIF, unpacked into `folder`: where its index.html is. Else why it is not to be had."""
    packed = ROOT / "build" / "npm" / PACKAGE
    if not packed.is_file():
        npm = shutil.which("npm")
        if npm is None:
            return "no viewer test: OHIF is not there, nor npm to fetch it"
        packed.parent.mkdir(parents=True, exist_ok=True)
        command = [npm, "pack", NAME, "--silent", "--pack-destination", str(packed.parent)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            return f"no viewer test: npm pack {NAME} failed: {done.stderr[-200:]}"
    if hashlib.sha512(packed.read_bytes()).hexdigest() != SHA512:
        return f"no viewer test: {packed} is not the package that is expected: remove it"
    with tarfile.open(packed) as archive:
        wanted = [
            one for one in archive.getmembers() if one.isfile() and not any(part in one.name for part in _LEFT_OUT)
        ]
        archive.extractall(folder, wanted, filter="data")
    return folder / "package" / "dist"
