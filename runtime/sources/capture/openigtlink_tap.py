"""OpenIGTLink as a client: the IMAGE messages of a server at HOST:PORT, parsed by pyigtl.

Its client is not used: it reads whatever length a peer declares, and keeps only the newest image of each device.
There is no authentication in OpenIGTLink: for isolated networks. Not for: messages of other types, which are skipped.
"""

from __future__ import annotations

import contextlib
import socket
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cathrt.runtime.clock import Clock
from cathrt.runtime.config import LimitsConfig, SourceConfig
from cathrt.runtime.errors import ConfigError, SourceError
from cathrt.runtime.frame import Grayscale
from cathrt.runtime.outside.plain_text import shown
from cathrt.runtime.ports import Missing, Picture
from cathrt.runtime.sources.capture.address import host_and_port, settings_of
from cathrt.runtime.sources.capture.closing import Closing
from cathrt.runtime.sources.capture.region import in_region
from cathrt.runtime.sources.picture import PictureError, require_size

_VERSIONS = (1, 2)  # of the header; OpenIGTLink 3 sends 2
_BESIDE_PIXELS = 1 << 20  # bytes that a body may have beside its pixels: image header and metadata
_SKIPPED_AT_ONCE = 1 << 16
_SHARE = 0.8  # of the time after which TapThread gives a call up: this one ends it in good order


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """device: the one whose images are taken; "" for all. bits: of a value; 0: as many as its type has."""

    host: str
    port: int
    device: str
    bits: int

    def __str__(self) -> str:
        return f"openigtlink {self.host}:{self.port}"


def server_address(source: SourceConfig) -> ServerAddress:
    """HOST:PORT, HOST:PORT?device=NAME&bits=12. Raises ConfigError."""
    where = f"sources.{source.name}.address"
    address, _, settings = source.address.partition("?")
    found = settings_of(settings, "&", {"device": "", "bits": "0"}, where)
    if found["bits"] not in {"0", *map(str, range(8, 17))}:
        raise ConfigError(f"{where}: found bits={found['bits']}, expected 8 to 16, or 0 for as many as the type has")
    return ServerAddress(*host_and_port(address, where), found["device"], int(found["bits"]))


def open_openigtlink(
    address: ServerAddress, source: SourceConfig, limits: LimitsConfig, clock: Clock
) -> OpenIgtLinkTap:
    """Connect. Raises SourceError."""
    try:
        from pyigtl import messages
    except ImportError as exc:
        raise SourceError(
            "OpenIGTLink needs pyigtl, which is not installed: pip install '.[igtl]' in a clone of cathrt, or "
            "pip install 'FILE.whl[igtl]' of its wheel"
        ) from exc
    try:
        peer = socket.create_connection((address.host, address.port), _SHARE * source.first_picture_s)
    except OSError as exc:
        raise SourceError(f"{address}: cannot be opened ({exc.strerror or exc})") from exc
    peer.settimeout(_SHARE * source.no_signal_s)
    return OpenIgtLinkTap(messages, peer, address, source, limits, clock)


