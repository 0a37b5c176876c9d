"""A web server for OHIF: its files, its settings, and Orthanc's DICOMweb under the same origin.

Not for: anything but a test; it checks nothing.
"""

from __future__ import annotations

import mimetypes
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit

SETTINGS = """window.config = {
  routerBasename: '/', extensions: [], modes: [], showStudyList: true, investigationalUseDialog: {option: 'never'},
  defaultDataSourceName: 'dicomweb',
  dataSources: [{
    namespace: '@ohif/extension-default.dataSourcesModule.dicomweb', sourceName: 'dicomweb',
    configuration: {
      friendlyName: 'Orthanc', name: 'orthanc', qidoRoot: '/dicom-web', wadoRoot: '/dicom-web',
      wadoUriRoot: '/dicom-web', imageRendering: 'wadors', thumbnailRendering: 'wadors',
      qidoSupportsIncludeField: true, omitQuotationForMultipartRequest: true, enableStudyLazyLoad: true,
      supportsFuzzyMatching: false, supportsWildcard: true,
    },
  }],
};"""


@contextmanager
def serving(dist: Path, dicom_web: str) -> Iterator[str]:
    """Its address. dicom_web: where Orthanc has it, without a slash at the end."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            if parts.path.startswith("/dicom-web/"):
                return self.pass_on(parts.path.removeprefix("/dicom-web"), parts.query)
            if parts.path == "/app-config.js":
                return self.say(200, "text/javascript", SETTINGS.encode())
            file = (dist / parts.path.lstrip("/")).resolve()
            if not (file.is_file() and file.is_relative_to(dist)):
                file = dist / "index.html"  # as its own addresses are
            kind = "application/wasm" if file.suffix == ".wasm" else mimetypes.guess_type(file.name)[0]
            return self.say(200, kind or "application/octet-stream", file.read_bytes())

        def pass_on(self, path: str, query: str) -> None:
            """Orthanc takes one field in each `includefield`."""
            pairs = [(key, value) for key, values in parse_qsl(query) for value in values.split(",")]
            asked = urllib.request.Request(f"{dicom_web}{path}?{urlencode(pairs)}")
            asked.add_header("Accept", self.headers.get("Accept", "*/*"))
            try:
                with urllib.request.urlopen(asked, timeout=60) as answer:
                    self.say(answer.status, answer.headers["Content-Type"], answer.read())
            except urllib.error.HTTPError as exc:
                self.say(exc.code, "text/plain", exc.read())

        def say(self, status: int, kind: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
