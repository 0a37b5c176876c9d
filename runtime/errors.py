"""The errors cathrt raises on purpose, and the exit code each has on the command line.

A message says what was found, what was expected and what to do. Adapters translate their vendor's exceptions into
these with `raise ... from exc`. Not for: our own bugs, which stay plain exceptions and are never caught.
"""

from __future__ import annotations


class CathrtError(Exception):
    """Base of every error a caller may want to catch."""

    exit_code = 1


class ConfigError(CathrtError):
    """The configuration cannot be used: unknown key, wrong type, value out of range."""

    exit_code = 3


class SourceError(CathrtError):
    """An input cannot be read as X-ray frames. The file is refused; nothing of it was judged."""

    exit_code = 4


class ManifestError(CathrtError):
    """A bundle is refused: hash, signature, schema, path or content does not fit."""

    exit_code = 5


class EngineError(CathrtError):
    """An engine cannot be opened or has failed while inferring."""

    exit_code = 6


class EngineLostError(EngineError):
    """The engine's device is gone and the engine with it: no later frame can be judged on it."""


class EngineHungError(EngineLostError):
    """A call into the engine has not returned in time. Its thread is left behind with all that the call was given."""


class JournalError(CathrtError):
    """The journal cannot be written or does not add up. Nothing unjournalled is shown."""

    exit_code = 7


class SinkError(CathrtError):
    """Output cannot be written: standard output, a file, a sink. What was journalled before stays in the journal."""

    exit_code = 8