class OpenIgtLinkTap:
    """Fits ports.Tap. An image that cannot be used is Missing; what is no OpenIGTLink ends the connection.

    A body's checksum is not compared: that takes 12 ms per MiB, and TCP has checked its bytes.
    """

    def __init__(
        self,
        messages: Any,
        peer: socket.socket,
        address: ServerAddress,
        source: SourceConfig,
        limits: LimitsConfig,
        clock: Clock,
    ) -> None:
        """Takes a connected socket over."""
        self._messages = messages
        self._peer = peer
        self._address = address
        self._source = source
        self._limits = limits
        self._clock = clock
        self._most_bytes = 2 * limits.max_rows * limits.max_columns + _BESIDE_PIXELS
        self._grayscale = Grayscale(8, source.photometric_interpretation)
        self._closing = Closing(peer.close)

    @property
    def name(self) -> str:
        return str(self._address)

    def next(self) -> Picture | Missing:
        """The next image. Raises SourceError where the connection is lost, closed, or speaks no OpenIGTLink."""
        with self._closing.reading():
            header = self._header()
            while not self._is_wanted(header):
                self._skip(header["body_size"])
                header = self._header()
            if header["body_size"] > self._most_bytes:
                raise SourceError(
                    f"{self.name}: an image of {header['body_size']} bytes is announced, expected at most "
                    f"{self._most_bytes} (limits.max_rows, limits.max_columns)"
                )
            body = self._received(header["body_size"])
            return self._picture(header, body, self._clock.now_ns())

    def close(self) -> None:
        """From any thread; a call that waits ends."""
        with contextlib.suppress(OSError):  # the peer is gone, or it is closed already
            self._peer.shutdown(socket.SHUT_RDWR)
        self._closing.close()

    def _is_wanted(self, header: dict[str, Any]) -> bool:
        return header["message_type"] == "IMAGE" and self._address.device in ("", header["device_name"])

    def _header(self) -> dict[str, Any]:
        received = self._received(self._messages.MessageBase.IGTL_HEADER_SIZE)
        try:
            header: dict[str, Any] = self._messages.MessageBase.parse_header(received)
        except UnicodeDecodeError as exc:
            raise SourceError(f"{self.name}: what it sends is no OpenIGTLink (a name that is no text)") from exc
        if header["header_version"] not in _VERSIONS:
            raise SourceError(
                f"{self.name}: what it sends is no OpenIGTLink (header version {header['header_version']}, expected "
                f"{' or '.join(map(str, _VERSIONS))})"
            )
        return header

    def _received(self, size: int) -> bytes:
        """Exactly so many bytes. Raises SourceError."""
        data = bytearray(size)
        left = memoryview(data)
        while left:
            left = left[self._read_into(left) :]
        return bytes(data)

    def _skip(self, size: int) -> None:
        scratch = memoryview(bytearray(min(size, _SKIPPED_AT_ONCE)))
        while size:
            size -= self._read_into(scratch[:size])

    def _read_into(self, buffer: memoryview) -> int:
        try:
            count = self._peer.recv_into(buffer)
        except TimeoutError as exc:
            raise SourceError(f"{self.name}: no answer in time") from exc
        except OSError as exc:
            raise SourceError(f"{self.name}: the connection is lost ({exc.strerror or exc})") from exc
        if not count:
            raise SourceError(f"{self.name}: the connection was closed")
        return count

    def _picture(self, header: dict[str, Any], body: bytes, captured_ns: int) -> Picture | Missing:
        message = self._messages.ImageMessage()
        try:
            with np.errstate(all="ignore"):  # of a position that is no number
                message.unpack(header, body)
            found = self._pixels(message.image)
        except (struct.error, ValueError, KeyError, IndexError, TypeError, NotImplementedError, PictureError) as exc:
            # What pyigtl raises of a body that contradicts itself; subvolumes are not implemented.
            reason = f"an IMAGE message that cannot be used ({type(exc).__name__}: {shown(str(exc))[:200]})"
            return Missing(captured_ns, reason, failed=True)
        if isinstance(found, str):
            return Missing(captured_ns, found, failed=True)
        return Picture(found, self._grayscale, captured_ns, header["timestamp"] * 1000.0)

    def _pixels(self, image: NDArray[Any]) -> NDArray[Any] | str:
        """Grey values of one slice, or why there are none. Raises PictureError for a size beyond the limits."""
        if image.ndim != 3 or image.shape[0] != 1:
            return f"an image of shape {image.shape}, expected one slice of one component"
        if image.dtype.kind != "u" or image.dtype.itemsize > 2:
            return f"values of {image.dtype.name}, expected uint8 or uint16"
        require_size(image.shape[1], image.shape[2], self._limits)
        native = image[0].astype(image.dtype.newbyteorder("="), copy=False)
        bits = self._address.bits or 8 * native.dtype.itemsize
        if bits > 8 * native.dtype.itemsize or int(native.max()) >= 1 << bits:
            return f"values of {native.dtype.name} up to {native.max()}, expected {bits} bits, as the address says"
        if bits <= 8:
            native = native.astype(np.uint8, copy=False)
        if bits != self._grayscale.bits_stored:
            self._grayscale = Grayscale(bits, self._source.photometric_interpretation)
        return in_region(native, self._source.region)
