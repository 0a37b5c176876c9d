"""Which of FFmpeg's demuxers, protocols and options serve a video address.

Not for: opening it (video_tap.py).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

from cathrt.runtime.errors import ConfigError
from cathrt.runtime.sources.capture.address import settings_of, without_password

# What each scheme may open, itself and through what it names; "file" is in none, so no stream can name a local file.
_PROTOCOLS = {
    "rtsp": "rtsp,rtp,udp,tcp",
    "rtsps": "rtsps,rtsp,rtp,udp,tcp,tls,crypto",
    "rtp": "rtp,udp",
    "udp": "udp",
    "tcp": "tcp",
    "http": "http,tcp",
    "https": "https,http,tcp,tls,crypto",
}
# No playlists: they name further files, and they come late by design.
_STREAM_FORMATS = "rtsp,rtp,sdp,mpegts,matroska,webm,flv,h264,hevc,mjpeg,mpjpeg"
_FILE_FORMATS = "mov,mp4,m4a,3gp,3g2,mj2,avi,matroska,webm,mpegts"
# Looking longer finds the rate, which is measured anyway, and lets pictures pile up. Bytes, microseconds, pictures.
_PROBE = {"probesize": "1000000", "analyzeduration": "200000", "fpsprobesize": "0"}
# AVFMT_FLAG_NONBLOCK, which has no name among FFmpeg's options: a device that gives nothing can be closed, and opened
# anew.
_NON_BLOCKING = "+4"
_DEVICE_SETTINGS = {"size": "", "rate_hz": "", "pixel_format": ""}
_DEVICE_OPTIONS = {"size": "video_size", "rate_hz": "framerate", "pixel_format": "pixel_format"}


@dataclass(frozen=True, slots=True)
class VideoAddress:
    """shown: the URL without its password. options: of FFmpeg's container. loop: a file starts over at its end."""

    kind: Literal["stream", "device", "file"]
    url: str
    shown: str
    format: str | None = None
    options: dict[str, str] = field(default_factory=dict)
    loop: bool = False


def video_address(address: str, where: str) -> VideoAddress:
    """A URL; /dev/video0?size=1920x1080&rate_hz=60&pixel_format=yuyv422; FILE or FILE?loop. Raises ConfigError."""
    if not address:
        raise ConfigError(f"{where}: no address, expected a URL, a device (/dev/video0) or a video file")
    if "://" in address:
        return _stream(address, where)
    path, _, settings = address.partition("?")
    if path.startswith("/dev/"):
        given = settings_of(settings, "&", _DEVICE_SETTINGS, where)
        options = {_DEVICE_OPTIONS[name]: value for name, value in given.items() if value}
        return VideoAddress("device", path, path, "v4l2", {"fflags": _NON_BLOCKING, **options})
    if path.endswith(".sdp"):
        options = {"protocol_whitelist": "file,rtp,udp", **_PROBE}
        return VideoAddress("stream", path, path, "sdp", options)
    if settings not in ("", "loop"):
        raise ConfigError(f"{where}: found {settings!r} after the file, expected ?loop or nothing")
    options = {"protocol_whitelist": "file", "format_whitelist": _FILE_FORMATS}
    return VideoAddress("file", path, path, None, options, loop=settings == "loop")


def _stream(url: str, where: str) -> VideoAddress:
    scheme = urlsplit(url).scheme.lower()
    if scheme not in _PROTOCOLS:
        raise ConfigError(f"{where}: found a URL of {scheme!r}, expected one of {', '.join(_PROTOCOLS)}")
    options = {"protocol_whitelist": _PROTOCOLS[scheme], "format_whitelist": _STREAM_FORMATS, **_PROBE}
    if scheme.startswith("rtsp"):
        # Over TCP, since a lost packet spoils pictures until the next key picture.
        options |= {"rtsp_transport": "tcp", "allowed_media_types": "video"}
    return VideoAddress("stream", url, without_password(url), None, options)
