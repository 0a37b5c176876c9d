"""pynetdicom and pydicom as the listener needs them: their settings, their logs, and where objects are spooled to."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pynetdicom
from pydicom.config import IGNORE
from pydicom.config import settings as pydicom_settings
from pynetdicom import dimse_messages

from cathrt.runtime.listener.object_store import ObjectStore


@contextmanager
def library_prepared(store: ObjectStore) -> Iterator[None]:
    """pynetdicom's settings are global; so is the file it spools an object to, which it would leave in /tmp.

    Both libraries log what peers send: names of patients, text with line breaks, a traceback for each that breaks off.
    """
    library: Any = dimse_messages
    ours = {"STORE_RECV_CHUNKED_DATASET": True, "ENFORCE_UID_CONFORMANCE": True, "LOG_HANDLER_LEVEL": "none"}
    before = {name: getattr(pynetdicom._config, name) for name in ours}
    loggers = [logging.getLogger(name) for name in ("pynetdicom", "pydicom")]
    levels = [logger.level for logger in loggers]
    named_temporary_file, validation = library.NamedTemporaryFile, pydicom_settings.reading_validation_mode
    try:
        warnings.filterwarnings("ignore", module=r"pydicom\.")
        for name, value in ours.items():
            setattr(pynetdicom._config, name, value)
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
        library.NamedTemporaryFile = lambda **_options: store.spool.open()
        pydicom_settings.reading_validation_mode = IGNORE
        yield
    finally:
        for name, value in before.items():
            setattr(pynetdicom._config, name, value)
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
        library.NamedTemporaryFile = named_temporary_file
        pydicom_settings.reading_validation_mode = validation
